//! What of Web Authentication (Level 3) we need, and no more: no attestation, the three kinds of keys that authenticators make,
//! and whoever uses one always verified by it (PIN, finger, face). It does no I/O; challenges and keys are handed to it.
//!
//! It is our own because the crates for it bring the whole of attestation with them: some seventy further crates, among them
//! release candidates of a second RSA and of three more curves. What is left without that is this file. The signature itself is
//! checked by the vault.

use std::net::IpAddr;

use backend::vault::PasskeyKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::auth::secret::same;

/// The longest id of a credential (WebAuthn, section 4).
const LONGEST_ID: usize = 1_023;

/// The flags of authenticator data (section 6.1).
const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const HAS_CREDENTIAL: u8 = 1 << 6;
const HAS_EXTENSIONS: u8 = 1 << 7;

/// Why a passkey did not let anybody in, or was not registered. For the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// It can't be read.
    #[error("unreadable")]
    Malformed,
    /// A registration in the place of a sign-in, or the other way round.
    #[error("made for something else")]
    Purpose,
    /// It answers another question than ours.
    #[error("wrong challenge")]
    Challenge,
    /// It was made on another site's page.
    #[error("wrong origin")]
    Origin,
    /// It was made for another site.
    #[error("wrong relying party")]
    Party,
    /// Nobody touched the authenticator, or it did not verify who did.
    #[error("user not verified")]
    NotVerified,
    /// The key is of a kind that we don't know.
    #[error("unknown kind of key")]
    Key,
    /// The signature is not the key's.
    #[error("wrong signature")]
    Signature,
}

/// Us, as authenticators know us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RelyingParty {
    /// The host name.
    pub(crate) id: String,
    /// Scheme, host name and port.
    origin: String,
}

impl RelyingParty {
    /// From how browsers see us. None where that is an address: passkeys are for names (section 5.1.2).
    pub(crate) fn of(base: &str) -> Option<Self> {
        let origin = base.to_ascii_lowercase();
        let (_, authority) = origin.split_once("://")?;
        let id = authority.split_once(':').map_or(authority, |(host, _)| host).to_owned();
        let is_name = !id.is_empty() && !authority.starts_with('[') && id.parse::<IpAddr>().is_err();
        is_name.then_some(Self { id, origin })
    }
}

/// A passkey that was just made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) credential_id: Vec<u8>,
    /// The key in COSE, as the authenticator wrote it.
    pub(crate) public_key: Vec<u8>,
    pub(crate) sign_count: u32,
}

/// What a browser says of a passkey that it made.
#[derive(Deserialize)]
pub(crate) struct Registration {
    response: RegistrationResponse,
}

#[derive(Deserialize)]
struct RegistrationResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    #[serde(rename = "attestationObject")]
    attestation: String,
}

/// What a browser says of a passkey that was used.
#[derive(Deserialize)]
pub(crate) struct Assertion {
    id: String,
    response: AssertionResponse,
}

#[derive(Deserialize)]
struct AssertionResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    #[serde(rename = "authenticatorData")]
    authenticator_data: String,
    signature: String,
    #[serde(rename = "userHandle")]
    user_handle: Option<String>,
}

/// What the browser signed with (section 5.8.1).
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
}

fn decode(text: &str) -> Result<Vec<u8>, Problem> {
    // Some encoders pad.
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| Problem::Malformed)
}

impl RelyingParty {
    /// Checks a registration against the challenge that it answers (section 7.1). The attestation's statement is not asked for
    /// and not looked at: staff may use what they have.
    pub(crate) fn registered(&self, challenge: &str, registration: &str) -> Result<Made, Problem> {
        let said: Registration = serde_json::from_str(registration).map_err(|_| Problem::Malformed)?;
        self.client_data(&decode(&said.response.client_data)?, "webauthn.create", challenge)?;
        let attestation = decode(&said.response.attestation)?;
        let value: Value = ciborium::from_reader(attestation.as_slice()).map_err(|_| Problem::Malformed)?;
        let data = match field(&value, |key| key.as_text() == Some("authData")) {
            Some(Value::Bytes(data)) => data,
            _ => return Err(Problem::Malformed),
        };
        let (sign_count, rest) = self.authenticator_data(data)?;
        let made = rest.ok_or(Problem::Malformed)?;
        key(&made.public_key)?;
        Ok(Made { sign_count, ..made })
    }

