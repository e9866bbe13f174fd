//! The set of sealing keys, signed, so that nothing between the backend and a device can put a key of its own in it.

use std::time::Duration;

use aws_lc_rs::signature::{ED25519, KeyPair as _, UnparsedPublicKey};
use domain::Timestamp;
use prost::Message as _;
use proto::v1::{GetSealingKeysResponse, SealingKey, SealingKeySet};
use proto::{KEY_SET_PREFIX, render};

use super::KeyRing;

/// How long a signed set may be used.
const VALID_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Why a set of sealing keys is not to be trusted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is signed by another identity key than the pinned one.
    #[error("the sealing keys are signed by another server than the one that is pinned")]
    Pin,
    /// Its signature is wrong.
    #[error("the signature of the sealing keys is wrong")]
    Signature,
    /// It is no set of keys.
    #[error("the sealing keys can't be read")]
    Content,
    /// It is from too long ago.
    #[error("the sealing keys have expired")]
    Expired,
}

impl KeyRing {
    /// The public sealing keys, signed at `now`.
    pub fn key_set(&self, now: Timestamp) -> GetSealingKeysResponse {
        let keys = self.sealing.iter().map(|key| SealingKey {
            key_id: key.id.to_string(),
            public_key: key.opener.public().into(),
            create_time: Some(render::timestamp(key.created_at)),
        });
        let key_set = SealingKeySet {
            keys: keys.collect(),
            sign_time: Some(render::timestamp(now)),
            expire_time: Some(render::timestamp(now.after(VALID_FOR))),
        }
        .encode_to_vec();
        let signature = self.identity.sign(&[KEY_SET_PREFIX, &key_set].concat());
        GetSealingKeysResponse {
            key_set: key_set.into(),
            signature: signature.as_ref().to_vec().into(),
            identity_key: self.identity.public_key().as_ref().to_vec().into(),
        }
    }
}

/// Checks a set of sealing keys as a device does: by the `pinned` identity key, or, on first use, by the one that came
/// with it.
pub fn verify_key_set(
    response: &GetSealingKeysResponse,
    pinned: Option<&[u8; 32]>,
    now: Timestamp,
) -> Result<SealingKeySet, KeySetError> {
    if pinned.is_some_and(|pinned| pinned.as_slice() != response.identity_key.as_ref()) {
        return Err(KeySetError::Pin);
    }
    UnparsedPublicKey::new(&ED25519, &response.identity_key)
        .verify(&[KEY_SET_PREFIX, &response.key_set].concat(), &response.signature)
        .map_err(|_| KeySetError::Signature)?;
    let set = SealingKeySet::decode(response.key_set.as_ref()).map_err(|_| KeySetError::Content)?;
    if set.keys.is_empty() {
        return Err(KeySetError::Content);
    }
    let expires = set.expire_time.as_ref().map_or(0, |time| time.seconds.saturating_mul(1000));
    if now >= Timestamp::from_millis(expires) { Err(KeySetError::Expired) } else { Ok(set) }
}
