//! The ways to watch a mailbox, as one: the driver connects, waits, asks, and reports what it heard as an event of the
//! machine's. Another protocol is another variant here, and nothing else in the driver.

use std::time::Duration;

use domain::{
    AccountKey, Admission, Event, Evidence, Failure, FailureCode, LoginOutcome, MailTarget, Mailbox, Timestamp,
};
use store::SessionRecord;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::hold_off::{BUSY_PAUSE, outcome};
use super::imap::{Dialled, Handshake};
use super::{Watcher, eas, imap};
use crate::logins::Logins;
use crate::session::Held;
use crate::vault::{Binding, Credential, OpenError};

/// An open watch.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all watches are IMAP's, and the others are in boxes for their sake"
)]
pub(super) enum Connection {
    /// IMAP, with IDLE or polls.
    Imap(imap::Connection),
    /// ActiveSync's long polls. In a box, so that IMAP's idle sessions don't pay for it.
    Eas(Box<Polls>),
}

/// Long polls: each is a log-in, which is answered when the poll is.
pub(super) struct Polls {
    connection: eas::Connection,
    account: AccountKey,
    logins: Logins,
}

/// What a connection is made with.
#[derive(Clone, Copy)]
pub(super) struct Dialling<'a> {
    pub(super) record: &'a SessionRecord,
    /// Somebody waits for what it finds.
    pub(super) forced: bool,
    /// Is told how far it has come.
    pub(super) tell: &'a (dyn Fn(Dialled) + Send + Sync),
    pub(super) handshake: &'a Handshake,
}

/// What became of the next question of a watch that rested.
pub(super) enum Again {
    /// It is asked.
    Asked,
    /// It is not: the session is gone or no longer what it was, there is a call for it, or we are to stop.
    Otherwise,
}

/// What a wait came to.
pub(super) enum Heard {
    /// There may be news; the server is to be asked, in an episode.
    Hint,
    /// It was asked by the clock, and nothing is new.
    ByTheClock,
    /// There is something to tell the machine.
    Event(Event),
    /// Nothing is under way any more: ask again.
    Rests,
}

impl Connection {
    /// The IMAP connection, if it is one: its mailbox may be polled.
    pub(super) fn imap(&mut self) -> Option<&mut imap::Connection> {
        match self {
            Self::Imap(connection) => Some(connection),
            Self::Eas(_) => None,
        }
    }

    /// What the machine is told of a connection that was just made.
    pub(super) fn opened(&self) -> Event {
        match self {
            Self::Imap(connection) => Event::Connected(connection.mailbox()),
            Self::Eas(_) => Event::Polling,
        }
    }

    /// What the server told of the mailbox, where it does.
    pub(super) fn mailbox(&self) -> Option<Mailbox> {
        match self {
            Self::Imap(connection) => Some(connection.mailbox()),
            Self::Eas(_) => None,
        }
    }

    /// What the server answered while the connection was made.
    pub(super) fn early(&mut self) -> Option<Event> {
        match self {
            Self::Imap(_) => None,
            Self::Eas(polls) => polls.connection.take_early().map(polled),
        }
    }

    /// Whether the next question has to be sent first, which takes the credential.
    pub(super) fn rests(&self) -> bool {
        match self {
            Self::Imap(_) => false,
            Self::Eas(polls) => polls.connection.rests(),
        }
    }

    /// Whether the server has said that it takes the credential. One that holds a poll has not, yet.
    pub(super) fn is_let_in(&self) -> bool {
        match self {
            Self::Imap(_) => true,
            Self::Eas(polls) => polls.connection.is_answered(),
        }
    }

    /// Whether what it asks is made from the session as it was when it was asked, so that a change needs a new question.
    pub(super) fn is_bound(&self) -> bool {
        matches!(self, Self::Eas(_))
    }

    /// Ends it in order, where that takes a word.
    pub(super) async fn close(self) {
        match self {
            Self::Imap(connection) => connection.close().await,
            // A poll that is given up has no other end than the connection's.
            Self::Eas(_) => {}
        }
    }

    /// Waits until there may be news; in an episode, has the server say what they are. It may be dropped at any moment, and
    /// called again.
    pub(super) async fn hear(&mut self, renew_after: Duration, mail: Option<&Span>) -> Result<Heard, Failure> {
        match (self, mail) {
            (Self::Imap(connection), None) => connection.changed(renew_after).await.map(|changed| match changed {
                imap::Changed::News => Heard::Hint,
                imap::Changed::Polled => Heard::ByTheClock,
            }),
            (Self::Imap(connection), Some(mail)) => {
                // In a box, as it is short: the wait is what lasts.
                let mailbox = Box::pin(connection.news().instrument(mail.clone())).await?;
                Ok(Heard::Event(Event::Checked(mailbox)))
            }
            (Self::Eas(polls), _) => polls.hear().await,
        }
    }
}

