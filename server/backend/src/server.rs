//! The composition: bind, run, drain.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::{LoginRules, NodeId};
use proto::internal_v1::backend_service_server::BackendServiceServer;
use store::{Store, StoreError};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use uuid::Uuid;

use crate::api::Api;
use crate::clock::Clock;
use crate::config::Config;
use crate::handle::{Handle, Installed};
use crate::heartbeat;
use crate::listen::Listener;
use crate::logins::Logins;
use crate::node;
use crate::push::apns::{Apns, ApnsError};
use crate::push::{Channel, Sender};
use crate::session::Sessions;
use crate::vault::{KeyError, KeyRing};
use crate::watch::guard::Guard;
use crate::watch::imap::quirk::{self, QuirkRule};
use crate::watch::imap::{Dialer, DialerError, DialerSettings};
use crate::watch::{EasDialer, Pace, Watcher};

/// How often what is old is deleted.
const PURGE_EVERY: Duration = Duration::from_secs(60 * 60);

/// Calls and streams at once on one connection of a gateway. Its own limits are what holds devices back.
const STREAMS: u32 = 16_384;

/// How long calls may take to end when we are told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Why the backend can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The data folder can't be made.
    #[error("the data folder {path} can't be made")]
    Data {
        /// Which folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file can't be read.
    #[error("{path} can't be read")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// Which address.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys can't be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Apple's push service is configured wrongly.
    #[error("the configuration of APNs can't be used")]
    Apns(#[from] ApnsError),
    /// Mail servers can't be dialled.
    #[error("the configuration for mail servers can't be used")]
    Dialer(#[from] DialerError),
    /// The listener failed.
    #[error("the internal API failed")]
    Serve(#[from] tonic::transport::Error),
}

/// A backend that is bound and not running yet.
pub struct Backend {
    listener: Listener,
    api: Api,
    watcher: Arc<Watcher>,
    sender: Arc<Sender>,
    retention: Duration,
    quirks: Vec<QuirkRule>,
}

impl Backend {
    /// Opens the data folder, the keys, the store and the listener.
    pub async fn bind(config: Config) -> Result<Self, BackendError> {
        Self::bind_with_clock(config, Clock::System).await
    }

    /// The same, with a clock of one's own.
    pub async fn bind_with_clock(config: Config, clock: Clock) -> Result<Self, BackendError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.data)
            .map_err(|source| BackendError::Data { path: config.data.clone(), source })?;
        let keys = Arc::new(KeyRing::open_or_create(&config.data, clock.now())?);
        let apns = config.apns.as_ref().map(Apns::new).transpose()?.map(Arc::new);
        let guard = Guard::new(config.allow_addresses.clone(), config.allow_ports.clone());
        let deadlines = config.deadlines();
        let dialer = Arc::new(Dialer::new(DialerSettings {
            extra_ca: config.mail_ca.clone(),
            guard: guard.clone(),
            deadlines,
            poll_every: Duration::from_secs(config.poll_seconds.max(1)),
            quirks: config.quirk.clone(),
            contact: config.mail_contact.clone(),
        })?);
        let eas_guard = guard.with_ports(config.allow_eas_ports.clone());
        let eas = Arc::new(EasDialer::new(dialer.clone(), eas_guard, deadlines));
        let store = Store::open(&config.database_url(), node_id(&config)?).await?;
        let listener = Listener::bind(&config.listen).await?;
        let sessions = Sessions {
            store,
            watches: Arc::default(),
            clock,
            rules: Arc::new(config.rules()),
            push_lifetime: Duration::from_secs(config.push_lifetime_seconds),
            traced: Arc::default(),
            logins: Logins::new(LoginRules::default(), clock),
        };
        let fault_pause = Duration::from_secs(config.push_fault_pause_seconds.max(1));
        let channel = apns.clone().map(|apns| apns as Arc<dyn Channel>);
        let watcher = Watcher {
            sessions: sessions.clone(),
            keys: keys.clone(),
            dialer,
            eas: eas.clone(),
            polls: config.polls(),
            pace: Arc::new(Pace::new(config.pace())),
        };
        Ok(Self {
            listener,
            api: Api {
                sessions: sessions.clone(),
                keys,
                guard: Arc::new(guard),
                eas,
                apns,
                limits: config.limits(),
                streams: TaskTracker::new(),
                stop: CancellationToken::new(),
            },
            watcher: Arc::new(watcher),
            sender: Arc::new(Sender::new(sessions, channel, fault_pause)),
            retention: Duration::from_secs(config.retention_hours * 60 * 60),
            quirks: config.quirk,
        })
    }

    /// Where the gateway calls, if that is TCP.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr()
    }

    /// What staff can do, for the dashboard.
    pub fn handle(&self) -> Handle {
        Handle {
            sessions: self.api.sessions.clone(),
            keys: self.api.keys.clone(),
            sender: self.sender.clone(),
            pace: self.watcher.pace.clone(),
            installed: Installed {
                limits: self.api.limits,
                rules: *self.api.sessions.rules,
                retention: self.retention,
                push_lifetime: self.api.sessions.push_lifetime,
                quirks: quirk::known(&self.quirks),
            },
        }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.api.sessions.store
    }

    /// The keys.
    pub fn keys(&self) -> &KeyRing {
        &self.api.keys
    }

    /// The public half of the identity key, which apps pin.
    pub fn identity_key(&self) -> [u8; 32] {
        self.api.keys.identity_key()
    }

    /// Works until `shutdown`: first no more calls, then no more watches, then what is in flight is written down.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), BackendError> {
        let Self { listener, api, watcher, sender, retention, .. } = self;
        let tasks = TaskTracker::new();
        let (watch_stop, send_stop) = (CancellationToken::new(), CancellationToken::new());
        let store = api.sessions.store.clone();
        let beating = tasks.spawn(heartbeat::run(api.sessions.clone(), watch_stop.clone()));
        let watching = tasks.spawn(node::run(watcher, watch_stop.clone()));
        let sending = tasks.spawn(sender.run(send_stop.clone()));
        tasks.spawn(purge(api.sessions.clone(), retention, watch_stop.clone()));

        let (stop, streams) = (api.stop.clone(), api.streams.clone());
        let served = serve(listener, api, &shutdown).await;
        stop.cancel();
        watch_stop.cancel();
        // A watch or a sender that crashed has said so.
        let _ = watching.await;
        send_stop.cancel();
        let _ = sending.await;
        let _ = beating.await;
        streams.close();
        tasks.close();
        let _ = tokio::time::timeout(DRAIN, async { tokio::join!(streams.wait(), tasks.wait()) }).await;
        store.close().await;
        served
    }
}

