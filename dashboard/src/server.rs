//! The composition: bind, run, drain.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use backend::vault::SecretSealer;
use hyper_util::rt::TokioTimer;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use store::{Role, StaffRecord, Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::assets;
use crate::auth::{self, Auth, Now, SettingError};
use crate::bulk::Bulks;
use crate::compress::compressed;
use crate::config::{Config, Tls};
use crate::route::{self, AddressHash, Data, Glance, Live, Pings, Traces};

/// How long requests may take to end when we are told to stop.
const DRAIN: Duration = Duration::from_secs(3);

/// How often what has run out is deleted.
const TIDY_EVERY: Duration = Duration::from_secs(10 * 60);

/// How often the audit's chain is checked.
const CHECK_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a connection may stay without a request.
const IDLE: Duration = Duration::from_secs(60);

/// By whom links are made that no member of staff makes.
pub const SYSTEM: &str = "(pinger)";

/// Why the dashboard can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DashboardError {
    /// It would speak clear text to the network.
    #[error("the dashboard would listen on {0} in clear text: set [dashboard] tls, or listen on loopback")]
    ClearText(SocketAddr),
    /// A setting is wrong.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A file can't be read.
    #[error("{path} can't be read")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificate or the key can't be used.
    #[error("{path} can't be used: {problem}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The address can't be listened on.
    #[error("the dashboard can't listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key by which an app may register devices, as far as staff may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppKey {
    /// The app's id.
    pub id: String,
    /// How the hash of its key begins.
    pub fingerprint: String,
}

/// What of the backend the dashboard stands on.
pub struct Access {
    /// The store.
    pub store: Store,
    /// What seals small secrets of staff: [`KeyRing::staff_secrets`](backend::vault::KeyRing::staff_secrets).
    pub secrets: SecretSealer,
    /// Where the time comes from.
    pub now: Now,
    /// The backend, for acts and for the search by address. Without it the dashboard only shows.
    pub handle: Option<backend::Handle>,
    /// The app keys; none where this process does not know the gateway's configuration.
    pub app_keys: Option<Vec<AppKey>>,
    /// Whether pushes wait for a breaker.
    pub breaker_open: Box<dyn Fn() -> bool + Send + Sync>,
}

/// A dashboard that is bound and not running yet.
pub struct Dashboard {
    listener: std::net::TcpListener,
    local_addr: SocketAddr,
    tls: Option<RustlsConfig>,
    routes: Router,
    auth: Auth,
    glance: Arc<Glance>,
    bulks: Arc<Bulks>,
    handle: Option<backend::Handle>,
    pings: Arc<Pings>,
    /// Cancelled at the shutdown, so that streams end.
    closing: CancellationToken,
    base: String,
}

impl Dashboard {
    /// Checks the configuration, reads the files and opens the listener.
    pub async fn bind(config: &Config, access: Access) -> Result<Self, DashboardError> {
        let address = config.listen;
        if config.tls.is_none() && !is_loopback(address.ip()) {
            return Err(DashboardError::ClearText(address));
        }
        let tls = config.tls.as_ref().map(tls_config).transpose()?;
        let handle = access.handle;
        let auth = Auth::new(config, access.store, access.secrets, access.now, access.breaker_open)?;
        let glance = Arc::new(Glance::default());
        let address_hash =
            handle.clone().map(|handle| -> AddressHash { Arc::new(move |address| handle.address_hash(address)) });
        let bulks = Arc::<Bulks>::default();
        let closing = CancellationToken::new();
        let pings = Arc::new(Pings::new(closing.clone()));
        let data = Data {
            auth: auth.clone(),
            glance: Arc::clone(&glance),
            address_hash,
            handle: handle.clone(),
            pings: Arc::clone(&pings),
            traces: Traces::new(config.trace_url.as_deref()),
            bulks: Arc::clone(&bulks),
            live: Arc::new(Live::new(config.live(), closing.clone())),
            app_keys: access.app_keys.map(Arc::from),
        };
        let routes = auth.protect(Router::new().merge(auth::routes(auth.clone())).merge(route::routes(data)));
        let failed = |source| DashboardError::Listen { address, source };
        let routes = compressed(routes);
        let listener = std::net::TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let base = config.url(local_addr);
        Ok(Self { listener, local_addr, tls, routes, auth, glance, bulks, handle, pings, closing, base })
    }