    /// What was signed, if it is for us and answers the challenge (section 7.2): the key is looked up by its id, and compared by
    /// [`Signed::by`].
    pub(crate) fn signed(&self, challenge: &str, assertion: &str) -> Result<Signed, Problem> {
        let said: Assertion = serde_json::from_str(assertion).map_err(|_| Problem::Malformed)?;
        let client_data = decode(&said.response.client_data)?;
        self.client_data(&client_data, "webauthn.get", challenge)?;
        let mut message = decode(&said.response.authenticator_data)?;
        let (sign_count, _) = self.authenticator_data(&message)?;
        message.extend_from_slice(&Sha256::digest(&client_data));
        Ok(Signed {
            credential_id: decode(&said.id)?,
            user_handle: said.response.user_handle.as_deref().map(decode).transpose()?,
            sign_count,
            message,
            signature: decode(&said.response.signature)?,
        })
    }

    fn client_data(&self, bytes: &[u8], kind: &str, challenge: &str) -> Result<(), Problem> {
        let data: ClientData = serde_json::from_slice(bytes).map_err(|_| Problem::Malformed)?;
        if data.kind != kind {
            return Err(Problem::Purpose);
        }
        if !same(&data.challenge, challenge) {
            return Err(Problem::Challenge);
        }
        if data.origin != self.origin || data.cross_origin {
            return Err(Problem::Origin);
        }
        Ok(())
    }

    /// Reads authenticator data (section 6.1): the count, and the credential if there is one in it.
    fn authenticator_data(&self, data: &[u8]) -> Result<(u32, Option<Made>), Problem> {
        let (party, rest) = data.split_at_checked(32).ok_or(Problem::Malformed)?;
        if party != Sha256::digest(self.id.as_bytes()).as_slice() {
            return Err(Problem::Party);
        }
        let (&flags, rest) = rest.split_first().ok_or(Problem::Malformed)?;
        let (count, mut rest) = rest.split_first_chunk::<4>().ok_or(Problem::Malformed)?;
        let count = u32::from_be_bytes(*count);
        if flags & USER_PRESENT == 0 || flags & USER_VERIFIED == 0 {
            return Err(Problem::NotVerified);
        }
        let mut made = None;
        if flags & HAS_CREDENTIAL != 0 {
            // First the model of the authenticator, which we don't ask.
            let (_, after) = rest.split_at_checked(16).ok_or(Problem::Malformed)?;
            let (length, after) = after.split_first_chunk::<2>().ok_or(Problem::Malformed)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (credential_id, after) = after.split_at_checked(length).ok_or(Problem::Malformed)?;
            if credential_id.is_empty() || length > LONGEST_ID {
                return Err(Problem::Malformed);
            }
            let end = after_one(after)?;
            let public_key = after.get(..after.len() - end.len()).ok_or(Problem::Malformed)?.to_vec();
            rest = end;
            made = Some(Made { credential_id: credential_id.to_vec(), public_key, sign_count: count });
        }
        if flags & HAS_EXTENSIONS != 0 {
            rest = after_one(rest)?;
        }
        if rest.is_empty() { Ok((count, made)) } else { Err(Problem::Malformed) }
    }
}

/// What stands behind the first item of CBOR.
fn after_one(bytes: &[u8]) -> Result<&[u8], Problem> {
    let mut rest = bytes;
    ciborium::from_reader::<Value, _>(&mut rest).map_err(|_| Problem::Malformed)?;
    Ok(rest)
}

