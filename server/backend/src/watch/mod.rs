//! Drives the machine of [`domain`] with what mail servers say.
//!
//! A watch is one small task per session. What is large (dialling, logging in) lives in a box of its own while it lasts, so
//! that an idling session weighs little more than its socket.

mod eas;
pub mod guard;
mod hold_off;
mod idle;
pub mod imap;
mod load;
mod pace;
mod poll;
mod standing;
mod strategy;
mod tell;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use domain::{Admission, Connect, Event, HostName, LoginOutcome, SessionId};
use proto::trace;
use store::{Claimed, SessionRecord, Store, StoreError};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::handle::{Ping, PingReport};
use crate::session::{Anew, Held, Sessions, Watches};
use crate::telemetry::{CONNECT, episode};
use crate::vault::KeyRing;
pub(crate) use eas::Dialer as EasDialer;
use hold_off::judged;
use imap::{Dialer, Dialled, Handshake};
use pace::Turn;
pub(crate) use pace::{Pace, PaceRules};
pub(crate) use poll::PollRules;
use poll::Polling;
use standing::Answer;
use strategy::{Connection, Dialling, account};
use tell::Forced;

/// The pause after the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What all watches share.
pub(crate) struct Watcher {
    pub(crate) sessions: Sessions,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) eas: Arc<EasDialer>,
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
        match self.sessions.logins.begin(account(&record)) {
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
            match self.sessions.step(held, event.clone(), Anew::default(), None).await {
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
            let dialling = Dialling { record: &record, forced: ping.is_some(), tell: &tell, handshake: &handshake };
            let mut dial = pin!(self.dial(dialling));
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
                Ok(mut connection) => {
                    if let Some(attempt) = attempt {
                        attempt.end(if connection.is_let_in() {
                            LoginOutcome::Accepted
                        } else {
                            LoginOutcome::Unknown
                        });
                    }
                    // A connection for one poll is a poll, of which nobody hears.
                    if !polling.is_some_and(Polling::has_rested) {
                        self.tell_connected(held.id, began.elapsed(), connection.mailbox(), &handshake);
                    }
                    self.report(held, connection.opened(), stop).await;
                    if let Some(early) = connection.early() {
                        self.report(held, early, stop).await;
                    }
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
}
