//! How a role is told to stop.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a role may take to end what it is doing.
pub(crate) const DRAIN: Duration = Duration::from_secs(20);

/// Why what was left was not waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CutOff {
    /// Somebody insisted, or the parent is gone.
    #[error("stopped at once: what was left was cut off")]
    AtOnce,
    /// The drain took too long.
    #[error("stopping took more than {} s: what was left was cut off", DRAIN.as_secs())]
    TooLong,
}

/// The two ways to stop: when what is being done is done, and at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    /// Take nothing new, and end what is being done.
    pub(crate) drain: CancellationToken,
    /// Wait for nothing.
    pub(crate) at_once: CancellationToken,
}

impl Stop {
    /// Ready when there is nothing to wait for any more: somebody insisted, or the drain took too long.
    pub(crate) async fn patience_is_over(&self) -> CutOff {
        let too_long = async {
            self.drain.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            () = self.at_once.cancelled() => CutOff::AtOnce,
            () = too_long => CutOff::TooLong,
        }
    }
}

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over. From here on they don't kill the process.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The first signal drains, the second stops at once. Never ready.
    pub(crate) async fn obey(mut self, stop: Stop) {
        self.next().await;
        tracing::info!("stopping: told to by a signal; a second one stops at once");
        stop.drain.cancel();
        self.next().await;
        tracing::warn!("stopping at once: told to by a second signal");
        stop.at_once.cancel();
        std::future::pending().await
    }
}
