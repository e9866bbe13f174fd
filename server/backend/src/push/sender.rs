//! The sender: takes what is due from the outbox, sends it at once, and writes down what became of it.
//!
//! A push that was being sent when the process was killed is due again after the restart. It is sent twice then, with one
//! collapse id and one push id, so that it looks like once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Delivery, Dice, Event, PushId, PushOutcome, PushTarget, Timestamp};
use proto::trace;
use store::{Finish, PushStatus};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::Channel;
use super::breaker::{Breaker, BreakerRules, Change};
use crate::clock;
use crate::handle::OpenBreaker;
use crate::session::Sessions;
use crate::telemetry::PUSH;

/// Pushes on their way at once.
const IN_FLIGHT: usize = 512;

/// How often to look although nothing woke us.
const RECONCILE: Duration = Duration::from_secs(5);

/// The first pause after a push service was busy; it doubles to the longest.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(5 * 60);

/// Sends what is in the outbox.
pub(crate) struct Sender {
    sessions: Sessions,
    channel: Option<Arc<dyn Channel>>,
    breaker: Mutex<Breaker>,
    in_flight: Mutex<HashSet<PushId>>,
    /// The pause where the fault is our own: somebody has to mend it.
    fault_pause: Duration,
}

impl Sender {
    pub(crate) fn new(sessions: Sessions, channel: Option<Arc<dyn Channel>>, fault_pause: Duration) -> Self {
        let defaults = BreakerRules::default();
        let rules = BreakerRules { pause_min: defaults.pause_min.min(fault_pause), ..defaults };
        Self { sessions, channel, breaker: Mutex::new(Breaker::new(rules)), in_flight: Mutex::default(), fault_pause }
    }

