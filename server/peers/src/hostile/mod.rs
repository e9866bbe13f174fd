//! A hostile IMAP server: healthy but for the one thing that its script says, and a witness of all it was told.

mod dialogue;
mod script;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub use self::script::{Moment, Script, Trick};
use crate::certificate::{Authority, Leaf};
use crate::listener::{Acceptor, listen};
use crate::record::Record;

/// How a client comes to TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// From the first byte.
    #[default]
    Tls,
    /// By STARTTLS.
    StartTls,
}

/// What the server saw, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A connection was taken.
    Connected {
        /// Its number, from 1.
        connection: u64,
    },
    /// A command came in: name and arguments, credentials included.
    Command {
        /// The connection's number.
        connection: u64,
        /// Whether it came encrypted.
        encrypted: bool,
        /// The command without its tag.
        line: String,
    },
    /// A connection ended, by either side.
    Closed {
        /// The connection's number.
        connection: u64,
    },
}

impl Event {
    fn is_login(&self) -> bool {
        match self {
            Self::Command { line, .. } => line.starts_with("LOGIN ") || line.starts_with("AUTHENTICATE "),
            _ => false,
        }
    }

    fn is_connect(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }
}

/// A hostile server on a free port of 127.0.0.1. Dropping it cuts its connections.
pub struct HostileImap {
    address: SocketAddr,
    authority: Arc<Authority>,
    shared: Arc<Shared>,
    _acceptor: Acceptor,
}

struct Shared {
    script: watch::Sender<Script>,
    uid_next: watch::Sender<u32>,
    uid_validity: AtomicU32,
    events: Record<Event>,
    flooded: AtomicU64,
    connections: AtomicU64,
    transport: Transport,
    certificates: Certificates,
}

/// A TLS configuration for each kind of certificate.
struct Certificates {
    good: Arc<ServerConfig>,
    wrong_host: Arc<ServerConfig>,
    self_signed: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
}

impl Certificates {
    fn new(authority: &Authority) -> Result<Self> {
        Ok(Self {
            good: authority.issue_server()?.server_config(&[])?,
            wrong_host: authority.issue_wrong_host()?.server_config(&[])?,
            self_signed: Leaf::self_signed()?.server_config(&[])?,
            expired: authority.issue_expired()?.server_config(&[])?,
        })
    }

    fn for_script(&self, script: &Script) -> TlsAcceptor {
        let config = match script {
            Script::WrongHostCertificate => &self.wrong_host,
            Script::SelfSignedCertificate => &self.self_signed,
            Script::ExpiredCertificate => &self.expired,
            _ => &self.good,
        };
        Arc::clone(config).into()
    }
}

impl HostileImap {
    /// Starts a server that expects TLS from the first byte, with an authority of its own.
    pub async fn start(script: Script) -> Result<Self> {
        Self::start_with(script, Transport::Tls, None).await
    }

    /// Starts a server.
    pub async fn start_with(script: Script, transport: Transport, authority: Option<Arc<Authority>>) -> Result<Self> {
        let authority = match authority {
            Some(authority) => authority,
            None => Arc::new(Authority::new()?),
        };
        let shared = Arc::new(Shared {
            script: watch::Sender::new(script),
            uid_next: watch::Sender::new(1),
            uid_validity: AtomicU32::new(1),
            events: Record::default(),
            flooded: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            transport,
            certificates: Certificates::new(&authority)?,
        });
        let (listener, address) = listen(0).await?;
        let of_connections = Arc::clone(&shared);
        let acceptor = Acceptor::new(listener, move |stream, _peer| {
            let shared = Arc::clone(&of_connections);
            async move {
                let connection = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
                shared.events.push(Event::Connected { connection });
                // Clients are meant to run away.
                let _ = serve(stream, connection, &shared).await;
                shared.events.push(Event::Closed { connection });
            }
        });
        Ok(Self { address, authority, shared, _acceptor: acceptor })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority that signed its good certificate.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// Another script from now on, also for the connections that there are.
    pub fn play(&self, script: Script) {
        self.shared.script.send_replace(script);
    }

    /// New mail: idling clients are told, unless the script is [`Script::LyingIdle`].
    pub fn deliver(&self) {
        self.shared.uid_next.send_modify(|uid_next| *uid_next += 1);
    }

    /// Another UIDVALIDITY for whoever examines the mailbox next.
    pub fn renew_uid_validity(&self) {
        self.shared.uid_validity.fetch_add(1, Ordering::Relaxed);
    }

    /// How many connections there have been.
    pub fn connects(&self) -> usize {
        self.shared.events.count(Event::is_connect)
    }

    /// How many logins were tried.
    pub fn logins(&self) -> usize {
        self.shared.events.count(Event::is_login)
    }

    /// How much of an endless answer was sent.
    pub fn flooded_bytes(&self) -> u64 {
        self.shared.flooded.load(Ordering::Relaxed)
    }

    /// All that it saw.
    pub fn events(&self) -> Vec<Event> {
        self.shared.events.all()
    }

    /// All commands, without their tags.
    pub fn commands(&self) -> Vec<String> {
        let line = |event| if let Event::Command { line, .. } = event { Some(line) } else { None };
        self.events().into_iter().filter_map(line).collect()
    }

    /// The first event that fits, past or to come; `None` when the time is over.
    pub async fn wait_for(&self, timeout: Duration, wanted: impl Fn(&Event) -> bool) -> Option<Event> {
        self.shared.events.wait_for(timeout, wanted).await
    }

    /// Waits until there have been `n` connections in all; `false` when the time is over.
    pub async fn wait_for_connects(&self, timeout: Duration, n: usize) -> bool {
        self.wait_for_count(timeout, n, Event::is_connect).await
    }

    /// Waits until `n` logins were tried in all; `false` when the time is over.
    pub async fn wait_for_logins(&self, timeout: Duration, n: usize) -> bool {
        self.wait_for_count(timeout, n, Event::is_login).await
    }

    async fn wait_for_count(&self, timeout: Duration, n: usize, wanted: impl Fn(&Event) -> bool) -> bool {
        let enough = |events: &[Event]| (events.iter().filter(|event| wanted(event)).count() >= n).then_some(());
        self.shared.events.wait(timeout, enough).await.is_some()
    }
}

/// Any stream, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn serve(mut stream: TcpStream, connection: u64, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let script = shared.script.borrow().clone();
    match script {
        Script::PlainTextOnTlsPort => {
            stream.write_all(b"* OK IMAP4rev1 in clear\r\n").await?;
            return dialogue::hang(&mut stream).await;
        }
        Script::HangInTls if shared.transport == Transport::Tls => return dialogue::hang(&mut stream).await,
        _ => {}
    }
    if shared.transport == Transport::StartTls {
        let Some(plain) = dialogue::in_clear(stream, connection, shared).await? else { return Ok(()) };
        stream = plain;
        if script == Script::HangInTls {
            return dialogue::hang(&mut stream).await;
        }
    }
    let stream = shared.certificates.for_script(&script).accept(stream).await?;
    dialogue::encrypted(Box::new(stream), connection, shared, shared.transport == Transport::Tls).await
}
