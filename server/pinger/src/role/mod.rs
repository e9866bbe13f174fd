//! The roles, one file each, and what they have in common.

pub(crate) mod audit;
pub(crate) mod backend;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod gateway;
pub(crate) mod keys;
pub(crate) mod serve;
pub(crate) mod staff;

use std::future::Future;
use std::io;
use std::process::ExitCode;

use ::backend::BackendError;
use ::backend::vault::KeyError;
use ::dashboard::DashboardError;
use ::gateway::GatewayError;
use store::StoreError;

use crate::child::ChildError;
use crate::config::ConfigError;
use crate::stop::CutOff;
use crate::telemetry::{SettingsError, TelemetryError};

/// Why a role ended that should not have.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoleError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("logs and traces could not be set up")]
    Telemetry(#[from] TelemetryError),
    #[error("the gateway was started in a way that only `pinger serve` does right: {problem}")]
    Handover { problem: String },
    #[error("{what}")]
    Prepare { what: &'static str, source: io::Error },
    #[error("another `pinger serve` is running on the folder {folder}")]
    AlreadyRunning { folder: String },
    #[error("the backend could not start")]
    BackendStart(#[source] BackendError),
    #[error("the dashboard could not start")]
    DashboardStart(#[source] DashboardError),
    #[error("the dashboard failed")]
    Dashboard(#[source] DashboardError),
    #[error("nobody who may sign in is called {name}, or nobody else would be left who is an admin")]
    Staff { name: String },
    #[error("the gateway could not start")]
    GatewayStart(#[source] GatewayError),
    #[error("the backend failed")]
    Backend(#[source] BackendError),
    #[error("the gateway could not be kept running")]
    Child(#[source] ChildError),
    #[error("the store failed")]
    Store(#[source] StoreError),
    #[error("the keys could not be read")]
    Keys(#[source] KeyError),
    #[error(transparent)]
    CutOff(CutOff),
    #[error("the output could not be written")]
    Output(#[source] io::Error),
}

impl RoleError {
    /// 2 for usage and configuration, 3 for a server that can't start, 1 for anything else.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Config(_) | Self::Settings(_) | Self::Telemetry(_) | Self::Handover { .. } => 2,
            Self::Child(error) => error.code(),
            // What was bound is taken, or may not be had; all else is in the configuration.
            Self::GatewayStart(error) if !matches!(error, GatewayError::Listen { .. }) => 2,
            Self::DashboardStart(DashboardError::Listen { .. } | DashboardError::Store(_)) => 3,
            Self::DashboardStart(_) => 2,
            Self::Prepare { .. } | Self::AlreadyRunning { .. } | Self::BackendStart(_) | Self::GatewayStart(_) => 3,
            Self::Backend(_)
            | Self::Dashboard(_)
            | Self::Staff { .. }
            | Self::Keys(_)
            | Self::Store(_)
            | Self::CutOff(_)
            | Self::Output(_) => 1,
        })
    }
}

/// Runs a role to its end on a runtime of its own, whose threads have the role's name.
fn block_on<T>(name: &str, role: impl Future<Output = Result<T, RoleError>>) -> Result<T, RoleError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name(name)
        .build()
        .map_err(|source| RoleError::Prepare { what: "the threads could not be started", source })?;
    let outcome = runtime.block_on(role);
    // A lookup in DNS may still hang in a thread: it is not waited for.
    runtime.shutdown_background();
    outcome
}
