//! The talk about an open mailbox, without socket and clock: lines go in, commands come out.
//!
//! The mailbox's UIDNEXT is only ever moved by an answer to a question; what the server tells by itself is a hint to ask.
//! So a hint too many costs a round trip, and a hint at any moment (in IDLE, in the answer to another command, between DONE
//! and the next IDLE) is kept until a question was asked after it.

use std::num::NonZeroU32;

use domain::{Failure, FailureCode, Mailbox};

use super::examine::Opened;
use super::line::{Code, Line, Outcome};
use super::refusal::{failure, refused};

/// The command that is being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Idle {
        /// The server has said `+`.
        begun: bool,
    },
    /// IDLE, after our DONE.
    Done,
    Noop,
    /// UID FETCH of all that is new.
    Fetch {
        /// The highest UID in the answer so far.
        highest: Option<u32>,
        /// Whether the server had hinted at it.
        told: bool,
    },
    /// STATUS, where FETCH left a doubt.
    Status {
        /// As in FETCH.
        told: bool,
    },
}

impl Command {
    const fn name(self) -> &'static str {
        match self {
            Self::Idle { .. } => "IDLE",
            Self::Done => "DONE",
            Self::Noop => "NOOP",
            Self::Fetch { .. } => "UID FETCH",
            Self::Status { .. } => "STATUS",
        }
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Ours: the server waits for a command.
    Ours,
    /// The server's: it owes the answer to this command.
    Theirs(&'static str),
    /// The server tells by itself what happens.
    Idling,
}

/// The talk about one mailbox.
pub(super) struct Dialogue {
    mailbox: Mailbox,
    /// In quotes.
    name: Box<str>,
    exists: u32,
    command: Option<Command>,
    tag: u32,
    /// Whether IDLE is worth trying.
    idle: bool,
    /// The server has hinted at new mail.
    hint: bool,
    /// Somebody wants to know for sure.
    check: bool,
    /// The question is due, whether or not the server hinted at anything.
    due: bool,
    /// Questions answered so far.
    answers: u32,
    /// IDLE has told of mail since that was last asked.
    told_in_idle: bool,
}

impl Dialogue {
    /// A talk about a mailbox that was just opened.
    pub(super) fn new(opened: Opened, name: Box<str>, idle: bool) -> Self {
        Self {
            mailbox: opened.mailbox,
            name,
            exists: opened.exists,
            command: None,
            tag: 0,
            idle,
            hint: opened.news,
            check: false,
            due: false,
            answers: 0,
            told_in_idle: false,
        }
    }

    /// The mailbox, as of the last answer.
    pub(super) fn mailbox(&self) -> Mailbox {
        self.mailbox
    }

    /// Whose turn it is.
    pub(super) fn turn(&self) -> Turn {
        match self.command {
            None => Turn::Ours,
            Some(Command::Idle { begun: true }) => Turn::Idling,
            Some(command) => Turn::Theirs(command.name()),
        }
    }

    /// Whether there is something to ask.
    pub(super) fn is_curious(&self) -> bool {
        self.hint || self.check || self.due
    }

    /// Whether the server has hinted at new mail, and was not asked since or has not answered yet.
    pub(super) fn is_told(&self) -> bool {
        self.hint || matches!(self.command, Some(Command::Fetch { told: true, .. } | Command::Status { told: true }))
    }

    /// Whether [`speak`](Self::speak) has something to say.
    pub(super) fn is_eager(&self) -> bool {
        match self.turn() {
            Turn::Ours => self.idle || self.is_curious(),
            Turn::Theirs(_) => false,
            Turn::Idling => self.is_curious(),
        }
    }

    /// Asks for certainty. The question is answered when [`answers`](Self::answers) reaches the number that this answers.
    pub(super) fn check(&mut self) -> u32 {
        self.check = true;
        // A question that is on its way already may be answered as of before now.
        let on_its_way = matches!(self.command, Some(Command::Fetch { .. } | Command::Status { .. }));
        self.answers.wrapping_add(if on_its_way { 2 } else { 1 })
    }

    /// How many questions were answered.
    pub(super) fn answers(&self) -> u32 {
        self.answers
    }

    /// Whether IDLE has told of mail since this was last asked.
    pub(super) fn take_told_in_idle(&mut self) -> bool {
        std::mem::take(&mut self.told_in_idle)
    }

    /// Whether IDLE is worth trying.
    pub(super) fn idles(&self) -> bool {
        self.idle
    }

    /// From now on, the mailbox is polled.
    pub(super) fn distrust_idle(&mut self) {
        self.idle = false;
    }

    /// The next thing to send, if it is our turn or the server is idling for nothing.
    pub(super) fn speak(&mut self) -> Option<String> {
        match self.turn() {
            Turn::Theirs(_) => None,
            Turn::Idling => {
                self.command = Some(Command::Done);
                // The tag is IDLE's (RFC 2177 §3).
                Some("DONE\r\n".to_owned())
            }
            Turn::Ours if self.check => {
                self.check = false;
                // Whatever NOOP brings to light or doesn't, the question itself follows.
                self.due = true;
                Some(self.command(Command::Noop, "NOOP"))
            }
            Turn::Ours if self.hint || self.due => {
                let told = std::mem::take(&mut self.hint);
                self.due = false;
                let fetch = format!("UID FETCH {}:* (UID)", self.mailbox.uid_next);
                Some(self.command(Command::Fetch { highest: None, told }, &fetch))
            }
            Turn::Ours if self.idle => Some(self.command(Command::Idle { begun: false }, "IDLE")),
            Turn::Ours => None,
        }
    }

