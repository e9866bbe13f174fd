//! What time it is, and chance: both come from outside, so that a test can hold them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::{Dice, PushId, SessionId, Timestamp};
use tokio::time::Instant;
use uuid::Uuid;

/// Where the time comes from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's.
    System,
    /// Tokio's, which a test can pause, counted from a point in time.
    Tokio {
        /// The point in time that `since` stands for.
        start: Timestamp,
        /// When it was.
        since: Instant,
    },
}

impl Clock {
    /// The time.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Tokio { start, since } => start.after(since.elapsed()),
        }
    }

    /// Returns at `deadline`, or at once if it is over. A clock that is set back makes it late by as much at the most;
    /// whoever waits looks at the clock again.
    pub async fn sleep_until(&self, deadline: Timestamp) {
        tokio::time::sleep(deadline.since(self.now())).await;
    }
}

/// A throw of dice.
pub(crate) fn dice() -> Dice {
    Dice(rand::random())
}

/// An id for a new session. It sorts by time.
pub(crate) fn session_id() -> SessionId {
    SessionId::from_uuid(Uuid::now_v7())
}

/// An id for a new push. It sorts by time.
pub(crate) fn push_id() -> PushId {
    PushId::from_uuid(Uuid::now_v7())
}
