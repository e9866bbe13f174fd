//! Where secrets come from: a file, a variable, or a person.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use secrecy::SecretString;

use super::DeviceError;
use crate::environment::Environment;

/// The longest secret that is read, in bytes.
const MAX: u64 = 64 * 1024;

/// The app key.
pub(super) fn app_key(file: Option<&Path>, environment: &Environment) -> Result<SecretString, DeviceError> {
    match (file, environment.get("PINGER_APP_KEY")) {
        (Some(file), _) => of_file(file),
        (None, Some(key)) => Ok(key.to_owned().into()),
        (None, None) => {
            Err(DeviceError::Usage("there is no app key: set PINGER_APP_KEY, or name --app-key-file".into()))
        }
    }
}

/// The password, or whatever else proves the account.
pub(super) fn password(
    file: Option<&Path>,
    environment: &Environment,
    prompt: &str,
) -> Result<SecretString, DeviceError> {
    match (file, environment.get("PINGER_PASSWORD")) {
        (Some(file), _) => of_file(file),
        (None, Some(password)) => Ok(password.to_owned().into()),
        (None, None) => ask(prompt).map_err(|source| DeviceError::Prompt { source }),
    }
}

fn of_file(path: &Path) -> Result<SecretString, DeviceError> {
    let read = || {
        let file = std::fs::File::open(path)?;
        io::read_to_string(io::Read::take(file, MAX))
    };
    let text = read().map_err(|source| DeviceError::File { path: path.to_owned(), source })?;
    // An editor ends the last line; the secret has no such end.
    Ok(text.trim_end_matches(['\r', '\n']).to_owned().into())
}

/// Reads a line from the standard input, without showing it on a terminal.
fn ask(prompt: &str) -> io::Result<SecretString> {
    let stdin = io::stdin();
    let shown = if stdin.is_terminal() {
        write!(io::stderr(), "{prompt}: ")?;
        let shown = tcgetattr(&stdin)?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &hidden)?;
        Some(shown)
    } else {
        None
    };
    let mut line = String::new();
    let read = io::Read::take(stdin.lock(), MAX).read_line(&mut line);
    if let Some(shown) = shown {
        tcsetattr(&stdin, OptionalActions::Flush, &shown)?;
        writeln!(io::stderr())?;
    }
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned().into())
}
