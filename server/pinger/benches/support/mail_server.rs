//! The mock IMAP server of `peers`, as a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use peers::imap_server::{Encryption, ImapOptions, ImapServer, MOST_ADDRESSES, console};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{play, quick};

/// The part of the mail server.
pub const PART: &str = "mail-server";

pub const PASSWORD: &str = "open sesame";

/// How long clients may take to come or go.
const PATIENCE: Duration = Duration::from_secs(180);

/// What this process does as the mail server.
pub async fn run() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let options = ImapOptions {
        addresses: MOST_ADDRESSES,
        encryption: Encryption::Tls,
        users: Vec::new(),
        open_password: Some(PASSWORD.to_owned()),
        ..ImapOptions::default()
    };
    let folder = tempfile::tempdir().unwrap();
    console(ImapServer::start(options).await.unwrap(), folder.path()).await.unwrap();
}

/// A running mail server, whose every user is let in with [`PASSWORD`].
pub struct MailServer {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    pub port: u16,
    pub addresses: Vec<std::net::IpAddr>,
    pub authority: PathBuf,
}

impl MailServer {
    pub async fn start() -> Self {
        let mut command = Command::from(play(PART));
        let mut child = command.stderr(Stdio::inherit()).kill_on_drop(true).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = json(&mut output).await;
        Self {
            _child: child,
            input,
            output,
            port: u16::try_from(ready["port"].as_u64().unwrap()).unwrap(),
            addresses: ready["addresses"]
                .as_array()
                .unwrap()
                .iter()
                .map(|address| address.as_str().unwrap().parse().unwrap())
                .collect(),
            authority: ready["ca"].as_str().unwrap().into(),
        }
    }

    /// Makes whoever reads `ca.pem` trust this server too.
    pub fn is_trusted_by(&self, ca: &Path) {
        let mut trusted = std::fs::read_to_string(ca).unwrap();
        trusted.push_str(&std::fs::read_to_string(&self.authority).unwrap());
        std::fs::write(ca, trusted).unwrap();
    }

    /// Its address for a client: they spread over all, so that there are ports enough.
    pub fn address(&self, client: usize) -> std::net::SocketAddr {
        (self.addresses[client % self.addresses.len()], self.port).into()
    }

    /// Delivers a mail; [`delivered`](Self::delivered) says when the client was told.
    pub async fn deliver(&mut self, user: &str) {
        self.input.write_all(format!("deliver {user}\n").as_bytes()).await.unwrap();
    }

    /// The next delivery that its client was told of: the user, and CLOCK_MONOTONIC in ns just before EXISTS was written.
    pub async fn delivered(&mut self) -> (String, u64) {
        let told = json(&mut self.output).await;
        (told["delivered"].as_str().unwrap().to_owned(), told["at_ns"].as_u64().expect("nobody idled"))
    }

    /// How many `what` ("connections", "idling", "logins") there are.
    pub async fn count(&mut self, what: &str) -> usize {
        self.input.write_all(b"count\n").await.unwrap();
        usize::try_from(json(&mut self.output).await[what].as_u64().unwrap()).unwrap()
    }

    /// Waits until there are as many.
    pub async fn until(&mut self, what: &str, wanted: usize) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let count = self.count(what).await;
            if count == wanted {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{what}: {count}, not {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn json(output: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = output.next_line().await.unwrap().expect("the other process ended");
    serde_json::from_str(&line).unwrap()
}

/// How long a process is left alone before its memory is looked at.
pub fn settling() -> Duration {
    Duration::from_secs(if quick() { 1 } else { 5 })
}
