//! Where a session is in its life.

use crate::{Baseline, Failure, Timestamp};

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The device called Stop.
    Stopped,
    /// Staff revoked the credential.
    Revoked,
    /// The device registered the same account again.
    Replaced,
    /// Its lifetime was over.
    Expired,
    /// The mail server refused the credential.
    CredentialRefused,
    /// The mail server could not be found for a day.
    MailServerGone,
    /// The push service said that the push target is gone.
    PushTargetGone,
    /// A limit of the server's was reached.
    Quota,
    /// The mail server no longer takes the device's request.
    RequestRefused,
}

impl EndReason {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Stopped,
        Self::Revoked,
        Self::Replaced,
        Self::Expired,
        Self::CredentialRefused,
        Self::MailServerGone,
        Self::PushTargetGone,
        Self::Quota,
        Self::RequestRefused,
    ];

    /// The stable name, as the store has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::CredentialRefused => "credential_refused",
            Self::MailServerGone => "mail_server_gone",
            Self::PushTargetGone => "push_target_gone",
            Self::Quota => "quota",
            Self::RequestRefused => "request_refused",
        }
    }

    /// Finds a reason by its stable name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
    }
}

/// The part of a session's life that only a call, a deadline or its end changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The device is awake and reads its mail itself.
    Waiting {
        /// Until when.
        until: Timestamp,
    },
    /// The mailbox is to be watched.
    Active,
    /// It is over.
    Ended(EndReason),
}

/// A session's state as devices and staff see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The device is awake; nothing is connected.
    Waiting,
    /// The mailbox is watched.
    Watching,
    /// A push was sent and the device has not answered.
    Holding,
    /// Something failed; it is tried again.
    Retrying,
    /// It is over.
    Ended,
}

impl State {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Waiting, Self::Watching, Self::Holding, Self::Retrying, Self::Ended];

    /// The stable name, as the store has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Watching => "watching",
            Self::Holding => "holding",
            Self::Retrying => "retrying",
            Self::Ended => "ended",
        }
    }

    /// Finds a state by its stable name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == text)
    }
}

/// Whether there should be a connection to the mail server now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connect {
    /// None; an open one is closed.
    No,
    /// To read the mailbox's baseline, and no longer.
    ForBaseline,
    /// To watch.
    ToWatch,
}

/// Where a session is watched by long polls: the mail server keeps what the device has seen, so there is no baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LongPoll {
    /// Polls in a row that were answered “nothing new” much too early.
    pub hasty: u32,
}

/// Everything about a session that changes while it lives. The store keeps all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Waiting, active or ended.
    pub phase: Phase,
    /// Since when it has been in its [`State`].
    pub state_since: Timestamp,
    /// What has been seen of the mailbox; none until it was read for the first time.
    pub baseline: Option<Baseline>,
    /// When the session ends by itself.
    pub expires_at: Timestamp,
    /// After a fault: when to connect again.
    pub retry_at: Option<Timestamp>,
    /// After a push: until when the next one waits.
    pub hold_until: Option<Timestamp>,
    /// Mail was seen that no push has told of yet.
    pub owed: bool,
    /// Pushes since the device was last heard of; the hold doubles with each.
    pub silence: u32,
    /// Faults in a row, none of them after a connection that had survived.
    pub attempts: u32,
    /// Refused log-ins in a row.
    pub refusals: u32,
    /// What went wrong last and has not gone well since.
    pub failure: Option<Failure>,
    /// When it went wrong.
    pub failed_at: Option<Timestamp>,
    /// Since when the mail server's name has not resolved.
    pub unresolved_since: Option<Timestamp>,
    /// Set if it is watched by long polls. Then there is never a [`baseline`](Self::baseline).
    pub poll: Option<LongPoll>,
}

impl Life {
    /// A life that begins at `now`.
    pub fn begin(
        now: Timestamp,
        wait: std::time::Duration,
        lifetime: std::time::Duration,
        baseline: Option<Baseline>,
    ) -> Self {
        let phase = if wait.is_zero() { Phase::Active } else { Phase::Waiting { until: now.after(wait) } };
        Self {
            phase,
            state_since: now,
            baseline,
            expires_at: now.after(lifetime),
            retry_at: None,
            hold_until: None,
            owed: false,
            silence: 0,
            attempts: 0,
            refusals: 0,
            failure: None,
            failed_at: None,
            unresolved_since: None,
            poll: None,
        }
    }

    /// A life that begins at `now` and is watched by long polls.
    pub fn begin_polling(now: Timestamp, wait: std::time::Duration, lifetime: std::time::Duration) -> Self {
        Self { poll: Some(LongPoll::default()), ..Self::begin(now, wait, lifetime, None) }
    }

    /// The state as devices and staff see it.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Waiting { .. } => State::Waiting,
            Phase::Ended(_) => State::Ended,
            Phase::Active if self.retry_at.is_some() => State::Retrying,
            Phase::Active if self.hold_until.is_some() => State::Holding,
            Phase::Active => State::Watching,
        }
    }

    /// Why it ended, if it has.
    pub fn end_reason(&self) -> Option<EndReason> {
        match self.phase {
            Phase::Ended(reason) => Some(reason),
            Phase::Waiting { .. } | Phase::Active => None,
        }
    }

    /// Whether it lives.
    pub fn is_live(&self) -> bool {
        self.end_reason().is_none()
    }

    /// Whether there should be a connection now.
    pub fn connect(&self) -> Connect {
        match self.phase {
            _ if self.retry_at.is_some() => Connect::No,
            Phase::Ended(_) => Connect::No,
            // A server that is asked again before the device has synced says the same again.
            Phase::Active if self.poll.is_some() && self.hold_until.is_some() => Connect::No,
            Phase::Active => Connect::ToWatch,
            Phase::Waiting { .. } if self.baseline.is_none() && self.poll.is_none() => Connect::ForBaseline,
            Phase::Waiting { .. } => Connect::No,
        }
    }

    /// When something happens by itself. A live session always has such a time: at the latest, it expires.
    pub fn deadline(&self) -> Option<Timestamp> {
        let wait = match self.phase {
            Phase::Ended(_) => return None,
            Phase::Waiting { until } => Some(until),
            Phase::Active => self.hold_until,
        };
        [Some(self.expires_at), wait, self.retry_at].into_iter().flatten().min()
    }
}
