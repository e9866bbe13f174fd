//! The ways to watch a mailbox, as one: the driver connects, waits, asks, and reports what it heard as an event of the
//! machine's. Another protocol is another variant here, and nothing else in the driver.

use std::time::Duration;

use domain::{Event, Evidence, Failure, FailureCode, MailTarget, Mailbox};
use store::SessionRecord;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::imap::Dialled;
use super::{Watcher, eas, imap};
use crate::session::Held;
use crate::vault::{Binding, Credential, OpenError};

/// An open watch.
pub(super) enum Connection {
    /// IMAP, with IDLE or polls.
    Imap(imap::Connection),
    /// ActiveSync's long polls. In a box, so that IMAP's idle sessions don't pay for it.
    Eas(Box<eas::Connection>),
}

/// What a wait came to.
pub(super) enum Heard {
    /// There may be news; the server is to be asked, in an episode.
    Hint,
    /// There is something to tell the machine.
    Event(Event),
    /// Nothing is under way any more: ask again.
    Rests,
}

impl Connection {
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
            Self::Eas(connection) => connection.take_early().map(polled),
        }
    }

    /// Whether the next question has to be sent first, which takes the credential.
    pub(super) fn rests(&self) -> bool {
        match self {
            Self::Imap(_) => false,
            Self::Eas(connection) => connection.rests(),
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
            (Self::Imap(connection), None) => connection.changed(renew_after).await.map(|()| Heard::Hint),
            (Self::Imap(connection), Some(mail)) => {
                // In a box, as it is short: the wait is what lasts.
                let mailbox = Box::pin(connection.news().instrument(mail.clone())).await?;
                Ok(Heard::Event(Event::Checked(mailbox)))
            }
            (Self::Eas(connection), _) => Ok(match Box::pin(connection.answer()).await? {
                eas::Heard::Answered(answered) => Heard::Event(polled(answered)),
                eas::Heard::Again => Heard::Rests,
            }),
        }
    }
}

fn polled(answered: eas::Answered) -> Event {
    let eas::Answered { poll, took, asked } = answered;
    Event::Polled { poll, took, asked }
}

impl Watcher {
    /// Connects to whatever the session is watched at, and sees what is new.
    pub(super) async fn dial(
        &self,
        record: &SessionRecord,
        forced: bool,
        tell: &(dyn Fn(Dialled) + Send + Sync),
    ) -> Result<Connection, Failure> {
        let credential = self.credential(record)?;
        match &record.mail {
            MailTarget::Imap(target) => {
                self.dialer.connect_telling(target, &credential, tell).await.map(Connection::Imap)
            }
            MailTarget::Eas(target) => {
                let tell = || tell(Dialled::Connected);
                let connected = self.eas.connect(target, record.response_timeout, &credential, forced, &tell);
                connected.await.map(|connection| Connection::Eas(Box::new(connection)))
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

    /// Sends the next question of a watch that rests. `false` if the session is gone, or no longer what it was.
    pub(super) async fn ask_again(
        &self,
        connection: &mut Connection,
        held: &Held,
        stop: &CancellationToken,
    ) -> Result<bool, Failure> {
        let Connection::Eas(connection) = connection else { return Ok(true) };
        let Some(record) = self.load(held.id, stop).await else { return Ok(false) };
        let (MailTarget::Eas(target), true) = (&record.mail, record.revision == held.revision) else {
            return Ok(false);
        };
        let asked = async { connection.ask(&self.eas, target, &self.credential(&record)?).await };
        match stop.run_until_cancelled(asked).await {
            Some(asked) => asked.map(|()| true),
            None => Ok(false),
        }
    }

    /// Asks now, whether or not the server told of anything, and answers what to tell the machine. For a long poll it is
    /// enough that the server takes it: with news it would have answered.
    pub(super) async fn check(
        &self,
        connection: &mut Connection,
        held: &Held,
        stop: &CancellationToken,
    ) -> Result<(Event, Option<Mailbox>), Failure> {
        if let Connection::Imap(connection) = connection {
            return connection.ping().await.map(|mailbox| (Event::Checked(mailbox), Some(mailbox)));
        }
        loop {
            if !self.ask_again(connection, held, stop).await? {
                return Ok((Event::Tick, None));
            }
            match timeout(eas::FORCED_SETTLE, connection.hear(Duration::MAX, None)).await {
                Err(_) => return Ok((Event::Polling, None)),
                Ok(heard) => match heard? {
                    Heard::Event(event) => return Ok((event, None)),
                    Heard::Hint | Heard::Rests => {}
                },
            }
        }
    }
}
