//! The gateway as a child process: started, watched, started again, stopped.
//!
//! The child's standard input is its leash. It stays open for as long as the child may run; the system closes it when
//! this process ends, in whatever way.

use std::io;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;

use crate::stop::Stop;
use crate::telemetry::Settings;

/// How long a gateway may take to be ready.
const START: Duration = Duration::from_secs(30);

/// How long a gateway may take to end what it is doing. It takes ten seconds for calls itself; the backend has the rest of
/// [`crate::stop::DRAIN`].
const DRAIN: Duration = Duration::from_secs(12);

/// How long a gateway may take to go once its leash is cut.
const GO: Duration = Duration::from_secs(2);

/// What a gateway is told, as the first line of its standard input.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Handover {
    pub(crate) gateway: gateway::Config,
    pub(crate) telemetry: Settings,
    /// Its RLIMIT_DATA; 0 for none.
    pub(crate) memory_bytes: u64,
}

/// What a gateway says when it listens, as the only line of its standard output.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Ready {
    pub(crate) ready: SocketAddr,
}

/// A gateway that listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChildError {
    #[error("the process could not be started")]
    Spawn(#[source] io::Error),
    #[error("the process could not be spoken to")]
    Pipe(#[source] io::Error),
    #[error("what it is to be told can't be written")]
    Handover(#[source] serde_json::Error),
    #[error("the process ended before it was ready ({0}); it has said why")]
    Ended(ExitStatus),
    #[error("the process was not ready after {} s", START.as_secs())]
    Slow,
    #[error("the process was lost")]
    Lost(#[source] io::Error),
}

impl ChildError {
    /// The exit code for a server that fails of it: the gateway's own, where that means something.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Ended(status) if status.code() == Some(2) => 2,
            Self::Lost(_) => 1,
            Self::Ended(_) | Self::Spawn(_) | Self::Pipe(_) | Self::Handover(_) | Self::Slow => 3,
        }
    }
}

/// Keeps a gateway running until `stop`. `first` is told of the first one; if that can't start, nothing is tried again.
pub(crate) async fn keep_running(
    mut handover: Handover,
    stop: Stop,
    first: oneshot::Sender<Running>,
) -> Result<(), ChildError> {
    let mut first = Some(first);
    let mut back_off = BackOff::default();
    loop {
        let started = Instant::now();
        let gateway = tokio::select! {
            gateway = Gateway::start(&handover) => gateway,
            // Dropping what was started kills it.
            () = stop.drain.cancelled() => return Ok(()),
        };
        match gateway {
            Ok((mut gateway, address)) => {
                let pid = gateway.pid();
                tracing::info!(%address, pid, "gateway ready");
                // From now on it is this address: a free port that was chosen once stays chosen.
                handover.gateway.listen = address;
                if let Some(first) = first.take() {
                    // Whoever asked may be gone: then we are being stopped.
                    let _ = first.send(Running { address, pid });
                }
                tokio::select! {
                    status = gateway.child.wait() => {
                        let status = status.map_err(ChildError::Lost)?;
                        tracing::error!(pid, %status, "the gateway ended by itself");
                    }
                    () = stop.drain.cancelled() => {
                        gateway.stop(&stop).await;
                        return Ok(());
                    }
                }
            }
            Err(error) if first.is_some() => return Err(error),
            Err(error) => tracing::error!(%error, "the gateway could not be started again"),
        }
        let pause = back_off.after(started.elapsed());
        tracing::info!(pause_ms = pause.as_millis(), "the gateway is started again after a pause");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.drain.cancelled() => return Ok(()),
        }
    }
}

struct Gateway {
    child: Child,
    /// Taken from the child, because waiting for a child closes its standard input.
    leash: ChildStdin,
    /// Kept open, so that a gateway that writes to it is not killed by that.
    _output: BufReader<ChildStdout>,
}

impl Gateway {
    async fn start(handover: &Handover) -> Result<(Self, SocketAddr), ChildError> {
        let mut line = serde_json::to_vec(handover).map_err(ChildError::Handover)?;
        line.push(b'\n');
        let mut child = command()
            .args(["gateway", "--stdin-config"])
            .env_clear()
            .current_dir("/")
            // A terminal's ctrl-C is for the parent, who stops the child in its turn.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(ChildError::Spawn)?;
        let (Some(mut leash), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ChildError::Pipe(io::ErrorKind::BrokenPipe.into()));
        };
        let mut output = BufReader::new(output);
        let started = async {
            let mut answer = String::new();
            // A child that has ended already says why by its status.
            if leash.write_all(&line).await.is_ok() {
                (&mut output).take(4096).read_line(&mut answer).await.map_err(ChildError::Pipe)?;
            }
            match serde_json::from_str(&answer) {
                Ok(Ready { ready }) => Ok(ready),
                Err(_) => Err(ChildError::Ended(child.wait().await.map_err(ChildError::Pipe)?)),
            }
        };
        let address = tokio::time::timeout(START, started).await.map_err(|_| ChildError::Slow)??;
        Ok((Self { child, leash, _output: output }, address))
    }

    fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Lets it drain, then cuts the leash, then kills it.
    async fn stop(mut self, stop: &Stop) {
        // If it can't be told, it is gone.
        let _ = self.leash.write_all(b"\n").await;
        tokio::select! {
            _ = self.child.wait() => {}
            () = tokio::time::sleep(DRAIN) => tracing::warn!("the gateway did not end what it was doing in time"),
            () = stop.at_once.cancelled() => {}
        }
        drop(self.leash);
        match tokio::time::timeout(GO, self.child.wait()).await {
            Ok(Ok(status)) => tracing::info!(%status, "gateway stopped"),
            Ok(Err(error)) => tracing::warn!(%error, "the gateway could not be waited for"),
            // Dropping it kills it.
            Err(_) => tracing::warn!("the gateway is killed: it did not go by itself"),
        }
    }
}

/// This very program, even if its file was replaced or deleted since we were started.
#[cfg(target_os = "linux")]
fn command() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("pinger");
    command
}

/// This very program.
#[cfg(not(target_os = "linux"))]
fn command() -> Command {
    Command::new(std::env::current_exe().unwrap_or_else(|_| "pinger".into()))
}

/// The pause before the next start: from 100 ms, doubling to 10 s, and from the beginning after a minute of life.
struct BackOff(Duration);

impl Default for BackOff {
    fn default() -> Self {
        Self(Self::FIRST)
    }
}

impl BackOff {
    const FIRST: Duration = Duration::from_millis(100);
    const LAST: Duration = Duration::from_secs(10);
    const A_LIFE: Duration = Duration::from_secs(60);

    fn after(&mut self, lived: Duration) -> Duration {
        if lived >= Self::A_LIFE {
            *self = Self::default();
        }
        let pause = self.0;
        self.0 = (pause * 2).min(Self::LAST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_until_a_gateway_lives() {
        let mut back_off = BackOff::default();
        let mut after = |seconds| back_off.after(Duration::from_secs(seconds)).as_millis();
        let pauses: Vec<_> = (0..9).map(|_| after(0)).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!([after(59), after(60), after(1)], [10_000, 100, 200]);
    }
}