/// A passkey's word, whose signature has not been compared yet.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) credential_id: Vec<u8>,
    /// Who it says that it is of.
    pub(crate) user_handle: Option<Vec<u8>>,
    pub(crate) sign_count: u32,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// Whether it was signed with the other half of a key in COSE.
    pub(crate) fn by(&self, public_key: &[u8]) -> Result<(), Problem> {
        if key(public_key)?.signed(&self.message, &self.signature) { Ok(()) } else { Err(Problem::Signature) }
    }
}

fn field(map: &Value, is: impl Fn(&Value) -> bool) -> Option<&Value> {
    map.as_map()?.iter().find(|(key, _)| is(key)).map(|(_, value)| value)
}

/// Reads a key in COSE (RFC 9053, section 7; RFC 8230 for RSA).
fn key(cose: &[u8]) -> Result<PasskeyKey, Problem> {
    let map: Value = ciborium::from_reader(cose).map_err(|_| Problem::Malformed)?;
    let at = |label: i64| field(&map, |key| key.as_integer().is_some_and(|key| i128::from(key) == i128::from(label)));
    let number = |label: i64| at(label).and_then(Value::as_integer).map(i128::from);
    let bytes = |label: i64| at(label).and_then(Value::as_bytes).map(Vec::as_slice);
    let found = match (number(1), number(3), number(-1)) {
        // EC2, ES256, P-256
        (Some(2), Some(-7), Some(1)) => match (bytes(-2), bytes(-3)) {
            (Some(x), Some(y)) if x.len() == 32 && y.len() == 32 => {
                let mut point = [4; 65];
                point[1..33].copy_from_slice(x);
                point[33..].copy_from_slice(y);
                Some(PasskeyKey::Es256(point))
            }
            _ => None,
        },
        // OKP, EdDSA, Ed25519
        (Some(1), Some(-8), Some(6)) => bytes(-2).and_then(|key| key.try_into().ok()).map(PasskeyKey::EdDsa),
        // RSA, RS256: -1 is the modulus here
        (Some(3), Some(-257), None) => match (bytes(-1), bytes(-2)) {
            (Some(modulus), Some(exponent)) if (256..=1024).contains(&modulus.len()) && exponent.len() <= 8 => {
                Some(PasskeyKey::Rs256 { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
            }
            _ => None,
        },
        _ => None,
    };
    found.ok_or(Problem::Key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party() -> RelyingParty {
        RelyingParty::of("https://pinger.example.org").unwrap()
    }

    #[test]
    fn passkeys_are_for_names() {
        let of = |base| RelyingParty::of(base).map(|party| (party.id, party.origin));
        let both = |id: &str, origin: &str| Some((id.to_owned(), origin.to_owned()));
        assert_eq!(of("https://Pinger.example.org"), both("pinger.example.org", "https://pinger.example.org"));
        assert_eq!(of("http://localhost:8480"), both("localhost", "http://localhost:8480"));
        for bad in ["http://127.0.0.1:8480", "http://[::1]:8480", "https://192.0.2.1", "https://", "localhost", ""] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    /// Authenticator data with a credential whose key is `key`.
    fn data(flags: u8, id: &[u8], key: &Value) -> Vec<u8> {
        let mut data = Sha256::digest(b"pinger.example.org").to_vec();
        data.push(flags);
        data.extend_from_slice(&7_u32.to_be_bytes());
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&u16::try_from(id.len()).unwrap().to_be_bytes());
        data.extend_from_slice(id);
        ciborium::into_writer(key, &mut data).unwrap();
        data
    }

    fn number(number: i64) -> Value {
        Value::Integer(number.into())
    }

    fn ec(x: usize) -> Value {
        Value::Map(vec![
            (number(1), number(2)),
            (number(3), number(-7)),
            (number(-1), number(1)),
            (number(-2), Value::Bytes(vec![1; x])),
            (number(-3), Value::Bytes(vec![2; 32])),
        ])
    }

    #[test]
    fn authenticator_data_is_read_to_its_end() {
        let good = data(0x45, b"id", &ec(32));
        let (count, made) = party().authenticator_data(&good).unwrap();
        let made = made.unwrap();
        assert_eq!((count, made.credential_id.as_slice()), (7, b"id".as_slice()));
        assert!(matches!(key(&made.public_key), Ok(PasskeyKey::Es256(_))));
        for length in 0..good.len() {
            assert!(party().authenticator_data(&good[..length]).is_err(), "{length} bytes of it");
        }
        let mut long = good.clone();
        long.push(0);
        assert_eq!(party().authenticator_data(&long), Err(Problem::Malformed));
        assert_eq!(party().authenticator_data(&data(0x41, b"id", &ec(32))), Err(Problem::NotVerified));
        assert_eq!(party().authenticator_data(&data(0x44, b"id", &ec(32))), Err(Problem::NotVerified));
        assert_eq!(party().authenticator_data(&data(0x45, b"", &ec(32))), Err(Problem::Malformed));
        assert_eq!(party().authenticator_data(&data(0x45, &[1; 1024], &ec(32))), Err(Problem::Malformed));
        let mut extended = data(0xc5, b"id", &ec(32));
        ciborium::into_writer(&Value::Map(vec![(Value::Text("credProtect".to_owned()), number(2))]), &mut extended)
            .unwrap();
        assert!(party().authenticator_data(&extended).is_ok());
        let other = RelyingParty::of("https://evil.example").unwrap();
        assert_eq!(other.authenticator_data(&good), Err(Problem::Party));
    }

    #[test]
    fn keys_of_other_kinds_are_refused() {
        let check = |value: &Value, expect: bool| {
            let mut bytes = Vec::new();
            ciborium::into_writer(value, &mut bytes).unwrap();
            assert_eq!(key(&bytes).is_ok(), expect, "{value:?}");
        };
        check(&ec(32), true);
        check(&ec(31), false);
        check(&Value::Map(vec![(number(1), number(2)), (number(3), number(-7))]), false);
        check(&number(1), false);
        let okp = |algorithm: i64, curve: i64| {
            Value::Map(vec![
                (number(1), number(1)),
                (number(3), number(algorithm)),
                (number(-1), number(curve)),
                (number(-2), Value::Bytes(vec![1; 32])),
            ])
        };
        check(&okp(-8, 6), true);
        check(&okp(-7, 6), false);
        check(&okp(-8, 4), false);
        let rsa = |modulus: usize, exponent: usize| {
            Value::Map(vec![
                (number(1), number(3)),
                (number(3), number(-257)),
                (number(-1), Value::Bytes(vec![1; modulus])),
                (number(-2), Value::Bytes(vec![1; exponent])),
            ])
        };
        check(&rsa(256, 3), true);
        check(&rsa(128, 3), false);
        check(&rsa(256, 9), false);
        assert_eq!(key(&[]), Err(Problem::Malformed));
        assert_eq!(key(&[0xff; 40]), Err(Problem::Malformed));
    }

    #[test]
    fn nonsense_is_refused_and_nothing_breaks() {
        let mut seed = 1_u64;
        let good = data(0x45, b"id", &ec(32));
        for round in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut bent = good.clone();
            let at = usize::try_from(seed >> 33).unwrap() % bent.len();
            bent[at] ^= u8::try_from((seed >> 20) & 255).unwrap();
            bent.truncate(bent.len() - round % 3);
            if let Ok((_, Some(made))) = party().authenticator_data(&bent) {
                let _ = key(&made.public_key);
            }
        }
        for bad in ["", "{}", "[]", "{\"response\":{}}", "{\"id\":\"\",\"response\":{\"clientDataJSON\":\"%\"}}"] {
            assert_eq!(party().registered("x", bad), Err(Problem::Malformed), "{bad}");
            assert_eq!(party().signed("x", bad).unwrap_err(), Problem::Malformed, "{bad}");
        }
    }
}
