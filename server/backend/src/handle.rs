//! What staff do to sessions: the dashboard's way into the backend.

use std::sync::Arc;
use std::time::Duration;

use domain::{EndReason, Event, FailureCode, Limits, PushId, PushKind, Rules, SessionId, Timestamp};
use proto::trace;
use store::{Change, NewPush, Note, SessionRecord, Store, StoreError, TimelineKind};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::clock;
use crate::push::Sender;
use crate::session::{Anew, Sessions};
use crate::vault::KeyRing;
use crate::watch::Pace;
use crate::watch::imap::quirk::{self, KnownQuirk};

/// How long “Trace this session” lasts.
const TRACE_FOR: Duration = Duration::from_secs(60 * 60);

/// Reports of one ping at the most.
const REPORTS: usize = 16;

/// Who does it.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The member of staff.
    pub staff: String,
    /// The W3C trace context of what they did.
    pub traceparent: Option<String>,
}

/// Why it can't be done.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// There is no such session.
    #[error("there is no such session")]
    Unknown,
    /// The session has ended.
    #[error("the session has ended: {}", .0.as_str())]
    Ended(EndReason),
    /// No watch runs here yet, as right after a start.
    #[error("the session is not watched here yet; try again in a few seconds")]
    NotWatched,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a forced ping does and finds, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PingReport {
    /// There was no connection: one is made.
    Connecting {
        /// To which host.
        host: String,
    },
    /// The connection is made and encrypted.
    Connected,
    /// The credential was taken.
    LoggedIn,
    /// The mailbox is open.
    Opened,
    /// The server was asked for UIDNEXT.
    Asked {
        /// What was known.
        before: u32,
        /// What it says.
        after: u32,
    },
    /// The server was asked by a long poll, and has taken or answered it.
    Polled,
    /// Over: there is nothing new.
    NothingNew,
    /// Over: there is new mail, and a push is on its way.
    Pushed,
    /// Over: there is new mail, and its push waits until the hold, or the device's own time, is over.
    Gathered,
    /// Over: it failed.
    Failed {
        /// How.
        code: FailureCode,
        /// What shows it, redacted.
        evidence: String,
    },
}

/// A report with the time since the ping was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingStep {
    /// The time.
    pub elapsed: Duration,
    /// What it is.
    pub report: PingReport,
}

/// A ping that staff asked for, in the hands of the session's watch.
pub(crate) struct Ping {
    pub(crate) actor: Actor,
    since: Instant,
    reports: mpsc::Sender<PingStep>,
}

impl Ping {
    /// A ping for `actor`, asked for now, and the reports of it.
    pub(crate) fn new(actor: Actor) -> (Self, mpsc::Receiver<PingStep>) {
        let (reports, steps) = mpsc::channel(REPORTS);
        (Self { actor, since: Instant::now(), reports }, steps)
    }

    /// Whoever listens is told; whoever doesn't reads the timeline.
    pub(crate) fn report(&self, report: PingReport) {
        let _ = self.reports.try_send(PingStep { elapsed: self.since.elapsed(), report });
    }
}

/// What a breaker holds back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBreaker {
    /// Why it is open, as a sentence.
    pub cause: String,
    /// When the next push is let through to try.
    pub probe_at: Option<Timestamp>,
}

/// What this installation is set to, for staff to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// What devices may ask for.
    pub limits: Limits,
    /// How patient the sessions are.
    pub rules: Rules,
    /// How long ended sessions, done pushes and what else is over are kept.
    pub retention: Duration,
    /// How long a push is worth sending.
    pub push_lifetime: Duration,
    /// What is done otherwise at some mail servers: the operator's rules, then the table.
    pub quirks: Vec<KnownQuirk>,
}

impl Default for Installed {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            rules: Rules::default(),
            retention: Duration::from_secs(crate::config::retention_hours() * 60 * 60),
            push_lifetime: Duration::from_secs(crate::config::push_lifetime_seconds()),
            quirks: quirk::known(&[]),
        }
    }
}

/// What staff can do. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) sessions: Sessions,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) sender: Arc<Sender>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) installed: Installed,
}