    /// The last words.
    pub(super) fn farewell(&mut self) -> String {
        let done = if self.turn() == Turn::Idling { "DONE\r\n" } else { "" };
        self.tag = self.tag.wrapping_add(1);
        format!("{done}b{} LOGOUT\r\n", self.tag)
    }

    fn command(&mut self, command: Command, text: &str) -> String {
        self.command = Some(command);
        self.tag = self.tag.wrapping_add(1);
        format!("b{} {text}\r\n", self.tag)
    }

    /// Takes a line of the server's. What it answers is to be sent at once.
    pub(super) fn hear(&mut self, line: &[u8]) -> Result<Option<String>, Failure> {
        match Line::parse(line) {
            Line::Tagged { tag, outcome, text } if tag == format!("b{}", self.tag).as_bytes() => {
                match self.command.take() {
                    Some(command) => return self.answered(command, outcome, text),
                    None => return Err(not_imap(line)),
                }
            }
            Line::Tagged { .. } | Line::NotImap | Line::PreAuth => return Err(not_imap(line)),
            Line::Bye { text } => return Err(refused(text, FailureCode::ServerBye)),
            Line::Continue => {
                if let Some(Command::Idle { begun }) = &mut self.command {
                    *begun = true;
                }
            }
            Line::Exists(exists) => {
                // In IDLE, no server repeats it for nothing; elsewhere, some do.
                let idling = matches!(self.command, Some(Command::Idle { .. } | Command::Done));
                self.hint |= exists != self.exists || idling;
                self.told_in_idle |= idling;
                self.exists = exists;
            }
            Line::Expunge => self.exists = self.exists.saturating_sub(1),
            Line::Fetch { uid: Some(uid) } => {
                if let Some(Command::Fetch { highest, .. }) = &mut self.command {
                    *highest = (*highest).max(Some(uid));
                }
            }
            Line::Status { uid_validity, uid_next } if matches!(self.command, Some(Command::Status { .. })) => {
                self.same_numbering(uid_validity)?;
                self.move_to(uid_next);
            }
            Line::Remark { text } => match Code::parse(text) {
                Some(Code::UidValidity(number)) => self.same_numbering(Some(number))?,
                Some(Code::UidNext(number)) => self.hint |= number > self.mailbox.uid_next.get(),
                Some(Code::HighestModSeq(number)) => self.mailbox.highest_modseq = Some(number),
                Some(Code::Capability(_)) | None => {}
            },
            Line::Fetch { uid: None } | Line::Status { .. } | Line::Capability(_) | Line::Other => {}
        }
        Ok(None)
    }

    fn answered(&mut self, command: Command, outcome: Outcome, text: &[u8]) -> Result<Option<String>, Failure> {
        match (command, outcome) {
            (Command::Idle { begun: false }, Outcome::No | Outcome::Bad) => {
                let failure = refused(text, FailureCode::ProtocolError);
                if failure.code == FailureCode::Throttled {
                    return Err(failure);
                }
                // It offers IDLE, and can't do it: poll.
                self.idle = false;
            }
            // The server has had enough of this IDLE; who knows what it didn't tell.
            (Command::Idle { .. }, _) => self.due = true,
            // NOOP can't fail (RFC 3501 §6.1.2).
            (Command::Done | Command::Noop, _) => {}
            (Command::Fetch { highest, told }, Outcome::Ok) => match highest {
                Some(highest) => {
                    // `n:*` means the last message even when its UID is below n (RFC 3501 §6.4.8).
                    self.move_to(Some(highest.saturating_add(1)));
                    self.answers = self.answers.wrapping_add(1);
                }
                None if self.exists == 0 => self.answers = self.answers.wrapping_add(1),
                None => return Ok(Some(self.status(told))),
            },
            // Some servers refuse `n:*` in an empty mailbox.
            (Command::Fetch { told, .. }, Outcome::No | Outcome::Bad) => return Ok(Some(self.status(told))),
            (Command::Status { .. }, Outcome::Ok) => self.answers = self.answers.wrapping_add(1),
            (Command::Status { .. }, Outcome::No | Outcome::Bad) => {
                return Err(refused(text, FailureCode::ProtocolError));
            }
        }
        Ok(None)
    }

    fn status(&mut self, told: bool) -> String {
        let status = format!("STATUS {} (UIDNEXT UIDVALIDITY)", self.name);
        self.command(Command::Status { told }, &status)
    }

    fn move_to(&mut self, uid_next: Option<u32>) {
        if let Some(uid_next) = uid_next.and_then(NonZeroU32::new) {
            self.mailbox.uid_next = self.mailbox.uid_next.max(uid_next);
        }
    }

    /// The UIDs of an open mailbox don't change their meaning. If they do, it has to be opened again.
    fn same_numbering(&self, uid_validity: Option<u32>) -> Result<(), Failure> {
        match uid_validity {
            Some(number) if number != self.mailbox.uid_validity.get() => {
                Err(failure(FailureCode::ConnectionLost, "UIDVALIDITY changed while the mailbox was open"))
            }
            _ => Ok(()),
        }
    }
}

fn not_imap(line: &[u8]) -> Failure {
    failure(FailureCode::ProtocolError, &String::from_utf8_lossy(line))
}

#[cfg(test)]
#[path = "dialogue_tests.rs"]
mod tests;
