//! The key with which a sender proves to Apple who it is, and the check of the tokens signed with it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::Answer;
use crate::record::lock;

/// Apple refuses a provider token that is older than this.
pub const PROVIDER_TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How far the sender's clock may be ahead.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// A P-256 key as Apple hands it out to an app's makers, with its key id and their team id.
#[derive(Clone)]
pub struct ProviderKey {
    /// The ten characters of the key's id, the `kid` of a token.
    pub key_id: String,
    /// The ten characters of the team's id, the `iss` of a token.
    pub team_id: String,
    private_pem: String,
    public_pem: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    iat: u64,
}

impl ProviderKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        Ok(Self {
            key_id: "TESTKEY123".to_owned(),
            team_id: "TESTTEAM12".to_owned(),
            private_pem: key.serialize_pem(),
            public_pem: key.public_key_pem(),
        })
    }

    /// The private key as in Apple's `.p8` file: PKCS#8 PEM.
    pub fn pem(&self) -> &str {
        &self.private_pem
    }

    /// Writes `AuthKey_KEYID.p8` to a folder.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join(format!("AuthKey_{}.p8", self.key_id));
        std::fs::write(&path, &self.private_pem).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// A provider token as a sender would make it at `issued`.
    pub fn token(&self, issued: SystemTime) -> Result<String> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.key_id.clone());
        let iat = issued.duration_since(UNIX_EPOCH)?.as_secs();
        let claims = Claims { iss: self.team_id.clone(), iat };
        Ok(jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_pem(self.private_pem.as_bytes())?)?)
    }
}

/// Checks the header `authorization` against one key.
pub(super) struct TokenCheck {
    key: ProviderKey,
    public: DecodingKey,
    /// Tokens seen, so that a burst doesn't cost a signature check each, and tests can count them.
    verified: Mutex<HashSet<String>>,
}

impl TokenCheck {
    pub(super) fn new(key: ProviderKey) -> Result<Self> {
        let public = DecodingKey::from_ec_pem(key.public_pem.as_bytes())?;
        Ok(Self { key, public, verified: Mutex::default() })
    }

    pub(super) fn distinct_tokens(&self) -> usize {
        lock(&self.verified).len()
    }

    pub(super) fn check(&self, authorization: Option<&str>) -> Result<(), Answer> {
        let missing = Answer::refusal(http::StatusCode::FORBIDDEN, "MissingProviderToken");
        let authorization = authorization.ok_or(missing)?;
        // Apple takes the scheme in any case of letters, as HTTP says.
        let token = match authorization.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
            _ => return Err(Answer::InvalidProviderToken),
        };
        let age_checked = |iat: u64| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            if now > iat.saturating_add(PROVIDER_TOKEN_LIFETIME.as_secs()) {
                return Err(Answer::ExpiredProviderToken);
            }
            if iat > now.saturating_add(CLOCK_SKEW.as_secs()) { Err(Answer::InvalidProviderToken) } else { Ok(()) }
        };
        if lock(&self.verified).contains(token) {
            let claims = jsonwebtoken::dangerous::insecure_decode::<Claims>(token);
            return age_checked(claims.map_err(|_| Answer::InvalidProviderToken)?.claims.iat);
        }
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_issuer(&[&self.key.team_id]);
        rules.set_required_spec_claims(&["iss"]);
        rules.validate_exp = false;
        let decoded =
            jsonwebtoken::decode::<Claims>(token, &self.public, &rules).map_err(|_| Answer::InvalidProviderToken)?;
        if decoded.header.kid.as_deref() != Some(&self.key.key_id) {
            return Err(Answer::InvalidProviderToken);
        }
        age_checked(decoded.claims.iat)?;
        lock(&self.verified).insert(token.to_owned());
        Ok(())
    }
}
