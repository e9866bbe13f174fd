//! What the gateway is told at its start. It goes to a child process as JSON, and nothing in it is secret: keys are
//! named by their files, app keys by their hashes.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::Limits;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The gateway's configuration, as the section `[gateway]` of the configuration file has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where devices call: gRPC and gRPC-web. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Our certificate. Without it the port speaks clear text, for use behind a proxy that ends TLS.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The apps that may register devices.
    #[serde(default)]
    pub app_keys: Vec<AppKey>,
    /// Where the backend is.
    pub backend: BackendAddress,
    /// The origins whose pages may call: `https://app.example.org`, or `*` alone for all.
    #[serde(default)]
    pub cors_origins: Vec<String>,
    /// The proxies in front of us, whose `x-forwarded-for` is believed: its last address, no other.
    #[serde(default)]
    pub trusted_proxies: Vec<IpNet>,
    /// How many calls are taken.
    #[serde(default)]
    pub rates: Rates,
    /// Calls that may be under way at once; more are refused as OVERLOADED. Streams have a limit of their own.
    #[serde(default = "max_in_flight")]
    pub max_in_flight: NonZeroU32,
    /// WatchSession streams that may be open at once.
    #[serde(default = "max_watches")]
    pub max_watches: NonZeroU32,
    /// Connections that may be open at once; further ones wait to be accepted.
    #[serde(default = "max_connections")]
    pub max_connections: NonZeroU32,
    /// How long a call may take, in seconds. A shorter `grpc-timeout` of the caller wins.
    #[serde(default = "deadline_seconds")]
    pub deadline_seconds: NonZeroU32,
    /// The longest life of a session, in seconds. It must be the backend's.
    #[serde(default = "max_lifetime_seconds")]
    pub max_lifetime_seconds: u64,
}

impl Config {
    /// A configuration in which everything that can be left out is left out.
    pub fn new(listen: SocketAddr, backend: BackendAddress) -> Self {
        Self {
            listen,
            tls: None,
            app_keys: Vec::new(),
            backend,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            rates: Rates::default(),
            max_in_flight: max_in_flight(),
            max_watches: max_watches(),
            max_connections: max_connections(),
            deadline_seconds: deadline_seconds(),
            max_lifetime_seconds: max_lifetime_seconds(),
        }
    }

    /// What devices may ask for.
    pub fn limits(&self) -> Limits {
        Limits { lifetime: Duration::from_secs(self.max_lifetime_seconds), ..Limits::default() }
    }

    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_seconds.get().into())
    }
}

/// Our certificate, PEM.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, our own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// An app that may register devices.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AppKey {
    /// The app's id, as the backend will see it: 1 to 64 bytes of printable ASCII.
    pub id: String,
    /// SHA-256 of the key, 64 hexadecimal digits. The key itself is in the app alone.
    pub sha256: String,
}

/// Where the backend is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum BackendAddress {
    /// On this machine.
    Unix {
        /// The socket's path.
        path: PathBuf,
    },
    /// Elsewhere, through mutual TLS.
    Tcp {
        /// Host and port, as `backend.internal:7002`.
        address: String,
        /// The name that its certificate must be for.
        server_name: String,
        /// Our certificate for it, and who may have signed its own.
        tls: MutualTls,
    },
}

/// Files for mutual TLS between gateway and backend, all PEM.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MutualTls {
    /// The authority that signed the other side's certificate.
    pub ca: PathBuf,
    /// Our certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How many calls are taken before RATE_LIMITED.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// From one peer: an IPv4 address, or a /64 of IPv6. Many phones share one address of their carrier.
    pub per_peer: Rate,
    /// From all of them.
    pub global: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self { per_peer: Rate { per_second: number(100), burst: number(200) }, global: Rate::of(number(5_000)) }
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls a second in the long run.
    pub per_second: NonZeroU32,
    /// Calls at once after a silence.
    pub burst: NonZeroU32,
}

impl Rate {
    /// As many at once as in a second.
    pub const fn of(per_second: NonZeroU32) -> Self {
        Self { per_second, burst: per_second }
    }
}

/// Why the gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A file can't be read.
    #[error("can't read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate or a private key is of no use.
    #[error("{path} has no usable certificate or private key: {problem}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An app key is of no use.
    #[error("app key {id:?}: {problem}")]
    AppKey {
        /// The app key's id.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An origin is of no use.
    #[error("cors_origins: {origin:?} {problem}")]
    Origin {
        /// The origin.
        origin: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The descriptors that were built in are of no use.
    #[error("reflection: {problem}")]
    Reflection {
        /// What is wrong with them.
        problem: String,
    },
    /// The backend's address or TLS is of no use.
    #[error("backend: {problem}")]
    Backend {
        /// What is wrong with it.
        problem: String,
    },
}

/// Reads a file of the configuration.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, GatewayError> {
    std::fs::read(path).map_err(|source| GatewayError::File { path: path.to_owned(), source })
}

const fn number(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

fn max_in_flight() -> NonZeroU32 {
    number(512)
}

fn max_watches() -> NonZeroU32 {
    number(4_096)
}

fn max_connections() -> NonZeroU32 {
    number(8_192)
}

fn deadline_seconds() -> NonZeroU32 {
    number(10)
}

fn max_lifetime_seconds() -> u64 {
    Limits::default().lifetime.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_needs_to_be_said() {
        let config: Config =
            serde_json::from_str(r#"{"listen": "127.0.0.1:0", "backend": {"unix": {"path": "backend.sock"}}}"#)
                .unwrap();
        assert_eq!(config.deadline(), Duration::from_secs(10));
        assert_eq!(config.limits(), Limits::default());
        let again: Config = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(format!("{config:?}"), format!("{again:?}"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for extra in [r#""database_url": "x""#, r#""rates": {"per_moon": 1}"#, r#""max_in_flight": 0"#] {
            let text = format!(r#"{{"listen": "127.0.0.1:0", "backend": {{"unix": {{"path": "b"}}}}, {extra}}}"#);
            assert!(serde_json::from_str::<Config>(&text).is_err(), "{extra}");
        }
    }
}
