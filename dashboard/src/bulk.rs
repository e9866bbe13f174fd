//! Acts on many sessions, one after the other, by one task that the server owns.
//!
//! A bulk act is a list of ids that was made when it began. What changes meanwhile is looked at again for each: what has
//! ended is counted as that and left alone. It is kept in memory, so a restart ends it; the audit has the whole before the
//! first, and each before it is done.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backend::{Actor, Handle, HandleError};
use domain::{SessionId, Timestamp};
use store::{AuditAction, NewAudit, Role, StoreError};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;
use crate::part::icon::Icon;

/// The most sessions of one bulk act.
pub(crate) const MOST: usize = 1_000;

/// How long each may take before the next: 20 a second.
const PACE: Duration = Duration::from_millis(50);

/// Bulk acts that are remembered, and those of them that may wait or run.
const REMEMBERED: usize = 50;
const UNDER_WAY: usize = 10;

/// The sessions that are named of those to which it was not done.
const NAMED: usize = 20;

/// What is done to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Ping,
    TestPush,
    Trace,
    Revoke,
}

impl Act {
    pub(crate) const ALL: [Self; 4] = [Self::Ping, Self::TestPush, Self::Trace, Self::Revoke];

    /// The word in forms.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::TestPush => "test",
            Self::Trace => "trace",
            Self::Revoke => "revoke",
        }
    }

    /// Finds an act by its word.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.as_str() == text)
    }

    /// Who may do it to many. A revoke can be undone by nobody, so it is for fewer.
    pub(crate) const fn role(self) -> Role {
        match self {
            Self::Ping | Self::TestPush | Self::Trace => Role::Support,
            Self::Revoke => Role::Admin,
        }
    }

    /// What a button says that leads to the question.
    pub(crate) const fn button(self) -> &'static str {
        match self {
            Self::Ping => "Force ping…",
            Self::TestPush => "Test push…",
            Self::Trace => "Trace…",
            Self::Revoke => "Revoke…",
        }
    }

    /// What is done, as a title: “Force a ping”.
    pub(crate) const fn verb(self) -> &'static str {
        match self {
            Self::Ping => "Force a ping of",
            Self::TestPush => "Send a test push to",
            Self::Trace => "Trace, for an hour,",
            Self::Revoke => "Revoke the credentials of",
        }
    }

    /// What is done, as a noun: “Forced ping”.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Ping => "Forced ping",
            Self::TestPush => "Test push",
            Self::Trace => "Trace",
            Self::Revoke => "Revoke",
        }
    }

    pub(crate) const fn icon(self) -> Icon {
        match self {
            Self::Ping => Icon::Ping,
            Self::TestPush => Icon::Bell,
            Self::Trace => Icon::Trace,
            Self::Revoke => Icon::Revoked,
        }
    }

    const fn action(self) -> AuditAction {
        match self {
            Self::Ping => AuditAction::PingForced,
            Self::TestPush => AuditAction::TestPushSent,
            Self::Trace => AuditAction::TraceOn,
            Self::Revoke => AuditAction::SessionRevoked,
        }
    }
}

/// A bulk act, by a number that nobody guesses and the audit names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BulkId(u64);

impl BulkId {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for BulkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What is to be done, to what, for whom and why.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) id: BulkId,
    pub(crate) act: Act,
    pub(crate) sessions: Vec<SessionId>,
    /// By what they were found, for people: a search, or that they were ticked.
    pub(crate) found_by: String,
    /// The list that it came from.
    pub(crate) back: String,
    pub(crate) staff: String,
    /// From which address.
    pub(crate) address: String,
    pub(crate) reason: String,
    pub(crate) at: Timestamp,
}

/// Why it was not done to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// It has ended meanwhile.
    Ended,
    /// It is not known any more.
    Unknown,
    /// No node here watches it.
    NotWatched,
    /// The store failed.
    Failed,
}

