//! `pinger keys`: what may be known of the keys.

use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::ExitCode;

use ::backend::vault::KeyRing;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::RoleError;
use crate::clock;
use crate::config::ConfigFile;
use crate::environment::Environment;

/// Opens the ring of a backend with this data folder, or makes it.
pub(super) fn ring(data: &Path) -> Result<KeyRing, RoleError> {
    KeyRing::open_or_create(data, clock::now()).map_err(RoleError::Keys)
}

/// Prints the identity key, which apps pin, and the ids of the sealing keys.
pub(crate) fn show(file: &ConfigFile, environment: &Environment, json: bool) -> Result<ExitCode, RoleError> {
    let data = file.data(environment)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&data)
        .map_err(|source| RoleError::Prepare { what: "the data folder could not be made", source })?;
    let ring = ring(&data)?;
    let identity = BASE64.encode(ring.identity_key());
    let sealing: Vec<String> = ring.sealing_key_ids().iter().map(ToString::to_string).collect();
    let text = if json {
        json!({ "identity_key": identity, "sealing_key_ids": sealing }).to_string()
    } else {
        format!(
            "identity key, to be pinned by apps: {identity}\nsealing keys, the one to seal for first: {}",
            sealing.join(", ")
        )
    };
    writeln!(std::io::stdout(), "{text}").map_err(RoleError::Output)?;
    Ok(ExitCode::SUCCESS)
}
