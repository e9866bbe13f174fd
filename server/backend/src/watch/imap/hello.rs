//! Between the login and the mailbox: says who we are (ID, RFC 2971), and agrees on how names are written (ENABLE, RFC 5161).

use domain::{Failure, FailureCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, timeout};

use super::examine::COMMAND_ALLOWANCE;
use super::handshake::Recorder;
use super::line::{Capabilities, Line, Outcome};
use super::name::{self, Naming};
use super::refusal::{failure, refused};
use super::wire::{Wire, WireError};

/// Who we are, as ID has it: name, version, and where somebody who runs a mail server can ask about us.
#[derive(Clone, Debug)]
pub(super) struct Identity(String);

impl Identity {
    /// `contact`: an address or URL for the operators of mail servers, at most 200 printable ASCII characters of which
    /// are told.
    pub(super) fn new(contact: Option<&str>) -> Self {
        let mut fields = format!("\"name\" \"pinger\" \"version\" \"{}\"", env!("CARGO_PKG_VERSION"));
        let contact: String =
            contact.unwrap_or_default().chars().filter(|letter| (' '..='~').contains(letter)).take(200).collect();
        if !contact.is_empty() {
            // RFC 2971 §3.3 has a field for a URL, into which a mail address goes as `mailto:`.
            fields.push_str(&format!(" \"support-url\" {}", name::in_quotes(&contact)));
        }
        Self(format!("ID ({fields})"))
    }
}

/// Says who we are. What the server thinks of that changes nothing.
pub(super) async fn identify<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    identity: &Identity,
    deadline: Duration,
    recorder: Recorder<'_>,
) -> Result<(), Failure> {
    ask(wire, "i1", &identity.0, deadline, recorder).await.map(drop)
}

/// How a mailbox's name is to be written. Where the server takes UTF-8 and the name needs it, that is switched on; where it
/// takes nothing else, it always is.
pub(super) async fn agree_on_names<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    mailbox: &str,
    offered: &Capabilities,
    deadline: Duration,
    recorder: Recorder<'_>,
) -> Result<Naming, Failure> {
    if !offered.utf8_only && (!offered.utf8 || mailbox.is_ascii()) {
        return Ok(Naming::ModifiedUtf7);
    }
    let agreed = ask(wire, "i2", "ENABLE UTF8=ACCEPT", deadline, recorder).await?;
    Ok(if agreed.enabled_utf8 && agreed.outcome == Outcome::Ok { Naming::Utf8 } else { Naming::ModifiedUtf7 })
}

