//! `pinger serve`: the backend in this process, the gateway in a child that is given nothing of it.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::backend::Backend;
use ::dashboard::AppKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::backend::Door;
use super::{RoleError, block_on};
use crate::child::{self, Handover, Running};
use crate::cli::ServeOptions;
use crate::config::ConfigFile;
use crate::environment::Environment;
use crate::limits;
use crate::stop::{Signals, Stop};
use crate::telemetry::{self, Settings};

/// Runs until a signal comes.
pub(crate) fn run(file: &ConfigFile, environment: &Environment, options: ServeOptions) -> Result<ExitCode, RoleError> {
    let backend = file.backend_on(environment, |config| config.data.join("run").join("backend.sock"))?;
    let socket = backend.data.join("run").join("backend.sock");
    let gateway = file.gateway_of(&backend, &socket)?;
    let dashboard = file.dashboard()?;
    let settings = Settings::read(environment)?;
    let memory_bytes = file.serve()?.gateway_memory_mib.saturating_mul(1024 * 1024);
    limits::keep_files_from_children();
    let _lock = run_folder(&backend.data)?;
    let handover = Handover { gateway, telemetry: settings.clone(), memory_bytes };
    block_on("pinger-backend", async {
        let telemetry = telemetry::start(&settings, "backend")?;
        limits::raise_open_files();
        let outcome = serve(backend, dashboard, handover, options).await;
        telemetry.stop().await;
        outcome
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(
    config: ::backend::Config,
    dashboard: Option<::dashboard::Config>,
    handover: Handover,
    options: ServeOptions,
) -> Result<(), RoleError> {
    let stop = Stop::default();
    let signals = Signals::new().map_err(|source| RoleError::Prepare { what: "signals can't be received", source })?;
    let scheme = if handover.gateway.tls.is_some() { "https" } else { "http" };
    let backend = Backend::bind(config).await.map_err(RoleError::BackendStart)?;
    let identity_key = backend.identity_key();
    let app_keys = handover
        .gateway
        .app_keys
        .iter()
        .map(|key| AppKey { id: key.id.clone(), fingerprint: key.sha256.chars().take(12).collect() });
    let dashboard = super::backend::dashboard(dashboard.as_ref(), &backend, Some(app_keys.collect())).await?;
    let door = Door::of(dashboard.as_ref()).await?;

    let (first, ready) = oneshot::channel();
    let stop_backend = CancellationToken::new();
    let gateway = child::keep_running(handover, stop.clone(), first);
    let fronts = async {
        // They go first, so that nothing is taken that can't be passed on, and nobody looks at a store that is closed.
        let (gateway, dashboard) = tokio::join!(gateway, super::backend::run_dashboard(dashboard, &stop));
        stop_backend.cancel();
        gateway.map_err(RoleError::Child).and(dashboard)
    };
    let backend = async {
        let outcome = backend.run(stop_backend.clone()).await.map_err(RoleError::Backend);
        stop.drain.cancel();
        outcome
    };
    let announce = async {
        let Ok(running) = ready.await else { return Ok(()) };
        announce(options, scheme, running, identity_key, &door).map_err(|error| {
            stop.drain.cancel();
            RoleError::Output(error)
        })
    };
    let parts = Box::pin(async { tokio::join!(backend, fronts, announce) });
    tokio::select! {
        (backend, fronts, announced) = parts => backend.and(fronts).and(announced),
        () = signals.obey(stop.clone()) => Ok(()),
        cut = stop.patience_is_over() => Err(RoleError::CutOff(cut)),
    }
}

/// Says on the standard output that all is up, and where.
fn announce(
    options: ServeOptions,
    scheme: &str,
    running: Running,
    identity_key: [u8; 32],
    door: &Door,
) -> io::Result<()> {
    let Running { address, pid } = running;
    let device_api = format!("{scheme}://{address}");
    let identity_key = BASE64.encode(identity_key);
    let line = if options.ready_json {
        json!({
            "device_api": device_api,
            "identity_key": identity_key,
            "gateway_pid": pid,
            "dashboard": door.dashboard,
            "sign_up": door.sign_up,
        })
        .to_string()
    } else {
        let ready = format!("Pinger is ready: devices call {device_api}; the identity key to pin is {identity_key}.");
        std::iter::once(ready).chain(door.lines()).collect::<Vec<_>>().join("\n")
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Makes the folder for the socket, which is ours alone, and takes it for this process. Who holds the lock, holds the
/// folder; the system lets go of it when the process ends.
fn run_folder(data: &Path) -> Result<File, RoleError> {
    let prepare = |source| RoleError::Prepare { what: "the folder for the socket could not be made", source };
    let folder: PathBuf = data.join("run");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(prepare)?;
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).map_err(prepare)?;
    let lock = File::create(folder.join("lock")).map_err(prepare)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(RoleError::AlreadyRunning { folder: data.display().to_string() }),
        Err(std::fs::TryLockError::Error(source)) => Err(prepare(source)),
    }
}
