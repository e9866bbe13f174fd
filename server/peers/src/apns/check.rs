//! What Apple checks of a request before it looks at the device.

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::Answer;

/// Apple's limit for everything but VoIP.
pub const PAYLOAD_LIMIT: usize = 4096;

/// Apple's limit for `apns-collapse-id`, in bytes.
pub const COLLAPSE_ID_LIMIT: usize = 64;

/// A device token has at least 32 bytes, in hexadecimal digits.
const TOKEN_DIGITS: usize = 64;

const PUSH_TYPES: [&str; 11] = [
    "alert",
    "background",
    "complication",
    "controls",
    "fileprovider",
    "liveactivity",
    "location",
    "mdm",
    "pushtotalk",
    "voip",
    "widgets",
];

/// The device token in the path, or Apple's refusal.
pub(super) fn device_token<'path>(method: &Method, path: &'path str) -> Result<&'path str, Answer> {
    if method != Method::POST {
        return Err(Answer::refusal(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"));
    }
    let token = path
        .strip_prefix("/3/device/")
        .filter(|token| !token.contains('/'))
        .ok_or_else(|| Answer::refusal(StatusCode::NOT_FOUND, "BadPath"))?;
    if token.is_empty() {
        return Err(Answer::refusal(StatusCode::BAD_REQUEST, "MissingDeviceToken"));
    }
    let hexadecimal = token.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !hexadecimal || token.len() < TOKEN_DIGITS || token.len() % 2 != 0 {
        return Err(Answer::BadDeviceToken);
    }
    Ok(token)
}

/// Checks every `apns-*` header. With no `topics` given, any topic will do.
pub(super) fn headers(headers: &HeaderMap, topics: &[String]) -> Result<(), Answer> {
    let refuse = |reason| Err(Answer::refusal(StatusCode::BAD_REQUEST, reason));
    match header(headers, "apns-topic") {
        None | Some("") => return Err(Answer::MissingTopic),
        Some(topic) if !topics.is_empty() && !topics.iter().any(|known| known == topic) => {
            return Err(Answer::TopicDisallowed);
        }
        Some(_) => {}
    }
    let push_type = header(headers, "apns-push-type").unwrap_or_default();
    if !PUSH_TYPES.contains(&push_type) {
        return refuse("InvalidPushType");
    }
    // Without the header, the priority is 10, which a background push must not have.
    match (push_type, header(headers, "apns-priority").unwrap_or("10")) {
        ("background", "1" | "5") => {}
        ("background", _) => return refuse("BadPriority"),
        (_, "1" | "5" | "10") => {}
        _ => return refuse("BadPriority"),
    }
    if header(headers, "apns-expiration").is_some_and(|seconds| seconds.parse::<u64>().is_err()) {
        return refuse("BadExpirationDate");
    }
    if header(headers, "apns-collapse-id").is_some_and(|id| id.len() > COLLAPSE_ID_LIMIT) {
        return refuse("BadCollapseId");
    }
    if header(headers, "apns-id").is_some_and(|id| uuid::Uuid::parse_str(id).is_err()) {
        return refuse("BadMessageId");
    }
    Ok(())
}

/// Checks the size of the body and that it is a JSON object with `aps` in it.
pub(super) fn payload(body: &[u8]) -> Result<Value, Answer> {
    if body.is_empty() {
        return Err(Answer::refusal(StatusCode::BAD_REQUEST, "PayloadEmpty"));
    }
    if body.len() > PAYLOAD_LIMIT {
        return Err(Answer::PayloadTooLarge);
    }
    // Apple documents no reason for a broken payload; a sender must not depend on one.
    let payload: Value =
        serde_json::from_slice(body).map_err(|_| Answer::refusal(StatusCode::BAD_REQUEST, "PayloadNotJson"))?;
    if !payload["aps"].is_object() {
        return Err(Answer::refusal(StatusCode::BAD_REQUEST, "PayloadWithoutAps"));
    }
    Ok(payload)
}

/// What Apple takes, but a phone would not wake for.
pub(super) fn warnings(headers: &HeaderMap, payload: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let aps = &payload["aps"];
    let shown = ["alert", "badge", "sound"].iter().any(|key| !aps[key].is_null());
    if header(headers, "apns-push-type") == Some("background") {
        if aps["content-available"] != 1 {
            warnings.push("a background push without content-available".to_owned());
        }
        if shown {
            warnings.push("a background push with an alert, badge or sound".to_owned());
        }
    }
    warnings
}

/// A header as text; one that isn't text counts as absent.
pub(super) fn header<'map>(headers: &'map HeaderMap, name: &str) -> Option<&'map str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
