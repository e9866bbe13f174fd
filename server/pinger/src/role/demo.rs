//! `pinger demo`: fills the store with made-up sessions, so that the dashboard has something to show.

use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::process::ExitCode;
use std::time::Instant;

use store::{Store, demo};

use super::{RoleError, block_on};
use crate::cli::DemoOptions;
use crate::clock;
use crate::config::ConfigFile;
use crate::environment::Environment;

/// Writes `--sessions` made-up sessions of the last two days. A server may be running on the same store: it leaves them
/// alone.
pub(crate) fn run(file: &ConfigFile, environment: &Environment, options: DemoOptions) -> Result<ExitCode, RoleError> {
    let config = file.any_backend(environment)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data)
        .map_err(|source| RoleError::Prepare { what: "the data folder could not be made", source })?;
    let began = Instant::now();
    block_on("pinger-demo", async {
        let store = Store::open(&config.database_url(), demo::NODE).await.map_err(RoleError::Store)?;
        let filled = demo::fill(&store, options.sessions, options.seed, clock::now()).await;
        store.close().await;
        filled.map_err(RoleError::Store)
    })?;
    let (sessions, seconds) = (options.sessions, began.elapsed().as_secs_f64());
    writeln!(std::io::stdout(), "{sessions} made-up sessions were stored in {seconds:.1} s")
        .map_err(RoleError::Output)?;
    Ok(ExitCode::SUCCESS)
}
