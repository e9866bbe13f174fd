//! What the dashboard is told at its start. Reading it is the binary's work; nothing here does I/O.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use crate::oidc_config::OidcConfig;

/// The dashboard's configuration, as the section `[dashboard]` of the configuration file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where browsers call. It must be on loopback unless `tls` is set.
    pub listen: SocketAddr,
    /// Our certificate. Without it the port speaks clear text.
    pub tls: Option<Tls>,
    /// How browsers see us, as `https://pinger.example.org`: needed behind a proxy. Without it, each host name is taken
    /// with TLS, and only loopback's without.
    pub origin: Option<String>,
    /// Proxies in front of us, whose `x-forwarded-for` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where a trace can be looked at; `{trace_id}` stands for its id. Without it, no page has links to traces.
    pub trace_url: Option<String>,
    /// How long a sign-in may stay unused, in minutes.
    pub idle_minutes: NonZeroU32,
    /// How long a sign-in holds at the most, in hours.
    pub absolute_hours: NonZeroU32,
    /// How often a page that somebody looks at is made again, in milliseconds, to see what changed. It is at least 20.
    pub live_millis: NonZeroU32,
    /// How passwords are hashed.
    pub argon2: Argon2Config,
    /// A provider by which staff sign in, too.
    pub oidc: Option<OidcConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8480)),
            tls: None,
            origin: None,
            trusted_proxies: Vec::new(),
            trace_url: None,
            idle_minutes: const { NonZeroU32::new(30).unwrap() },
            absolute_hours: const { NonZeroU32::new(12).unwrap() },
            live_millis: const { NonZeroU32::new(2_000).unwrap() },
            argon2: Argon2Config::default(),
            oidc: None,
        }
    }
}

/// Our certificate: two PEM files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The chain, our own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How passwords are hashed: Argon2id (RFC 9106). The defaults are those that OWASP asks for at least. Passwords that were hashed
/// in another way are hashed anew when their owners sign in.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Argon2Config {
    /// How much memory a hash takes, in KiB.
    pub memory_kib: u32,
    /// How often it goes over it.
    pub iterations: u32,
    /// In how many lanes.
    pub parallelism: u32,
    /// How many passwords are hashed at once, at the most.
    pub concurrent: NonZeroU32,
}

impl Default for Argon2Config {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1, concurrent: const { NonZeroU32::new(2).unwrap() } }
    }
}

impl Config {
    /// How long a sign-in may stay unused.
    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(u64::from(self.idle_minutes.get()) * 60)
    }

    /// How long a sign-in holds at the most.
    pub(crate) fn absolute(&self) -> Duration {
        Duration::from_secs(u64::from(self.absolute_hours.get()) * 60 * 60)
    }

    /// How often a page that somebody looks at is made again.
    pub(crate) fn live(&self) -> Duration {
        Duration::from_millis(u64::from(self.live_millis.get()).max(20))
    }

    /// Where browsers call, as a URL without a path, if `address` is what is listened on.
    pub fn url(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.origin.clone().unwrap_or_else(|| format!("{scheme}://{address}"))
    }
}
