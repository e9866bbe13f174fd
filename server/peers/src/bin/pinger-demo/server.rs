//! `pinger serve` as a process that ends with this one, whichever way this one ends.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(60);

/// How long it may take to end what it is doing.
const STOP: Duration = Duration::from_secs(25);

/// How much of the log is shown when something is wrong.
const TAIL_LINES: usize = 12;

/// The line that `pinger serve --ready-json` prints.
#[derive(Deserialize)]
pub(crate) struct Ready {
    /// Where devices call.
    pub(crate) device_api: String,
    /// What apps pin.
    pub(crate) identity_key: String,
    /// Where the dashboard is.
    pub(crate) dashboard: Option<String>,
    /// Where the first member of staff signs up; none once there is somebody.
    pub(crate) sign_up: Option<String>,
}

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    /// Kept open, so that the server is not killed by writing to it.
    _output: Lines<BufReader<ChildStdout>>,
    /// Kills the server when this process dies in a way that runs no destructor: it reads from a pipe of which only we
    /// hold the other end. It is in the server's process group, whose number can't become another's as long as it lives.
    _watchdog: Child,
    log: PathBuf,
    ready: Ready,
}

impl Server {
    /// Starts it, and waits until devices can call. `environment` comes on top of ours.
    pub(crate) async fn start(
        pinger: &Path,
        configuration: &Path,
        log: &Path,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let file = std::fs::File::create(log).with_context(|| format!("writing {}", log.display()))?;
        let mut child = Command::new(pinger)
            .arg("--config")
            .arg(configuration)
            .args(["serve", "--ready-json"])
            // The store of this demo is in its folder, whatever a person has set for another server.
            .env_remove("PINGER_DATABASE_URL")
            .env("PINGER_LOG_FORMAT", "text")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            // A terminal's Ctrl-C is for us, who stop the server in our turn.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", pinger.display()))?;
        let group = i32::try_from(child.id().context("the server has no process id")?)?;
        let watchdog = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("read -r _; kill -9 -{group}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(group)
            .kill_on_drop(true)
            .spawn();
        // A server that is gone already has no group to be in; why it is gone is said below.
        let Ok(watchdog) = watchdog else { bail!("the server ended at once; its log is above\n{}", tail(log)) };
        let mut output = BufReader::new(child.stdout.take().context("the server has no output")?).lines();
        let line = match tokio::time::timeout(START, output.next_line()).await {
            Ok(line) => line?,
            Err(_) => bail!(
                "the server was not up after {} s; its log ended with the lines above\n{}",
                START.as_secs(),
                tail(log)
            ),
        };
        let Some(line) = line else {
            bail!("the server does not start; its log ended with the lines above\n{}", tail(log))
        };
        let ready = serde_json::from_str(&line).with_context(|| format!("the server says {line}"))?;
        Ok(Self { child, _output: output, _watchdog: watchdog, log: log.to_owned(), ready })
    }

    /// Fills the store with made-up sessions, so that the dashboard has something to show.
    pub(crate) async fn fill(pinger: &Path, configuration: &Path, sessions: u32) -> Result<()> {
        let mut command = Command::new(pinger);
        command.arg("--config").arg(configuration).args(["demo", "--sessions", &sessions.to_string()]);
        let output = command.env_remove("PINGER_DATABASE_URL").stdin(Stdio::null()).output().await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "the made-up sessions could not be stored: {errors}");
        Ok(())
    }

    /// Where devices call, and what they pin.
    pub(crate) fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Waits until it ends by itself, which it should not; answers why.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        let status = self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        anyhow::anyhow!(
            "the server ended by itself ({status}); its log ended with the lines above\n{}",
            tail(&self.log)
        )
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid
            && kill_process(pid, Signal::TERM).is_ok()
        {
            // Dropping what doesn't stop kills it.
            let _ = tokio::time::timeout(STOP, self.child.wait()).await;
        }
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}
