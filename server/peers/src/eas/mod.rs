//! An ActiveSync server of our own: real WBXML, long polls of Ping and Sync, and on demand every way to get them wrong.

mod connection;
mod message;
pub mod wbxml;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub use self::message::{Asked, ping_answer, ping_request, read_request, sync_answer, sync_request};
use crate::certificate::Authority;
use crate::listener::{Acceptor, listen};
use crate::record::Record;

/// How the server behaves from the next request on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Healthy,
    /// Each request is answered with this status, these headers and no body.
    Status(u16, Vec<(String, String)>),
    /// Each request is answered 200 with this body.
    Body(Vec<u8>),
    /// Nothing is new, and it says so at once.
    TooFast,
    /// The answer breaks off in its middle.
    Half,
    /// The answer's body has no end.
    EndlessBody,
    /// The answer's head has no end.
    EndlessHead,
    /// No answer at all.
    Hang,
}

impl Manner {
    /// A status without headers.
    pub fn status(status: u16) -> Self {
        Self::Status(status, Vec::new())
    }

    /// A status with one header.
    pub fn status_with(status: u16, name: &str, value: &str) -> Self {
        Self::Status(status, vec![(name.to_owned(), value.to_owned())])
    }
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRequest {
    /// The connection's number, from 1.
    pub connection: u64,
    /// Path and query.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether its credential was right.
    pub authorized: bool,
}

impl SeenRequest {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What the server saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EasEvent {
    /// A request.
    Request(SeenRequest),
    /// A poll was given up by its client.
    GivenUp {
        /// The connection's number.
        connection: u64,
    },
}

/// What the server is made of.
#[derive(Default)]
pub struct EasOptions {
    /// Who may log in, with name and password.
    pub users: Vec<(String, String)>,
    /// Access tokens that are taken.
    pub tokens: Vec<String>,
    /// Who signs the certificate; a new authority without it.
    pub authority: Option<Arc<Authority>>,
}

/// Mail that came, and mail that the device has synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Mailbox {
    came: u64,
    synced: u64,
}

struct Shared {
    options: EasOptions,
    manner: watch::Sender<Manner>,
    mailbox: watch::Sender<Mailbox>,
    record: Record<EasEvent>,
    connections: AtomicU64,
}

/// The server. It ends when dropped.
pub struct EasServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _acceptor: Acceptor,
}

impl EasServer {
    /// Starts at a free port of 127.0.0.1.
    pub async fn start(mut options: EasOptions) -> Result<Self> {
        let authority = match options.authority.take() {
            Some(authority) => authority,
            None => Arc::new(Authority::new()?),
        };
        let tls = TlsAcceptor::from(authority.issue_server()?.server_config(&[b"http/1.1"])?);
        let shared = Arc::new(Shared {
            options,
            manner: watch::Sender::new(Manner::Healthy),
            mailbox: watch::Sender::default(),
            record: Record::default(),
            connections: AtomicU64::new(0),
        });
        let (listener, address) = listen(0).await?;
        let of_connections = Arc::clone(&shared);
        let acceptor = Acceptor::new(listener, move |stream, _peer| {
            let (shared, tls) = (Arc::clone(&of_connections), tls.clone());
            async move {
                let connection = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
                if let Ok(stream) = tls.accept(stream).await {
                    // Clients are meant to run away.
                    let _ = connection::serve(stream, connection, &shared).await;
                }
            }
        });
        Ok(Self { address, shared, _acceptor: acceptor })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a command, without the account.
    pub fn url(&self, command: &str) -> String {
        format!("https://{}/Microsoft-Server-ActiveSync?Cmd={command}&DeviceId=A1B2&DeviceType=Phone", self.address)
    }

    /// A mail arrives.
    pub fn deliver(&self) {
        self.shared.mailbox.send_modify(|mailbox| mailbox.came += 1);
    }

    /// The device syncs: it has all that came, and the key for its next Sync is the answer.
    pub fn sync(&self) -> u64 {
        self.shared.mailbox.send_modify(|mailbox| mailbox.synced = mailbox.came);
        self.shared.mailbox.borrow().synced
    }

    /// Behaves like this from the next request on; polls that wait are not touched.
    pub fn play(&self, manner: Manner) {
        self.shared.manner.send_replace(manner);
    }

    /// All that it saw.
    pub fn events(&self) -> Vec<EasEvent> {
        self.shared.record.all()
    }

    /// The requests that came.
    pub fn requests(&self) -> Vec<SeenRequest> {
        let request = |event| match event {
            EasEvent::Request(request) => Some(request),
            EasEvent::GivenUp { .. } => None,
        };
        self.events().into_iter().filter_map(request).collect()
    }

    /// Waits until so many requests have come.
    pub async fn wait_for_requests(&self, timeout: Duration, count: usize) -> bool {
        let enough = |events: &[EasEvent]| {
            let requests = events.iter().filter(|event| matches!(event, EasEvent::Request(_))).count();
            (requests >= count).then_some(())
        };
        self.shared.record.wait(timeout, enough).await.is_some()
    }

    /// Waits for something.
    pub async fn wait_for(&self, timeout: Duration, wanted: impl Fn(&EasEvent) -> bool) -> Option<EasEvent> {
        self.shared.record.wait_for(timeout, wanted).await
    }
}
