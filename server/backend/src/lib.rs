//! Everything secret: the internal API, the vault, the watches and the pushes.
//!
//! [`Config`] is pure; [`Backend::bind`] opens the store and the listener; [`Backend::run`] works until it is told to
//! stop.

mod api;
mod clock;
mod config;
mod handle;
mod heartbeat;
mod history;
mod listen;
mod logins;
mod node;
pub mod push;
mod server;
mod session;
mod telemetry;
mod traced;
pub mod vault;
pub mod watch;

pub use clock::Clock;
pub use config::{ApnsAuthentication, ApnsConfig, Config, Listen, MutualTls, WatchConfig};
pub use handle::{Actor, Handle, HandleError, Installed, OpenBreaker, PingReport, PingStep};
pub use server::{Backend, BackendError};
