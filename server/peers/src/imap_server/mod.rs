//! An IMAP4rev1 server of our own: small, correct in what it does, light enough for 10,000 idle connections.
//!
//! It knows what a client needs that watches a mailbox: login, INBOX with its UIDs, STATUS, IDLE. It has no mail to read.

pub(crate) mod command;
mod connection;
mod console;
mod mailbox;
pub(crate) mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use self::connection::{Counted, End, Security};
pub use self::console::console;
pub use self::mailbox::Delivery;
use self::mailbox::Users;
use crate::certificate::Authority;
use crate::listener::{Acceptor, listen};

/// The certificate is good for 127.0.0.1 to 127.0.0.8.
pub const MOST_ADDRESSES: u8 = 8;

/// A port that is free at one address may be taken at another.
const BIND_ATTEMPTS: usize = 20;

/// How the server and its clients come to TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encryption {
    /// From the first byte.
    #[default]
    Tls,
    /// By the command STARTTLS, without which nobody can log in.
    StartTls,
    /// Never.
    None,
}

/// How to start an [`ImapServer`].
pub struct ImapOptions {
    /// The port; 0 for any free one.
    pub port: u16,
    /// On how many addresses from 127.0.0.1 on it listens, at most [`MOST_ADDRESSES`].
    pub addresses: u8,
    /// How it comes to TLS.
    pub encryption: Encryption,
    /// Whether it offers IDLE.
    pub idle: bool,
    /// Names and passwords.
    pub users: Vec<(String, String)>,
    /// Whoever knows this password is let in, by any name, and gets a mailbox.
    pub open_password: Option<String>,
    /// Who signs its certificate; a new authority when absent.
    pub authority: Option<Arc<Authority>>,
}

impl Default for ImapOptions {
    fn default() -> Self {
        Self {
            port: 0,
            addresses: 1,
            encryption: Encryption::Tls,
            idle: true,
            users: vec![("alice".to_owned(), "alice's password".to_owned())],
            open_password: None,
            authority: None,
        }
    }
}

/// What all connections share.
struct Shared {
    users: Users,
    idle: bool,
    connections: AtomicUsize,
    idling: AtomicUsize,
    logins: AtomicUsize,
    refused_logins: AtomicUsize,
}

/// A running server. Dropping it cuts its connections.
pub struct ImapServer {
    addresses: Vec<SocketAddr>,
    authority: Arc<Authority>,
    shared: Arc<Shared>,
    encryption: Encryption,
    tls: TlsAcceptor,
    acceptor: Option<Acceptor>,
}

impl ImapServer {
    /// Starts a server.
    pub async fn start(options: ImapOptions) -> Result<Self> {
        let authority = match options.authority {
            Some(authority) => authority,
            None => Arc::new(Authority::new()?),
        };
        let tls = authority.issue_server()?.server_config(&[])?.into();
        let shared = Arc::new(Shared {
            users: Users::new(options.open_password),
            idle: options.idle,
            connections: AtomicUsize::new(0),
            idling: AtomicUsize::new(0),
            logins: AtomicUsize::new(0),
            refused_logins: AtomicUsize::new(0),
        });
        for (name, password) in &options.users {
            shared.users.set(name, password);
        }
        let listeners = bind(options.port, options.addresses).await?;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        let encryption = options.encryption;
        let mut server = Self { addresses, authority, shared, encryption, tls, acceptor: None };
        server.serve(listeners);
        Ok(server)
    }

    fn serve(&mut self, listeners: Vec<TcpListener>) {
        for listener in listeners {
            let (shared, encryption, tls) = (Arc::clone(&self.shared), self.encryption, self.tls.clone());
            let serve = move |stream, _peer| {
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                async move {
                    let _connected = Counted::new(&shared.connections);
                    // How a client leaves is its own affair.
                    let _ = connection(stream, Arc::clone(&shared), encryption, tls).await;
                }
            };
            match &mut self.acceptor {
                Some(acceptor) => acceptor.add(listener, serve),
                None => self.acceptor = Some(Acceptor::new(listener, serve)),
            }
        }
    }

    /// The first address, at 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All addresses; their ports are the same.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The authority that signed its certificate.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// Adds a user, or gives one another password.
    pub fn set_user(&self, name: &str, password: &str) {
        self.shared.users.set(name, password);
    }

    /// Puts a message into a user's INBOX and, if somebody idles there, waits until they are told.
    pub async fn deliver(&self, user: &str) -> Result<Delivery> {
        Ok(self.shared.users.find(user).with_context(|| format!("no user {user}"))?.deliver().await)
    }

    /// Empties a user's INBOX and gives it another UIDVALIDITY, as after a server's loss of data. Clients see it when
    /// they select it again.
    pub fn renew_uid_validity(&self, user: &str) -> Result<u32> {
        let user = self.shared.users.find(user);
        Ok(user.context("no such user")?.renew_uid_validity())
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// How many of them idle.
    pub fn idling(&self) -> usize {
        self.shared.idling.load(Ordering::Relaxed)
    }

    /// How many logins there were in all.
    pub fn logins(&self) -> usize {
        self.shared.logins.load(Ordering::Relaxed)
    }

    /// How many logins were refused.
    pub fn refused_logins(&self) -> usize {
        self.shared.refused_logins.load(Ordering::Relaxed)
    }

    /// Cuts all connections and closes the ports; the mailboxes stay.
    pub async fn stop(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.stop().await;
        }
    }

    /// Stops, and listens at the same addresses again.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        let count = u8::try_from(self.addresses.len())?;
        let listeners = bind(self.address().port(), count).await?;
        self.serve(listeners);
        Ok(())
    }
}

/// Listens on one port of several addresses.
async fn bind(port: u16, addresses: u8) -> Result<Vec<TcpListener>> {
    ensure!((1..=MOST_ADDRESSES).contains(&addresses), "1 to {MOST_ADDRESSES} addresses");
    let mut attempt = 0;
    'attempt: loop {
        attempt += 1;
        let (first, address) = listen(port).await?;
        let mut listeners = vec![first];
        for last in 2..=addresses {
            match TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), address.port())).await {
                Ok(listener) => listeners.push(listener),
                Err(_) if port == 0 && attempt < BIND_ATTEMPTS => continue 'attempt,
                Err(error) => return Err(error).context("listening on several addresses"),
            }
        }
        return Ok(listeners);
    }
}

async fn connection(
    stream: TcpStream,
    shared: Arc<Shared>,
    encryption: Encryption,
    tls: TlsAcceptor,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = match encryption {
        Encryption::None => {
            connection::serve(stream, shared, Security::Done, true).await?;
            return Ok(());
        }
        Encryption::Tls => stream,
        Encryption::StartTls => {
            // Boxed, as the handshake below: neither may swell the future that idles.
            match Box::pin(connection::serve(stream, Arc::clone(&shared), Security::StartTls, true)).await? {
                End::StartTls(stream) => stream,
                End::Closed => return Ok(()),
            }
        }
    };
    let stream = Box::pin(tls.accept(stream)).await?;
    connection::serve(Box::new(stream), shared, Security::Done, encryption == Encryption::Tls).await?;
    Ok(())
}