async fn serve(listener: Listener, api: Api, shutdown: &CancellationToken) -> Result<(), BackendError> {
    let stop_streams = api.stop.clone();
    let service = BackendServiceServer::new(api).max_decoding_message_size(2 * proto::MAX_REQUEST_BYTES);
    let told = async {
        shutdown.cancelled().await;
        // Streams would keep the listener open for ever.
        stop_streams.cancel();
    };
    let mut server = Server::builder().max_concurrent_streams(STREAMS).tcp_nodelay(true);
    let drained = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    match listener {
        Listener::Unix { listener, path } => {
            let incoming = UnixListenerStream::new(listener);
            let serving = server.add_service(service).serve_with_incoming_shutdown(incoming, told);
            let served = tokio::select! { served = serving => served, () = drained => Ok(()) };
            // It is in the way of nobody if it can't be removed: the next start does.
            let _ = std::fs::remove_file(path);
            served?;
        }
        Listener::Tcp { listener, tls } => {
            let incoming = TcpListenerStream::new(listener);
            let serving = server.tls_config(*tls)?.add_service(service).serve_with_incoming_shutdown(incoming, told);
            tokio::select! { served = serving => served?, () = drained => {} }
        }
    }
    Ok(())
}

async fn purge(sessions: Sessions, retention: Duration, stop: CancellationToken) {
    loop {
        let now = sessions.clock.now().as_millis();
        let kept = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let before = domain::Timestamp::from_millis(now.saturating_sub(kept));
        match sessions.store.purge(before).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "deleted what was old"),
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "can't delete what is old"),
        }
        tracing::debug!(watches = sessions.watches.len(), "watches here");
        tokio::select! {
            () = tokio::time::sleep(PURGE_EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// This node's id: it stays the same over restarts, so that a node finds its own sessions and pushes again.
fn node_id(config: &Config) -> Result<NodeId, BackendError> {
    let path = config.data.join("node");
    let failed = |source| BackendError::File { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(text) => NodeId::parse(text.trim())
            .map_err(|error| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = Uuid::now_v7();
            std::fs::write(&path, id.to_string()).map_err(failed)?;
            Ok(NodeId::from_uuid(id))
        }
        Err(error) => Err(failed(error)),
    }
}
