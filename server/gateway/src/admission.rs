//! Which app calls: its key, by its SHA-256.

use domain::AppId;
use proto::{APP_KEY_METADATA, Reason, Refusal};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use tonic::metadata::MetadataMap;

use crate::config::{AppKey, GatewayError};

/// The apps that may register devices.
pub(crate) struct AppKeys(Vec<(AppId, [u8; 32])>);

impl AppKeys {
    pub(crate) fn new(keys: &[AppKey]) -> Result<Self, GatewayError> {
        let mut apps: Vec<(AppId, [u8; 32])> = Vec::with_capacity(keys.len());
        for AppKey { id, sha256 } in keys {
            let problem = |problem: String| GatewayError::AppKey { id: id.clone(), problem };
            let app = AppId::parse(id).map_err(|error| problem(format!("the id {error}")))?;
            let hash = parse_hash(sha256).ok_or_else(|| problem("sha256 must be 64 hexadecimal digits".to_owned()))?;
            // Two keys may belong to one app, as while a key is being replaced; one key can't belong to two apps.
            if apps.iter().any(|(_, other)| *other == hash) {
                return Err(problem("another entry has the same key".to_owned()));
            }
            apps.push((app, hash));
        }
        Ok(Self(apps))
    }

    /// The app whose key the call carries.
    pub(crate) fn admit(&self, metadata: &MetadataMap) -> Result<&AppId, Refusal> {
        let key = metadata.get(APP_KEY_METADATA).ok_or(Refusal::new(Reason::AppKeyMissing))?;
        let hash: [u8; 32] = Sha256::digest(key.as_encoded_bytes()).into();
        // All are compared, to the end, so that the time says nothing about which one came close.
        let mut found = u64::MAX;
        for (index, (_, expected)) in (0..).zip(&self.0) {
            let same: Choice = expected.ct_eq(&hash);
            found = u64::conditional_select(&found, &index, same);
        }
        let found = usize::try_from(found).ok().and_then(|index| self.0.get(index));
        found.map(|(app, _)| app).ok_or(Refusal::new(Reason::AppKeyUnknown))
    }
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, sha256: &str) -> AppKey {
        AppKey { id: id.to_owned(), sha256: sha256.to_owned() }
    }

    // SHA-256 of "abc" and of nothing.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const NOTHING: &str = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";

    #[test]
    fn an_app_is_known_by_its_key() {
        let keys = AppKeys::new(&[key("one", NOTHING), key("two", ABC)]).unwrap();
        let check = |value: Option<&str>, expect: Result<&str, Reason>| {
            let mut metadata = MetadataMap::new();
            if let Some(value) = value {
                metadata.insert(APP_KEY_METADATA, value.parse().unwrap());
            }
            let app = keys.admit(&metadata).map(AppId::as_str).map_err(|refusal| refusal.reason());
            assert_eq!(app, expect, "{value:?}");
        };
        check(Some("abc"), Ok("two"));
        check(Some(""), Ok("one"));
        check(Some("abcd"), Err(Reason::AppKeyUnknown));
        check(None, Err(Reason::AppKeyMissing));
    }

    #[test]
    fn keys_that_are_none_stop_the_start() {
        let check = |keys: &[AppKey]| assert!(AppKeys::new(keys).is_err(), "{keys:?}");
        check(&[key("one", "abc")]);
        check(&[key("one", &"g".repeat(64))]);
        check(&[key("one", &"ü".repeat(32))]);
        check(&[key("", ABC)]);
        check(&[key("one", ABC), key("two", ABC)]);
        assert!(AppKeys::new(&[key("one", ABC), key("one", NOTHING)]).is_ok());
    }
}
