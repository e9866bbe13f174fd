//! A growing list of what a peer has seen, which a test can wait on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// What happened, in order, with a bell for those who wait.
pub(crate) struct Record<T> {
    entries: Mutex<Vec<T>>,
    bell: watch::Sender<()>,
}

impl<T> Default for Record<T> {
    fn default() -> Self {
        Self { entries: Mutex::default(), bell: watch::Sender::new(()) }
    }
}

impl<T: Clone> Record<T> {
    pub(crate) fn push(&self, entry: T) {
        lock(&self.entries).push(entry);
        self.bell.send_replace(());
    }

    pub(crate) fn all(&self) -> Vec<T> {
        lock(&self.entries).clone()
    }

    pub(crate) fn clear(&self) {
        lock(&self.entries).clear();
    }

    pub(crate) fn count(&self, wanted: impl Fn(&T) -> bool) -> usize {
        lock(&self.entries).iter().filter(|entry| wanted(entry)).count()
    }

    /// The first entry that fits, past or to come; `None` when the time is over.
    pub(crate) async fn wait_for(&self, timeout: Duration, wanted: impl Fn(&T) -> bool) -> Option<T> {
        self.wait(timeout, |entries| entries.iter().find(|entry| wanted(entry)).cloned()).await
    }

    /// Waits until `look` finds what it wants in the whole list.
    pub(crate) async fn wait<R>(&self, timeout: Duration, look: impl Fn(&[T]) -> Option<R>) -> Option<R> {
        let mut bell = self.bell.subscribe();
        tokio::time::timeout(timeout, async {
            loop {
                bell.mark_unchanged();
                let found = look(&lock(&self.entries));
                if found.is_some() {
                    return found;
                }
                if bell.changed().await.is_err() {
                    return None;
                }
            }
        })
        .await
        .unwrap_or(None)
    }
}

/// Locks, also after a panic elsewhere: a test that failed must not hide why behind a poisoned lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
