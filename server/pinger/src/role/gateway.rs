//! `pinger gateway`: the gateway alone, or as the child of `pinger serve`.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use ::gateway::Gateway;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::task::JoinSet;

use super::{RoleError, block_on};
use crate::child::{Handover, Ready};
use crate::config::ConfigFile;
use crate::environment::Environment;
use crate::stop::{Signals, Stop};
use crate::telemetry::{self, Settings};
use crate::{limits, wall};

/// The longest handover, in bytes. It fits into a pipe, so that the parent never waits for the child to read.
const MAX_HANDOVER: u64 = 64 * 1024;

/// Runs alone, until a signal comes.
pub(crate) fn run(file: &ConfigFile, environment: &Environment) -> Result<ExitCode, RoleError> {
    wall::gateway(file, environment)?;
    let config = file.gateway()?;
    let settings = Settings::read(environment)?;
    limits::keep_files_from_children();
    block_on("pinger-gateway", async {
        let telemetry = telemetry::start(&settings, "gateway")?;
        limits::raise_open_files();
        let outcome = serve(config, JoinSet::new(), Stop::default(), |gateway| {
            tracing::info!(address = %gateway.local_addr(), "gateway ready");
            Ok(())
        });
        let outcome = outcome.await;
        telemetry.stop().await;
        outcome
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Runs as a child: configured by the first line of the standard input, which then is the leash. It says on the standard
/// output where it listens.
pub(crate) fn run_as_child(environment: &Environment) -> Result<ExitCode, RoleError> {
    if let Some(variable) = environment.names().next() {
        return Err(RoleError::Handover { problem: format!("its environment is not empty: it has {variable}") });
    }
    let inherited = limits::inherited_files()
        .map_err(|source| RoleError::Prepare { what: "the open files could not be listed", source })?;
    if !inherited.is_empty() {
        return Err(RoleError::Handover { problem: format!("it was given open files: {}", inherited.join(", ")) });
    }
    // `ps` shows this name; without it, that of the file in /proc that we were started from.
    let named = rustix::thread::set_name(c"pinger-gateway");
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    let mut stdin = File::from(stdin.map_err(|source| RoleError::Prepare { what: "there is no leash", source })?);
    let handover: Handover = serde_json::from_str(&first_line(&mut stdin)?)
        .map_err(|error| RoleError::Handover { problem: format!("its configuration can't be read: {error}") })?;
    limits::confine(handover.memory_bytes)
        .map_err(|source| RoleError::Prepare { what: "the gateway's limits could not be set", source })?;
    block_on("pinger-gateway", async {
        let telemetry = telemetry::start(&handover.telemetry, "gateway")?;
        limits::raise_open_files();
        if let Err(error) = named {
            tracing::debug!(%error, "the process could not be given its name");
        }
        let leash = pipe::Receiver::from_file(stdin)
            .map_err(|source| RoleError::Prepare { what: "the standard input is no pipe", source })?;
        let stop = Stop::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(on_leash(leash, stop.clone()));
        let outcome = serve(handover.gateway, tasks, stop, |gateway| {
            let mut line = serde_json::to_vec(&Ready { ready: gateway.local_addr() }).map_err(io::Error::from)?;
            line.push(b'\n');
            io::stdout().write_all(&line)?;
            io::stdout().flush()
        });
        let outcome = outcome.await;
        telemetry.stop().await;
        outcome
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(
    config: ::gateway::Config,
    mut tasks: JoinSet<()>,
    stop: Stop,
    ready: impl FnOnce(&Gateway) -> io::Result<()>,
) -> Result<(), RoleError> {
    let signals = Signals::new().map_err(|source| RoleError::Prepare { what: "signals can't be received", source })?;
    tasks.spawn(signals.obey(stop.clone()));
    let gateway = Gateway::bind(config).await.map_err(RoleError::GatewayStart)?;
    ready(&gateway).map_err(RoleError::Output)?;
    tokio::select! {
        () = gateway.run(stop.drain.clone()) => Ok(()),
        cut = stop.patience_is_over() => Err(RoleError::CutOff(cut)),
    }
}

/// Follows the parent: a byte says to drain; the end of the pipe, that the parent is gone or has no more patience. That
/// comes even if the parent was killed in a way that it could not notice.
async fn on_leash(mut leash: pipe::Receiver, stop: Stop) {
    let mut byte = [0];
    while let Ok(1..) = leash.read(&mut byte).await {
        stop.drain.cancel();
    }
    if !stop.drain.is_cancelled() {
        tracing::warn!("the parent process is gone: stopping at once");
    }
    stop.at_once.cancel();
}

/// Reads one line.
#[expect(clippy::unbuffered_bytes, reason = "what follows the line is the leash's, and not for a buffer to take")]
fn first_line(from: &mut impl Read) -> Result<String, RoleError> {
    let mut line = Vec::new();
    for byte in from.take(MAX_HANDOVER).bytes() {
        match byte.map_err(|source| RoleError::Prepare { what: "the standard input can't be read", source })? {
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    String::from_utf8(line).map_err(|_| RoleError::Handover { problem: "its configuration is not UTF-8".to_owned() })
}
