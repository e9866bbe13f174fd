//! The key ring: made on the first start, kept in a file that only we can read.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{KeyId, SealedBox, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::boxes::Opener;
use super::token::TokenSigner;
use super::{Binding, Credential, OpenError, SecretSealer};

/// The file's name, in the data folder.
const FILE: &str = "keys.json";

/// Why the key ring can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read or written.
    #[error("the key file {path} can't be used")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others can read the file.
    #[error("the key file {path} can be read by others; make it private with `chmod 600`, and consider its keys known")]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
    /// The file is no key ring.
    #[error("the key file {path} is damaged: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The system gave no random numbers, or a key could not be made.
    #[error("a key could not be made")]
    Generate,
}

/// The file's content. Private keys in base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    /// Ed25519, PKCS#8: signs the set of sealing keys. Apps pin its public half.
    identity: StoredKey,
    /// Ed25519, PKCS#8: signs session tokens.
    token: StoredKey,
    /// 32 bytes: hashes addresses for the search.
    address_hash: StoredKey,
    /// X25519, raw: open boxes. The last one is the one to seal for.
    sealing: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    id: String,
    created_ms: i64,
    private: StoredSecret,
}

/// A private key in base64 that is written to the key file and nowhere else.
#[derive(Deserialize)]
struct StoredSecret(SecretString);

impl Serialize for StoredSecret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl StoredKey {
    fn new(prefix: &str, now: Timestamp, private: &[u8]) -> Result<Self, KeyError> {
        let mut tail = [0_u8; 4];
        rand::fill(&mut tail).map_err(|_| KeyError::Generate)?;
        let id = format!("{prefix}-{:08x}", u32::from_be_bytes(tail));
        Ok(Self { id, created_ms: now.as_millis(), private: StoredSecret(STANDARD.encode(private).into()) })
    }

    fn bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        STANDARD.decode(self.private.0.expose_secret()).ok().map(Zeroizing::new)
    }
}

pub(super) struct SealingKey {
    pub(super) id: KeyId,
    pub(super) created_at: Timestamp,
    pub(super) opener: Opener,
}

/// Every private key of the backend. It does not print.
pub struct KeyRing {
    pub(super) identity: Ed25519KeyPair,
    pub(super) token: TokenSigner,
    address_hash: hmac::Key,
    staff_secrets: SecretSealer,
    /// The one to seal for comes first.
    pub(super) sealing: Vec<SealingKey>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing").field("sealing_keys", &self.sealing.len()).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// Opens the ring in `folder`, or makes one, with mode 0600, if there is none.
    pub fn open_or_create(folder: &Path, now: Timestamp) -> Result<Self, KeyError> {
        let path = folder.join(FILE);
        let io = |source| KeyError::Io { path: path.clone(), source };
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => return Err(KeyError::Exposed { path }),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(&path, now)?,
            Err(error) => return Err(io(error)),
        }
        let text = Zeroizing::new(std::fs::read(&path).map_err(io)?);
        let damaged = |what| KeyError::Damaged { path: path.clone(), what };
        let file: File = serde_json::from_slice(&text).map_err(|_| damaged("it is not the JSON of a key ring"))?;
        Self::from_file(&file).map_err(damaged)
    }

    fn from_file(file: &File) -> Result<Self, &'static str> {
        if file.version != 1 {
            return Err("it was written by another version");
        }
        let identity = file.identity.bytes().ok_or("the identity key is not base64")?;
        let identity = Ed25519KeyPair::from_pkcs8(&identity).map_err(|_| "the identity key is not Ed25519")?;
        let token = file.token.bytes().ok_or("the token key is not base64")?;
        let token = TokenSigner::new(&file.token.id, &token).ok_or("the token key is not Ed25519")?;
        let address_hash = file.address_hash.bytes().ok_or("the address key is not base64")?;
        let staff_secrets = SecretSealer::derive(&address_hash).ok_or("no key can be derived from the address key")?;
        let mut sealing = Vec::new();
        for key in file.sealing.iter().rev() {
            let bytes = key.bytes().ok_or("a sealing key is not base64")?;
            sealing.push(SealingKey {
                id: KeyId::parse(&key.id).map_err(|_| "a sealing key has no valid id")?,
                created_at: Timestamp::from_millis(key.created_ms),
                opener: Opener::from_bytes(&bytes).ok_or("a sealing key is not X25519")?,
            });
        }
        if sealing.is_empty() {
            return Err("it has no sealing key");
        }
        let address_hash = hmac::Key::new(hmac::HMAC_SHA256, &address_hash);
        Ok(Self { identity, token, address_hash, staff_secrets, sealing })
    }

    /// The public half of the identity key, which apps pin.
    pub fn identity_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(self.identity.public_key().as_ref());
        key
    }

    /// The ids of the sealing keys, the one to seal for first.
    pub fn sealing_key_ids(&self) -> Vec<KeyId> {
        self.sealing.iter().map(|key| key.id.clone()).collect()
    }

    /// The sealing keys, each with when it was made, the one to seal for first.
    pub fn sealing_keys(&self) -> impl Iterator<Item = (&KeyId, Timestamp)> {
        self.sealing.iter().map(|key| (&key.id, key.created_at))
    }

    /// Opens a box, for a log-in or to prove that it opens. The credential is zeroized when it is dropped.
    pub fn open(&self, sealed: &SealedBox, binding: &Binding) -> Result<Credential, OpenError> {
        let key = self.sealing.iter().find(|key| key.id == sealed.key_id).ok_or(OpenError::UnknownKey)?;
        key.opener.open(sealed, binding)
    }

    /// What seals small secrets of staff.
    pub fn staff_secrets(&self) -> &SecretSealer {
        &self.staff_secrets
    }

    /// The keyed hash of an account's name, in hexadecimal: staff who know the address find the session, and nobody can
    /// read it out of the store.
    pub fn address_hash(&self, username: &SecretString) -> String {
        let name = Zeroizing::new(username.expose_secret().trim().to_lowercase());
        let tag = hmac::sign(&self.address_hash, name.as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn create(path: &Path, now: Timestamp) -> Result<(), KeyError> {
    let ed25519 = || Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Generate);
    let mut hash_key = Zeroizing::new([0_u8; 32]);
    rand::fill(&mut *hash_key).map_err(|_| KeyError::Generate)?;
    let file = File {
        version: 1,
        identity: StoredKey::new("identity", now, ed25519()?.as_ref())?,
        token: StoredKey::new("token", now, ed25519()?.as_ref())?,
        address_hash: StoredKey::new("address", now, &*hash_key)?,
        sealing: vec![StoredKey::new("seal", now, &Opener::generate().to_bytes())?],
    };
    let text = Zeroizing::new(serde_json::to_vec_pretty(&file).map_err(|_| KeyError::Generate)?);
    // Written beside, made durable, then moved: there is never half a ring, and never a box without its key.
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let beside = path.with_extension("new");
    let mut out =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(io)?;
    out.write_all(&text).and_then(|()| out.sync_all()).map_err(io)?;
    // Another process may have been faster; then its ring counts.
    match std::fs::hard_link(&beside, path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(io(error)),
        _ => {}
    }
    std::fs::remove_file(&beside).map_err(io)?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
    }
    tracing::info!(path = %path.display(), "made a key ring; back it up: without it no stored credential opens");
    Ok(())
}
