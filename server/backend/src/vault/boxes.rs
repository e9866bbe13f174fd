//! HPKE boxes (RFC 9180, base mode): one mechanism on the wire and at rest.

use domain::{KeyId, MailTarget, Registration, SealedBox};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _};
use prost::Message as _;
use proto::CREDENTIAL_INFO;
use proto::v1::credential::Secret as WireSecret;
use proto::v1::{Credential as WireCredential, SealingKey};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{Credential, Secret};

type Kem = X25519HkdfSha256;
type PrivateKey = <Kem as hpke::Kem>::PrivateKey;

/// The padding's step: what a box weighs says next to nothing of what is in it.
const STEP: usize = 256;

/// Why a credential can't be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The sealing key is no X25519 key.
    #[error("the sealing key is not valid")]
    Key,
    /// The credential is beyond the limits of the API.
    #[error("the user name or the secret is empty, too long, or has line breaks")]
    Credential,
}

/// Why a box doesn't open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is sealed for a key that isn't in the ring.
    #[error("the box is sealed for a key that is not in the ring")]
    UnknownKey,
    /// It was tampered with, or sealed for something else.
    #[error("the box does not open for this session")]
    Refused,
    /// What is in it is no credential.
    #[error("what is in the box is not a credential")]
    Content,
}

/// What a box is bound to: HPKE's associated data. Whoever can write to the store still can't point a credential at a mail
/// server of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding(Vec<u8>);

impl Binding {
    /// The associated data of a registration's box; `host` counts in lower case.
    pub fn new(user: &str, device: &str, context: &str, host: &str, port: u16) -> Self {
        let mut bytes = Vec::new();
        for field in [user, device, context, &host.to_ascii_lowercase(), &port.to_string()] {
            // All of them are short by their own rules; a longer one is cut, and then the box doesn't open.
            let len = u16::try_from(field.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(&field.as_bytes()[..usize::from(len)]);
        }
        Self(bytes)
    }

    /// The same, of a registration.
    pub fn of(registration: &Registration) -> Self {
        let Registration { user, device, context, mail, .. } = registration;
        Self::for_target(user.as_str(), device.id.as_str(), context.as_str(), mail)
    }

    /// The same, of a stored session.
    pub fn for_target(user: &str, device: &str, context: &str, mail: &MailTarget) -> Self {
        Self::new(user, device, context, mail.host().as_str(), mail.port())
    }
}

/// Seals a credential for a sealing key: what a device does.
pub fn seal(key: &SealingKey, binding: &Binding, credential: &Credential) -> Result<SealedBox, SealError> {
    if !credential.is_sound() {
        return Err(SealError::Credential);
    }
    let key_id = KeyId::parse(&key.key_id).map_err(|_| SealError::Key)?;
    let public = <Kem as hpke::Kem>::PublicKey::from_bytes(&key.public_key).map_err(|_| SealError::Key)?;
    let plain = pad(credential)?;
    let (encapsulated, ciphertext) = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeS::Base,
        &public,
        CREDENTIAL_INFO,
        &plain,
        &binding.0,
    )
    .map_err(|_| SealError::Key)?;
    Ok(SealedBox { key_id, encapsulated_key: encapsulated.to_bytes().into(), ciphertext })
}

fn pad(credential: &Credential) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let secret = match &credential.secret {
        Secret::Password(password) => WireSecret::Password(password.expose_secret().to_owned()),
        Secret::AccessToken(token) => WireSecret::AccessToken(token.expose_secret().to_owned()),
    };
    let wire = WireCredential { username: credential.username.expose_secret().to_owned(), secret: Some(secret) };
    let len = u16::try_from(wire.encoded_len()).map_err(|_| SealError::Credential)?;
    let whole = (usize::from(len) + 2).next_multiple_of(STEP);
    let mut plain = Zeroizing::new(Vec::with_capacity(whole));
    plain.extend_from_slice(&len.to_be_bytes());
    wire.encode(&mut *plain).map_err(|_| SealError::Credential)?;
    plain.resize(whole, 0);
    Ok(plain)
}

/// A sealing key's private half.
pub(super) struct Opener {
    private: PrivateKey,
}

impl Opener {
    pub(super) fn generate() -> Self {
        Self { private: Kem::gen_keypair().0 }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        PrivateKey::from_bytes(bytes).ok().map(|private| Self { private })
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.private.to_bytes().to_vec())
    }

    pub(super) fn public(&self) -> Vec<u8> {
        Kem::sk_to_pk(&self.private).to_bytes().to_vec()
    }

    pub(super) fn open(&self, sealed: &SealedBox, binding: &Binding) -> Result<Credential, OpenError> {
        let encapsulated =
            <Kem as hpke::Kem>::EncappedKey::from_bytes(&sealed.encapsulated_key).map_err(|_| OpenError::Refused)?;
        let plain = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            &self.private,
            &encapsulated,
            CREDENTIAL_INFO,
            &sealed.ciphertext,
            &binding.0,
        )
        .map_err(|_| OpenError::Refused)?;
        unpad(&Zeroizing::new(plain)).ok_or(OpenError::Content)
    }
}

fn unpad(plain: &[u8]) -> Option<Credential> {
    let (len, rest) = plain.split_first_chunk::<2>()?;
    let (wire, padding) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    if !plain.len().is_multiple_of(STEP) || padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    let wire = WireCredential::decode(wire).ok()?;
    let credential = Credential {
        username: SecretString::from(wire.username),
        secret: match wire.secret? {
            WireSecret::Password(password) => Secret::Password(SecretString::from(password)),
            WireSecret::AccessToken(token) => Secret::AccessToken(SecretString::from(token)),
        },
    };
    credential.is_sound().then_some(credential)
}
