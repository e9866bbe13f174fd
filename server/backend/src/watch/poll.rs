//! Polls: when, and whether a connection is kept in between.

use std::time::Duration;

use domain::{Connect, Event, Mailbox, PollBounds, Rhythm, SessionId, Timestamp};
use proto::trace;
use store::{Note, TimelineKind};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::imap::Connection;
use super::{Left, Watcher};
use crate::clock;
use crate::session::Held;

/// How mailboxes are polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PollRules {
    /// The shortest and the longest pause; a host may want others.
    pub(crate) bounds: PollBounds,
    /// A pause of this length or more is spent without a connection.
    pub(crate) close_after: Duration,
}

/// What is known of a session that is polled. It outlives the connection.
pub(super) struct Polling {
    rhythm: Rhythm,
    /// As of the last poll.
    mailbox: Mailbox,
    /// IDLE was given up.
    distrusted: bool,
    /// The last connection was closed until the next poll.
    rested: bool,
}

impl Polling {
    /// Whether the next connection is made for a poll, and no more.
    pub(super) fn has_rested(&self) -> bool {
        self.rested
    }

    /// The next connection is worth a word: there was a fault before it.
    pub(super) fn failed(&mut self) {
        self.rested = false;
    }
}

impl PollRules {
    /// Begins with a connection. If its mailbox is polled, connecting was a poll. Answers how long to rest without it, if
    /// it isn't worth keeping.
    pub(super) fn begin(
        &self,
        connection: &mut Connection,
        polling: &mut Option<Box<Polling>>,
        now: Timestamp,
    ) -> Option<Duration> {
        if polling.as_ref().is_some_and(|polling| polling.distrusted) && !connection.polls() {
            connection.distrust();
        }
        if !connection.polls() {
            *polling = None;
            return None;
        }
        self.polled(connection, polling, now)
    }

    /// The mailbox was polled. Sets the pause until the next time; answers it if it is to be spent without a connection.
    pub(super) fn polled(
        &self,
        connection: &mut Connection,
        polling: &mut Option<Box<Polling>>,
        now: Timestamp,
    ) -> Option<Duration> {
        let mailbox = connection.mailbox();
        let polling = polling.get_or_insert_with(|| {
            Box::new(Polling { rhythm: Rhythm::new(now), mailbox, distrusted: false, rested: false })
        });
        let mails = match mailbox.uid_validity == polling.mailbox.uid_validity {
            true => mailbox.uid_next.get().saturating_sub(polling.mailbox.uid_next.get()),
            false => 0,
        };
        polling.rhythm.polled(now, mails);
        polling.mailbox = mailbox;
        polling.distrusted |= connection.is_distrusted();
        let bounds = connection.poll_bounds().unwrap_or(self.bounds);
        let pause = polling.rhythm.pause(bounds, now, clock::dice());
        connection.rest_for(pause);
        polling.rested = pause >= self.close_after;
        polling.rested.then_some(pause)
    }
}

impl Watcher {
    /// Waits without a connection for the next poll. Whoever calls meanwhile is heard, and brings no log-in forward, unless
    /// it is staff who ask for a ping.
    pub(super) async fn rest(&self, held: &mut Held, until: Instant, wake: &Notify, stop: &CancellationToken) -> Left {
        while held.life.connect() == Connect::ToWatch && !self.watches().is_asked(held.id) {
            let Some(deadline) = held.life.deadline() else { return Left::Ended };
            tokio::select! {
                () = tokio::time::sleep_until(until) => return Left::Closed,
                () = self.sessions.clock.sleep_until(deadline) => {
                    Box::pin(self.report(held, Event::Tick, stop)).await;
                }
                () = wake.notified() => match Box::pin(self.load(held.id, stop)).await {
                    Some(record) => *held = Held::from(&record),
                    None => return Left::Stopped,
                },
                () = stop.cancelled() => return Left::Stopped,
            }
        }
        Left::Closed
    }

    /// Has the timeline tell that the server's IDLE is given up.
    pub(super) fn tell_distrust(&self, id: SessionId) {
        tracing::warn!(session = %id, "IDLE kept quiet about mail; the mailbox is polled from now on");
        let note = Note::new(TimelineKind::IdleDistrusted).traced(trace::current_traceparent());
        self.store().note_later(id, self.sessions.clock.now(), note);
    }
}
