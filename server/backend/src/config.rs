//! What the backend is told at its start. Reading it is the binary's work; nothing here does I/O.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use domain::{Limits, PollBounds, Rules};
use ipnet::IpNet;
use serde::Deserialize;

use crate::watch::imap::Deadlines;
use crate::watch::imap::quirk::QuirkRule;
use crate::watch::{PaceRules, PollRules};

/// The backend's configuration, as the section `[backend]` of the configuration file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the gateway calls.
    pub listen: Listen,
    /// The folder of the store and the keys. It is made, with mode 0700, if it isn't there.
    pub data: PathBuf,
    /// The database; `sqlite://DATA/pinger.db` if not set.
    #[serde(default)]
    pub database_url: Option<String>,
    /// Further certificate authorities that mail servers may be signed by: a PEM file.
    #[serde(default)]
    pub mail_ca: Option<PathBuf>,
    /// Address ranges that may be connected to although they are private.
    #[serde(default)]
    pub allow_addresses: Vec<IpNet>,
    /// Ports of mail servers.
    #[serde(default = "mail_ports")]
    pub allow_ports: Vec<u16>,
    /// Ports of ActiveSync servers.
    #[serde(default = "eas_ports")]
    pub allow_eas_ports: Vec<u16>,
    /// Apple's push service. Without it, registrations with a target there are refused.
    #[serde(default)]
    pub apns: Option<ApnsConfig>,
    /// Connections to mail servers that may be in the making at once.
    #[serde(default = "concurrent_connects")]
    pub concurrent_connects: usize,
    /// How fast connections to mail servers are made.
    #[serde(default)]
    pub watch: WatchConfig,
    /// The longest that a mail server may take for anything, in seconds: to take a connection, to shake hands, to greet, to
    /// answer a command. Most have shorter deadlines of their own.
    #[serde(default = "mail_deadline_seconds")]
    pub mail_deadline_seconds: u64,
    /// How often a mailbox is asked for news at the most where the server offers no IDLE, or one that isn't worth it, in
    /// seconds.
    #[serde(default = "poll_seconds")]
    pub poll_seconds: u64,
    /// How seldom at the least, in seconds. In between, it depends on when mail usually comes.
    #[serde(default = "poll_max_seconds")]
    pub poll_max_seconds: u64,
    /// A pause between two polls that is at least so long is spent without a connection, in seconds.
    #[serde(default = "poll_close_seconds")]
    pub poll_close_seconds: u64,
    /// Where the operators of mail servers can ask about us, which is told to those that want to know: a URL.
    #[serde(default)]
    pub mail_contact: Option<String>,
    /// What the operator knows of mail servers.
    #[serde(default)]
    pub quirk: Vec<QuirkRule>,
    /// How long a push is worth sending, in seconds.
    #[serde(default = "push_lifetime_seconds")]
    pub push_lifetime_seconds: u64,
    /// How long a push waits where the push service finds fault with our key, topic or request, in seconds. If it goes on,
    /// one push at a time tries whether that is mended, after pauses that double to ten minutes.
    #[serde(default = "push_fault_pause_seconds")]
    pub push_fault_pause_seconds: u64,
    /// How long ended sessions and done pushes are kept, in hours.
    #[serde(default = "retention_hours")]
    pub retention_hours: u64,
    /// The longest life of a session, in seconds.
    #[serde(default = "lifetime_seconds")]
    pub max_lifetime_seconds: u64,
    /// The first hold after a push, in seconds.
    #[serde(default = "hold_seconds")]
    pub hold_seconds: u64,
    /// The pause after a refused log-in, in seconds.
    #[serde(default = "refusal_pause_seconds")]
    pub refusal_pause_seconds: u64,
}

/// How fast connections to mail servers are made, as the section `[backend.watch]` has it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchConfig {
    /// Connections to one mail server that may be in the making at once.
    pub host_concurrent_connects: usize,
    /// Connections to one mail server that are begun in a second.
    pub host_connects_per_second: u32,
    /// Connections to one mail server that are begun at once, if it was left alone before.
    pub host_connects_burst: u32,
    /// How long a connection may take until its mailbox is open, in seconds.
    pub connect_seconds: u64,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            host_concurrent_connects: 16,
            host_connects_per_second: 200,
            host_connects_burst: 200,
            connect_seconds: Deadlines::default().whole.as_secs(),
        }
    }
}

