//! Provider tokens: proof of who we are that lasts an hour.
//!
//! <https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns>

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

/// Apple takes a token for 60 minutes, and a new one only after 20.
const REFRESH_AFTER: Duration = Duration::from_secs(40 * 60);

/// How often a token is replaced because Apple says that it has expired, at most.
const REFRESH_ON_DEMAND: Duration = Duration::from_secs(20 * 60);

/// A key of Apple's, and the token that was made with it last.
pub(super) struct ProviderTokens {
    key: EncodingKey,
    header: Header,
    team_id: String,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    token: Option<Arc<ProviderToken>>,
    demanded_at: Option<Timestamp>,
}

/// One token.
pub(super) struct ProviderToken {
    jwt: SecretString,
    issued_at: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
}

impl ProviderToken {
    /// The token, for the request to Apple only.
    pub(super) fn expose(&self) -> &str {
        self.jwt.expose_secret()
    }
}

impl ProviderTokens {
    /// Takes a private key of the curve P-256 (PKCS#8, PEM) and signs a first token, which shows that it can.
    pub(super) fn new(pem: &[u8], key_id: &str, team_id: &str) -> Result<Self, jsonwebtoken::errors::Error> {
        let header = Header { kid: Some(key_id.to_owned()), ..Header::new(Algorithm::ES256) };
        let tokens = Self {
            key: EncodingKey::from_ec_pem(pem)?,
            header,
            team_id: team_id.to_owned(),
            current: Mutex::default(),
        };
        tokens.sign(Timestamp::from_millis(0))?;
        Ok(tokens)
    }

    /// The token to use at `now`.
    pub(super) fn get(&self, now: Timestamp) -> Result<Arc<ProviderToken>, jsonwebtoken::errors::Error> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = &current.token {
            // A clock that was set back makes the token's time lie ahead; a little of that does no harm.
            let age = now.since(token.issued_at).max(token.issued_at.since(now));
            if age < REFRESH_AFTER {
                return Ok(Arc::clone(token));
            }
        }
        let token = Arc::new(self.sign(now)?);
        current.token = Some(Arc::clone(&token));
        Ok(token)
    }

    /// The token to use instead of `expired`, which Apple took for expired; none if there can't be another yet, as when
    /// our clock is wrong.
    pub(super) fn replace(
        &self,
        expired: &Arc<ProviderToken>,
        now: Timestamp,
    ) -> Result<Option<Arc<ProviderToken>>, jsonwebtoken::errors::Error> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // Many requests fail at once with the same token: the first replaces it for all.
        if let Some(token) = current.token.as_ref().filter(|token| !Arc::ptr_eq(token, expired)) {
            return Ok(Some(Arc::clone(token)));
        }
        if current.demanded_at.is_some_and(|at| now.since(at) < REFRESH_ON_DEMAND) {
            return Ok(None);
        }
        let token = Arc::new(self.sign(now)?);
        *current = Current { token: Some(Arc::clone(&token)), demanded_at: Some(now) };
        Ok(Some(token))
    }

    fn sign(&self, now: Timestamp) -> Result<ProviderToken, jsonwebtoken::errors::Error> {
        let claims = Claims { iss: &self.team_id, iat: now.as_millis().div_euclid(1000) };
        let jwt = jsonwebtoken::encode(&self.header, &claims, &self.key)?;
        Ok(ProviderToken { jwt: jwt.into(), issued_at: now })
    }
}
