//! What passes between us and a mail server until the mailbox is open, for staff to see.
//!
//! Nothing of a credential is ever in it: of our own commands only what they are is kept, of SASL only the mechanism's name;
//! what the server says is kept without addresses and the account's name, and not at all where it repeats the credential. It
//! is bounded, and lives no longer than the connection is in the making.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::{Evidence, Failure, Timestamp};
use rustls::ProtocolVersion;
use serde::Serialize;
use tokio::time::Instant;

use super::line::{Line, code};
use super::login::Login;

/// The most bytes of a handshake, as lines of JSON.
const MAX: usize = 2048;

/// So much of that may be used up by what says little; the rest is for lines that end something.
const CHATTER: usize = 1500;

/// So much of it may be used up when the server tells what the mailbox is, which is what it was all for.
const USEFUL: usize = 1900;

/// The most characters of a line.
const LINE_MAX: usize = 400;

/// The record of one handshake, whatever becomes of it.
pub struct Handshake {
    began: Instant,
    at: Timestamp,
    kept: Mutex<String>,
}

/// Who speaks.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Who {
    Server,
    Client,
}

/// A line, as the store has it.
#[derive(Serialize)]
struct Kept<'a> {
    /// In the first line: when it began, in ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
    /// How long after that.
    ms: u64,
    who: Who,
    text: &'a str,
}

impl Handshake {
    /// A record that begins now, which is `at` by the clock on the wall.
    pub fn begin(at: Timestamp) -> Self {
        Self { began: Instant::now(), at, kept: Mutex::default() }
    }

    /// What was kept: lines of JSON, `{"who":"server|client","ms":42,"text":"…"}`, the first with `at`; at most 2,048
    /// bytes. None if it did not begin.
    pub fn take_lines(&self) -> Option<String> {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        (!kept.is_empty()).then_some(kept)
    }

    /// How it ended, where that was before its time.
    pub(in crate::watch) fn gave_up(&self, failure: &Failure) {
        self.keep(Who::Client, &format!("gave up: {}", failure.code), MAX);
    }

    /// Something that we say or do, in words of our own.
    pub(in crate::watch) fn said(&self, text: &str) {
        self.keep(Who::Client, text, MAX);
    }

    /// Something that a server says, without what is nobody's business.
    pub(in crate::watch) fn heard(&self, masked: &str) {
        self.keep(Who::Server, masked, MAX);
    }

