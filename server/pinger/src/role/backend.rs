//! `pinger backend`: the backend alone, called by a gateway elsewhere.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use ::backend::Backend;
use ::dashboard::{Access, AppKey, Dashboard};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{RoleError, block_on};
use crate::config::ConfigFile;
use crate::environment::Environment;
use crate::stop::{Signals, Stop};
use crate::telemetry::{self, Settings};
use crate::{clock, limits, wall};

/// Runs until a signal comes.
pub(crate) fn run(file: &ConfigFile, environment: &Environment) -> Result<ExitCode, RoleError> {
    wall::backend(file)?;
    let config = file.backend(environment)?;
    let dashboard = file.dashboard()?;
    let settings = Settings::read(environment)?;
    limits::keep_files_from_children();
    block_on("pinger-backend", async {
        let telemetry = telemetry::start(&settings, "backend")?;
        limits::raise_open_files();
        let outcome = serve(config, dashboard).await;
        telemetry.stop().await;
        outcome
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: ::backend::Config, dashboard: Option<::dashboard::Config>) -> Result<(), RoleError> {
    let stop = Stop::default();
    let signals = Signals::new().map_err(|source| RoleError::Prepare { what: "signals can't be received", source })?;
    let mut tasks = JoinSet::new();
    tasks.spawn(signals.obey(stop.clone()));
    let backend = Backend::bind(config).await.map_err(RoleError::BackendStart)?;
    match backend.local_addr() {
        Some(address) => tracing::info!(%address, "backend ready"),
        None => tracing::info!("backend ready on its socket"),
    }
    // The gateway's configuration is the gateway's.
    let dashboard = self::dashboard(dashboard.as_ref(), &backend, None).await?;
    for line in Door::of(dashboard.as_ref()).await?.lines() {
        writeln!(std::io::stdout(), "{line}").map_err(RoleError::Output)?;
    }
    let stop_backend = CancellationToken::new();
    let front = async {
        // It goes first, so that nobody looks at a store that is closed.
        let outcome = run_dashboard(dashboard, &stop).await;
        stop.drain.cancelled().await;
        stop_backend.cancel();
        outcome
    };
    let backend = async {
        let outcome = backend.run(stop_backend.clone()).await.map_err(RoleError::Backend);
        stop.drain.cancel();
        outcome
    };
    let parts = Box::pin(async { tokio::join!(backend, front) });
    tokio::select! {
        (backend, front) = parts => backend.and(front),
        cut = stop.patience_is_over() => Err(RoleError::CutOff(cut)),
    }
}

/// The dashboard beside a backend, if there is to be one.
pub(super) async fn dashboard(
    config: Option<&::dashboard::Config>,
    backend: &Backend,
    app_keys: Option<Vec<AppKey>>,
) -> Result<Option<Dashboard>, RoleError> {
    let Some(config) = config else { return Ok(None) };
    let handle = backend.handle();
    let breaker = handle.clone();
    let access = Access {
        store: backend.store().clone(),
        secrets: backend.keys().staff_secrets().clone(),
        now: Arc::new(clock::now),
        breaker_open: Box::new(move || breaker.open_breaker().is_some()),
        handle: Some(handle),
        app_keys,
    };
    Dashboard::bind(config, access).await.map(Some).map_err(RoleError::DashboardStart)
}

/// Runs the dashboard, if there is one, until the drain. If it fails, all stops.
pub(super) async fn run_dashboard(dashboard: Option<Dashboard>, stop: &Stop) -> Result<(), RoleError> {
    let Some(dashboard) = dashboard else { return Ok(()) };
    let outcome = dashboard.run(stop.drain.clone()).await.map_err(RoleError::Dashboard);
    stop.drain.cancel();
    outcome
}

/// What people are told of the dashboard when it is up. The link lets whoever has it in, so it is no matter for a log.
#[derive(Default)]
pub(super) struct Door {
    /// Where it is.
    pub(super) dashboard: Option<String>,
    /// Where the first admin signs up, while there is nobody.
    pub(super) sign_up: Option<String>,
}

impl Door {
    pub(super) async fn of(dashboard: Option<&Dashboard>) -> Result<Self, RoleError> {
        let Some(dashboard) = dashboard else { return Ok(Self::default()) };
        let sign_up = dashboard.first_sign_up().await.map_err(RoleError::Store)?;
        Ok(Self { dashboard: Some(dashboard.url().to_owned()), sign_up })
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let at = self.dashboard.as_ref().map(|url| format!("The dashboard is at {url}."));
        let sign_up = self.sign_up.as_ref().map(|link| {
            format!("Nobody may sign in yet. The first admin signs up here, once, within 24 hours: {link}")
        });
        at.into_iter().chain(sign_up)
    }
}