/// Where a bulk act stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Others are before it.
    Waits,
    /// It is under way.
    Runs,
    /// All were looked at.
    Done { at: Timestamp },
    /// Somebody stopped it.
    Stopped { at: Timestamp, by: String },
}

/// How far it has come.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) stage: Stage,
    pub(crate) done: usize,
    pub(crate) ended: usize,
    pub(crate) unknown: usize,
    pub(crate) not_watched: usize,
    pub(crate) failed: usize,
    /// The first of those to which it was not done.
    pub(crate) missed: Vec<(SessionId, Missed)>,
}

impl Progress {
    /// How many were looked at.
    pub(crate) const fn seen(&self) -> usize {
        self.done + self.ended + self.unknown + self.not_watched + self.failed
    }

    fn count(&mut self, id: SessionId, outcome: Result<(), Missed>) {
        let Err(missed) = outcome else {
            self.done += 1;
            return;
        };
        *match missed {
            Missed::Ended => &mut self.ended,
            Missed::Unknown => &mut self.unknown,
            Missed::NotWatched => &mut self.not_watched,
            Missed::Failed => &mut self.failed,
        } += 1;
        if self.missed.len() < NAMED {
            self.missed.push((id, missed));
        }
    }
}

/// One that was ordered.
pub(crate) struct Bulk {
    pub(crate) order: Order,
    progress: Mutex<Progress>,
}

impl Bulk {
    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> Progress {
        self.lock().clone()
    }

    fn is_over(&self) -> bool {
        matches!(self.lock().stage, Stage::Done { .. } | Stage::Stopped { .. })
    }

    /// Stops it: what was done stays done. Answers whether it was under way.
    pub(crate) fn stop(&self, at: Timestamp, by: &str) -> bool {
        let mut progress = self.lock();
        let under_way = matches!(progress.stage, Stage::Waits | Stage::Runs);
        if under_way {
            progress.stage = Stage::Stopped { at, by: by.to_owned() };
        }
        under_way
    }
}

/// All of them, and the task that does them.
#[derive(Default)]
pub(crate) struct Bulks {
    all: Mutex<VecDeque<Arc<Bulk>>>,
    ordered: Notify,
}

/// Too many wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

impl Bulks {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Bulk>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another one may be ordered.
    pub(crate) fn has_room(&self) -> Result<(), Crowded> {
        let under_way = self.lock().iter().filter(|bulk| !bulk.is_over()).count();
        if under_way < UNDER_WAY { Ok(()) } else { Err(Crowded) }
    }

    /// Has it done, after those that were ordered before.
    pub(crate) fn order(&self, order: Order) {
        let progress = Progress {
            stage: Stage::Waits,
            done: 0,
            ended: 0,
            unknown: 0,
            not_watched: 0,
            failed: 0,
            missed: Vec::new(),
        };
        let mut all = self.lock();
        all.push_back(Arc::new(Bulk { order, progress: Mutex::new(progress) }));
        if all.len() > REMEMBERED
            && let Some(oldest) = all.iter().position(|bulk| bulk.is_over())
        {
            all.remove(oldest);
        }
        self.ordered.notify_one();
    }

    /// One of them, if it is remembered.
    pub(crate) fn find(&self, id: BulkId) -> Option<Arc<Bulk>> {
        self.lock().iter().find(|bulk| bulk.order.id == id).cloned()
    }

    /// Does what is ordered, one after the other, until the shutdown.
    pub(crate) async fn keep(&self, auth: &Auth, handle: Option<&Handle>, ended: &CancellationToken) {
        // Without a backend nothing is ordered.
        let Some(handle) = handle else { return };
        loop {
            let next = self.lock().iter().find(|bulk| bulk.lock().stage == Stage::Waits).cloned();
            let working = async {
                match next {
                    Some(bulk) => run(&bulk, auth, handle).await,
                    None => self.ordered.notified().await,
                }
            };
            if ended.run_until_cancelled(working).await.is_none() {
                return;
            }
        }
    }
}