    /// What was agreed on in the TLS handshake, and who the server says to be.
    pub(in crate::watch) fn encrypted(&self, tls: &rustls::ClientConnection) {
        let version = match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS",
        };
        let certificate = tls.peer_certificates().and_then(|chain| chain.first()).and_then(|first| {
            let parsed = webpki::EndEntityCert::try_from(first).ok()?;
            let names: Vec<&str> = parsed.valid_dns_names().take(3).collect();
            let subject = if names.is_empty() { common_name(parsed.subject()) } else { Some(names.join(", ")) };
            let issuer = common_name(parsed.issuer()).unwrap_or_else(|| "somebody without a name".to_owned());
            Some(format!("; certificate of {}, issued by {issuer}", subject.unwrap_or_else(|| "an address".to_owned())))
        });
        let text = format!("{version}{}", certificate.unwrap_or_default());
        self.keep(Who::Server, &Evidence::mask(&text, None), CHATTER);
    }

    fn is_full(&self, limit: usize) -> bool {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).len() >= limit
    }

    fn keep(&self, who: Who, text: &str, limit: usize) {
        let mut cut: String = text.chars().take(LINE_MAX).collect();
        if cut.len() < text.len() {
            cut.push('…');
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.is_empty().then(|| self.at.as_millis());
        let line = Kept { at, ms: millis(self.began.elapsed()), who, text: &cut };
        let Ok(line) = serde_json::to_string(&line) else { return };
        if kept.len() + line.len() < limit {
            kept.push_str(&line);
            kept.push('\n');
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Writes a handshake, and knows what must not be in it.
#[derive(Clone, Copy)]
pub(super) struct Recorder<'a> {
    pub(super) handshake: &'a Handshake,
    pub(super) login: &'a Login<'a>,
}

impl Recorder<'_> {
    /// Something that we say or do, in words of our own.
    pub(super) fn said(&self, text: &str) {
        self.handshake.said(text);
    }

    /// A line of the server's. Flags are left out: people name them after what they are busy with.
    pub(super) fn heard(&self, line: &[u8]) {
        let (limit, challenge) = match Line::parse(line) {
            Line::Continue => (CHATTER, true),
            Line::Tagged { .. } | Line::Bye { .. } | Line::NotImap | Line::PreAuth => (MAX, false),
            Line::Remark { text } if code(text).is_some_and(|code| code.starts_with(b"PERMANENTFLAGS")) => return,
            Line::Remark { text }
                if code(text).is_some_and(|code| code.starts_with(b"UIDNEXT") || code.starts_with(b"UIDVALIDITY")) =>
            {
                (USEFUL, false)
            }
            Line::Remark { .. } | Line::Capability(_) | Line::Exists(_) | Line::Status { .. } => (CHATTER, false),
            Line::Other if line.get(..5).is_some_and(|head| head.eq_ignore_ascii_case(b"* ID ")) => (CHATTER, false),
            Line::Expunge | Line::Fetch { .. } | Line::Other => return,
        };
        // A flood of lines is not looked at, let alone searched for secrets.
        if self.handshake.is_full(limit) {
            return;
        }
        let said = String::from_utf8_lossy(line);
        let text = if challenge {
            if said.trim_end() == "+" { "+".to_owned() } else { "+ [challenge]".to_owned() }
        } else {
            self.login.mask(&said)
        };
        self.handshake.keep(Who::Server, &text, limit);
    }
}

/// The common name (X.520 §6.2.2), or else the organisation, in an encoded name. It is shown, and decides nothing, so what
/// is not plain is left out.
fn common_name(name: &[u8]) -> Option<String> {
    let value = |oid: [u8; 5]| {
        let at = name.windows(oid.len()).position(|window| window == oid)? + oid.len();
        // A string's tag, a length of one byte, the text.
        let len = usize::from(*name.get(at + 1)?);
        let text = name.get(at + 2..at + 2 + len)?;
        std::str::from_utf8(text).ok().map(|text| text.chars().take(64).collect())
    };
    value([6, 3, 0x55, 4, 3]).or_else(|| value([6, 3, 0x55, 4, 10]))
}

#[cfg(test)]
impl Recorder<'static> {
    /// One whose record nobody reads.
    pub(super) fn unread() -> Self {
        use crate::vault::{Credential, Secret};
        let secret = Secret::Password("open sesame".into());
        let credential = Box::leak(Box::new(Credential { username: "anna".into(), secret }));
        let login = Login::new(domain::Mechanism::Plain, credential).unwrap();
        Self {
            handshake: Box::leak(Box::new(Handshake::begin(Timestamp::from_millis(0)))),
            login: Box::leak(Box::new(login)),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Mechanism;

    use super::*;
    use crate::vault::{Credential, Secret};

    fn record(lines: &[&[u8]]) -> Vec<serde_json::Value> {
        let credential =
            Credential { username: "anna.bell@example.org".into(), secret: Secret::Password("open sesame".into()) };
        let login = Login::new(Mechanism::Plain, &credential).unwrap();
        let handshake = Handshake::begin(Timestamp::from_millis(7));
        let recorder = Recorder { handshake: &handshake, login: &login };
        for line in lines {
            recorder.heard(line);
        }
        let kept = handshake.take_lines().unwrap_or_default();
        assert!(kept.len() <= MAX, "{}", kept.len());
        kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn check(line: &[u8], expect: Option<&str>) {
        let kept = record(&[line]);
        assert_eq!(kept.first().map(|line| line["text"].as_str().unwrap()), expect);
    }

    #[test]
    fn what_is_nobody_s_business_is_masked() {
        check(b"* OK hello <b>there</b>", Some("* OK hello <b>there</b>"));
        check(b"a1 NO anna.bell@example.org is unknown", Some("a1 NO [account] is unknown"));
        check(b"a1 NO Anna.Bell is unknown", Some("a1 NO [account] is unknown"));
        check(b"* BYE write to help@example.org", Some("* BYE write to [address]"));
        check(b"a1 NO not OPEN Sesame", Some("[withheld: the server repeated the credential]"));
        check(
            b"* OK AGFubmEuYmVsbEBleGFtcGxlLm9yZwBvcGVuIHNlc2FtZQ",
            Some("[withheld: the server repeated the credential]"),
        );
        // By a mechanism that isn't this login's.
        check(
            b"* OK dXNlcj1hbm5hLmJlbGxAZXhhbXBsZS5vcmcBYXV0aD1CZWFyZXIgb3BlbiBzZXNhbWUBAQ",
            Some("[withheld: the server repeated the credential]"),
        );
        check(b"+ eyJzdGF0dXMiOiI0MDAifQ==", Some("+ [challenge]"));
        check(b"+ ", Some("+"));
        check(b"* FLAGS (\\Seen Divorce)", None);
        check(b"* OK [PERMANENTFLAGS (Divorce)] x", None);
        check(b"* ID (\"name\" \"Dovecot\")", Some("* ID (\"name\" \"Dovecot\")"));
        check(b"* 7 EXISTS", Some("* 7 EXISTS"));
    }

    #[test]
    fn it_is_bounded_and_its_end_is_in_it() {
        let long = [b"* OK ".to_vec(), b"x".repeat(5000)].concat();
        let kept = record(&[&long]);
        assert!(kept[0]["text"].as_str().unwrap().ends_with("x…"));
        assert_eq!((&kept[0]["at"], &kept[0]["who"]), (&7.into(), &"server".into()));
        let quotes = "\"".repeat(300);
        let quoted = format!("* OK {quotes}");
        let mut lines = vec![quoted.as_bytes(); 100];
        lines.push(b"a9 NO the end");
        let kept = record(&lines);
        assert_eq!(kept.last().unwrap()["text"], "a9 NO the end");
        assert!(kept.iter().skip(1).all(|line| line.get("at").is_none()));
    }

    #[test]
    fn names_in_certificates_are_found() {
        assert_eq!(common_name(&[0x31, 8, 0x30, 6, 6, 3, 0x55, 4, 3, 0x0c, 2, b'R', b'3']), Some("R3".to_owned()));
        assert_eq!(common_name(&[6, 3, 0x55, 4, 3, 0x0c, 200, b'R']), None);
        assert_eq!(common_name(&[]), None);
    }
}