struct Answer {
    outcome: Outcome,
    enabled_utf8: bool,
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    tag: &str,
    command: &str,
    deadline: Duration,
    recorder: Recorder<'_>,
) -> Result<Answer, Failure> {
    // Where the operator can be reached is told to the server alone.
    recorder.said(command.split(" (").next().unwrap_or_default());
    wire.allow(COMMAND_ALLOWANCE);
    wire.send(format!("{tag} {command}\r\n").as_bytes());
    let answered = async {
        let mut enabled_utf8 = false;
        loop {
            let line = wire.turn().await.map_err(WireError::into_failure)?;
            let parsed = Line::parse(&line);
            // That it went well is seen by what comes next.
            if !matches!(parsed, Line::Tagged { outcome: Outcome::Ok, .. }) {
                recorder.heard(&line);
            }
            match parsed {
                Line::Tagged { tag: theirs, outcome, .. } if theirs == tag.as_bytes() => {
                    return Ok(Answer { outcome, enabled_utf8 });
                }
                Line::Tagged { .. } | Line::NotImap | Line::PreAuth => {
                    return Err(failure(FailureCode::ProtocolError, &String::from_utf8_lossy(&line)));
                }
                Line::Bye { text } => return Err(refused(text, FailureCode::ServerBye)),
                _ => {
                    let mut words = line.split(|byte| *byte == b' ').skip(1);
                    enabled_utf8 |= words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"ENABLED"))
                        && words.any(|word| word.eq_ignore_ascii_case(b"UTF8=ACCEPT"));
                }
            }
        }
    };
    timeout(deadline, answered).await.unwrap_or_else(|_| {
        let verb = command.split(' ').next().unwrap_or_default();
        let evidence = format!("no answer to {verb} within {} s", deadline.as_secs_f32());
        Err(failure(FailureCode::CommandTimeout, &evidence))
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(1);

    /// A server that expects a command and answers it with these lines.
    async fn server(theirs: tokio::io::DuplexStream, command: &str, answers: &[&str]) {
        let mut theirs = BufReader::new(theirs);
        let mut line = String::new();
        theirs.read_line(&mut line).await.unwrap();
        assert_eq!(line.trim_end(), command);
        for answer in answers {
            theirs.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn who_we_are() {
        let version = env!("CARGO_PKG_VERSION");
        for (contact, expect) in [
            (None, String::new()),
            (Some("mailto:a\"b\\\r\n\u{e4}"), " \"support-url\" \"mailto:a\\\"b\\\\\"".to_owned()),
        ] {
            for answers in [
                &["* ID (\"name\" \"x\")", "i1 OK"][..],
                &["i1 BAD what?"],
                &["* ID NIL", "* 1 EXISTS", "i1 NO [X] never"],
            ] {
                let (ours, theirs) = tokio::io::duplex(4096);
                let mut wire = Wire::new(ours, 0);
                let command = format!("i1 ID (\"name\" \"pinger\" \"version\" \"{version}\"{expect})");
                let identity = Identity::new(contact);
                let (said, ()) = tokio::join!(
                    identify(&mut wire, &identity, DEADLINE, Recorder::unread()),
                    server(theirs, &command, answers)
                );
                said.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn names_are_agreed_on() {
        let accept = Capabilities { utf8: true, ..Capabilities::default() };
        let only = Capabilities { utf8_only: true, ..accept };
        for (offered, mailbox, answers, expect) in [
            (accept, "Entw\u{fc}rfe", &["* ENABLED UTF8=ACCEPT", "i2 OK"][..], Naming::Utf8),
            (accept, "Entw\u{fc}rfe", &["* ENABLED CONDSTORE", "i2 OK"], Naming::ModifiedUtf7),
            (accept, "Entw\u{fc}rfe", &["i2 BAD what?"], Naming::ModifiedUtf7),
            (only, "INBOX", &["* enabled utf8=accept", "i2 OK"], Naming::Utf8),
        ] {
            let (ours, theirs) = tokio::io::duplex(4096);
            let mut wire = Wire::new(ours, 0);
            let agree = agree_on_names(&mut wire, mailbox, &offered, DEADLINE, Recorder::unread());
            let (naming, ()) = tokio::join!(agree, server(theirs, "i2 ENABLE UTF8=ACCEPT", answers));
            assert_eq!(naming.unwrap(), expect, "{answers:?}");
        }
        // Nothing to agree on.
        for (offered, mailbox) in [(accept, "INBOX"), (Capabilities::default(), "Entw\u{fc}rfe")] {
            let (ours, _theirs) = tokio::io::duplex(16);
            let naming = agree_on_names(&mut Wire::new(ours, 0), mailbox, &offered, DEADLINE, Recorder::unread()).await;
            assert_eq!(naming.unwrap(), Naming::ModifiedUtf7);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_farewell_are_failures() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let mut wire = Wire::new(ours, 0);
        let silent = identify(&mut wire, &Identity::new(None), DEADLINE, Recorder::unread()).await.unwrap_err();
        assert_eq!(silent.code, FailureCode::CommandTimeout);
        drop(theirs);
        let (ours, mut theirs) = tokio::io::duplex(4096);
        theirs.write_all(b"* BYE enough\r\n").await.unwrap();
        let bye =
            identify(&mut Wire::new(ours, 0), &Identity::new(None), DEADLINE, Recorder::unread()).await.unwrap_err();
        assert_eq!(bye.code, FailureCode::ServerBye);
    }
}
