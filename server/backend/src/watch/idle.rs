//! Watches an open connection, for as long as the session wants that.

use std::time::Duration;

use domain::{Connect, Event, Failure, Mailbox};
use proto::trace;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::imap::{Changed, Connection};
use super::poll::Polling;
use super::{Calls, Forced, Left, Watcher};
use crate::handle::Ping;
use crate::session::Held;
use crate::telemetry::{CONNECT, DEADLINE, MAIL, episode};

/// What the server had to say.
enum Heard {
    /// There may be news.
    Hint,
    /// What they are.
    News(Mailbox),
    /// It was asked by the clock.
    Polled,
}

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
            match connection.ping().await {
                Ok(mailbox) => {
                    self.report(held, Event::Checked(mailbox), stop).await;
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
        let mut rest = self.polls.begin(&mut connection, polling, self.sessions.clock.now());
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
            let woken = tokio::select! {
                heard = hear(&mut connection, renew_after, mail.as_ref()) => Woken::Server(heard),
                () = self.sessions.clock.sleep_until(deadline) => Woken::Deadline,
                () = wake.notified() => Woken::Call,
                () = stop.cancelled() => Woken::Stop,
            };
            match woken {
                Woken::Server(Ok(Heard::Hint)) => {
                    mail = Some(episode!(MAIL, held.id, registration, self.sessions.traced(held.id)))
                }
                Woken::Server(Ok(Heard::News(mailbox))) => {
                    let span = mail.take().unwrap_or_else(Span::none);
                    Box::pin(self.report(held, Event::Checked(mailbox), stop).instrument(span)).await;
                    if connection.is_distrusted() && polling.is_none() {
                        self.tell_distrust(held.id);
                        rest = self.polls.begin(&mut connection, polling, self.sessions.clock.now());
                    }
                }
                Woken::Server(Ok(Heard::Polled)) => {
                    rest = self.polls.polled(&mut connection, polling, self.sessions.clock.now());
                }
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
                    Some(record) => *held = Held::from(&record),
                    None => return Left::Stopped,
                },
                Woken::Stop => return Left::Stopped,
            }
        }
    }
}

/// Waits until there may be news; in an episode, has the server say what they are. It may be dropped at any moment, and
/// called again.
async fn hear(connection: &mut Connection, renew_after: Duration, mail: Option<&Span>) -> Result<Heard, Failure> {
    match mail {
        None => connection.changed(renew_after).await.map(|changed| match changed {
            Changed::News => Heard::Hint,
            Changed::Polled => Heard::Polled,
        }),
        // In a box, as it is short: the wait is what lasts.
        Some(mail) => Box::pin(connection.news().instrument(mail.clone())).await.map(Heard::News),
    }
}
