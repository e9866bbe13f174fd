//! Sign-ins that wait for their second factor: in memory, for five minutes, with five tries. A restart forgets them, and the
//! password is asked for again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::Timestamp;
use store::StaffId;

/// How long a code is waited for.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How many codes may be tried.
const TRIES: u8 = 5;

/// How many may wait at once. Each stands for a password that was right.
const MOST: usize = 4_096;

#[derive(Clone, Copy, Debug)]
struct Waiting {
    staff: StaffId,
    until: Timestamp,
    tries: u8,
}

/// Who waits, by the hash of their cookie.
#[derive(Default)]
pub(crate) struct Pending {
    all: Mutex<HashMap<String, Waiting>>,
}

impl Pending {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Waiting>> {
        // A panic while it was held left a map that is whole all the same.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody's password was right. False if too many wait.
    pub(crate) fn begin(&self, hash: String, staff: StaffId, now: Timestamp) -> bool {
        let mut all = self.lock();
        all.retain(|_, waiting| now < waiting.until);
        if all.len() >= MOST {
            return false;
        }
        all.insert(hash, Waiting { staff, until: now.after(PATIENCE), tries: TRIES });
        true
    }

    /// Who waits under this cookie.
    pub(crate) fn who(&self, hash: &str, now: Timestamp) -> Option<StaffId> {
        self.lock().get(hash).filter(|waiting| now < waiting.until).map(|waiting| waiting.staff)
    }

    /// The same, and takes one of their tries.
    pub(crate) fn attempt(&self, hash: &str, now: Timestamp) -> Option<StaffId> {
        let mut all = self.lock();
        let waiting = all.get_mut(hash).filter(|waiting| now < waiting.until)?;
        let Some(tries) = waiting.tries.checked_sub(1) else {
            all.remove(hash);
            return None;
        };
        waiting.tries = tries;
        Some(waiting.staff)
    }

    /// They are in, or have given up.
    pub(crate) fn end(&self, hash: &str) {
        self.lock().remove(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[test]
    fn codes_are_waited_for_five_minutes_and_five_tries() {
        let (pending, kim) = (Pending::default(), StaffId::new());
        assert!(pending.begin("a".to_owned(), kim, NOW));
        assert_eq!(pending.who("a", NOW), Some(kim));
        assert_eq!(pending.who("b", NOW), None);
        assert_eq!(pending.who("a", NOW.after(PATIENCE)), None);
        let tries = (0..100).filter(|_| pending.attempt("a", NOW).is_some()).count();
        assert_eq!(tries, 5);
        assert_eq!(pending.who("a", NOW), None);
    }

    #[test]
    fn not_everybody_can_wait_at_once() {
        let pending = Pending::default();
        let begun = (0..5_000).filter(|number| pending.begin(number.to_string(), StaffId::new(), NOW)).count();
        assert_eq!(begun, MOST);
        assert!(pending.begin("later".to_owned(), StaffId::new(), NOW.after(PATIENCE)));
    }
}
