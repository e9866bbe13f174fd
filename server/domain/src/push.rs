//! Where pushes go, and what became of them.

use std::fmt;
use std::time::Duration;

use crate::{PushId, SessionId, Timestamp};

/// Why a push target was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The device token is not what Apple gives out.
    #[error("must be 64 to 200 hexadecimal characters, an even number")]
    Token,
    /// The topic is no bundle id.
    #[error("must be 1 to 255 letters, digits, dots and hyphens")]
    Topic,
}

/// One of Apple's two environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApnsEnvironment {
    /// Apps from the store and from TestFlight.
    Production,
    /// Apps signed for development.
    Development,
}

/// How a device is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApnsPushType {
    /// Silently, at priority 5.
    Background,
    /// Visibly, at priority 10.
    Alert,
}

/// A device token of Apple's. The token is the right to wake a device, so it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct ApnsTarget {
    token: String,
    topic: String,
    /// Which environment issued the token.
    pub environment: ApnsEnvironment,
    /// How the device is woken.
    pub push_type: ApnsPushType,
}

impl ApnsTarget {
    /// Takes a token of 64 to 200 hexadecimal characters, which is kept in lower case.
    pub fn parse_token(text: &str) -> Result<String, TokenError> {
        let fine = (64..=200).contains(&text.len())
            && text.len().is_multiple_of(2)
            && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if fine { Ok(text.to_ascii_lowercase()) } else { Err(TokenError::Token) }
    }

    /// Takes a topic of 1 to 255 letters, digits, dots and hyphens.
    pub fn parse_topic(text: &str) -> Result<String, TokenError> {
        let fine = (1..=255).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-');
        if fine { Ok(text.to_owned()) } else { Err(TokenError::Topic) }
    }

    /// Makes a target; both texts are checked.
    pub fn new(
        token: &str,
        topic: &str,
        environment: ApnsEnvironment,
        push_type: ApnsPushType,
    ) -> Result<Self, TokenError> {
        Ok(Self { token: Self::parse_token(token)?, topic: Self::parse_topic(topic)?, environment, push_type })
    }

    /// The device token, for the request to Apple and for the store only.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }
}

impl fmt::Debug for ApnsTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApnsTarget")
            .field("topic", &self.topic)
            .field("environment", &self.environment)
            .field("push_type", &self.push_type)
            .finish_non_exhaustive()
    }
}

/// An installed app as its push service knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushTarget {
    /// Apple's.
    Apns(ApnsTarget),
}

/// What a push says. It carries no content of any mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushKind {
    /// There is new mail.
    NewMail,
    /// The session has ended or is about to be useless: register again.
    Register,
    /// Nothing: staff try whether pushes arrive.
    Test,
}

impl PushKind {
    /// The word in the payload.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewMail => "new_mail",
            Self::Register => "register",
            Self::Test => "test",
        }
    }
}

/// A push on its way: one row of the outbox, as its sender gets it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The push.
    pub id: PushId,
    /// The session that it is for, which is also its collapse id.
    pub session: SessionId,
    /// The account, by the name that the client gave it.
    pub context: String,
    /// What it says.
    pub kind: PushKind,
    /// Where it goes.
    pub target: PushTarget,
    /// When the reason for it was seen.
    pub created_at: Timestamp,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
    /// How often it has been tried.
    pub attempts: u32,
    /// The W3C trace context of the episode that caused it.
    pub traceparent: Option<String>,
}

/// Why a push service did not take a push, in a word that staff can look up: its own, bounded, such as `BadDeviceToken`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushReason(String);

impl PushReason {
    /// Keeps at most 128 printable ASCII characters of what the service said.
    pub fn new(text: &str) -> Self {
        Self(text.chars().filter(|char| char.is_ascii_graphic() || *char == ' ').take(128).collect())
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PushReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What became of one attempt to send a push, in the few meanings that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// The service took it.
    Accepted {
        /// The service's own id of it.
        provider_id: String,
    },
    /// The device token is dead, and was already at `since`, where the service says so.
    Gone {
        /// What the service said.
        reason: PushReason,
        /// From when on the service knows it to be dead.
        since: Option<Timestamp>,
    },
    /// Not now: the service is busy or out of reach.
    Retry {
        /// What the service said.
        reason: PushReason,
        /// How long it asks to be left alone.
        after: Option<Duration>,
    },
    /// The service refuses this one push; sending it again can't help. Nobody's token is blamed.
    Refused {
        /// What the service said.
        reason: PushReason,
    },
    /// Our own fault: our key, our topic, our request. Nobody's token is blamed; it is tried again slowly.
    OurFault {
        /// What the service said.
        reason: PushReason,
    },
}
