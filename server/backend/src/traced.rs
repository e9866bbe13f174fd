//! Sessions that staff have traced: their spans say so, and the sampler lets those through whatever else it drops.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::{SessionId, Timestamp};

/// The sessions of this node, each until when. What it is made from is in the store.
#[derive(Debug, Default)]
pub(crate) struct Traced(Mutex<HashMap<SessionId, Timestamp>>);

impl Traced {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Timestamp>> {
        // A panic while it was held left a map that is whole all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a session traced until `until`.
    pub(crate) fn set(&self, id: SessionId, until: Timestamp) {
        self.lock().insert(id, until);
    }

    /// The field `pinger.traced` of a span that is about this session: there only if the session is traced now.
    pub(crate) fn field(&self, id: SessionId, now: Timestamp) -> Option<bool> {
        let mut all = self.lock();
        let until = *all.get(&id)?;
        if now < until {
            return Some(true);
        }
        all.remove(&id);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    #[test]
    fn it_ends_by_itself() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let (ours, other) = (clock::session_id(), clock::session_id());
        let traced = Traced::default();
        assert_eq!(traced.field(ours, now), None);
        let until = now.after(Duration::from_secs(60 * 60));
        traced.set(ours, until);
        assert_eq!((traced.field(ours, now), traced.field(other, now)), (Some(true), None));
        assert_eq!(traced.field(ours, now.after(Duration::from_millis(60 * 60 * 1000 - 1))), Some(true));
        assert_eq!(traced.field(ours, until), None);
        assert!(traced.lock().is_empty(), "it is forgotten");
    }
}