impl Handle {
    /// The store, for what is only looked at.
    pub fn store(&self) -> &Store {
        &self.sessions.store
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.sessions.clock.now()
    }

    /// The keyed hash under which sessions of a mail address are found.
    pub fn address_hash(&self, address: &str) -> String {
        self.keys.address_hash(&address.into())
    }

    /// The keys' public sides.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// What this installation is set to.
    pub fn installed(&self) -> &Installed {
        &self.installed
    }

    /// The breaker of the push service, if it is open.
    pub fn open_breaker(&self) -> Option<OpenBreaker> {
        self.sender.open_breaker()
    }

    /// About how long a session has still to wait for its turn to connect, if it waits for that.
    pub fn turn_in(&self, id: SessionId) -> Option<Duration> {
        self.pace.wait(id)
    }

    async fn live(&self, id: SessionId) -> Result<SessionRecord, HandleError> {
        let record = self.sessions.store.session(id).await?.ok_or(HandleError::Unknown)?;
        record.life.end_reason().map_or(Ok(record), |reason| Err(HandleError::Ended(reason)))
    }

    /// Has the session's watch ping its mail server now, and reports as it goes. It works while the session waits,
    /// watches, holds or retries; where no connection is open it costs a log-in.
    pub async fn force_ping(&self, id: SessionId, actor: Actor) -> Result<mpsc::Receiver<PingStep>, HandleError> {
        self.live(id).await?;
        let note =
            Note::new(TimelineKind::PingForced).staff(Some(actor.staff.clone())).traced(actor.traceparent.clone());
        let (ping, steps) = Ping::new(actor);
        if !self.sessions.watches.ask(id, ping) {
            return Err(HandleError::NotWatched);
        }
        self.sessions.store.note(id, self.now(), note).await?;
        Ok(steps)
    }

    /// Queues a push that says that it is a test.
    pub async fn send_test_push(&self, id: SessionId, actor: &Actor) -> Result<PushId, HandleError> {
        loop {
            let record = self.live(id).await?;
            let (now, push_id) = (self.now(), clock::push_id());
            let push = NewPush {
                id: push_id,
                kind: PushKind::Test,
                expires_at: now.after(self.sessions.push_lifetime),
                traceparent: actor.traceparent.clone(),
            };
            let note = Note::new(TimelineKind::TestPush)
                .detail(push_id.to_string())
                .staff(Some(actor.staff.clone()))
                .traced(actor.traceparent.clone());
            let change = Change {
                id,
                revision: record.revision,
                now,
                life: record.life,
                token_dies: false,
                push_target: None,
                eas_request: None,
                push: Some(push),
                notes: vec![note],
            };
            match self.sessions.store.change(change).await {
                Ok(_) => {
                    self.sessions.watches.wake(id);
                    return Ok(push_id);
                }
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the credential away: the connection is closed, the box destroyed, the token worth nothing, and the device is
    /// told to register again. Nobody can undo it.
    pub async fn revoke(&self, id: SessionId, actor: &Actor) -> Result<(), HandleError> {
        self.live(id).await?;
        let by = Some(actor.staff.as_str());
        let record = self.sessions.apply(id, Event::Revoked, Anew::default(), by).await?.ok_or(HandleError::Unknown)?;
        match record.life.end_reason() {
            Some(EndReason::Revoked) | None => Ok(()),
            // It ended by itself a moment before.
            Some(reason) => Err(HandleError::Ended(reason)),
        }
    }

    /// Has each episode of the session traced for an hour, whatever the sampler says, and answers until when.
    pub async fn trace_session(&self, id: SessionId, actor: &Actor) -> Result<Timestamp, HandleError> {
        self.live(id).await?;
        let (now, until) = (self.now(), self.now().after(TRACE_FOR));
        let note = Note::new(TimelineKind::TraceOn)
            .numbers(Some(until.as_millis()), None)
            .staff(Some(actor.staff.clone()))
            .traced(actor.traceparent.clone().or_else(trace::current_traceparent));
        self.sessions.store.trace(id, now, until, note).await?;
        self.sessions.traced.set(id, until);
        Ok(until)
    }
}
