//! A relay between Pinger and the mail server. It can't read what passes, which is encrypted, but it knows *when* the mail
//! server spoke: that is the moment of its notification, from which Pinger's own part of the latency counts.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// When the mail server spoke.
#[derive(Default)]
struct Heard {
    last: Option<Instant>,
    /// The first time since the last mark.
    since_mark: Option<Instant>,
}

/// A port of 127.0.0.1 that leads to the mail server. Dropping it cuts its connections.
pub(crate) struct Wire {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
    _relay: JoinSet<()>,
}

impl Wire {
    /// Opens a port that leads to `server`.
    pub(crate) async fn open(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("opening a port before the mail server")?;
        let address = listener.local_addr()?;
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let mut relay = JoinSet::new();
        relay.spawn(accept(listener, server, Arc::clone(&heard)));
        Ok(Self { address, heard, _relay: relay })
    }

    /// Where Pinger connects.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, the next word of the server is waited for.
    pub(crate) fn mark(&self) {
        lock(&self.heard).since_mark = None;
    }

    /// When the server spoke for the first time since the mark.
    pub(crate) fn first_since_mark(&self) -> Option<Instant> {
        lock(&self.heard).since_mark
    }

    /// Waits until the server has said nothing for a while: the log-in is over, and its client idles.
    pub(crate) async fn quiet(&self, silence: Duration) {
        loop {
            let elapsed = lock(&self.heard).last.map_or(Duration::ZERO, |last| last.elapsed());
            if elapsed >= silence {
                return;
            }
            tokio::time::sleep(silence - elapsed).await;
        }
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, heard: Arc<Mutex<Heard>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(relay(client, server, Arc::clone(&heard)));
                }
                // Out of file descriptors, most likely, and nobody tells when there are some again.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Passes everything on, until one side leaves; how it leaves is its own affair.
async fn relay(mut client: TcpStream, server: SocketAddr, heard: Arc<Mutex<Heard>>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
    let listen = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from_server.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            note(&heard);
            to_client.write_all(buffer.get(..read).unwrap_or_default()).await?;
        }
    };
    let _: std::io::Result<()> = tokio::select! {
        ended = listen => ended,
        ended = tokio::io::copy(&mut from_client, &mut to_server) => ended.map(drop),
    };
}

fn note(heard: &Mutex<Heard>) {
    let now = Instant::now();
    let mut heard = lock(heard);
    heard.last = Some(now);
    heard.since_mark.get_or_insert(now);
}

fn lock(heard: &Mutex<Heard>) -> std::sync::MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
