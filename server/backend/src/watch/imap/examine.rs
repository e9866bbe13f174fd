//! Opens a mailbox, read-only, and learns what it holds.

use std::num::NonZeroU32;

use domain::{Failure, FailureCode, Mailbox};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, timeout};

use super::handshake::Recorder;
use super::line::{Code, Line, Outcome};
use super::refusal::{failure, refused};
use super::wire::Wire;

/// What a server may send in answer to one command, in bytes. A mailbox with a hundred thousand new messages fits.
pub(super) const COMMAND_ALLOWANCE: usize = 4 * 1024 * 1024;

/// A mailbox that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) mailbox: Mailbox,
    /// How many messages it has.
    pub(super) exists: u32,
    /// Mail came while the server was answering: UIDNEXT may be from before.
    pub(super) news: bool,
}

/// What was gathered so far.
#[derive(Default)]
struct Gathered {
    uid_validity: Option<NonZeroU32>,
    uid_next: Option<NonZeroU32>,
    highest_modseq: Option<u64>,
    exists: Option<u32>,
    news: bool,
}

/// Opens the mailbox of this name, already quoted. `deadline` is for each command.
///
/// # Errors
/// `MAILBOX_MISSING` when the server says NO; `PROTOCOL_ERROR` when it tells no UIDVALIDITY or UIDNEXT, neither by itself
/// nor when it is asked (RFC 3501 §6.3.1: they MUST be told, but older servers don't).
pub(super) async fn examine<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    name: &str,
    deadline: Duration,
    recorder: Recorder<'_>,
) -> Result<Opened, Failure> {
    let mut gathered = Gathered::default();
    let examine = format!("EXAMINE {name}");
    gathered.ask(wire, "x1", &examine, deadline, FailureCode::MailboxMissing, recorder).await?;
    if gathered.uid_validity.is_none() || gathered.uid_next.is_none() {
        let status = format!("STATUS {name} (UIDNEXT UIDVALIDITY)");
        gathered.ask(wire, "x2", &status, deadline, FailureCode::ProtocolError, recorder).await?;
    }
    let (Some(uid_validity), Some(uid_next)) = (gathered.uid_validity, gathered.uid_next) else {
        return Err(failure(FailureCode::ProtocolError, "the server tells no UIDVALIDITY or no UIDNEXT"));
    };
    Ok(Opened {
        mailbox: Mailbox { uid_validity, uid_next, highest_modseq: gathered.highest_modseq },
        exists: gathered.exists.unwrap_or(0),
        news: gathered.news,
    })
}

impl Gathered {
    async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        tag: &str,
        command: &str,
        deadline: Duration,
        no: FailureCode,
        recorder: Recorder<'_>,
    ) -> Result<(), Failure> {
        // People name their mailboxes, too.
        recorder.said(command.split(' ').next().unwrap_or_default());
        wire.allow(COMMAND_ALLOWANCE);
        wire.send(format!("{tag} {command}\r\n").as_bytes());
        let answered = async {
            loop {
                let line = wire.turn().await.map_err(super::wire::WireError::into_failure)?;
                recorder.heard(&line);
                match Line::parse(&line) {
                    Line::Tagged { tag: theirs, outcome, text } if theirs == tag.as_bytes() => {
                        return match outcome {
                            Outcome::Ok => Ok(()),
                            Outcome::No => Err(refused(text, no)),
                            Outcome::Bad => Err(refused(text, FailureCode::ProtocolError)),
                        };
                    }
                    Line::Tagged { .. } | Line::NotImap | Line::PreAuth => {
                        return Err(failure(FailureCode::ProtocolError, &String::from_utf8_lossy(&line)));
                    }
                    Line::Bye { text } => return Err(refused(text, FailureCode::ServerBye)),
                    line => self.hear(line),
                }
            }
        };
        timeout(deadline, answered).await.unwrap_or_else(|_| {
            let verb = command.split(' ').next().unwrap_or_default();
            let evidence = format!("no answer to {verb} within {} s", deadline.as_secs_f32());
            Err(failure(FailureCode::CommandTimeout, &evidence))
        })
    }

    fn hear(&mut self, line: Line<'_>) {
        match line {
            Line::Exists(exists) => {
                // The second in one answer is no longer the mailbox as it was opened.
                self.news |= self.exists.is_some();
                self.exists = Some(exists);
            }
            Line::Expunge => self.exists = self.exists.map(|exists| exists.saturating_sub(1)),
            Line::Status { uid_validity, uid_next } => {
                self.uid_validity = self.uid_validity.or(uid_validity.and_then(NonZeroU32::new));
                self.uid_next = self.uid_next.or(uid_next.and_then(NonZeroU32::new));
            }
            Line::Remark { text } => match Code::parse(text) {
                Some(Code::UidValidity(number)) => self.uid_validity = NonZeroU32::new(number),
                Some(Code::UidNext(number)) => self.uid_next = NonZeroU32::new(number),
                Some(Code::HighestModSeq(number)) => self.highest_modseq = Some(number),
                Some(Code::Capability(_)) | None => {}
            },
            _ => {}
        }
    }
}
