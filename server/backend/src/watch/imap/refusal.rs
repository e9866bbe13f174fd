//! Sorts what servers say when they say no: one table of response codes and of the words of those who send none.
//!
//! A server that is busy must never be taken for one that refuses the password: that would end sessions and wake their
//! devices for nothing. `tests/imap_refusals.rs` has a server say each of these.

use std::time::Duration;

use domain::{Evidence, Failure, FailureCode};

use super::line;

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Come back later.
    Later,
    /// This way of logging in is not allowed.
    OtherWay,
    /// The account's owner has to do something at the provider's first.
    Held,
    /// What it would be if the server had said nothing but no.
    AsItIs,
}

/// Response codes (RFC 5530 §3, RFC 9051 §7.1, and those of large providers).
const CODES: [(&str, Meaning); 15] = [
    ("UNAVAILABLE", Meaning::Later),
    ("LIMIT", Meaning::Later),
    ("INUSE", Meaning::Later),
    ("OVERQUOTA", Meaning::Later),
    ("SERVERBUG", Meaning::Later),
    ("THROTTLED", Meaning::Later),
    ("SYS/TEMP", Meaning::Later),
    ("PRIVACYREQUIRED", Meaning::OtherWay),
    ("CONTACTADMIN", Meaning::Held),
    ("WEBALERT", Meaning::Held),
    ("AUTHENTICATIONFAILED", Meaning::AsItIs),
    ("AUTHORIZATIONFAILED", Meaning::AsItIs),
    ("EXPIRED", Meaning::AsItIs),
    ("SYS/PERM", Meaning::AsItIs),
    ("NONEXISTENT", Meaning::AsItIs),
];

/// Words of servers that send no such code, in lower case; the first that is in the text counts.
const WORDS: [(&str, Meaning); 24] = [
    // Gmail: an unusual place or a new client.
    ("web login required", Meaning::Held),
    ("log in via your web browser", Meaning::Held),
    // NetEase (163, 126, yeah.net): a client that it doesn't know.
    ("unsafe login", Meaning::Held),
    ("account is locked", Meaning::Held),
    ("account has been locked", Meaning::Held),
    ("account is blocked", Meaning::Held),
    // Gmail.
    ("lookup failed", Meaning::Later),
    ("bandwidth limit", Meaning::Later),
    ("too many", Meaning::Later),
    // Yahoo and its kin.
    ("rate limit", Meaning::Later),
    ("rate exceeded", Meaning::Later),
    // Exchange and Outlook.
    ("server busy", Meaning::Later),
    ("is busy", Meaning::Later),
    ("authenticated but not connected", Meaning::Later),
    ("throttl", Meaning::Later),
    // Courier, Dovecot, Cyrus and others.
    ("maximum number of connections", Meaning::Later),
    ("connection limit", Meaning::Later),
    ("exceeded", Meaning::Later),
    ("try again later", Meaning::Later),
    ("try later", Meaning::Later),
    ("temporar", Meaning::Later),
    ("unavailable", Meaning::Later),
    ("overload", Meaning::Later),
    ("internal server error", Meaning::Later),
];

/// A failure with what shows it.
pub(super) fn failure(code: FailureCode, evidence: &str) -> Failure {
    Failure::new(code, Evidence::redact(evidence, None))
}

/// What a refusal is; `otherwise` if neither its response code nor its words say more.
pub(super) fn sorted(text: &[u8], otherwise: FailureCode) -> FailureCode {
    match meaning(text) {
        Some(Meaning::Later) => FailureCode::Throttled,
        Some(Meaning::OtherWay) => FailureCode::LoginDisabled,
        Some(Meaning::Held) => FailureCode::LoginHeld,
        Some(Meaning::AsItIs) | None => otherwise,
    }
}

/// The response code, if it is one of the table's.
pub(super) fn known_code(text: &[u8]) -> Option<&'static str> {
    let code = line::code(text).map(|code| String::from_utf8_lossy(code).to_ascii_uppercase())?;
    let name = code.split(' ').next().unwrap_or_default();
    CODES.iter().map(|(known, _)| *known).find(|known| *known == name)
}

/// The code decides, where there is one that is known: it is made for programs. Else the words do.
fn meaning(text: &[u8]) -> Option<Meaning> {
    let code = known_code(text);
    let of_code = CODES.iter().find(|(known, _)| Some(*known) == code).map(|(_, meaning)| *meaning);
    of_code.or_else(|| {
        let words = String::from_utf8_lossy(text).to_ascii_lowercase();
        WORDS.iter().find(|(known, _)| words.contains(known)).map(|(_, meaning)| *meaning)
    })
}

/// Whether a refused log-in gives no reason: Outlook's “LOGIN failed.”, which it also says while it throttles.
pub(crate) fn is_vague(failure: &Failure) -> bool {
    failure.code == FailureCode::LoginRefused && !failure.evidence.as_str().contains('[')
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
    let mut failure = failure(sorted(text, otherwise), &String::from_utf8_lossy(text));
    failure.retry_after = retry_after(text);
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: FailureCode) {
        assert_eq!(sorted(text.as_bytes(), FailureCode::LoginRefused), expect, "{text:?}");
    }

    #[test]
    fn codes_count_more_than_words() {
        check("[authenticationfailed] Try again later", FailureCode::LoginRefused);
        check("[UNAVAILABLE] invalid credentials", FailureCode::Throttled);
        check("[ALERT] Try again later", FailureCode::Throttled);
        check("[ALERT] Application-specific password required", FailureCode::LoginRefused);
        check("[WEBALERT https://example.org/] no", FailureCode::LoginHeld);
        check("", FailureCode::LoginRefused);
        check("[", FailureCode::LoginRefused);
    }

    /// A row that another one hides would be no row.
    #[test]
    fn each_row_counts() {
        for (name, meaning) in CODES {
            assert_eq!(super::meaning(format!("[{name}] no").as_bytes()), Some(meaning), "{name}");
        }
        for (words, meaning) in WORDS {
            assert_eq!(super::meaning(words.to_ascii_uppercase().as_bytes()), Some(meaning), "{words}");
            assert_eq!(words, words.to_ascii_lowercase());
        }
    }

    #[test]
    fn a_refusal_without_a_reason_is_vague() {
        let refusal = |text: &str| failure(FailureCode::LoginRefused, text);
        assert!(is_vague(&refusal("a2 NO LOGIN failed.")));
        assert!(!is_vague(&refusal("a2 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)")));
        assert!(!is_vague(&failure(FailureCode::Throttled, "a2 NO later")));
    }

    #[test]
    fn patience_asked_for() {
        let text = b"[THROTTLED] Request is throttled. Suggested Backoff Time: 12345 milliseconds";
        assert_eq!(retry_after(text), Some(Duration::from_millis(12_345)));
        assert_eq!(retry_after(b"Suggested Backoff Time: 99999999999 milliseconds"), Some(Duration::from_secs(3600)));
        assert_eq!(retry_after(b"Suggested Backoff Time: soon"), None);
    }
}
