//! Drives the machine of [`domain`] with what mail servers say.
//!
//! A watch is one small task per session. What is large (dialling, logging in) lives in a box of its own while it lasts, so
//! that an idling session weighs little more than its socket.

pub mod guard;
mod hold_off;
mod idle;
pub mod imap;
mod load;
mod pace;
mod poll;
mod standing;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use domain::{
    AccountKey, Admission, Connect, Event, Evidence, Failure, FailureCode, HostName, Life, LoginOutcome, MailTarget,
    Mailbox, SessionId,
};
use proto::trace;
use store::{Claimed, Note, SessionRecord, Store, StoreError, TimelineKind};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::handle::{Ping, PingReport};
use crate::session::{Held, Sessions, Watches};
use crate::telemetry::{CONNECT, episode};
use crate::vault::{Binding, KeyRing, OpenError};
use hold_off::judged;
use imap::{Connection, Dialer, Dialled, Handshake};
use pace::Turn;
pub(crate) use pace::{Pace, PaceRules};
pub(crate) use poll::PollRules;
use poll::Polling;
use standing::Answer;

/// The pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What all watches share.
pub(crate) struct Watcher {
    pub(crate) sessions: Sessions,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) dialer: Dialer,
    /// Whose turn it is to connect.
    pub(crate) pace: Arc<Pace>,
    /// How mailboxes are polled that nobody tells about.
    pub(crate) polls: PollRules,
}

/// Why an open connection is watched no longer.
enum Left {
    /// The session has ended.
    Ended,
    /// The session no longer wants a connection, or there was a fault.
    Closed,
    /// The mailbox is polled, and there is no connection until then.
    Resting(Instant),
    /// We are to stop.
    Stopped,
}

/// What may interrupt a watch.
#[derive(Clone, Copy)]
struct Calls<'a> {
    /// The store has news of the session.
    wake: &'a Notify,
    /// We are to stop.
    stop: &'a CancellationToken,
}

/// A ping that staff asked for, if they did, and the session's life before it.
struct Forced<'a> {
    ping: Option<&'a Ping>,
    before: &'a Life,
}

impl Forced<'_> {
    fn report(&self, report: PingReport) {
        if let Some(ping) = self.ping {
            ping.report(report);
        }
    }

    fn dialled(&self, dialled: Dialled) {
        self.report(match dialled {
            Dialled::Resolved(_) => return,
            Dialled::Connected => PingReport::Connected,
            Dialled::LoggedIn => PingReport::LoggedIn,
            Dialled::Opened => PingReport::Opened,
        });
    }
}

impl Watcher {
    pub(crate) fn store(&self) -> &Store {
        &self.sessions.store
    }

    pub(crate) fn watches(&self) -> &Watches {
        &self.sessions.watches
    }

    /// Watches a session until it has ended or `stop`. `wake` says that the store has news of it. `first` is what was known
    /// of it when it was claimed, if that was just now.
    pub(crate) async fn watch(
        &self,
        id: SessionId,
        first: Option<Box<Claimed>>,
        wake: &Notify,
        stop: &CancellationToken,
    ) {
        let wait_until = first.as_ref().and_then(|first| first.wait_until);
        // Whoever waits for hours does not keep a name for that.
        let mut host = first.filter(|_| wait_until.is_none()).and_then(|first| first.host.map(Box::new));
        if let Some(until) = wait_until {
            tokio::select! {
                () = self.sessions.clock.sleep_until(until) => {}
                () = wake.notified() => {}
                () = stop.cancelled() => return,
            }
        }
        // Whoever waits for their turn to connect holds nothing yet: after a restart that is nearly everybody.
        let mut connects = true;
        // What outlives a connection to a server that is polled.
        let mut polling: Option<Box<Polling>> = None;
        loop {
            let turn = match connects {
                true => Box::pin(self.turn(id, host.take(), stop)).await,
                false => None,
            };
            let Some(record) = Box::pin(self.load(id, stop)).await else { return };
            let mut held = Held::from(&record);
            let ping = match held.life.connect() {
                Connect::No if held.life.is_live() => self.watches().take_ping(id),
                _ => None,
            };
            let left = match (held.life.connect(), turn) {
                _ if !held.life.is_live() => return,
                (Connect::No, turn) if ping.is_some() => {
                    drop(turn);
                    let turn = Box::pin(self.turn(id, None, stop)).await;
                    let Some(turn) = turn else { return };
                    connects = false;
                    self.attend(record, &mut held, turn, ping, &mut polling, Calls { wake, stop }).await
                }
                (Connect::No, turn) => {
                    drop((record, turn));
                    let left = self.pause(&mut held, wake, stop).await;
                    connects = held.life.connect() != Connect::No;
                    left
                }
                (_, None) => {
                    connects = true;
                    Left::Closed
                }
                (Connect::ForBaseline | Connect::ToWatch, Some(turn)) => {
                    connects = false;
                    self.attend(record, &mut held, turn, None, &mut polling, Calls { wake, stop }).await
                }
            };
            let left = match left {
                Left::Resting(until) => {
                    connects = true;
                    self.rest(&mut held, until, wake, stop).await
                }
                left => left,
            };
            match left {
                Left::Ended | Left::Stopped => return,
                Left::Closed if stop.is_cancelled() => return,
                Left::Closed | Left::Resting(_) => {}
            }
        }
    }

