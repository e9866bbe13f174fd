//! The time of day. Only commands ask for it here; sessions are given it by the backend.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::Timestamp;

/// The time now; the epoch if the clock stands before it.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
