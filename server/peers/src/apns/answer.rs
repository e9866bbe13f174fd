//! What the receiver answers, in Apple's words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;

/// An answer of the receiver. Which one a push gets is set by `ApnsReceiver::answer` and `answer_next`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200
    Accept,
    /// 410 `Unregistered`: the app is gone from the device since then.
    Gone {
        /// When Apple noticed.
        since: SystemTime,
    },
    /// 410 `ExpiredToken`: the device token ran out.
    ExpiredToken {
        /// When Apple noticed.
        since: SystemTime,
    },
    /// 400 `BadDeviceToken`
    BadDeviceToken,
    /// 400 `DeviceTokenNotForTopic`
    DeviceTokenNotForTopic,
    /// 400 `MissingTopic`
    MissingTopic,
    /// 400 `TopicDisallowed`
    TopicDisallowed,
    /// 403 `BadCertificate`
    BadCertificate,
    /// 403 `InvalidProviderToken`
    InvalidProviderToken,
    /// 403 `ExpiredProviderToken`
    ExpiredProviderToken,
    /// 413 `PayloadTooLarge`
    PayloadTooLarge,
    /// 429 `TooManyRequests`: too many pushes to one device.
    TooManyRequests,
    /// 429 `TooManyProviderTokenUpdates`
    TooManyProviderTokenUpdates,
    /// 500 `InternalServerError`
    InternalServerError,
    /// 503 `ServiceUnavailable`, with `Retry-After` when given.
    ServiceUnavailable {
        /// Apple's own delay, in the header `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// 503 `Shutdown`
    Shutdown,
    /// Any status and reason.
    Other {
        /// The HTTP status.
        status: u16,
        /// The `reason` of the JSON body.
        reason: String,
    },
    /// A status with a body that isn't Apple's, as a proxy in between would send it.
    NotApple {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: String,
    },
    /// No answer, ever.
    Hang,
    /// The stream is reset without an answer.
    Reset,
    /// The whole connection is cut without an answer.
    Disconnect,
}

impl Answer {
    /// An [`Answer::Other`] with Apple's status and reason.
    pub(crate) fn refusal(status: StatusCode, reason: &str) -> Self {
        Self::Other { status: status.as_u16(), reason: reason.to_owned() }
    }

    /// The status and the `reason`; `None` where no answer is sent.
    pub(crate) fn status_and_reason(&self) -> Option<(StatusCode, &str)> {
        Some(match self {
            Self::Accept => (StatusCode::OK, ""),
            Self::Gone { .. } => (StatusCode::GONE, "Unregistered"),
            Self::ExpiredToken { .. } => (StatusCode::GONE, "ExpiredToken"),
            Self::BadDeviceToken => (StatusCode::BAD_REQUEST, "BadDeviceToken"),
            Self::DeviceTokenNotForTopic => (StatusCode::BAD_REQUEST, "DeviceTokenNotForTopic"),
            Self::MissingTopic => (StatusCode::BAD_REQUEST, "MissingTopic"),
            Self::TopicDisallowed => (StatusCode::BAD_REQUEST, "TopicDisallowed"),
            Self::BadCertificate => (StatusCode::FORBIDDEN, "BadCertificate"),
            Self::InvalidProviderToken => (StatusCode::FORBIDDEN, "InvalidProviderToken"),
            Self::ExpiredProviderToken => (StatusCode::FORBIDDEN, "ExpiredProviderToken"),
            Self::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge"),
            Self::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
            Self::TooManyProviderTokenUpdates => (StatusCode::TOO_MANY_REQUESTS, "TooManyProviderTokenUpdates"),
            Self::InternalServerError => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
            Self::ServiceUnavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            Self::Shutdown => (StatusCode::SERVICE_UNAVAILABLE, "Shutdown"),
            Self::Other { status, reason } => (known_status(*status), reason),
            Self::NotApple { status, .. } => (known_status(*status), ""),
            Self::Hang | Self::Reset | Self::Disconnect => return None,
        })
    }

    /// The body that goes with it; Apple's timestamp is in milliseconds.
    pub(crate) fn body(&self) -> String {
        match self {
            Self::Accept => String::new(),
            Self::NotApple { body, .. } => body.clone(),
            _ => {
                let (_, reason) = self.status_and_reason().unwrap_or_default();
                let mut body = serde_json::json!({ "reason": reason });
                if let Self::Gone { since } | Self::ExpiredToken { since } = self {
                    let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
                    body["timestamp"] = serde_json::json!(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
                }
                body.to_string()
            }
        }
    }
}

fn known_status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
