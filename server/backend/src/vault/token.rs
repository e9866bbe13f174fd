//! Session tokens: JWTs signed with Ed25519. The gateway verifies them with the public half, without a call.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use domain::{SessionId, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proto::internal_v1::TokenKey;
use secrecy::SecretString;
use serde::Serialize;

use super::KeyRing;

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("a session token could not be signed")]
pub struct TokenError;

/// What a token says: RFC 7519's `iss` and `exp`, the session and its generation.
#[derive(Serialize)]
struct Claims {
    iss: &'static str,
    sid: String,
    r#gen: u64,
    exp: i64,
}

pub(super) struct TokenSigner {
    id: String,
    public: Vec<u8>,
    key: EncodingKey,
}

impl TokenSigner {
    pub(super) fn new(id: &str, pkcs8: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
        Some(Self {
            id: id.to_owned(),
            public: pair.public_key().as_ref().to_vec(),
            key: EncodingKey::from_ed_der(pkcs8),
        })
    }
}

impl KeyRing {
    /// A token for a session of `generation`, which expires with the session.
    pub fn token(
        &self,
        session: SessionId,
        generation: u64,
        expires_at: Timestamp,
    ) -> Result<SecretString, TokenError> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.token.id.clone());
        let exp = expires_at.as_millis().div_euclid(1000) + 1;
        let claims = Claims { iss: "pinger", sid: session.to_string(), r#gen: generation, exp };
        jsonwebtoken::encode(&header, &claims, &self.token.key).map(SecretString::from).map_err(|_| TokenError)
    }

    /// The public keys with which tokens are verified.
    pub fn token_keys(&self) -> Vec<TokenKey> {
        vec![TokenKey { key_id: self.token.id.clone(), public_key: self.token.public.clone().into() }]
    }
}
