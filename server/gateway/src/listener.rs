//! Connections: accepted up to a number, TLS if it is on, HTTP/1.1 and HTTP/2 on the same port, ended in good order.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, rustls};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;
use tracing::{debug, info, warn};

use crate::config::{GatewayError, Tls, read};
use crate::peer::SocketPeer;

/// Everything above a connection.
pub(crate) type Stack = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// How long calls may go on after the stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long a connection may take to its TLS and to its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(10);

/// How long an HTTP/1.1 connection may stay without a request.
const IDLE: Duration = Duration::from_secs(30);

/// How often an HTTP/2 peer must show that it is alive, and how fast. A phone that lost its network is gone then.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));

/// Calls at once on one HTTP/2 connection.
const STREAMS: u32 = 256;

/// The most bytes of headers; ours have about 1 KB.
const HEADER_BYTES: u32 = 16 * 1024;

/// The most bytes that a connection keeps of what it reads or has to write.
const BUFFER_BYTES: usize = 64 * 1024;

/// The pause after an accept that failed, as when no descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Reads certificate and key.
pub(crate) fn tls_acceptor(tls: &Tls) -> Result<TlsAcceptor, GatewayError> {
    let bad = |path: &std::path::Path, problem: &dyn std::fmt::Display| GatewayError::Certificate {
        path: path.to_owned(),
        problem: problem.to_string(),
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(&tls.certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(&tls.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_slice(&read(&tls.key)?).map_err(|error| bad(&tls.key, &error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| bad(&tls.certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Takes connections until the stop, then lets the calls that are under way end, for a while.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    stack: Stack,
    max_connections: usize,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    let streams = Streams::default();
    loop {
        let next = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            next = next => next,
        };
        match accepted {
            Ok((socket, peer)) => {
                // Only a delay is at stake.
                let _ = socket.set_nodelay(true);
                let (tls, stack, streams, stop) = (tls.clone(), stack.clone(), streams.clone(), stop.clone());
                connections.spawn(async move {
                    let _place = place;
                    match tls {
                        None => connection(socket, peer, stack, streams, stop).await,
                        Some(tls) => match timeout(FIRST_REQUEST, tls.accept(socket)).await {
                            Ok(Ok(socket)) => connection(socket, peer, stack, streams, stop).await,
                            Ok(Err(error)) => debug!(%error, "TLS failed"),
                            Err(_) => debug!("TLS took too long"),
                        },
                    }
                });
            }
            Err(error) => {
                warn!(%error, "can't accept connections at the moment");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let under_way = connections.len();
    if under_way > 0 {
        info!(connections = under_way, "waiting for the calls that are under way");
    }
    let drained = timeout(DRAIN, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        warn!(connections = connections.len(), "ending calls that are still under way");
    }
    connections.shutdown().await;
    streams.end().await;
}

/// Serves one connection until the other side leaves, or the stop and the end of its calls.
async fn connection<I>(socket: I, peer: SocketAddr, stack: Stack, streams: Streams, stop: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let called = Arc::new(AtomicBool::new(false));
    let service = stack.map_request({
        let called = Arc::clone(&called);
        move |mut request: Request<Incoming>| {
            called.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(SocketPeer(peer));
            request.map(Body::new)
        }
    });
    let mut http = auto::Builder::new(streams);
    http.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(BUFFER_BYTES);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .max_send_buf_size(BUFFER_BYTES);
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(service)));
    let mut first = pin!(sleep(FIRST_REQUEST));
    let (mut waiting, mut stopping) = (true, false);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(%error, "a connection broke");
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = first.as_mut(), if waiting => {
                waiting = false;
                if !called.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    }
}

/// Runs the streams of HTTP/2 connections, so that none outlives the gateway.
#[derive(Clone, Default)]
struct Streams {
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Streams {
    async fn end(self) {
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let end = self.end.clone();
        self.tasks.spawn(async move { end.run_until_cancelled(stream).await.is_some() });
    }
}
