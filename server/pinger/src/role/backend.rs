//! `pinger backend`: the backend alone, called by a gateway elsewhere.

use std::process::ExitCode;

use ::backend::Backend;
use tokio::task::JoinSet;

use super::{RoleError, block_on};
use crate::config::ConfigFile;
use crate::environment::Environment;
use crate::stop::{Signals, Stop};
use crate::telemetry::{self, Settings};
use crate::{limits, wall};

/// Runs until a signal comes.
pub(crate) fn run(file: &ConfigFile, environment: &Environment) -> Result<ExitCode, RoleError> {
    wall::backend(file)?;
    let config = file.backend(environment)?;
    let settings = Settings::read(environment)?;
    limits::keep_files_from_children();
    block_on("pinger-backend", async {
        let telemetry = telemetry::start(&settings, "backend")?;
        limits::raise_open_files();
        let outcome = serve(config).await;
        telemetry.stop().await;
        outcome
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: ::backend::Config) -> Result<(), RoleError> {
    let stop = Stop::default();
    let signals = Signals::new().map_err(|source| RoleError::Prepare { what: "signals can't be received", source })?;
    let mut tasks = JoinSet::new();
    tasks.spawn(signals.obey(stop.clone()));
    let backend = Backend::bind(config).await.map_err(RoleError::BackendStart)?;
    match backend.local_addr() {
        Some(address) => tracing::info!(%address, "backend ready"),
        None => tracing::info!("backend ready on its socket"),
    }
    tokio::select! {
        outcome = backend.run(stop.drain.clone()) => outcome.map_err(RoleError::Backend),
        () = stop.patience_is_over() => Err(RoleError::CutOff),
    }
}
