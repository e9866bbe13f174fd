//! What is known of whether a mail server answers, and how many may try it at once.

use std::time::Duration;

use domain::{Failure, FailureCode};
use tokio::time::Instant;

/// So many try a host of which nothing is known, at once. Two, so that a single lost connection holds nobody up.
const TRIALS: usize = 2;

/// So many connections in a row have to fail in vain until a host that did answer is taken for silent.
pub(super) const IN_VAIN: u32 = 3;

/// How long it is remembered that a host was silent: longer than any session's pause after a fault.
const SILENT_KEPT: Duration = Duration::from_secs(15 * 60);

/// What is known of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing yet.
    New,
    /// It answers, though so many in a row waited in vain lately.
    Answers { in_vain: u32 },
    /// Whoever tried last waited in vain, and this is when they gave up.
    Silent { since: Instant },
}

impl Standing {
    /// What is known after one more connection.
    pub(super) fn after(self, answer: Answer, now: Instant) -> Self {
        match (self, answer) {
            (_, Answer::Came) => Self::Answers { in_vain: 0 },
            (Self::Answers { in_vain }, Answer::Missing) if in_vain + 1 < IN_VAIN => {
                Self::Answers { in_vain: in_vain + 1 }
            }
            (_, Answer::Missing) => Self::Silent { since: now },
        }
    }

    /// How many may connect at once, if a host that answers has `most`.
    pub(super) fn at_once(self, most: usize) -> usize {
        match self {
            Self::New => most.min(TRIALS),
            Self::Answers { .. } => most,
            Self::Silent { .. } => 1,
        }
    }

    pub(super) fn is_silent(self) -> bool {
        matches!(self, Self::Silent { .. })
    }

    /// Whether it is still worth a lane.
    pub(super) fn is_remembered(self, now: Instant) -> bool {
        matches!(self, Self::Silent { since } if since + SILENT_KEPT > now)
    }
}

/// What became of a connection, as far as the pace is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The host said something, and be it no.
    Came,
    /// The time was over.
    Missing,
}

impl Answer {
    /// What a failure to connect says of the host.
    pub(super) fn to(failure: &Failure) -> Option<Self> {
        match failure.code {
            FailureCode::ConnectTimeout | FailureCode::GreetingTimeout | FailureCode::CommandTimeout => {
                Some(Self::Missing)
            }
            // These are seen, or may be, before the host is asked at all.
            FailureCode::HostNotFound | FailureCode::AddressBlocked | FailureCode::CredentialUnreadable => None,
            _ => Some(Self::Came),
        }
    }
}
