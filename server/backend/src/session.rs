//! Sessions as calls, watches and senders change them: load, let the machine decide, compare-and-set, again if somebody
//! else was faster.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Event, Life, PushTarget, Rules, SessionId};
use proto::trace;
use store::{Change, NewPush, SessionRecord, Store, StoreError};
use tokio::sync::Notify;

use crate::clock::{self, Clock};
use crate::handle::Ping;
use crate::history;

/// The watches that this node runs, so that they can be woken. A wake carries nothing: the watch reads the store.
#[derive(Default)]
pub(crate) struct Watches {
    running: Mutex<HashMap<SessionId, Arc<Notify>>>,
    /// Pings that staff asked for and that their watches have not taken up yet.
    pings: Mutex<HashMap<SessionId, Ping>>,
}

impl Watches {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Arc<Notify>>> {
        // A panic while it was held left a map that is whole all the same.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a watch; none if there is one already.
    pub(crate) fn enter(&self, id: SessionId) -> Option<Arc<Notify>> {
        let wake = Arc::new(Notify::new());
        match self.lock().entry(id) {
            std::collections::hash_map::Entry::Occupied(_) => None,
            std::collections::hash_map::Entry::Vacant(vacant) => Some(vacant.insert(wake).clone()),
        }
    }

    pub(crate) fn leave(&self, id: SessionId) {
        self.lock().remove(&id);
        self.take_ping(id);
    }

    /// Asks the watch of a session for a ping, if it is here. A second one in a hurry replaces the first.
    pub(crate) fn ask(&self, id: SessionId, ping: Ping) -> bool {
        let here = self.lock().contains_key(&id);
        if here {
            self.pings.lock().unwrap_or_else(PoisonError::into_inner).insert(id, ping);
            self.wake(id);
        }
        here
    }

    /// The ping that was asked for, if any.
    pub(crate) fn take_ping(&self, id: SessionId) -> Option<Ping> {
        self.pings.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    /// Whether a ping was asked for that nobody has taken up.
    pub(crate) fn is_asked(&self, id: SessionId) -> bool {
        self.pings.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// Wakes the watch of a session, if it is here.
    pub(crate) fn wake(&self, id: SessionId) {
        if let Some(wake) = self.lock().get(&id) {
            wake.notify_one();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

/// What changes sessions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sessions {
    pub(crate) store: Store,
    pub(crate) watches: Arc<Watches>,
    pub(crate) clock: Clock,
    pub(crate) rules: Arc<Rules>,
    pub(crate) push_lifetime: Duration,
}

/// A session in the hands of whoever changes it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) id: SessionId,
    pub(crate) revision: u64,
    pub(crate) life: Life,
}

impl From<&SessionRecord> for Held {
    fn from(record: &SessionRecord) -> Self {
        Self { id: record.id, revision: record.revision, life: record.life.clone() }
    }
}

impl Sessions {
    /// Lets `event` happen to a session, once. Nothing is written if nothing changes: a ping that finds nothing costs
    /// nothing.
    pub(crate) async fn step(
        &self,
        held: &mut Held,
        event: Event,
        push_target: Option<PushTarget>,
        by: Option<&str>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut life = held.life.clone();
        let effects = life.apply(&self.rules, now, clock::dice(), event.clone());
        if life == held.life && push_target.is_none() {
            return Ok(());
        }
        let push = effects.push.map(|kind| NewPush {
            id: clock::push_id(),
            kind,
            expires_at: now.after(self.push_lifetime),
            traceparent: trace::current_traceparent(),
        });
        let span = tracing::Span::current();
        span.record("pinger.state", life.state().as_str());
        if let Some(push) = &push {
            span.record("pinger.push_id", tracing::field::display(push.id));
        }
        let traceparent = trace::current_traceparent();
        let told = history::notes(&event, &held.life, &life).into_iter();
        let change = Change {
            id: held.id,
            revision: held.revision,
            now,
            life: life.clone(),
            token_dies: effects.token_dies,
            push_target,
            push,
            notes: told.map(|note| note.traced(traceparent.clone()).staff(by.map(str::to_owned))).collect(),
        };
        let (before, queued) = (held.life.state(), effects.push);
        let applied = self.store.change(change).await?;
        held.revision = applied.revision;
        held.life = life;
        if held.life.state() != before || queued.is_some() {
            tracing::info!(
                session = %held.id,
                from = before.as_str(),
                to = held.life.state().as_str(),
                reason = held.life.end_reason().map(domain::EndReason::as_str),
                push = queued.map(domain::PushKind::as_str),
                "session changed"
            );
        }
        Ok(())
    }

    /// Lets `event` happen to whatever the session is by now, and wakes its watch. None if there is no such session.
    pub(crate) async fn apply(
        &self,
        id: SessionId,
        event: Event,
        push_target: Option<PushTarget>,
        by: Option<&str>,
    ) -> Result<Option<SessionRecord>, StoreError> {
        loop {
            let Some(mut record) = self.store.session(id).await? else { return Ok(None) };
            let mut held = Held::from(&record);
            match self.step(&mut held, event.clone(), push_target.clone(), by).await {
                Ok(()) => {
                    self.watches.wake(id);
                    record.life = held.life;
                    record.revision = held.revision;
                    return Ok(Some(record));
                }
                // Somebody was faster; what they did counts first.
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
