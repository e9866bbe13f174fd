//! `pinger config check`: reads the configuration as each role would, and starts nothing.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use super::RoleError;
use crate::config::ConfigFile;
use crate::environment::Environment;
use crate::telemetry::Settings;

/// Says for which roles the file is right, or what is wrong with it.
pub(crate) fn run(file: &ConfigFile, environment: &Environment) -> Result<ExitCode, RoleError> {
    Settings::read(environment)?;
    file.serve()?;
    file.dashboard()?;
    let roles = match (file.has("gateway"), file.has("backend")) {
        (true, true) => {
            let backend = file.backend_on(environment, |_| Path::new("/").to_owned())?;
            file.gateway_of(&backend, Path::new("/"))?;
            "pinger serve"
        }
        // What a gateway must not see in its environment is checked where it starts: this may be another place.
        (true, false) => {
            file.gateway()?;
            "pinger gateway"
        }
        (false, _) => {
            file.backend(environment)?;
            "pinger backend"
        }
    };
    writeln!(std::io::stdout(), "{} is right for `{roles}`.", file.path().display()).map_err(RoleError::Output)?;
    Ok(ExitCode::SUCCESS)
}
