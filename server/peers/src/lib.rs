//! The other ends that Pinger talks to, for tests, benches and the demo.
//!
//! Everything listens on free ports of 127.0.0.0/8, writes to temporary folders only, and stops when it is dropped.

pub mod apns;
pub mod certificate;
mod clock;
pub mod dovecot;
pub mod hostile;
pub mod imap_server;
mod listener;
pub mod otlp;
pub mod postgres;
mod record;

pub use clock::monotonic_ns;
pub use listener::closed_port;
