//! Session tokens: JWTs (RFC 7519) that the backend signs with Ed25519 (RFC 8037).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::SessionId;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use proto::{Reason, Refusal};
use serde::Deserialize;
use tonic::metadata::MetadataMap;

/// How long a token is good after its end: the clocks of gateway and backend differ a little.
const LEEWAY: Duration = Duration::from_secs(5);

/// A token of ours has about 300 bytes.
const MAX_BYTES: usize = 2_048;

const ISSUER: &str = "pinger";

/// Who calls, proven by a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) session: SessionId,
    pub(crate) generation: u64,
}

#[derive(Deserialize)]
struct Claims {
    sid: String,
    #[serde(rename = "gen")]
    generation: u64,
    exp: u64,
}

/// A token that looks like one of ours. Nothing in it is proven.
pub(crate) struct Unverified<'a> {
    token: &'a str,
    key_id: String,
}

impl<'a> Unverified<'a> {
    /// Takes the token that the call carries.
    pub(crate) fn from_metadata(metadata: &'a MetadataMap) -> Result<Self, Refusal> {
        let value = metadata.get("authorization").ok_or(Refusal::new(Reason::TokenMissing))?;
        Self::parse(value.as_bytes())
    }

    /// Reads `Bearer TOKEN` (RFC 6750, section 2.1) and the token's header.
    fn parse(authorization: &'a [u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(authorization).map_err(|_| Refusal::new(Reason::TokenInvalid))?;
        let (_, token) = text
            .trim()
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .ok_or(Refusal::new(Reason::TokenMissing))?;
        let token = token.trim();
        if token.is_empty() {
            return Err(Refusal::new(Reason::TokenMissing));
        }
        if token.len() > MAX_BYTES {
            return Err(Refusal::new(Reason::TokenInvalid));
        }
        match jsonwebtoken::decode_header(token) {
            Ok(header) if header.alg == Algorithm::EdDSA => match header.kid {
                Some(key_id) => Ok(Self { token, key_id }),
                None => Err(Refusal::new(Reason::TokenInvalid)),
            },
            _ => Err(Refusal::new(Reason::TokenInvalid)),
        }
    }

    /// The id of the key that it says it is signed with.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Checks the signature and the claims.
    pub(crate) fn verify(&self, key: &DecodingKey, now: SystemTime) -> Result<Holder, Refusal> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "iss"]);
        validation.set_issuer(&[ISSUER]);
        // The time is handed in, and looked at below.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(self.token, key, &validation)
            .map_err(|_| Refusal::new(Reason::TokenInvalid))?
            .claims;
        let session = SessionId::parse(&claims.sid).map_err(|_| Refusal::new(Reason::TokenInvalid))?;
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if claims.exp.saturating_add(LEEWAY.as_secs()) <= now {
            return Err(Refusal::new(Reason::TokenExpired));
        }
        Ok(Holder { session, generation: claims.generation })
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
