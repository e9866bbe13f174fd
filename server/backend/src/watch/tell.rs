//! What the timeline, the log and whoever asked for a ping are told.

use std::time::Duration;

use domain::{Event, Failure, Life, Mailbox, SessionId};
use proto::trace;
use store::{Note, TimelineKind};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::Watcher;
use super::imap::{Dialled, Handshake};
use crate::handle::{Ping, PingReport};
use crate::session::Held;

/// A ping that staff asked for, if they did, and the session's life before it.
pub(super) struct Forced<'a> {
    pub(super) ping: Option<&'a Ping>,
    pub(super) before: &'a Life,
}

impl Forced<'_> {
    pub(super) fn report(&self, report: PingReport) {
        if let Some(ping) = self.ping {
            ping.report(report);
        }
    }

    pub(super) fn dialled(&self, dialled: Dialled) {
        self.report(match dialled {
            Dialled::Resolved(_) => return,
            Dialled::Connected => PingReport::Connected,
            Dialled::LoggedIn => PingReport::LoggedIn,
            Dialled::Opened => PingReport::Opened,
        });
    }
}

impl Watcher {
    /// Has the timeline tell of a connection, and the handshake kept. Nobody waits for that.
    pub(super) fn tell_connected(
        &self,
        id: SessionId,
        took: Duration,
        mailbox: Option<Mailbox>,
        handshake: &Handshake,
    ) {
        let uid_next = mailbox.map(|mailbox| mailbox.uid_next.get());
        let note = Note::connected(took, uid_next).traced(trace::current_traceparent());
        self.store().connected(
            id,
            self.sessions.clock.now(),
            store::Connection { note, handshake: handshake.take_lines() },
        );
    }

    /// Has whoever asked for a ping, and the timeline, told what it found.
    pub(super) fn tell_pinged(&self, forced: &Forced<'_>, held: &Held, found: Result<Option<Mailbox>, &Failure>) {
        let Some(ping) = forced.ping else { return };
        let note = Note::new(TimelineKind::PingDone).staff(Some(ping.actor.staff.clone()));
        let note = match found {
            Ok(mailbox) => {
                let after = mailbox.map(|mailbox| mailbox.uid_next.get());
                let before = forced.before.baseline.map(|baseline| baseline.uid_next.get()).or(after);
                ping.report(match (before, after) {
                    (Some(before), Some(after)) => PingReport::Asked { before, after },
                    _ => PingReport::Polled,
                });
                ping.report(match &held.life {
                    life if life.owed => PingReport::Gathered,
                    life if life.silence > forced.before.silence => PingReport::Pushed,
                    _ => PingReport::NothingNew,
                });
                match (before, after) {
                    (Some(before), Some(after)) => note.numbers(Some(before.into()), Some(after.into())),
                    _ if held.life.owed || held.life.silence > forced.before.silence => note.detail("changed"),
                    _ => note.detail("unchanged"),
                }
            }
            Err(failure) => {
                let (code, evidence) = (failure.code, failure.evidence.as_str().to_owned());
                ping.report(PingReport::Failed { code, evidence: evidence.clone() });
                note.detail(format!("{code} {evidence}").trim_end().to_owned())
            }
        };
        self.store().note_later(held.id, self.sessions.clock.now(), note.traced(trace::current_traceparent()));
    }

    /// Takes down that an episode failed: in its span, in the log, and in the machine.
    pub(super) async fn fail(&self, held: &mut Held, failure: Failure, lived: Duration, stop: &CancellationToken) {
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
}
