//! Why no push? The answer as one sentence, and as a chain of eight links whose first broken one explains itself. Pure:
//! what is known goes in, words come out.

mod chain;
mod sentence;

use std::time::Duration;

use domain::{Life, Mechanism, Timestamp};

pub(crate) use chain::{Chain, Link, Standing, Verdict, chain};
pub(crate) use sentence::{Sentence, cell, failure_mark, sentence};

/// Everything that is known about one session and bears on its pushes.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) now: Timestamp,
    pub(crate) life: Life,
    pub(crate) registered_at: Timestamp,
    pub(crate) host: String,
    pub(crate) mailbox: String,
    pub(crate) mechanism: Mechanism,
    /// The sealing key of the credential; none once it is destroyed.
    pub(crate) key: Option<String>,
    /// When the last connection was made.
    pub(crate) connected_at: Option<Timestamp>,
    /// Its server's IDLE kept quiet about mail.
    pub(crate) is_polled: bool,
    /// When new mail was seen last.
    pub(crate) mail_at: Option<Timestamp>,
    /// The newest push.
    pub(crate) push: Option<LastPush>,
    /// Who revoked it.
    pub(crate) revoked_by: Option<String>,
    /// Refused logins after which Pinger gives up.
    pub(crate) max_refusals: u32,
    /// How long it has still to wait for its turn to connect, if it waits for that.
    pub(crate) turn_in: Option<Duration>,
}

/// The newest push of a session.
#[derive(Clone, Debug)]
pub(crate) struct LastPush {
    pub(crate) at: Timestamp,
    pub(crate) fate: Fate,
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// On its way.
    Queued,
    /// The service was busy or out of reach; it is tried again.
    Retrying { next: Option<Timestamp>, reason: String },
    /// It waits until the push service takes pushes of ours again.
    Waits { reason: String },
    /// The service took it.
    Accepted { millis: Option<u64> },
    /// The service refused this one.
    Refused { reason: String },
    /// The service says that the app is gone from the device.
    Gone { reason: String },
    /// It was worth nothing any more before the service took it.
    Expired,
}

impl Fate {
    /// Whether the newest push shows that pushes don't arrive.
    fn is_broken(&self) -> bool {
        match self {
            Self::Queued | Self::Accepted { .. } => false,
            Self::Retrying { .. } | Self::Waits { .. } | Self::Refused { .. } | Self::Gone { .. } | Self::Expired => {
                true
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod sample;
