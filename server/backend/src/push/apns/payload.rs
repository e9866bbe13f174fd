//! What a notification says and carries, in the types of a2.

use a2::request::payload::{Payload, PayloadLike as _};
use a2::{CollapseId, DefaultNotificationBuilder, NotificationBuilder as _, NotificationOptions, Priority, PushType};
use domain::{ApnsPushType, ApnsTarget, Delivery, PushKind};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

/// Apple's limit for everything but VoIP, in bytes.
const MAX_PAYLOAD: usize = 4096;

/// The length of a W3C `traceparent`, version 00.
const TRACEPARENT: usize = 55;

/// Why a delivery can't be put into words that Apple takes.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotificationError {
    #[error("a2 does not take it")]
    Options(#[from] a2::Error),
    #[error("it is not JSON")]
    Json(#[from] serde_json::Error),
    #[error("it has {0} bytes, and Apple takes {MAX_PAYLOAD}")]
    TooLarge(usize),
    #[error("a header has characters that no header may have")]
    Header(#[from] reqwest::header::InvalidHeaderValue),
}

/// What is sent: headers and body.
pub(super) struct Notification {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Our part of the payload: that something happened, and nothing of what.
#[derive(Serialize)]
struct Custom<'a> {
    /// The version of this shape.
    v: u8,
    event: &'static str,
    contexts: [&'a str; 1],
    session: &'a str,
    /// When the reason for the push was seen, in milliseconds since the Unix epoch.
    at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
}

impl Notification {
    pub(super) fn new(delivery: &Delivery, target: &ApnsTarget) -> Result<Self, NotificationError> {
        // The same id in each attempt, so that the receiving side can tell a repetition.
        let id = delivery.id.to_string();
        let session = delivery.session.to_string();
        let (push_type, priority) = match target.push_type {
            ApnsPushType::Background => (PushType::Background, Priority::Normal),
            ApnsPushType::Alert => (PushType::Alert, Priority::High),
        };
        let options = NotificationOptions {
            apns_id: Some(&id),
            apns_push_type: Some(push_type),
            apns_expiration: Some(u64::try_from(delivery.expires_at.as_millis().div_euclid(1000)).unwrap_or(0)),
            apns_priority: Some(priority),
            apns_topic: Some(target.topic()),
            apns_collapse_id: Some(CollapseId::new(&session)?),
        };
        let headers = headers(&options)?;
        let mut payload = shape(delivery.kind, target, options);
        let custom = Custom {
            v: 1,
            event: delivery.kind.as_str(),
            contexts: [&delivery.context],
            session: &session,
            at: delivery.created_at.as_millis(),
            traceparent: delivery.traceparent.as_deref().filter(|text| text.len() == TRACEPARENT),
        };
        payload.add_custom_data("pinger", &custom)?;
        let body = payload.to_json_string()?.into_bytes();
        if body.len() > MAX_PAYLOAD {
            return Err(NotificationError::TooLarge(body.len()));
        }
        Ok(Self { headers, body })
    }
}

fn shape<'a>(kind: PushKind, target: &'a ApnsTarget, options: NotificationOptions<'a>) -> Payload<'a> {
    match target.push_type {
        ApnsPushType::Background => {
            let mut payload = DefaultNotificationBuilder::new().set_content_available().build(target.token(), options);
            // a2 says `"mutable-content":0`, which is for alerts alone.
            payload.aps.mutable_content = None;
            payload
        }
        ApnsPushType::Alert => DefaultNotificationBuilder::new()
            .set_loc_key(loc_key(kind))
            .set_mutable_content()
            .build(target.token(), options),
    }
}

/// The key of the text in the app's own `Localizable.strings`.
const fn loc_key(kind: PushKind) -> &'static str {
    match kind {
        PushKind::NewMail => "PINGER_NEW_MAIL",
        PushKind::Register => "PINGER_REGISTER",
        PushKind::Test => "PINGER_TEST",
    }
}

fn headers(options: &NotificationOptions<'_>) -> Result<HeaderMap, NotificationError> {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: Option<String>| {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value)?);
        }
        Ok::<_, NotificationError>(())
    };
    set("content-type", Some("application/json".to_owned()))?;
    set("apns-id", options.apns_id.map(str::to_owned))?;
    set("apns-push-type", options.apns_push_type.map(|push_type| push_type.to_string()))?;
    set("apns-expiration", options.apns_expiration.map(|seconds| seconds.to_string()))?;
    set("apns-priority", options.apns_priority.as_ref().map(ToString::to_string))?;
    set("apns-topic", options.apns_topic.map(str::to_owned))?;
    set("apns-collapse-id", options.apns_collapse_id.as_ref().map(|id| id.value.to_owned()))?;
    Ok(headers)
}
