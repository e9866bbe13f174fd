//! Watches an open connection, for as long as the session wants that.

use std::time::Duration;

use domain::{Connect, Event, Failure, Poll};
use proto::trace;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::poll::Polling;
use super::strategy::{Again, Connection, Heard};
use super::tell::Forced;
use super::{Calls, Left, Watcher};
use crate::handle::Ping;
use crate::session::Held;
use crate::telemetry::{CONNECT, DEADLINE, MAIL, episode};

/// What woke an idling watch.
enum Woken {
    Server(Result<Heard, Failure>),
    Deadline,
    Call,
    Stop,
}

impl Watcher {
    /// A ping that staff asked for, on an open connection.
    async fn ping(
        &self,
        connection: &mut Connection,
        held: &mut Held,
        ping: &Ping,
        registration: Option<&str>,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let span = episode!(MAIL, held.id, registration, self.sessions.traced(held.id));
        if let Some(cause) = ping.actor.traceparent.as_deref() {
            trace::link_to(&span, cause);
        }
        async {
            let before = held.life.clone();
            let forced = Forced { ping: Some(ping), before: &before };
            match self.check(connection, held, stop).await {
                Ok((event, mailbox)) => {
                    self.report(held, event, stop).await;
                    self.tell_pinged(&forced, held, Ok(mailbox));
                    Ok(())
                }
                Err(failure) => {
                    self.tell_pinged(&forced, held, Err(&failure));
                    Err(failure)
                }
            }
        }
        .instrument(span)
        .await
    }

    /// Watches an open connection.
    pub(super) async fn idle(
        &self,
        mut connection: Connection,
        held: &mut Held,
        renew_after: Duration,
        registration: Option<&str>,
        polling: &mut Option<Box<Polling>>,
        Calls { wake, stop }: Calls<'_>,
    ) -> Left {
        let since = Instant::now();
        // The episode that began when the server hinted at news, until it has said what they are.
        let mut mail: Option<Span> = None;
        // The connect was a poll, too.
        let now = self.sessions.clock.now();
        let mut rest = connection.imap().and_then(|imap| self.polls.begin(imap, polling, now));
        loop {
            let Some(deadline) = held.life.deadline() else {
                Box::pin(connection.close()).await;
                return Left::Ended;
            };
            if held.life.connect() != Connect::ToWatch {
                Box::pin(connection.close()).await;
                return Left::Closed;
            }
            if let Some(ping) = self.watches().take_ping(held.id) {
                if let Err(failure) = Box::pin(self.ping(&mut connection, held, &ping, registration, stop)).await {
                    let span = episode!(CONNECT, held.id, registration, self.sessions.traced(held.id));
                    Box::pin(self.fail(held, failure, since.elapsed(), stop).instrument(span)).await;
                    return Left::Closed;
                }
                continue;
            }
            if let Some(rest) = rest.take().filter(|_| mail.is_none()) {
                Box::pin(connection.close()).await;
                return Left::Resting(Instant::now() + rest);
            }
            if connection.rests() {
                match Box::pin(self.ask_again(&mut connection, held, wake, stop)).await {
                    Ok(Again::Asked) => {}
                    Ok(Again::Otherwise) => return Left::Closed,
                    Err(failure) => {
                        let span = episode!(CONNECT, held.id, registration, self.sessions.traced(held.id));
                        Box::pin(self.fail(held, failure, since.elapsed(), stop).instrument(span)).await;
                        return Left::Closed;
                    }
                }
            }
            let woken = tokio::select! {
                heard = connection.hear(renew_after, mail.as_ref()) => Woken::Server(heard),
                () = self.sessions.clock.sleep_until(deadline) => Woken::Deadline,
                () = wake.notified() => Woken::Call,
                () = stop.cancelled() => Woken::Stop,
            };
            match woken {
                Woken::Server(Ok(Heard::Hint)) => {
                    mail = Some(episode!(MAIL, held.id, registration, self.sessions.traced(held.id)))
                }
                Woken::Server(Ok(Heard::Event(event))) => {
                    let span = mail.take().unwrap_or_else(|| match event {
                        Event::Polled { poll: Poll::Changed, .. } => {
                            episode!(MAIL, held.id, registration, self.sessions.traced(held.id))
                        }
                        _ => Span::none(),
                    });
                    Box::pin(self.report(held, event, stop).instrument(span)).await;
                    if let Some(imap) = connection.imap().filter(|imap| imap.is_distrusted() && polling.is_none()) {
                        self.tell_distrust(held.id);
                        rest = self.polls.begin(imap, polling, self.sessions.clock.now());
                    }
                }
                Woken::Server(Ok(Heard::ByTheClock)) => {
                    let now = self.sessions.clock.now();
                    rest = connection.imap().and_then(|imap| self.polls.polled(imap, polling, now));
                }
                Woken::Server(Ok(Heard::Rests)) => {}
                Woken::Server(Err(failure)) => {
                    let span = mail
                        .take()
                        .unwrap_or_else(|| episode!(CONNECT, held.id, registration, self.sessions.traced(held.id)));
                    Box::pin(self.fail(held, failure, since.elapsed(), stop).instrument(span)).await;
                    return Left::Closed;
                }
                Woken::Deadline => {
                    let span = episode!(DEADLINE, held.id, registration, self.sessions.traced(held.id));
                    Box::pin(self.report(held, Event::Tick, stop).instrument(span)).await;
                }
                Woken::Call => match Box::pin(self.load(held.id, stop)).await {
                    Some(record) => {
                        let stale = connection.is_bound() && record.revision != held.revision;
                        *held = Held::from(&record);
                        if stale {
                            return Left::Closed;
                        }
                    }
                    None => return Left::Stopped,
                },
                Woken::Stop => return Left::Stopped,
            }
        }
    }
}
