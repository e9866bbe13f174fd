//! Watches a mailbox over Exchange ActiveSync (MS-ASHTTP, MS-ASCMD): a POST with the device's own request, Ping or Sync, that
//! the server answers when something is new or its time is over.
//!
//! The pieces: `http` (one request, one bounded answer), `wbxml` (reads documents), `answer` (what an answer means), and a
//! [`Connection`], which is one long poll after another. The server keeps what the device has seen, so a poll says “changed”
//! until the device has synced; `domain` lets it rest for that long.

mod answer;
mod connection;
mod http;
mod record;
mod wbxml;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::{EasTarget, Evidence, Failure, FailureCode};
use tokio::time::timeout;
use tracing::Instrument as _;

pub(crate) use connection::{Answered, Connection, Heard};

use super::guard::Guard;
use super::imap::{self, Deadlines, Handshake};
use crate::vault::Credential;

/// How long a server may take to refuse a poll before we say that it has taken it.
const SETTLE: Duration = Duration::from_millis(500);

/// The same, where a member of staff waits for what a ping finds.
pub(crate) const FORCED_SETTLE: Duration = Duration::from_secs(5);

/// Who is told how far a connection has come, and where what was said is kept.
#[derive(Clone, Copy)]
pub(crate) struct Telling<'a> {
    pub(crate) dialled: &'a (dyn Fn(imap::Dialled) + Send + Sync),
    pub(crate) handshake: &'a Handshake,
}

/// What a poll is sent with.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) dialer: &'a Dialer,
    pub(crate) target: &'a EasTarget,
    pub(crate) credential: &'a Credential,
    pub(crate) handshake: &'a Handshake,
    /// Is told the first address of a server that a connection is made to.
    pub(crate) resolved: &'a (dyn Fn(IpAddr) + Send + Sync),
}

/// Makes connections to ActiveSync servers. It shares the TLS configuration of all mail servers.
pub(crate) struct Dialer {
    pub(super) tls: Arc<imap::Dialer>,
    pub(super) guard: Guard,
    /// `command`: how long a server may take to take a request, and, once it answers, for the rest of the answer. `whole`:
    /// for all that comes before the poll is under way.
    pub(super) deadlines: Deadlines,
}

impl Dialer {
    pub(crate) fn new(tls: Arc<imap::Dialer>, guard: Guard, deadlines: Deadlines) -> Self {
        Self { tls, guard, deadlines }
    }

    /// Whether a target may be dialled, as far as that can be told without asking a name server.
    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Resolves, connects, encrypts and sends the first poll, which may last for `wait`. A server that answers at once is
    /// heard; a redirection is followed.
    ///
    /// # Errors
    /// Those of a connection, and those of `answer`.
    pub(crate) async fn connect(
        &self,
        target: &EasTarget,
        wait: Duration,
        credential: &Credential,
        forced: bool,
        Telling { dialled, handshake }: Telling<'_>,
    ) -> Result<Connection, Failure> {
        let span = tracing::info_span!(
            "eas.connect",
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            http.request.method = "POST",
            http.response.status_code = tracing::field::Empty,
            server.address = %target.url.host(),
            server.port = target.url.port(),
            pinger.failure = tracing::field::Empty,
        );
        let settle = if forced { FORCED_SETTLE } else { SETTLE };
        let whole = self.deadlines.whole;
        let connected = async {
            let mut connection = Connection::new(target, wait, self.deadlines.command);
            let asking = Asking {
                dialer: self,
                target,
                credential,
                handshake,
                resolved: &|address| {
                    dialled(imap::Dialled::Resolved(address));
                },
            };
            connection.ask(asking).await?;
            dialled(imap::Dialled::Connected);
            connection.settle(asking, settle).await?;
            Ok(connection)
        };
        let connected = Box::pin(timeout(whole, connected)).instrument(span.clone());
        let answer: Result<Connection, Failure> = connected.await.unwrap_or_else(|_| {
            let evidence = format!("the poll was not under way within {} s", whole.as_secs_f32());
            Err(failure(FailureCode::CommandTimeout, &evidence))
        });
        if let Err(failure) = &answer {
            handshake.gave_up(failure);
            span.record("otel.status_code", "ERROR");
            span.record("pinger.failure", failure.code.as_str());
        }
        answer
    }
}

fn failure(code: FailureCode, evidence: &str) -> Failure {
    Failure::new(code, Evidence::redact(evidence, None))
}
