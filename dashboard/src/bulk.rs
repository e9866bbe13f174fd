//! Acts on many sessions, one after the other, by one task that the server owns.
//!
//! A bulk act is a list of ids that was made when it began, in the store with what became of each. What changes meanwhile is
//! looked at again for each: what has ended is counted as that and left alone. After a restart it goes on with the first
//! whose turn was not over; that one may be done twice, and nothing is left out. The audit has the whole before the first,
//! each before it is done, and the end.

use std::time::Duration;

use backend::{Actor, Handle, HandleError};
use domain::SessionId;
use store::{
    AuditAction, BulkId, BulkOutcome, BulkProgress, BulkRecord, BulkRefusal, BulkStep, NewAudit, NewBulk, Role,
    StoreError,
};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;
use crate::part::icon::Icon;

/// The most sessions of one bulk act.
pub(crate) const MOST: usize = 1_000;

/// How long each may take before the next: 20 a second.
const PACE: Duration = Duration::from_millis(50);

/// How often it is looked whether something is to be done although nobody told us: heals whatever wake was lost.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The pause after the store failed.
const FAULT_PAUSE: Duration = Duration::from_secs(5);

/// For how long after our start a session that is not watched yet is waited for, and how often it is asked for: its node is
/// claiming.
const CLAIMING: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// By whom something is stopped that no member of staff stops.
const SYSTEM: &str = crate::server::SYSTEM;

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

/// An id that nobody guesses.
pub(crate) fn new_id() -> BulkId {
    BulkId::new(rand::random())
}

/// The task that does them, woken when one is ordered.
#[derive(Default)]
pub(crate) struct Bulks {
    ordered: Notify,
}

impl Bulks {
    /// Has it done, after those that were ordered before, with its entry in the audit; or says that too many wait.
    pub(crate) async fn order(
        &self,
        auth: &Auth,
        new: NewBulk,
        entry: NewAudit,
    ) -> Result<Result<(), BulkRefusal>, StoreError> {
        let ordered = auth.store().bulk_step(BulkStep::Order(Box::new(new)), Some(entry)).await?;
        self.ordered.notify_one();
        Ok(ordered)
    }

    /// Does what is ordered, one after the other, until the shutdown; first what the last run of this node left.
    pub(crate) async fn keep(&self, auth: &Auth, handle: Option<&Handle>, ended: &CancellationToken) {
        // Without a backend nothing is ordered.
        let Some(handle) = handle else { return };
        let claimed_by = Instant::now() + CLAIMING;
        let worker = Worker { auth, handle, claimed_by };
        let working = async {
            loop {
                let worked = match auth.store().next_bulk().await {
                    Ok(Some(bulk)) => worker.run(&bulk).await,
                    Ok(None) => {
                        // Nobody told us in so long: look anyway.
                        let _ = tokio::time::timeout(LOOK_AGAIN, self.ordered.notified()).await;
                        Ok(())
                    }
                    Err(error) => Err(error),
                };
                if let Err(error) = worked {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a bulk act can't go on; trying again");
                    tokio::time::sleep(FAULT_PAUSE).await;
                }
            }
        };
        let _: Option<()> = ended.run_until_cancelled(working).await;
    }
}

/// What does them.
struct Worker<'a> {
    auth: &'a Auth,
    handle: &'a Handle,
    /// Until when sessions that are not watched may be so because we have just started.
    claimed_by: Instant,
}

impl Worker<'_> {
    /// Does one to its end, or until somebody stops it.
    async fn run(&self, bulk: &BulkRecord) -> Result<(), StoreError> {
        let (store, id) = (self.auth.store(), bulk.id);
        let Some(act) = Act::parse(&bulk.act) else {
            tracing::error!(bulk = %id, act = bulk.act, "a bulk act was ordered from another version; it is not done");
            let entry = self.entry(bulk, AuditAction::BulkStopped, id.to_string(), None);
            let stop = BulkStep::Stop { id, at: self.auth.now(), by: SYSTEM.to_owned() };
            return store.bulk_step(stop, Some(NewAudit { staff: SYSTEM.to_owned(), ..entry })).await.map(drop);
        };
        if store.bulk_step(BulkStep::Begin(id), None).await?.is_err() {
            return Ok(());
        }
        let mut tick = tokio::time::interval(PACE);
        // Sessions whose turn was late are not done all at once.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let rest = store.bulk_rest(id).await?;
            if rest.is_empty() {
                break;
            }
            for (position, session) in rest {
                tick.tick().await;
                let outcome = self.act(bulk, act, session).await;
                if store.bulk_step(BulkStep::Did { id, position, outcome }, None).await?.is_err() {
                    return Ok(());
                }
            }
        }
        let BulkProgress { done, failed, .. } = store.bulk_progress(id).await?;
        let what = format!("{id}: {} of {}, {done} done", act.as_str(), bulk.sessions);
        let entry = self.entry(bulk, AuditAction::BulkEnded, what, Some(bulk.reason.clone()));
        // Whoever stopped it in this very moment has.
        let _ = store.bulk_step(BulkStep::End { id, at: self.auth.now() }, Some(entry)).await?;
        tracing::info!(bulk = %id, act = act.as_str(), sessions = bulk.sessions, done, failed, "a bulk act is over");
        Ok(())
    }

    fn entry(&self, bulk: &BulkRecord, action: AuditAction, subject: String, reason: Option<String>) -> NewAudit {
        NewAudit {
            at: self.auth.now(),
            staff: bulk.staff.clone(),
            action,
            subject,
            reason: reason.filter(|reason| !reason.is_empty()),
            address: Some(bulk.address.clone()),
        }
    }

    /// Does it to one that lives still. Nothing is done without its entry in the audit.
    async fn act(&self, bulk: &BulkRecord, act: Act, id: SessionId) -> BulkOutcome {
        let store = self.auth.store();
        match store.session(id).await {
            Err(error) => return failed(id, &error),
            Ok(None) => return BulkOutcome::Unknown,
            Ok(Some(session)) if !session.life.is_live() => return BulkOutcome::Ended,
            Ok(Some(_)) => {}
        }
        let reason = format!("bulk {}: {}", bulk.id, bulk.reason);
        if let Err(error) = store.audit(self.entry(bulk, act.action(), id.to_string(), Some(reason))).await {
            return failed(id, &error);
        }
        loop {
            match self.once(bulk, act, id).await {
                Ok(()) => return BulkOutcome::Done,
                Err(HandleError::NotWatched) if Instant::now() < self.claimed_by => {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                Err(HandleError::NotWatched) => return BulkOutcome::NotWatched,
                Err(HandleError::Unknown) => return BulkOutcome::Unknown,
                Err(HandleError::Ended(_)) => return BulkOutcome::Ended,
                Err(HandleError::Store(error)) => return failed(id, &error),
            }
        }
    }

    async fn once(&self, bulk: &BulkRecord, act: Act, id: SessionId) -> Result<(), HandleError> {
        let actor = Actor { staff: bulk.staff.clone(), traceparent: None };
        match act {
            // Nobody listens to the steps; the session's timeline tells what the ping found.
            Act::Ping => self.handle.force_ping(id, actor).await.map(drop),
            Act::TestPush => self.handle.send_test_push(id, &actor).await.map(drop),
            Act::Trace => self.handle.trace_session(id, &actor).await.map(drop),
            Act::Revoke => self.handle.revoke(id, &actor).await,
        }
    }
}

fn failed(id: SessionId, error: &StoreError) -> BulkOutcome {
    tracing::warn!(session = %id, error = error as &dyn std::error::Error, "the store failed in a bulk act");
    BulkOutcome::Failed
}
