//! What Apple's answers mean.
//!
//! <https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns>

use std::time::Duration;

use a2::ErrorReason;
use domain::{PushOutcome, PushReason, Timestamp};
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StrDeserializer};

/// An answer: everything in it that matters.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) apns_id: Option<String>,
    pub(super) retry_after: Option<Duration>,
    /// Empty for a 200.
    pub(super) body: Vec<u8>,
}

/// Apple's body. The reason is text here, because Apple has more of them than a2 knows.
#[derive(Deserialize)]
struct Body {
    reason: String,
    /// Milliseconds since the Unix epoch.
    timestamp: Option<i64>,
}

impl Answer {
    /// Whether a new provider token is asked for.
    pub(super) fn wants_new_token(&self) -> bool {
        self.body().is_some_and(|body| matches!(known(&body.reason), Some(ErrorReason::ExpiredProviderToken)))
    }

    fn body(&self) -> Option<Body> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What it means.
    pub(super) fn outcome(self) -> PushOutcome {
        if self.status == 200 {
            return PushOutcome::Accepted { provider_id: self.apns_id.unwrap_or_default() };
        }
        let body = self.body();
        let meaning = match &body {
            Some(body) => {
                known(&body.reason).map_or_else(|| unknown_reason(self.status, &body.reason), |reason| of(&reason))
            }
            None => not_apple(self.status),
        };
        let reason = match &body {
            Some(body) => PushReason::new(&body.reason),
            None => PushReason::new(&format!("HTTP {} without a reason", self.status)),
        };
        match meaning {
            Meaning::Gone => {
                PushOutcome::Gone { reason, since: body.and_then(|body| body.timestamp).map(Timestamp::from_millis) }
            }
            Meaning::Retry => PushOutcome::Retry { reason, after: self.retry_after },
            Meaning::Refused => PushOutcome::Refused { reason },
            Meaning::OurFault => PushOutcome::OurFault { reason },
        }
    }
}

enum Meaning {
    Gone,
    Retry,
    Refused,
    OurFault,
}

fn known(reason: &str) -> Option<ErrorReason> {
    let reason: StrDeserializer<'_, ValueError> = reason.into_deserializer();
    ErrorReason::deserialize(reason).ok()
}

/// No wildcard: a reason that a new version of a2 knows has to be looked at here.
const fn of(reason: &ErrorReason) -> Meaning {
    match reason {
        ErrorReason::Unregistered => Meaning::Gone,
        // Both come just as well of a wrong environment in our configuration or in the app's build, and then they come
        // for every device.
        ErrorReason::BadDeviceToken | ErrorReason::DeviceTokenNotForTopic => Meaning::Refused,
        ErrorReason::TooManyRequests
        | ErrorReason::TooManyProviderTokenUpdates
        | ErrorReason::IdleTimeout
        | ErrorReason::InternalServerError
        | ErrorReason::ServiceUnavailable
        | ErrorReason::Shutdown => Meaning::Retry,
        ErrorReason::BadCollapseId
        | ErrorReason::BadExpirationDate
        | ErrorReason::BadMessageId
        | ErrorReason::BadPriority
        | ErrorReason::BadTopic
        | ErrorReason::DuplicateHeaders
        | ErrorReason::MissingDeviceToken
        | ErrorReason::MissingTopic
        | ErrorReason::PayloadEmpty
        | ErrorReason::PayloadTooLarge
        | ErrorReason::TopicDisallowed
        | ErrorReason::BadCertificate
        | ErrorReason::BadCertificateEnvironment
        | ErrorReason::ExpiredProviderToken
        | ErrorReason::Forbidden
        | ErrorReason::InvalidProviderToken
        | ErrorReason::MissingProviderToken
        | ErrorReason::BadPath
        | ErrorReason::MethodNotAllowed => Meaning::OurFault,
    }
}

/// A reason of Apple's that a2 doesn't know. `ExpiredToken` is one of those; it comes with 410.
fn unknown_reason(status: u16, reason: &str) -> Meaning {
    match status {
        410 if reason == "ExpiredToken" => Meaning::Gone,
        _ => not_apple(status),
    }
}

/// What a status alone says. It never says that a device token is dead: any proxy can send a 410.
const fn not_apple(status: u16) -> Meaning {
    match status {
        408 | 425 | 429 | 500..=599 => Meaning::Retry,
        _ => Meaning::OurFault,
    }
}