fn mail_ports() -> Vec<u16> {
    vec![993, 143]
}

fn eas_ports() -> Vec<u16> {
    vec![443]
}

fn concurrent_connects() -> usize {
    64
}

fn mail_deadline_seconds() -> u64 {
    30
}

fn poll_seconds() -> u64 {
    PollBounds::default().min().as_secs()
}

fn poll_max_seconds() -> u64 {
    PollBounds::default().max().as_secs()
}

fn poll_close_seconds() -> u64 {
    10 * 60
}

pub(crate) fn push_lifetime_seconds() -> u64 {
    6 * 60 * 60
}

fn push_fault_pause_seconds() -> u64 {
    60
}

pub(crate) fn retention_hours() -> u64 {
    14 * 24
}

fn lifetime_seconds() -> u64 {
    Limits::default().lifetime.as_secs()
}

fn hold_seconds() -> u64 {
    Rules::default().hold_min.as_secs()
}

fn refusal_pause_seconds() -> u64 {
    Rules::default().refusal_pause.as_secs()
}

impl Config {
    /// What devices may ask for.
    pub fn limits(&self) -> Limits {
        Limits { lifetime: Duration::from_secs(self.max_lifetime_seconds), ..Limits::default() }
    }

    /// How patient the sessions are.
    pub fn rules(&self) -> Rules {
        let hold_min = Duration::from_secs(self.hold_seconds.max(1));
        let defaults = Rules::default();
        Rules {
            hold_min,
            hold_max: defaults.hold_max.max(hold_min),
            refusal_pause: Duration::from_secs(self.refusal_pause_seconds),
            ..defaults
        }
    }

    /// How mailboxes are polled.
    pub(crate) fn polls(&self) -> PollRules {
        PollRules {
            bounds: PollBounds::new(Duration::from_secs(self.poll_seconds), Duration::from_secs(self.poll_max_seconds)),
            close_after: Duration::from_secs(self.poll_close_seconds),
        }
    }

    /// How fast connections are made.
    pub(crate) fn pace(&self) -> PaceRules {
        let watch = self.watch;
        PaceRules {
            at_once: self.concurrent_connects,
            host_at_once: watch.host_concurrent_connects,
            host_per_second: watch.host_connects_per_second,
            host_burst: watch.host_connects_burst,
        }
    }

    /// How long mail servers may take.
    pub(crate) fn deadlines(&self) -> Deadlines {
        let steps = Deadlines::default().at_most(Duration::from_secs(self.mail_deadline_seconds.max(1)));
        Deadlines { whole: Duration::from_secs(self.watch.connect_seconds.max(1)), ..steps }
    }

    /// The database's URL.
    pub fn database_url(&self) -> String {
        self.database_url.clone().unwrap_or_else(|| format!("sqlite://{}", self.data.join("pinger.db").display()))
    }
}

/// Where the gateway calls.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Listen {
    /// A unix socket at this path, with mode 0600. The folder must be ours alone.
    Unix(PathBuf),
    /// A TCP address, with mutual TLS.
    Tcp {
        /// The address.
        address: SocketAddr,
        /// Our certificate, and who may call.
        tls: MutualTls,
    },
}

/// Files for mutual TLS between gateway and backend, all PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutualTls {
    /// The authority that signed the other side's certificate.
    pub ca: PathBuf,
    /// Our certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Apple's push service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApnsConfig {
    /// The topics that we may push to.
    pub topics: Vec<String>,
    /// How we prove who we are.
    pub authentication: ApnsAuthentication,
    /// Where production tokens are pushed to.
    #[serde(default = "apns_production")]
    pub production_url: String,
    /// Where development tokens are pushed to.
    #[serde(default = "apns_development")]
    pub development_url: String,
    /// A further certificate authority for those, as for a proxy or a test: a PEM file.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// How we prove to Apple who we are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ApnsAuthentication {
    /// A provider token (JWT, ES256), made of a key of Apple's.
    Token {
        /// The .p8 file.
        key: PathBuf,
        /// The key's id: 10 characters.
        key_id: String,
        /// The team's id: 10 characters.
        team_id: String,
    },
    /// A client certificate: one PEM file with the chain and the private key.
    Certificate {
        /// The file.
        identity: PathBuf,
    },
}

fn apns_production() -> String {
    "https://api.push.apple.com".to_owned()
}

fn apns_development() -> String {
    "https://api.sandbox.push.apple.com".to_owned()
}
