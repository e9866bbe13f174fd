//! Session tokens, as the backend makes them, and as others do.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// A key that signs tokens.
pub struct Signer {
    pub key_id: String,
    pub public_key: Vec<u8>,
    key: EncodingKey,
}

impl Signer {
    pub fn new(key_id: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        Self {
            key_id: key_id.to_owned(),
            public_key: pair.public_key_raw().to_vec(),
            key: EncodingKey::from_ed_der(&pair.serialize_der()),
        }
    }

    /// A good token.
    pub fn token(&self, session: &str) -> String {
        self.sign(&claims(session, 3600))
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    /// The claims under an HMAC whose secret is our public key, which everybody knows.
    pub fn hmac(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(&self.public_key)).unwrap()
    }

    /// The claims under no signature at all.
    pub fn none(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({"alg": "none", "kid": self.key_id})), part(claims))
    }
}

/// Claims that end in so many seconds.
pub fn claims(session: &str, seconds: i64) -> Value {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    json!({"iss": "pinger", "sid": session, "gen": 7, "exp": now + seconds})
}

/// The claims with one changed.
pub fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

/// The claims without one.
pub fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}
