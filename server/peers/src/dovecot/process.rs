//! Dovecot's processes, which end together, and their log.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::{PATIENCE, PROGRAM};
use crate::record::Record;

/// After SIGKILL, processes are gone within milliseconds.
const DEATH_PATIENCE: Duration = Duration::from_secs(5);

/// A master process and its process group, in which all other processes of this Dovecot are.
pub(super) struct Process {
    master: Child,
    /// Kills the group when our process dies in a way that runs no destructor.
    watchdog: Child,
    group: Pid,
    /// Where it listens.
    ports: Vec<SocketAddr>,
}

impl Process {
    /// Starts Dovecot with `folder/dovecot.conf` and waits until it says so. Its log goes to `log`.
    pub(super) async fn start(folder: &Path, ports: Vec<SocketAddr>, log: &Arc<Record<String>>) -> Result<Self> {
        let started = log.count(|line| is_started(line));
        let mut master = Command::new(PROGRAM)
            .arg("-F")
            .arg("-c")
            .arg(folder.join("dovecot.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("starting dovecot")?;
        let stderr = master.stderr.take().context("no pipe for the log")?;
        let group = Pid::from_child(&master);
        // It reads from a pipe of which only we hold the other end. Should it be killed itself, nothing is lost.
        let watchdog = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("read -r _; kill -9 -{group}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(group.as_raw_nonzero().get())
            .spawn();
        let mut process = match watchdog {
            Ok(watchdog) => Self { master, watchdog, group, ports },
            Err(error) => {
                // Nothing of it may stay.
                let _ = kill_process_group(group, Signal::KILL);
                let _ = master.wait();
                return Err(error).context("starting the watchdog");
            }
        };

        let writer = Arc::clone(log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                writer.push(line);
            }
        });
        let settled = |log: &[String]| {
            let failed = log.iter().rev().take_while(|line| !is_started(line)).find(|line| line.contains("Fatal:"));
            let running = log.iter().filter(|line| is_started(line)).count() > started;
            if running { Some(None) } else { failed.map(|line| Some(line.clone())) }
        };
        match log.wait(PATIENCE, settled).await {
            Some(None) => {}
            Some(Some(failure)) => bail!("dovecot doesn't start: {failure}"),
            None => bail!("dovecot doesn't start; its log:\n{}", log.all().join("\n")),
        }
        ensure!(process.master.try_wait()?.is_none(), "dovecot ended at once:\n{}", log.all().join("\n"));
        Ok(process)
    }
}

impl Process {
    /// Asks the master to end, as an administrator does, and waits until it has. What it leaves behind is killed.
    pub(super) async fn terminate(mut self) -> Result<()> {
        kill_process(self.group, Signal::TERM)?;
        let ends = async {
            while self.master.try_wait()?.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, ends).await.context("dovecot doesn't end")?
    }
}

impl Drop for Process {
    #[expect(clippy::disallowed_methods, reason = "a destructor can't await, and this takes a few milliseconds")]
    fn drop(&mut self) {
        // SIGTERM to the master takes a second and leaves idle `imap` processes with their connections behind.
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self.master.wait();
        let _ = self.watchdog.wait();
        // The others are the init process's to reap, in its own time. When the ports are free, they are dead.
        let begin = Instant::now();
        while !self.ports.iter().all(is_free) && begin.elapsed() < DEATH_PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn is_free(address: &SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

fn is_started(line: &str) -> bool {
    line.contains("starting up for")
}

/// Whether a line of the log tells of a login by this user.
pub(super) fn is_login(line: &str, user: &str) -> bool {
    is_anybodys_login(line) && line.contains(&format!("user=<{user}>"))
}

/// Whether a line of the log tells of a login.
pub(super) fn is_anybodys_login(line: &str) -> bool {
    line.contains("imap-login: Info: Login:")
}

/// Whether a line of the log tells of a refused password or token of this user.
pub(super) fn is_refused_login(line: &str, user: &str) -> bool {
    line.contains("auth")
        && ["passwd-file", "scram-sha-256", "oauth2"].iter().any(|by| line.contains(&format!("{by}({user},")))
}
