//! The accept loop that all of our servers share: one task, which owns the tasks of its connections.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Listeners with their connections. All of it ends when this is stopped or dropped.
pub(crate) struct Acceptor {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Acceptor {
    /// Serves each connection of `listener` by a future of its own.
    pub(crate) fn new<Serve, Served>(listener: TcpListener, serve: Serve) -> Self
    where
        Serve: Fn(TcpStream, SocketAddr) -> Served + Send + 'static,
        Served: Future<Output = ()> + Send + 'static,
    {
        let mut acceptor = Self { stop: CancellationToken::new(), tasks: Vec::new() };
        acceptor.add(listener, serve);
        acceptor
    }

    /// Adds another listener, which stops with the first.
    pub(crate) fn add<Serve, Served>(&mut self, listener: TcpListener, serve: Serve)
    where
        Serve: Fn(TcpStream, SocketAddr) -> Served + Send + 'static,
        Served: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.tasks.push(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    accepted = listener.accept() => match accepted {
                        Ok((stream, peer)) => {
                            connections.spawn(serve(stream, peer));
                        }
                        // Out of file descriptors, most likely, and nobody tells when there are some again.
                        Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                    },
                    Some(_) = connections.join_next(), if !connections.is_empty() => {}
                }
            }
            drop(listener);
            connections.shutdown().await;
        }));
    }

    /// Closes the listeners and cuts every connection; when it returns, the port is free.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            // A task that panicked has let go of its listener, too.
            let _ = task.await;
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.stop.cancel();
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Listens on a port of 127.0.0.1; port 0 means any free one.
pub(crate) async fn listen(port: u16) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// An address of 127.0.0.1 where nobody listens: the port was free a moment ago.
pub fn closed_port() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