    /// Where browsers call, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where browsers call, as a URL without a path.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// A link by which the first admin signs up, while there is nobody. Each call makes another one; each works for a day.
    pub async fn first_sign_up(&self) -> Result<Option<String>, StoreError> {
        if !self.auth.store().all_staff().await?.is_empty() {
            return Ok(None);
        }
        let path = Auth::invite(self.auth.store(), self.auth.now(), Role::Admin, SYSTEM, None).await?;
        Ok(Some(format!("{}{path}", self.base)))
    }

    /// Serves until the shutdown, then lets requests end for up to 3 seconds.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), DashboardError> {
        let Self { listener, local_addr, tls, routes, auth, glance, bulks, handle: backend, pings, closing, .. } = self;
        let failed = |source| DashboardError::Listen { address: local_addr, source };
        let handle = Handle::new();
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        let ended = CancellationToken::new();
        let stopping = async {
            if ended.run_until_cancelled(shutdown.cancelled()).await.is_some() {
                closing.cancel();
                handle.graceful_shutdown(Some(DRAIN));
            }
        };
        let serving = async {
            // What keeps house ends with the server, however that ends.
            let _ended = ended.clone().drop_guard();
            let mut server = axum_server::from_tcp(listener)?.handle(handle.clone());
            server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
            match tls {
                Some(tls) => server.acceptor(RustlsAcceptor::new(tls)).serve(service).await,
                None => server.serve(service).await,
            }
        };
        tracing::info!(address = %local_addr, "the dashboard takes requests");
        if assets::script().is_none() {
            tracing::warn!(
                "the dashboard was built without its browser bundle: pages are not kept up to date (`make bundle`)"
            );
        }
        let keeping = async {
            // It is large, and idle nearly always.
            let acting = Box::pin(bulks.keep(&auth, backend.as_ref(), &ended));
            tokio::join!(keep(&auth, &ended), glance.keep(&auth, &ended), acting)
        };
        let (served, (), ..) = tokio::join!(serving, stopping, keeping);
        closing.cancel();
        pings.drain().await;
        served.map_err(failed)
    }

    /// How many passwords were hashed or compared since the start, for whoever watches the load that sign-ins make.
    pub fn passwords_hashed(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let auth = self.auth.clone();
        move || auth.passwords_hashed()
    }
}

/// Makes a link by which somebody may sign up, on the command line: its path.
pub async fn invite(store: &Store, now: domain::Timestamp, role: Role) -> Result<String, StoreError> {
    Auth::invite(store, now, role, SYSTEM, None).await
}

/// Makes a link by which somebody sets their password anew, on the command line: its path. None if they are shut out.
pub async fn reset(store: &Store, now: domain::Timestamp, person: &StaffRecord) -> Result<Option<String>, StoreError> {
    Ok(Auth::offer_reset(store, now, person, SYSTEM, None).await?.ok())
}

/// What has to be done now and then.
async fn keep(auth: &Auth, ended: &CancellationToken) {
    let mut checked: Option<tokio::time::Instant> = None;
    loop {
        if let Err(error) = auth.tidy().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "sign-ins that ran out can't be deleted");
        }
        if checked.is_none_or(|at| at.elapsed() >= CHECK_EVERY) {
            checked = Some(tokio::time::Instant::now());
            if let Err(error) = auth.check_audit().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the audit's chain can't be checked");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(TIDY_EVERY) => {}
            () = ended.cancelled() => return,
        }
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn tls_config(tls: &Tls) -> Result<RustlsConfig, DashboardError> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|source| DashboardError::File { path: path.to_owned(), source });
    let bad = |path: &Path, problem: &dyn std::fmt::Display| DashboardError::Certificate {
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
    Ok(RustlsConfig::from_config(Arc::new(config)))
}
