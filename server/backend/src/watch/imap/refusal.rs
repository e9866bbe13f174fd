//! Sorts what servers say when they say no.

use std::time::Duration;

use domain::{Evidence, Failure, FailureCode};

use super::line;

/// Codes that ask to come back later (RFC 5530 §3, RFC 9051 §7.1, and Exchange's). None of them is about the password.
const LATER: [&str; 7] = ["UNAVAILABLE", "LIMIT", "INUSE", "OVERQUOTA", "SERVERBUG", "THROTTLED", "CONTACTADMIN"];

/// Codes that are about the password (RFC 5530 §3).
const REFUSED: [&str; 4] = ["AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "WEBALERT"];

/// Words by which servers without codes ask to come back later.
const LATER_WORDS: [&str; 13] = [
    "too many",
    "rate limit",
    "throttl",
    "bandwidth limit",
    "exceeded",
    "try again later",
    "try later",
    "temporar",
    "unavailable",
    "overload",
    "server busy",
    "maximum number of connections",
    "authenticated but not connected",
];

/// A failure with what shows it.
pub(super) fn failure(code: FailureCode, evidence: &str) -> Failure {
    Failure::new(code, Evidence::redact(evidence, None))
}

/// What a refusal is when the server doesn't ask for patience.
pub(super) fn code_or_throttled(text: &[u8], otherwise: FailureCode) -> FailureCode {
    let code = line::code(text).map(|code| String::from_utf8_lossy(code).to_ascii_uppercase());
    let name = code.as_deref().and_then(|code| code.split(' ').next()).unwrap_or_default();
    if REFUSED.contains(&name) {
        return otherwise;
    }
    let words = String::from_utf8_lossy(text).to_ascii_lowercase();
    if LATER.contains(&name) || LATER_WORDS.iter().any(|later| words.contains(later)) {
        FailureCode::Throttled
    } else {
        otherwise
    }
}

/// How long the server asks to be left alone, where it says so: Exchange's “Suggested Backoff Time: n milliseconds”, at
/// most an hour.
pub(super) fn retry_after(text: &[u8]) -> Option<Duration> {
    let words = String::from_utf8_lossy(text).to_ascii_lowercase();
    let (_, after) = words.split_once("backoff time: ")?;
    let (millis, _) = after.split_once(" milliseconds")?;
    let millis: u64 = millis.parse().ok()?;
    Some(Duration::from_millis(millis).min(Duration::from_secs(60 * 60)))
}

/// The failure of a server that hangs up, or refuses a command, outside of the login.
pub(super) fn refused(text: &[u8], otherwise: FailureCode) -> Failure {
    let mut failure = failure(code_or_throttled(text, otherwise), &String::from_utf8_lossy(text));
    failure.retry_after = retry_after(text);
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: FailureCode) {
        assert_eq!(code_or_throttled(text.as_bytes(), FailureCode::LoginRefused), expect, "{text:?}");
    }

    #[test]
    fn wrong_passwords_and_patience() {
        let (refused, throttled) = (FailureCode::LoginRefused, FailureCode::Throttled);
        check("[AUTHENTICATIONFAILED] Authentication failed.", refused);
        check("[AUTHENTICATIONFAILED] Invalid credentials (Failure)", refused);
        check("[authenticationfailed] Try again later", refused);
        check("[AUTHORIZATIONFAILED] x", refused);
        check("[EXPIRED] x", refused);
        check("[ALERT] Application-specific password required", refused);
        check("LOGIN failed.", refused);
        check("", refused);
        check("[UNAVAILABLE] Temporary authentication failure.", throttled);
        check("[LIMIT] LOGIN Rate limit hit", throttled);
        check("[INUSE] x", throttled);
        check("[OVERQUOTA] x", throttled);
        check("[THROTTLED] x", throttled);
        check("[ALERT] Too many simultaneous connections. (Failure)", throttled);
        check("[ALERT] Account exceeded command or bandwidth limits.", throttled);
        check("Server Unavailable. 15", throttled);
        check("User is authenticated but not connected.", throttled);
    }

    #[test]
    fn patience_asked_for() {
        let text = b"[THROTTLED] Request is throttled. Suggested Backoff Time: 12345 milliseconds";
        assert_eq!(retry_after(text), Some(Duration::from_millis(12_345)));
        assert_eq!(retry_after(b"Suggested Backoff Time: 99999999999 milliseconds"), Some(Duration::from_secs(3600)));
        assert_eq!(retry_after(b"Suggested Backoff Time: soon"), None);
    }
}
