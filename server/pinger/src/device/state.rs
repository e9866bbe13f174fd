//! The state file: what a device keeps of its session.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

/// Why the state file is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    #[error("there is no session in {}: register first, or name another file with --state", path.display())]
    Missing { path: PathBuf },
    #[error("the state file {} could not be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the state file {} is damaged", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("the state file {} could not be written", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// A session token. It does not print.
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct SessionToken(pub(super) String);

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(..)")
    }
}

/// One session.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// The server's URL.
    pub(super) server: String,
    /// The further certificate authority for it.
    pub(super) ca: Option<PathBuf>,
    /// Its identity key, in base64.
    pub(super) identity_key: String,
    /// The session.
    pub(super) session_id: String,
    /// What proves that it is ours.
    pub(super) session_token: SessionToken,
}

impl State {
    /// Reads the file, if it is there.
    pub(super) fn find(path: &Path) -> Result<Option<Self>, StateError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Read { path: path.to_owned(), source }),
        };
        let damaged = |source| StateError::Damaged { path: path.to_owned(), source };
        serde_json::from_slice(&text).map(Some).map_err(damaged)
    }

    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, StateError> {
        Self::find(path)?.ok_or_else(|| StateError::Missing { path: path.to_owned() })
    }

    /// Writes the file, with mode 0600 and in one step: there is never half a state.
    pub(super) fn write(&self, path: &Path) -> Result<(), StateError> {
        let failed = |source| StateError::Write { path: path.to_owned(), source };
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.new", std::process::id()));
        let beside = PathBuf::from(beside);
        let write = || {
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&beside, path)
        };
        write().map_err(|source| {
            // What is left of the attempt has the token in it.
            let _ = std::fs::remove_file(&beside);
            failed(source)
        })
    }
}

/// An identity key as it is written.
pub(super) fn encode_key(key: &[u8]) -> String {
    BASE64.encode(key)
}

/// Reads an identity key.
pub(super) fn decode_key(text: &str) -> Option<[u8; 32]> {
    BASE64.decode(text.trim()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_is_ours_alone_and_never_half() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert!(matches!(State::read(&path), Err(StateError::Missing { .. })));
        let mut state = State {
            server: "http://127.0.0.1:1".to_owned(),
            ca: None,
            identity_key: encode_key(&[7; 32]),
            session_id: "id".to_owned(),
            session_token: SessionToken("a-secret-token".to_owned()),
        };
        state.write(&path).unwrap();
        state.session_id = "other".to_owned();
        state.write(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(State::read(&path).unwrap().session_id, "other");
        assert_eq!(State::read(&path).unwrap().session_token.0, "a-secret-token");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(!format!("{state:?}").contains("a-secret-token"));
        assert_eq!(decode_key(&state.identity_key), Some([7; 32]));
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(State::read(&path), Err(StateError::Damaged { .. })));
        assert!(state.write(&folder.path().join("absent").join("file")).is_err());
    }
}
