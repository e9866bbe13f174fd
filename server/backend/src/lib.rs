//! Everything secret: the internal API, the vault, the watches and the pushes.
//!
//! [`Config`] is pure; [`Backend::bind`] opens the store and the listener; [`Backend::run`] works until it is told to
//! stop.

mod config;
pub mod push;
pub mod vault;
pub mod watch;

pub use config::{ApnsAuthentication, ApnsConfig, Config, Listen, MutualTls};
