//! Sessions as calls, watches and senders change them: load, let the machine decide, compare-and-set, again if somebody
//! else was faster.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Event, Life, PushTarget, Rules, SessionId};
use proto::trace;
use store::{Change, NewPush, SessionRecord, Store, StoreError};
use tokio::sync::Notify;

use crate::clock::{self, Clock};
use crate::handle::Ping;
use crate::history;
use crate::logins::Logins;
use crate::traced::Traced;

/// The watches that this node runs, so that they can be woken. A wake carries nothing: the watch reads the store.
#[derive(Default)]
pub(crate) struct Watches {
    running: Mutex<HashMap<SessionId, Arc<Notify>>>,
    /// Pings that staff asked for and that their watches have not taken up yet.
    pings: Mutex<HashMap<SessionId, VecDeque<Ping>>>,
}

/// Pings of one session that may wait; beyond that, the oldest is dropped.
const MAX_PINGS: usize = 4;

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
        self.pings().remove(&id);
    }

    fn pings(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, VecDeque<Ping>>> {
        self.pings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the watch of a session for a ping, if it is here. Who asks meanwhile gets one after it.
    pub(crate) fn ask(&self, id: SessionId, ping: Ping) -> bool {
        let here = self.lock().contains_key(&id);
        if here {
            let mut pings = self.pings();
            let waiting = pings.entry(id).or_default();
            if waiting.len() == MAX_PINGS {
                waiting.pop_front();
            }
            waiting.push_back(ping);
            drop(pings);
            self.wake(id);
        }
        here
    }

    /// The ping that was asked for, if any.
    pub(crate) fn take_ping(&self, id: SessionId) -> Option<Ping> {
        let mut pings = self.pings();
        let waiting = pings.get_mut(&id)?;
        let ping = waiting.pop_front();
        if waiting.is_empty() {
            pings.remove(&id);
        } else {
            drop(pings);
            self.wake(id);
        }
        ping
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
    pub(crate) traced: Arc<Traced>,
    pub(crate) logins: Logins,
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
    /// The field `pinger.traced` of a span that is about this session.
    pub(crate) fn traced(&self, id: SessionId) -> Option<bool> {
        self.traced.field(id, self.clock.now())
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::{Actor, PingStep};

    fn ping(staff: &str) -> (Ping, tokio::sync::mpsc::Receiver<PingStep>) {
        Ping::new(Actor { staff: staff.to_owned(), traceparent: None })
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_a_ping_meanwhile_gets_one_after_it() {
        let watches = Watches::default();
        let id = SessionId::from_uuid(uuid::Uuid::from_u128(1));
        assert!(!watches.ask(id, ping("nobody is here").0));
        let wake = watches.enter(id).unwrap();
        let (kim, _kim) = ping("kim");
        let (lee, _lee) = ping("lee");
        assert!(watches.ask(id, kim) && watches.ask(id, lee));
        wake.notified().await;
        assert_eq!(watches.take_ping(id).unwrap().actor.staff, "kim");
        wake.notified().await;
        assert_eq!(watches.take_ping(id).unwrap().actor.staff, "lee");
        assert!(watches.take_ping(id).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn pings_that_wait_are_few_and_go_with_the_watch() {
        let watches = Watches::default();
        let id = SessionId::from_uuid(uuid::Uuid::from_u128(1));
        let _wake = watches.enter(id).unwrap();
        let mut steps: Vec<_> = (0..=MAX_PINGS)
            .map(|_| {
                let (ping, steps) = ping("kim");
                assert!(watches.ask(id, ping));
                steps
            })
            .collect();
        assert!(steps[0].recv().await.is_none(), "the oldest was let go");
        assert!(steps[1].try_recv().is_err_and(|error| error == tokio::sync::mpsc::error::TryRecvError::Empty));
        watches.leave(id);
        assert!(steps[1].recv().await.is_none());
    }
}
