//! Why no push? The answer as one sentence, and as a chain of eight links whose first broken one explains itself. Pure:
//! what is known goes in, words come out.

mod chain;
mod sentence;

use std::time::Duration;

use domain::{EasAuthentication, EasCommand, Life, MailTarget, Mechanism, Timestamp};

use crate::words;

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
    pub(crate) way: Way,
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

/// How the mailbox is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Imap(Mechanism),
    Eas(EasCommand, EasAuthentication),
}

impl Way {
    pub(crate) fn of(mail: &MailTarget) -> Self {
        match mail {
            MailTarget::Imap(imap) => Self::Imap(imap.mechanism),
            MailTarget::Eas(eas) => Self::Eas(eas.command, eas.authentication),
        }
    }

    /// How the login is made.
    pub(crate) const fn login(self) -> &'static str {
        match self {
            Self::Imap(mechanism) => words::mechanism(mechanism),
            Self::Eas(_, authentication) => words::eas_login(authentication),
        }
    }

    /// What the credential is.
    pub(crate) const fn credential(self) -> &'static str {
        match self {
            Self::Imap(mechanism) => words::credential(mechanism),
            Self::Eas(_, authentication) => words::eas_credential(authentication),
        }
    }

    /// The long poll, where it is one.
    pub(crate) const fn long_poll(self) -> Option<&'static str> {
        match self {
            Self::Imap(_) => None,
            Self::Eas(command, _) => Some(words::long_poll(command)),
        }
    }
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