    /// Waits for the session's turn to connect; none if there is no such session any more or we are to stop.
    async fn turn(&self, id: SessionId, host: Option<Box<HostName>>, stop: &CancellationToken) -> Option<Turn> {
        let host = match host {
            Some(host) => *host,
            None => self.host(id, stop).await?,
        };
        stop.run_until_cancelled(self.pace.turn(id, &host)).await
    }

    /// Connects, and stays for as long as the session wants that.
    async fn attend(
        &self,
        record: SessionRecord,
        held: &mut Held,
        mut turn: Turn,
        ping: Option<Ping>,
        polling: &mut Option<Box<Polling>>,
        calls: Calls<'_>,
    ) -> Left {
        let account = AccountKey { host: record.mail.host().clone(), address_hash: record.address_hash.clone() };
        match self.sessions.logins.begin(account) {
            Ok(attempt) => turn.is_for(attempt),
            Err(admission) => {
                drop(turn);
                if matches!(admission, Admission::Spent { .. }) {
                    polling.iter_mut().for_each(|polling| polling.failed());
                }
                Box::pin(self.hold_off(record, held, ping, admission, calls.stop)).await;
                return Left::Closed;
            }
        }
        let renew_after = record.response_timeout;
        let registration = record.traceparent.clone();
        // Dialling is large and short: it lives in a box of its own, which is gone when it is done.
        match Box::pin(self.connect(record, held, turn, ping, polling.as_deref(), calls)).await {
            Some(connection) if held.life.connect() == Connect::ToWatch => {
                self.idle(connection, held, renew_after, registration.as_deref(), polling, calls).await
            }
            Some(connection) => {
                Box::pin(connection.close()).await;
                Left::Closed
            }
            None => {
                polling.iter_mut().for_each(|polling| polling.failed());
                Left::Closed
            }
        }
    }

    /// Lets `event` happen to the session, whatever it is by now, and does not give up: what was seen is not forgotten
    /// because a database is busy.
    async fn report(&self, held: &mut Held, event: Event, stop: &CancellationToken) {
        loop {
            match self.sessions.step(held, event.clone(), None, None).await {
                Ok(()) => return,
                Err(StoreError::Conflict(_)) => match self.load(held.id, stop).await {
                    Some(record) => *held = Held::from(&record),
                    None => return,
                },
                Err(error) => {
                    tracing::error!(
                        session = %held.id,
                        error = &error as &dyn std::error::Error,
                        "can't store what was seen; trying again"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(STORE_PAUSE) => {}
                        () = stop.cancelled() => return,
                    }
                }
            }
        }
    }

    /// Waits without a connection, until a deadline is over or a call changed the session.
    async fn pause(&self, held: &mut Held, wake: &Notify, stop: &CancellationToken) -> Left {
        let Some(deadline) = held.life.deadline() else { return Left::Ended };
        tokio::select! {
            () = self.sessions.clock.sleep_until(deadline) => {}
            () = wake.notified() => return Left::Closed,
            () = stop.cancelled() => return Left::Stopped,
        }
        Box::pin(self.report(held, Event::Tick, stop)).await;
        Left::Closed
    }

