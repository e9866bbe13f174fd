//! The provider's word on who somebody is: its signature and its claims (OpenID Connect Core, section 3.1.3.7).

use std::collections::HashSet;
use std::time::Duration;

use domain::Timestamp;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use super::standing::Person;
use crate::auth::secret::same;

/// By how much their clock and ours may differ.
const SKEW: Duration = Duration::from_secs(60);

/// The most groups that are looked at.
const GROUPS_MAX: usize = 1_000;

/// How providers may sign: with a key of theirs, never with our secret.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    /// It can't be read.
    #[error("unreadable token")]
    Malformed,
    /// It is signed in a way, or with a key, that the provider does not have.
    #[error("unknown key")]
    UnknownKey,
    /// Signature, issuer or audience are wrong.
    #[error("wrong signature, issuer or audience")]
    Untrue,
    /// It is too old, or not valid yet.
    #[error("expired")]
    Expired,
    /// It answers another question than ours.
    #[error("wrong nonce")]
    Nonce,
    /// It is for several, and was not made for us.
    #[error("made for another party")]
    Party,
}

/// What a token is compared with.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) groups_claim: &'a str,
    pub(super) now: Timestamp,
}

/// Checks a token, and reads who it is about.
pub(super) fn read(token: &str, keys: &[Jwk], expected: &Expected<'_>) -> Result<Person, TokenError> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(TokenError::UnknownKey);
    }
    let key = key(keys, header.kid.as_deref()).ok_or(TokenError::UnknownKey)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| TokenError::UnknownKey)?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[expected.issuer]);
    validation.set_audience(&[expected.client_id]);
    validation.required_spec_claims = HashSet::from(["iss".to_owned(), "aud".to_owned(), "sub".to_owned()]);
    // The time is handed to us; what has to do with it is compared below.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let claims =
        jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation).map_err(|_| TokenError::Untrue)?.claims;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if !text("nonce").is_some_and(|nonce| same(nonce, expected.nonce)) {
        return Err(TokenError::Nonce);
    }
    let is_shared = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
    let is_ours = text("azp").map_or(!is_shared, |party| party == expected.client_id);
    if !is_ours {
        return Err(TokenError::Party);
    }
    in_time(&claims, expected.now)?;
    let subject = text("sub").filter(|subject| (1..=255).contains(&subject.len())).ok_or(TokenError::Malformed)?;
    let groups = match claims.get(expected.groups_claim) {
        Some(Value::Array(all)) => all.iter().take(GROUPS_MAX).filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    };
    Ok(Person {
        subject: subject.to_owned(),
        email: text("email").map(str::to_owned),
        // Some write it as a text.
        email_verified: claims.get("email_verified").is_some_and(|is| *is == Value::Bool(true) || *is == "true"),
        preferred_name: text("preferred_username").map(str::to_owned),
        groups,
    })
}

/// The key that is named, or the only one.
fn key<'a>(keys: &'a [Jwk], id: Option<&str>) -> Option<&'a Jwk> {
    let mut fit = keys.iter().filter(|key| {
        !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption))
            && id.is_none_or(|id| key.common.key_id.as_deref() == Some(id))
    });
    match (fit.next(), fit.next()) {
        (Some(key), None) => Some(key),
        (Some(key), Some(_)) if id.is_some() => Some(key),
        _ => None,
    }
}

fn in_time(claims: &Map<String, Value>, now: Timestamp) -> Result<(), TokenError> {
    // JSON's numbers may have a fraction.
    let at = |name: &str| claims.get(name).and_then(Value::as_f64).map(|seconds| seconds * 1000.0);
    #[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 milliseconds")]
    let (now, skew) = (now.as_millis() as f64, SKEW.as_millis() as f64);
    let expires = at("exp").ok_or(TokenError::Malformed)?;
    let ahead = |name: &str| at(name).is_some_and(|time| time > now + skew);
    if now >= expires + skew || ahead("nbf") || ahead("iat") { Err(TokenError::Expired) } else { Ok(()) }
}
