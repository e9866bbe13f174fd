//! Credentials and keys: the only place that names a cipher.

mod credential;

pub use credential::{Credential, Secret};
