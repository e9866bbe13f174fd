//! What this node runs: it claims live sessions that no node runs, and keeps a watch for each.
//!
//! A session that was just registered, one that was left by a restart and one that another node gave up all take this
//! one way.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use domain::SessionId;
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::watch::Watcher;

/// Sessions in one claim.
const CLAIM: u64 = 500;

/// How often to look for sessions although nothing woke us: heals whatever wake was lost.
const RECONCILE: Duration = Duration::from_secs(5);

/// The pause before a watch that crashed is started again.
const CRASH_PAUSE: Duration = Duration::from_secs(10);

/// Runs watches until `stop`, and returns when the last one has ended.
pub(crate) async fn run(watcher: Arc<Watcher>, stop: CancellationToken) {
    let watches = TaskTracker::new();
    let store = watcher.store().clone();
    // Whatever this node ran before it was stopped or killed, it no longer does.
    while let Err(error) = store.release().await {
        tracing::error!(error = &error as &dyn std::error::Error, "can't take back the sessions of the last run; trying again");
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = stop.cancelled() => return,
        }
    }
    while !stop.is_cancelled() {
        match store.claim(CLAIM).await {
            Ok(ids) => {
                let more = ids.len() as u64 == CLAIM;
                for id in ids {
                    watches.spawn(keep_watch(watcher.clone(), id, stop.clone()));
                }
                if more {
                    continue;
                }
            }
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "can't claim sessions; trying again"),
        }
        tokio::select! {
            () = store.unclaimed() => {}
            () = tokio::time::sleep(RECONCILE) => {}
            () = stop.cancelled() => {}
        }
    }
    watches.close();
    watches.wait().await;
}

/// One session's watch, for as long as it lives. A crash of one is one's own.
async fn keep_watch(watcher: Arc<Watcher>, id: SessionId, stop: CancellationToken) {
    let Some(wake) = watcher.watches().enter(id) else { return };
    loop {
        let watch = watcher.watch(id, &wake, &stop);
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