    /// One episode: connect, log in, see what is new. None if that failed; the failure is reported.
    async fn connect(
        &self,
        record: SessionRecord,
        held: &mut Held,
        mut turn: Turn,
        ping: Option<Ping>,
        polling: Option<&Polling>,
        Calls { wake, stop }: Calls<'_>,
    ) -> Option<Connection> {
        let span = episode!(CONNECT, held.id, record.traceparent.as_deref(), self.sessions.traced(held.id));
        if let Some(cause) = ping.as_ref().and_then(|ping| ping.actor.traceparent.as_deref()) {
            trace::link_to(&span, cause);
        }
        async {
            let began = Instant::now();
            let before = held.life.clone();
            let forced = Forced { ping: ping.as_ref(), before: &before };
            forced.report(PingReport::Connecting { host: record.mail.host().to_string() });
            let tell = |dialled| {
                if let Dialled::Resolved(address) = dialled {
                    self.pace.learn(record.mail.host(), address);
                }
                forced.dialled(dialled);
            };
            let attempt = turn.take_attempt();
            let handshake = Handshake::begin(self.sessions.clock.now());
            let mut dial = pin!(self.dial(&record, &tell, &handshake));
            let dialled = loop {
                tokio::select! {
                    dialled = &mut dial => break dialled,
                    () = turn.gives_way() => {}
                    () = wake.notified() => {}
                    () = stop.cancelled() => return None,
                }
                // A Stop or a Revoke closes a connection in the making too, and drops the open credential.
                *held = Held::from(&self.load(held.id, stop).await?);
                if held.life.connect() == Connect::No && (ping.is_none() || !held.life.is_live()) {
                    return None;
                }
            };
            turn.ends(dialled.as_ref().map_or_else(Answer::to, |_| Some(Answer::Came)));
            match dialled {
                Ok(connection) => {
                    if let Some(attempt) = attempt {
                        attempt.end(LoginOutcome::Accepted);
                    }
                    // A connection for one poll is a poll, of which nobody hears.
                    if !polling.is_some_and(Polling::has_rested) {
                        self.tell_connected(held.id, began.elapsed(), connection.mailbox(), &handshake);
                    }
                    self.report(held, Event::Connected(connection.mailbox()), stop).await;
                    self.tell_pinged(&forced, held, Ok(connection.mailbox()));
                    Some(connection)
                }
                Err(failure) => {
                    let failure = judged(failure, attempt);
                    if let Some(lines) = handshake.take_lines() {
                        self.store().tried(held.id, lines);
                    }
                    self.tell_pinged(&forced, held, Err(&failure));
                    self.fail(held, failure, Duration::ZERO, stop).await;
                    None
                }
            }
        }
        .instrument(span)
        .await
    }

    /// Has the timeline tell of a connection, and the handshake kept. Nobody waits for that.
    fn tell_connected(&self, id: SessionId, took: Duration, mailbox: Mailbox, handshake: &Handshake) {
        let note = Note::connected(took, mailbox.uid_next.get()).traced(trace::current_traceparent());
        self.store().connected(
            id,
            self.sessions.clock.now(),
            store::Connection { note, handshake: handshake.take_lines() },
        );
    }

    /// Has whoever asked for a ping, and the timeline, told what it found.
    fn tell_pinged(&self, forced: &Forced<'_>, held: &Held, found: Result<Mailbox, &Failure>) {
        let Some(ping) = forced.ping else { return };
        let note = Note::new(TimelineKind::PingDone).staff(Some(ping.actor.staff.clone()));
        let note = match found {
            Ok(mailbox) => {
                let after = mailbox.uid_next.get();
                let before = forced.before.baseline.map_or(after, |baseline| baseline.uid_next.get());
                ping.report(PingReport::Asked { before, after });
                ping.report(match &held.life {
                    life if life.owed => PingReport::Gathered,
                    life if life.silence > forced.before.silence => PingReport::Pushed,
                    _ => PingReport::NothingNew,
                });
                note.numbers(Some(before.into()), Some(after.into()))
            }
            Err(failure) => {
                let (code, evidence) = (failure.code, failure.evidence.as_str().to_owned());
                ping.report(PingReport::Failed { code, evidence: evidence.clone() });
                note.detail(format!("{code} {evidence}").trim_end().to_owned())
            }
        };
        self.store().note_later(held.id, self.sessions.clock.now(), note.traced(trace::current_traceparent()));
    }

    async fn fail(&self, held: &mut Held, failure: Failure, lived: Duration, stop: &CancellationToken) {
        let span = Span::current();
        span.record("pinger.failure", failure.code.as_str());
        span.record("otel.status_code", "ERROR");
        tracing::warn!(
            session = %held.id,
            code = failure.code.as_str(),
            evidence = failure.evidence.as_str(),
            "the mail server can't be watched"
        );
        self.report(held, Event::Failed { failure, lived }, stop).await;
    }

    async fn dial(
        &self,
        record: &SessionRecord,
        tell: &(dyn Fn(Dialled) + Send + Sync),
        handshake: &Handshake,
    ) -> Result<Connection, Failure> {
        let unreadable = |error: OpenError| {
            Failure::new(FailureCode::CredentialUnreadable, Evidence::redact(&error.to_string(), None))
        };
        let Some(sealed) = &record.credential else { return Err(unreadable(OpenError::Content)) };
        let binding = Binding::for_target(&record.user, &record.device, &record.context, &record.mail);
        let credential = self.keys.open(sealed, &binding).map_err(unreadable)?;
        let MailTarget::Imap(imap) = &record.mail;
        self.dialer.connect_telling(imap, &credential, tell, handshake).await
    }
}