async fn run(bulk: &Bulk, auth: &Auth, handle: &Handle) {
    bulk.lock().stage = Stage::Runs;
    let mut tick = tokio::time::interval(PACE);
    // Sessions whose turn was late are not done all at once.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for id in &bulk.order.sessions {
        tick.tick().await;
        if bulk.is_over() {
            break;
        }
        let outcome = act(&bulk.order, *id, auth, handle).await;
        bulk.lock().count(*id, outcome);
    }
    let (mut progress, order) = (bulk.lock(), &bulk.order);
    if progress.stage == Stage::Runs {
        progress.stage = Stage::Done { at: auth.now() };
    }
    tracing::info!(
        bulk = %order.id,
        act = order.act.as_str(),
        sessions = order.sessions.len(),
        done = progress.done,
        failed = progress.failed,
        "a bulk act is over"
    );
}

/// Does it to one that lives still. Nothing is done without its entry in the audit.
async fn act(order: &Order, id: SessionId, auth: &Auth, handle: &Handle) -> Result<(), Missed> {
    match auth.store().session(id).await.map_err(|error| failed(id, &error))? {
        None => return Err(Missed::Unknown),
        Some(session) if !session.life.is_live() => return Err(Missed::Ended),
        Some(_) => {}
    }
    let entry = NewAudit {
        at: auth.now(),
        staff: order.staff.clone(),
        action: order.act.action(),
        subject: id.to_string(),
        reason: Some(format!("bulk {}: {}", order.id, order.reason)),
        address: Some(order.address.clone()),
    };
    auth.store().audit(entry).await.map_err(|error| failed(id, &error))?;
    let actor = Actor { staff: order.staff.clone(), traceparent: None };
    let acted = match order.act {
        // Nobody listens to the steps; the session's timeline tells what the ping found.
        Act::Ping => handle.force_ping(id, actor).await.map(drop),
        Act::TestPush => handle.send_test_push(id, &actor).await.map(drop),
        Act::Trace => handle.trace_session(id, &actor).await.map(drop),
        Act::Revoke => handle.revoke(id, &actor).await,
    };
    acted.map_err(|error| match error {
        HandleError::Unknown => Missed::Unknown,
        HandleError::Ended(_) => Missed::Ended,
        HandleError::NotWatched => Missed::NotWatched,
        HandleError::Store(error) => failed(id, &error),
    })
}

fn failed(id: SessionId, error: &StoreError) -> Missed {
    tracing::warn!(session = %id, error = error as &dyn std::error::Error, "the store failed in a bulk act");
    Missed::Failed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order {
            id: BulkId::random(),
            act: Act::Ping,
            sessions: Vec::new(),
            found_by: String::new(),
            back: String::new(),
            staff: "kim".to_owned(),
            address: "127.0.0.1".to_owned(),
            reason: String::new(),
            at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn only_so_many_wait_and_only_so_many_are_remembered() {
        let bulks = Bulks::default();
        let mut ids = Vec::new();
        for _ in 0..UNDER_WAY {
            assert_eq!(bulks.has_room(), Ok(()));
            let order = order();
            ids.push(order.id);
            bulks.order(order);
        }
        assert_eq!(bulks.has_room(), Err(Crowded));
        let first = bulks.find(ids[0]).unwrap();
        assert!(first.stop(Timestamp::from_millis(1), "kim"));
        assert!(!first.stop(Timestamp::from_millis(2), "tomas"), "it is stopped once");
        assert_eq!(bulks.has_room(), Ok(()));
        for _ in 0..REMEMBERED {
            let order = order();
            let id = order.id;
            bulks.order(order);
            assert!(bulks.find(id).unwrap().stop(Timestamp::from_millis(1), "kim"));
        }
        assert!(bulks.find(ids[0]).is_none(), "the oldest that is over is forgotten");
        assert!(bulks.find(ids[1]).is_some(), "what waits is not");
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = BulkId::random();
        assert_eq!(BulkId::parse(&id.to_string()), Some(id));
        assert_eq!(BulkId::parse("nonsense"), None);
    }
}
