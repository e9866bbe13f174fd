//! What this node runs: it claims live sessions that no node runs, and keeps a watch for each.
//!
//! A session that was just registered, one that was left by a restart and one that another node gave up all take this
//! one way.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use domain::SessionId;
use futures_util::FutureExt as _;
use store::Claimed;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::watch::Watcher;

/// Sessions in one claim.
const CLAIM: u64 = 500;

/// How often to look for sessions although nothing woke us: heals whatever wake was lost.
const RECONCILE: Duration = Duration::from_secs(5);

/// How long sessions are gathered for one claim after the first of them told of itself. A claim is a commit, and none of
/// them is in such a hurry as those who register next.
const GATHER: Duration = Duration::from_millis(20);

/// The pause before a watch that crashed is started again.
const CRASH_PAUSE: Duration = Duration::from_secs(10);

/// Runs watches until `stop`, and returns when the last one has ended.
pub(crate) async fn run(watcher: Arc<Watcher>, stop: CancellationToken) {
    let watches = TaskTracker::new();
    let store = watcher.store().clone();
    // Whatever this node ran before it was stopped or killed, it no longer does.
    while let Err(error) = store.release().await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "can't take back the sessions of the last run; trying again"
        );
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = stop.cancelled() => return,
        }
    }
    while !stop.is_cancelled() {
        let mut changes = store.changes();
        match store.claim(CLAIM).await {
            Ok(claimed) => {
                let more = claimed.len() as u64 == CLAIM;
                for session in &claimed {
                    if let Some(until) = session.trace_until {
                        watcher.sessions.traced.set(session.id, until);
                    }
                    if let Some(wake) = watcher.watches().enter(session.id) {
                        let first = Some(Box::new(session.clone()));
                        watches.spawn(keep_watch(watcher.clone(), session.id, first, wake, stop.clone()));
                    }
                }
                wake_missed(&watcher, &claimed, &mut changes);
                if more {
                    continue;
                }
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "can't claim sessions; trying again")
            }
        }
        tokio::select! {
            () = store.unclaimed() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(RECONCILE) => {}
            () = stop.cancelled() => {}
        }
    }
    watches.close();
    watches.wait().await;
}

/// Wakes the watches of sessions that were changed after they were claimed and before there was a watch to be woken.
fn wake_missed(watcher: &Watcher, claimed: &[Claimed], changes: &mut broadcast::Receiver<SessionId>) {
    loop {
        match changes.try_recv() {
            Ok(id) => watcher.watches().wake(id),
            Err(TryRecvError::Lagged(_)) => claimed.iter().for_each(|session| watcher.watches().wake(session.id)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return,
        }
    }
}

/// One session's watch, for as long as it lives. A crash of one is one's own.
async fn keep_watch(
    watcher: Arc<Watcher>,
    id: SessionId,
    mut first: Option<Box<Claimed>>,
    wake: Arc<Notify>,
    stop: CancellationToken,
) {
    loop {
        let watch = watcher.watch(id, first.take(), &wake, &stop);
        if AssertUnwindSafe(watch).catch_unwind().await.is_ok() {
            break;
        }
        tracing::error!(session = %id, "a watch crashed; it is started again");
        tokio::select! {
            () = tokio::time::sleep(CRASH_PAUSE) => {}
            () = stop.cancelled() => break,
        }
    }
    watcher.watches().leave(id);
}