    /// Sends until `stop`, and returns when the last attempt is done.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let attempts = TaskTracker::new();
        while !stop.is_cancelled() {
            let next = match self.send_due(&attempts).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "can't read the outbox; trying again");
                    None
                }
            };
            let pause = next
                .map_or(RECONCILE, |at| at.since(self.sessions.clock.now()))
                .clamp(Duration::from_millis(10), RECONCILE);
            tokio::select! {
                () = self.sessions.store.pushes_queued() => {}
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        attempts.close();
        attempts.wait().await;
    }

    fn flying(&self) -> std::sync::MutexGuard<'_, HashSet<PushId>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the breaker holds back, if it is open.
    pub(crate) fn open_breaker(&self) -> Option<OpenBreaker> {
        let breaker = self.breaker();
        breaker.cause().map(|cause| OpenBreaker { cause: cause.to_string(), probe_at: breaker.probe_at() })
    }

    /// Starts an attempt for each push that is due, and says when the next one is, if that is known. While the breaker is
    /// open that is one push at a time; the others are left as they are, so that they go out as soon as it closes.
    async fn send_due(self: &Arc<Self>, attempts: &TaskTracker) -> Result<Option<Timestamp>, store::StoreError> {
        let now = self.sessions.clock.now();
        // An outcome may make a push due again soon, and hides what is due behind it.
        let soon = now.after(Duration::from_millis(200));
        let probe_at = self.breaker().probe_at();
        match probe_at {
            // It may be the probe, whose outcome says more than another one's would.
            Some(_) if !self.flying().is_empty() => return Ok(Some(soon)),
            Some(probe_at) if now < probe_at => return Ok(Some(probe_at)),
            _ => {}
        }
        let mut places = if probe_at.is_some() { 1 } else { IN_FLIGHT };
        let due = self.sessions.store.due_pushes(now, 2 * IN_FLIGHT as u64).await?;
        for delivery in due {
            {
                let mut flying = self.flying();
                // What is not started now is due still when the next attempt ends. What has expired is not sent.
                let sent = now < delivery.expires_at;
                if flying.len() >= IN_FLIGHT || (sent && places == 0) || !flying.insert(delivery.id) {
                    continue;
                }
                places -= usize::from(sent);
            }
            let sender = self.clone();
            attempts.spawn(async move {
                let id = delivery.id;
                let span = tracing::info_span!(
                    parent: None,
                    PUSH,
                    otel.kind = "producer",
                    messaging.operation.name = "send",
                    pinger.session_id = %delivery.session,
                    pinger.traced = sender.sessions.traced(delivery.session),
                    pinger.push_id = %id,
                    pinger.push_kind = delivery.kind.as_str(),
                    pinger.outcome = tracing::field::Empty,
                );
                if let Some(parent) = delivery.traceparent.as_deref().and_then(trace::parent_of) {
                    // Without OpenTelemetry there is nothing to be the child of.
                    let _ = span.set_parent(parent);
                }
                sender.attempt(delivery).instrument(span).await;
                sender.flying().remove(&id);
            });
        }
        if !self.flying().is_empty() {
            return Ok(Some(soon));
        }
        self.sessions.store.next_push().await
    }

    async fn attempt(&self, delivery: Delivery) {
        let now = self.sessions.clock.now();
        let finish = if now >= delivery.expires_at {
            Finish::Done { status: PushStatus::Expired, provider_id: None, reason: None }
        } else {
            self.send(&delivery, now).await
        };
        tracing::Span::current().record("pinger.outcome", outcome_word(&finish));
        let now = self.sessions.clock.now();
        if let Err(error) = self.sessions.store.finish_push(delivery.id, now, finish.clone()).await {
            // It is due still, and will be sent again under the same ids.
            tracing::error!(error = &error as &dyn std::error::Error, "can't write down what became of a push");
            return;
        }
        // Said when it is written down: from here on no kill repeats it.
        match &finish {
            Finish::Done { status, provider_id, reason } => tracing::info!(
                session = %delivery.session,
                push = %delivery.id,
                kind = delivery.kind.as_str(),
                status = status.as_str(),
                provider_id,
                reason,
                since_queued_ms = now.since(delivery.created_at).as_millis(),
                "push done"
            ),
            Finish::Again { reason, .. } => tracing::warn!(
                session = %delivery.session,
                push = %delivery.id,
                reason,
                attempt = delivery.attempts + 1,
                "push not delivered yet"
            ),
        }
    }

    async fn send(&self, delivery: &Delivery, now: Timestamp) -> Finish {
        let again = |pause: Duration, reason: &str| Finish::Again { at: now.after(pause), reason: reason.to_owned() };
        let Some(channel) = &self.channel else {
            return again(self.fault_pause, "the push service is not configured");
        };
        let allowed = {
            let mut breaker = self.breaker();
            if breaker.allows(now) { None } else { Some(breaker.probe_at().unwrap_or(now)) }
        };
        if let Some(probe_at) = allowed {
            return again(probe_at.since(now).max(RETRY_MIN), "waiting until our own fault is mended");
        }
        let outcome = channel.send(delivery, now).await;
        let changed = self.breaker().record(now, &delivery.target, &outcome);
        match changed {
            Some(Change::Opened(cause)) => {
                tracing::error!(%cause, "nothing is pushed until this is mended; one push at a time tries it");
            }
            Some(Change::Closed) => tracing::info!("pushes are accepted again"),
            None => {}
        }
        match outcome {
            PushOutcome::Accepted { provider_id } => {
                Finish::Done { status: PushStatus::Accepted, provider_id: Some(provider_id), reason: None }
            }
            PushOutcome::Gone { reason, since } => {
                self.end_target(delivery, since).await;
                Finish::Done { status: PushStatus::Gone, provider_id: None, reason: Some(reason.to_string()) }
            }
            PushOutcome::Refused { reason } => {
                Finish::Done { status: PushStatus::Refused, provider_id: None, reason: Some(reason.to_string()) }
            }
            PushOutcome::Retry { reason, after } => {
                let pause = after.unwrap_or_else(|| backoff(delivery.attempts, clock::dice()));
                again(pause, reason.as_str())
            }
            PushOutcome::OurFault { reason } => again(self.fault_pause, reason.as_str()),
        }
    }

    /// The push service says that the target is dead. That ends the session, unless the device has another target by now
    /// or registered after the target died.
    async fn end_target(&self, delivery: &Delivery, since: Option<Timestamp>) {
        let session = match self.sessions.store.session(delivery.session).await {
            Ok(Some(session)) => session,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "can't end a session whose push target is gone"
                );
                return;
            }
        };
        if !same_target(&session.push_target, &delivery.target) || since.is_some_and(|at| at < session.created_at) {
            return;
        }
        if let Err(error) = self.sessions.apply(delivery.session, Event::PushTargetGone, None, None).await {
            tracing::error!(error = &error as &dyn std::error::Error, "can't end a session whose push target is gone");
        }
    }
}

fn same_target(a: &PushTarget, b: &PushTarget) -> bool {
    let (PushTarget::Apns(a), PushTarget::Apns(b)) = (a, b);
    a.token() == b.token() && a.topic() == b.topic() && a.environment == b.environment
}

fn outcome_word(finish: &Finish) -> &'static str {
    match finish {
        Finish::Done { status, .. } => status.as_str(),
        Finish::Again { .. } => "retry",
    }
}

/// Full jitter over a pause that doubles.
fn backoff(attempts: u32, dice: Dice) -> Duration {
    let whole = RETRY_MIN.saturating_mul(1 << attempts.min(16)).min(RETRY_MAX);
    whole / 4 + whole.mul_f64(0.75 * f64::from(dice.0) / f64::from(u32::MAX))
}
