//! The phone of the demo: `pinger device`, as it can be typed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::process::Command;
use tokio::time::Instant;

/// How long a call may take.
const CALL: Duration = Duration::from_secs(20);

/// How often the session is looked at while its mailbox is being connected to.
const LOOK: Duration = Duration::from_millis(50);

/// How long it may take until the mailbox is watched.
const WATCHED: Duration = Duration::from_secs(60);

/// A session as `pinger device --json` prints it: what the demo needs of it.
#[derive(Deserialize)]
pub(crate) struct Session {
    pub(crate) session_id: String,
    #[serde(default)]
    state: String,
    baseline: Option<serde_json::Value>,
    last_error: Option<LastError>,
}

#[derive(Deserialize)]
struct LastError {
    code: String,
    message: String,
}

/// What `pinger device --json` prints when it fails.
#[derive(Deserialize)]
struct Failed {
    error: Failure,
}

#[derive(Deserialize)]
struct Failure {
    message: String,
    reason: Option<String>,
}

/// A device with its state file.
pub(crate) struct Device {
    pinger: PathBuf,
    state: PathBuf,
}

impl Device {
    pub(crate) fn new(pinger: &Path, state: &Path) -> Self {
        Self { pinger: pinger.to_owned(), state: state.to_owned() }
    }

    /// `register`, with the password where others can't see it: not on the command line.
    pub(crate) async fn register(&self, options: &[String], password: &str) -> Result<Session> {
        // A session of an earlier demo is replaced; what its file says doesn't matter, or is of another server.
        let _ = std::fs::remove_file(&self.state);
        let mut arguments = vec!["register".to_owned()];
        arguments.extend_from_slice(options);
        self.call(&arguments, Some(password)).await
    }

    /// Waits until the mailbox is watched, and it is known which mail in it is old.
    pub(crate) async fn watched(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let session = self.call(&["status".to_owned()], None).await?;
            if session.state == "WATCHING" && session.baseline.is_some() {
                return Ok(());
            }
            if session.state == "ENDED" || begin.elapsed() > WATCHED {
                let why = session.last_error.map(|error| format!(" ({}: {})", error.code, error.message));
                bail!("the mailbox is not being watched: the session is {}{}", session.state, why.unwrap_or_default());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// `defer --wait 0`: “thank you, go on watching”.
    pub(crate) async fn acknowledge(&self) -> Result<()> {
        self.call(&["defer", "--wait", "0"].map(str::to_owned), None).await.map(drop)
    }

    /// `stop`: the credential is destroyed.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.call(&["stop".to_owned()], None).await.map(drop)
    }

    async fn call(&self, arguments: &[String], password: Option<&str>) -> Result<Session> {
        let what = arguments.first().map_or("", String::as_str);
        let mut command = Command::new(&self.pinger);
        command.args(["device", "--json"]).arg(OsString::from("--state")).arg(&self.state).args(arguments);
        if let Some(password) = password {
            command.env("PINGER_PASSWORD", password);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(CALL, command.output())
            .await
            .with_context(|| format!("`pinger device {what}` did not end within {} s", CALL.as_secs()))?
            .with_context(|| format!("starting {}", self.pinger.display()))?;
        if output.status.success() {
            return serde_json::from_slice(&output.stdout)
                .with_context(|| format!("what `pinger device {what}` printed"));
        }
        let why = match serde_json::from_slice::<Failed>(&output.stdout) {
            Ok(Failed { error }) => match error.reason {
                Some(reason) => format!("{} ({reason})", error.message),
                None => error.message,
            },
            Err(_) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        };
        bail!("`pinger device {what}` failed: {why}")
    }
}

/// A command as it is typed into a shell, on several lines: an option with its value is never torn.
pub(crate) fn typed(variable: Option<(&str, &str)>, command: &[String], options: &[String]) -> String {
    let mut text = String::new();
    if let Some((name, value)) = variable {
        text = format!("{name}={} \\\n", quoted(value));
    }
    let words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
    text.push_str(&words.join(" "));
    for option in options.chunks(2) {
        let words: Vec<_> = option.iter().map(|word| quoted(word)).collect();
        text.push_str(&format!(" \\\n  {}", words.join(" ")));
    }
    text
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:=@%+,".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::typed;

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let text = typed(
            Some(("PASSWORD", "demo's")),
            &words(&["pinger", "device", "register"]),
            &words(&["--server", "http://127.0.0.1:1", "--user", "a b"]),
        );
        assert_eq!(
            text,
            "PASSWORD='demo'\\''s' \\\npinger device register \\\n  --server http://127.0.0.1:1 \\\n  --user 'a b'"
        );
    }
}
