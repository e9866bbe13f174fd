//! Watches a mailbox over IMAP (RFC 3501), with IDLE (RFC 2177) where the server offers it, else by polls.
//!
//! [`Dialer::connect`] does all that happens once: addresses, TLS, the login (`login`, by async-imap), EXAMINE (`examine`).
//! Its future has ended, and its memory is free, before the watch begins, which is a [`Connection`]: a `wire` of bounded
//! lines and a `dialogue` that knows neither socket nor clock.

#[cfg(test)]
mod cancel_tests;
mod connection;
mod dial;
mod dialogue;
mod examine;
mod handshake;
mod hello;
mod host;
mod line;
mod login;
mod name;
pub mod quirk;
mod refusal;
mod sasl;
mod scram;
mod socket;
mod wire;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::{Failure, FailureCode, ImapTarget};
use tokio::time::timeout;
use tracing::Instrument;

pub use connection::{Changed, Connection};
pub use dial::DialerError;
pub use handshake::Handshake;
pub(crate) use refusal::is_vague;

use self::hello::Identity;
use self::host::Hosts;
use self::quirk::QuirkRule;
use super::guard::Guard;
use crate::vault::Credential;

/// How long a server may take, for each thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// To take a connection, at each of its addresses.
    pub connect: Duration,
    /// For the TLS handshake.
    pub tls: Duration,
    /// To greet.
    pub greeting: Duration,
    /// To answer a command. Servers delay their answer to a wrong password.
    pub command: Duration,
    /// For all of that together, until the mailbox is open: whoever is slow at each step holds up those who wait for their
    /// turn.
    pub whole: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            tls: Duration::from_secs(15),
            greeting: Duration::from_secs(20),
            command: Duration::from_secs(30),
            whole: Duration::from_secs(60),
        }
    }
}

impl Deadlines {
    /// No single step longer than `longest`.
    #[must_use]
    pub fn at_most(self, longest: Duration) -> Self {
        let Self { connect, tls, greeting, command, whole } = self;
        Self {
            connect: connect.min(longest),
            tls: tls.min(longest),
            greeting: greeting.min(longest),
            command: command.min(longest),
            whole,
        }
    }
}

/// What a [`Dialer`] is made of.
#[derive(Clone, Debug)]
pub struct DialerSettings {
    /// Certificate authorities beside the system's: a PEM file.
    pub extra_ca: Option<PathBuf>,
    /// Where it may connect to.
    pub guard: Guard,
    /// How patient it is.
    pub deadlines: Deadlines,
    /// How often a mailbox is asked for news where the server offers no IDLE, until
    /// [`rest_for`](Connection::rest_for) says otherwise.
    pub poll_every: Duration,
    /// What the operator knows of mail servers.
    pub quirks: Vec<QuirkRule>,
    /// Where the operators of mail servers can ask about us: a URL (`mailto:`, too).
    pub contact: Option<String>,
}

/// How far a connection in the making has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// The host has this address, and perhaps more.
    Resolved(IpAddr),
    /// It is made and encrypted, and the server has greeted.
    Connected,
    /// The credential was taken.
    LoggedIn,
    /// The mailbox is open.
    Opened,
}

/// Makes connections to IMAP servers. One for all sessions: they share its TLS configuration, which is most of the memory
/// that a session would otherwise cost.
pub struct Dialer {
    tls: Arc<rustls::ClientConfig>,
    guard: Guard,
    deadlines: Deadlines,
    poll_every: Duration,
    hosts: Hosts,
    identity: Identity,
}

impl Dialer {
    /// Reads the certificate authorities: the system's, and the extra ones. It blocks on files.
    ///
    /// # Errors
    /// When the extra file can't be read or has no certificate, or when there is no authority at all.
    pub fn new(settings: DialerSettings) -> Result<Self, DialerError> {
        let tls = dial::tls_config(settings.extra_ca.as_deref())?;
        let DialerSettings { guard, deadlines, poll_every, quirks, contact, .. } = settings;
        let (hosts, identity) = (Hosts::new(quirks), Identity::new(contact.as_deref()));
        Ok(Self { tls, guard, deadlines, poll_every, hosts, identity })
    }

    /// Resolves, connects, encrypts, logs in and opens the mailbox, read-only. The answer's
    /// [`mailbox`](Connection::mailbox) is to be compared with the baseline before the wait begins.
    ///
    /// # Errors
    /// Any failure but `CREDENTIAL_UNREADABLE`. The evidence is the server's last line, without the account's name.
    pub async fn connect(&self, target: &ImapTarget, credential: &Credential) -> Result<Connection, Failure> {
        let unseen = Handshake::begin(domain::Timestamp::from_millis(0));
        self.connect_telling(target, credential, &|_| {}, &unseen).await
    }

    /// The same, tells how far it has come, and keeps what was said.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_telling(
        &self,
        target: &ImapTarget,
        credential: &Credential,
        tell: &(dyn Fn(Dialled) + Send + Sync),
        handshake: &Handshake,
    ) -> Result<Connection, Failure> {
        let span = span!("imap.connect", target.host, target.port);
        let whole = self.deadlines.whole;
        // In a box: a future keeps the size of its largest phase, and the caller's goes on to idle for days.
        let dial = Box::pin(timeout(whole, self.dial(target, credential, tell, handshake)));
        let answer = dial.instrument(span.clone()).await.unwrap_or_else(|_| {
            let evidence = format!("the mailbox was not open within {} s", whole.as_secs_f32());
            Err(refusal::failure(FailureCode::CommandTimeout, &evidence))
        });
        if let Err(failure) = &answer {
            handshake.gave_up(failure);
        }
        note(&span, &answer);
        answer
    }
}

/// A client span for one exchange with a mail server.
macro_rules! span {
    ($name:literal, $host:expr, $port:expr) => {
        tracing::info_span!(
            $name,
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            server.address = %$host,
            server.port = $port,
            pinger.failure = tracing::field::Empty,
        )
    };
}
use span;

/// Notes on the span how its exchange ended.
fn note<T>(span: &tracing::Span, answer: &Result<T, Failure>) {
    if let Err(failure) = answer {
        span.record("otel.status_code", "ERROR");
        span.record("pinger.failure", failure.code.as_str());
    }
}