impl Polls {
    async fn hear(&mut self) -> Result<Heard, Failure> {
        let heard = Box::pin(self.connection.answer()).await;
        match heard {
            Ok(eas::Heard::Answered(answered)) => {
                self.logins.answered(&self.account, LoginOutcome::Accepted);
                Ok(Heard::Event(polled(answered)))
            }
            Ok(eas::Heard::Again) => Ok(Heard::Rests),
            Err(failure) => {
                self.logins.answered(&self.account, outcome(&failure));
                Err(failure)
            }
        }
    }
}

fn polled(answered: eas::Answered) -> Event {
    let eas::Answered { poll, took, asked } = answered;
    Event::Polled { poll, took, asked }
}

/// The mail account that a session logs in to.
pub(super) fn account(record: &SessionRecord) -> AccountKey {
    AccountKey { host: record.mail.host().clone(), address_hash: record.address_hash.clone() }
}

impl Watcher {
    /// Connects to whatever the session is watched at, and sees what is new.
    pub(super) async fn dial(&self, dialling: Dialling<'_>) -> Result<Connection, Failure> {
        let Dialling { record, forced, tell, handshake } = dialling;
        let credential = self.credential(record)?;
        match &record.mail {
            MailTarget::Imap(target) => {
                self.dialer.connect_telling(target, &credential, tell, handshake).await.map(Connection::Imap)
            }
            MailTarget::Eas(target) => {
                let telling = eas::Telling { dialled: tell, handshake };
                let connected = self.eas.connect(target, record.response_timeout, &credential, forced, telling).await?;
                let (account, logins) = (account(record), self.sessions.logins.clone());
                Ok(Connection::Eas(Box::new(Polls { connection: connected, account, logins })))
            }
        }
    }

    fn credential(&self, record: &SessionRecord) -> Result<Credential, Failure> {
        let unreadable = |error: OpenError| {
            Failure::new(FailureCode::CredentialUnreadable, Evidence::redact(&error.to_string(), None))
        };
        let Some(sealed) = &record.credential else { return Err(unreadable(OpenError::Content)) };
        let binding = Binding::for_target(&record.user, &record.device, &record.context, &record.mail);
        self.keys.open(sealed, &binding).map_err(unreadable)
    }

    /// Sends the next question of a watch that rests. If that takes a connection, it takes a turn; and it is a log-in, so
    /// that there must be a budget for it.
    pub(super) async fn ask_again(
        &self,
        connection: &mut Connection,
        held: &Held,
        wake: &Notify,
        stop: &CancellationToken,
    ) -> Result<Again, Failure> {
        let Connection::Eas(polls) = connection else { return Ok(Again::Asked) };
        tokio::select! {
            asked = self.ask_polls(polls, held, stop) => asked,
            () = wake.notified() => Ok(Again::Otherwise),
            () = stop.cancelled() => Ok(Again::Otherwise),
        }
    }

    async fn ask_polls(&self, polls: &mut Polls, held: &Held, stop: &CancellationToken) -> Result<Again, Failure> {
        let Some(record) = self.load(held.id, stop).await else { return Ok(Again::Otherwise) };
        let (MailTarget::Eas(target), true) = (&record.mail, record.revision == held.revision) else {
            return Ok(Again::Otherwise);
        };
        let _turn = match polls.connection.is_kept() {
            true => None,
            false => Some(self.pace.turn(held.id, &polls.connection.host(target)).await),
        };
        let attempt = loop {
            match polls.logins.begin(polls.account.clone()) {
                Ok(attempt) => break attempt,
                Err(Admission::Spent { until, host }) => return Err(self.spent(until, host)),
                Err(_) => tokio::time::sleep(BUSY_PAUSE).await,
            }
        };
        // Nobody looks at what passes when a connection is made anew between two polls.
        let unseen = Handshake::begin(Timestamp::from_millis(0));
        let host = polls.connection.host(target);
        let resolved = |address| self.pace.learn(&host, address);
        let credential = self.credential(&record)?;
        let asking =
            eas::Asking { dialer: &self.eas, target, credential: &credential, handshake: &unseen, resolved: &resolved };
        polls.connection.ask(asking).await?;
        // How it went is known when the poll is answered.
        attempt.end(LoginOutcome::Unknown);
        Ok(Again::Asked)
    }

    /// Asks now, whether or not the server told of anything, and answers what to tell the machine. For a long poll it is
    /// enough that the server takes it: with news it would have answered.
    pub(super) async fn check(
        &self,
        connection: &mut Connection,
        held: &Held,
        stop: &CancellationToken,
    ) -> Result<(Event, Option<Mailbox>), Failure> {
        let polls = match connection {
            Connection::Imap(connection) => {
                return connection.ping().await.map(|mailbox| (Event::Checked(mailbox), Some(mailbox)));
            }
            Connection::Eas(polls) => polls,
        };
        loop {
            let asked = stop.run_until_cancelled(self.ask_polls(polls, held, stop)).await;
            let Some(Again::Asked) = asked.transpose()? else { return Ok((Event::Tick, None)) };
            match timeout(eas::FORCED_SETTLE, polls.hear()).await {
                Err(_) => return Ok((Event::Polling, None)),
                Ok(heard) => match heard? {
                    Heard::Event(event) => return Ok((event, None)),
                    Heard::Hint | Heard::ByTheClock | Heard::Rests => {}
                },
            }
        }
    }
}
