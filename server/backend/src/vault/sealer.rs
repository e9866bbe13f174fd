//! Small secrets of staff at rest, such as the secret of an authenticator: sealed by a key that is derived from the ring's.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

/// What the key is for (RFC 5869's salt and info): from the same root comes no other key by it.
const SALT: &[u8] = b"pinger staff secrets";
const INFO: &[u8] = b"AES-256-GCM, version 1";

/// The first byte of what is sealed in this way.
const VERSION: u8 = 1;

/// A small secret can't be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret could not be sealed")]
pub struct SecretSealError;

/// A small secret does not open: it was sealed for something else or by another ring, or was tampered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed secret does not open")]
pub struct SecretOpenError;

/// Seals small secrets of staff, and opens them. Cheap to clone; it does not print.
#[derive(Clone)]
pub struct SecretSealer {
    key: Arc<RandomizedNonceKey>,
}

impl fmt::Debug for SecretSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretSealer").finish_non_exhaustive()
    }
}

struct KeyLength;

impl KeyType for KeyLength {
    fn len(&self) -> usize {
        AES_256_GCM.key_len()
    }
}

impl SecretSealer {
    /// Derives the key (HKDF, RFC 5869) from 32 random bytes of the ring.
    pub(super) fn derive(root: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0_u8; 32]);
        Salt::new(HKDF_SHA256, SALT).extract(root).expand(&[INFO], KeyLength).ok()?.fill(&mut *key).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, &*key).ok().map(|key| Self { key: Arc::new(key) })
    }

    /// Seals `secret`. It opens only for the same `purpose`: what it is and whose.
    pub fn seal(&self, purpose: &[u8], secret: &[u8]) -> Result<Vec<u8>, SecretSealError> {
        let mut sealed = Zeroizing::new(secret.to_vec());
        let nonce = self.key.seal_in_place_append_tag(Aad::from(purpose), &mut *sealed).map_err(|_| SecretSealError)?;
        Ok([&[VERSION], nonce.as_ref().as_slice(), sealed.as_slice()].concat())
    }

    /// Opens what was sealed for the same `purpose`.
    pub fn open(&self, purpose: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretOpenError> {
        let Some((&VERSION, rest)) = sealed.split_first() else { return Err(SecretOpenError) };
        let Some((nonce, ciphertext)) = rest.split_first_chunk::<NONCE_LEN>() else { return Err(SecretOpenError) };
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let opened = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(purpose), &mut buffer)
            .map_err(|_| SecretOpenError)?;
        Ok(Zeroizing::new(opened.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_purpose_alone() {
        let sealer = SecretSealer::derive(&[7; 32]).unwrap();
        let sealed = sealer.seal(b"totp of kim", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(sealer.open(b"totp of kim", &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(sealer.open(b"totp of amara", &sealed), Err(SecretOpenError));
        let other = SecretSealer::derive(&[8; 32]).unwrap();
        assert_eq!(other.open(b"totp of kim", &sealed), Err(SecretOpenError));
    }

    #[test]
    fn what_was_tampered_with_does_not_open() {
        let sealer = SecretSealer::derive(&[7; 32]).unwrap();
        let sealed = sealer.seal(b"a", b"secret").unwrap();
        for at in 0..sealed.len() {
            let mut broken = sealed.clone();
            broken[at] ^= 1;
            assert_eq!(sealer.open(b"a", &broken), Err(SecretOpenError), "byte {at}");
        }
        for len in 0..sealed.len() {
            assert_eq!(sealer.open(b"a", &sealed[..len]), Err(SecretOpenError), "{len} bytes");
        }
        assert_ne!(sealer.seal(b"a", b"secret").unwrap(), sealed, "each has a nonce of its own");
    }
}
