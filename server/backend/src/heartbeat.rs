//! This node's heartbeat: the store is told every few seconds that it is there, so that staff see which node is silent.

use std::time::Duration;

use store::NodeBeat;
use tokio_util::sync::CancellationToken;

use crate::session::Sessions;

/// How often a node tells of itself. It is one small write.
const EVERY: Duration = Duration::from_secs(10);

/// Tells of this node until `stop`, and then once more that it stops.
pub(crate) async fn run(sessions: Sessions, stop: CancellationToken) {
    let started_at = sessions.clock.now();
    loop {
        beat(&sessions, started_at, false).await;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => break,
        }
    }
    beat(&sessions, started_at, true).await;
}

async fn beat(sessions: &Sessions, started_at: domain::Timestamp, stops: bool) {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let beat = NodeBeat { version, started_at, seen_at: sessions.clock.now(), stops };
    if let Err(error) = sessions.store.beat(beat).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "the heartbeat of this node can't be written");
    }
}
