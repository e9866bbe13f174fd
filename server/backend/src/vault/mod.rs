//! Credentials and keys: the only place that names a cipher.
//!
//! A device seals a credential for one of the ring's sealing keys ([`seal`]); the box is what the store keeps, and it is
//! opened for a log-in only ([`KeyRing::open`]). The ring also signs what devices trust: the set of sealing keys
//! ([`KeyRing::key_set`], [`verify_key_set`]) and session tokens ([`KeyRing::token`]). Small secrets of staff are sealed by a key
//! that is derived from it ([`KeyRing::staff_secrets`]).

mod boxes;
mod credential;
mod key_set;
mod passkey_key;
mod ring;
mod scram;
mod sealer;
mod token;

pub use boxes::{Binding, OpenError, SealError, seal};
pub use credential::{Credential, Secret};
pub use key_set::{KeySetError, verify_key_set};
pub use passkey_key::PasskeyKey;
pub use ring::{KeyError, KeyRing};
pub(crate) use scram::{ScramProof, scram_nonce};
pub use sealer::{SecretOpenError, SecretSealError, SecretSealer};
pub use token::TokenError;
