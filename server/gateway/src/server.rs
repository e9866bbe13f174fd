//! The gateway, put together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use proto::MAX_REQUEST_BYTES;
use proto::v1::device_service_server::DeviceServiceServer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService as _;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;
use tower::ServiceBuilder;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::info;

use crate::admission::AppKeys;
use crate::backend::Backend;
use crate::config::{Config, GatewayError};
use crate::edge::{Edge, EdgeLayer};
use crate::keys::{self, KeyCache, Refresher};
use crate::listener::{self, Stack};
use crate::rate::TIDY_EVERY;
use crate::service::Devices;

/// How long a browser keeps the answer of a preflight. Chromium takes no more.
const PREFLIGHT_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// The public edge, bound to its address.
pub struct Gateway {
    listener: TcpListener,
    local_addr: SocketAddr,
    tls: Option<TlsAcceptor>,
    stack: Stack,
    max_connections: usize,
    edge: Arc<Edge>,
    backend: Arc<Backend>,
    keys: KeyCache,
    refresher: Refresher,
    health: HealthReporter,
    stop: CancellationToken,
}

impl Gateway {
    /// Reads the files, checks the configuration and opens the listener. The backend need not be there yet.
    pub async fn bind(config: Config) -> Result<Self, GatewayError> {
        let tls = config.tls.as_ref().map(listener::tls_acceptor).transpose()?;
        let cors = cors(&config.cors_origins)?;
        let backend = Arc::new(Backend::new(&config.backend)?);
        let (keys, refresher) = keys::cache();
        let edge = Arc::new(Edge::new(&config));
        let stop = CancellationToken::new();
        let devices = DeviceServiceServer::new(Devices {
            app_keys: AppKeys::new(&config.app_keys)?,
            keys: keys.clone(),
            backend: Arc::clone(&backend),
            limits: config.limits(),
            stop: stop.clone(),
        })
        .max_decoding_message_size(MAX_REQUEST_BYTES);
        let (health, health_service) = tonic_health::server::health_reporter();
        // Until the backend has been reached.
        health.set_not_serving::<DeviceServiceServer<Devices>>().await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(|error| GatewayError::Reflection { problem: error.to_string() })?;
        let routes = Routes::new(devices).add_service(health_service).add_service(reflection).prepare();
        let stack = ServiceBuilder::new()
            .layer(cors)
            .layer(GrpcWebLayer::new())
            .layer(EdgeLayer(Arc::clone(&edge)))
            .service(routes);

        let address = config.listen;
        let failed = |source| GatewayError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            local_addr,
            tls,
            stack: Stack::new(stack),
            max_connections: usize::try_from(config.max_connections.get()).unwrap_or(usize::MAX),
            edge,
            backend,
            keys,
            refresher,
            health,
            stop,
        })
    }

    /// Where devices call, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until the shutdown; then ends the streams, lets calls end for up to 10 seconds, and returns.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { listener, tls, stack, max_connections, edge, backend, keys, refresher, health, stop, .. } = self;
        info!(address = %self.local_addr, tls = tls.is_some(), "the gateway takes calls");
        let mut tasks = JoinSet::new();
        // What calls need goes on until they have ended.
        let ended = CancellationToken::new();
        tasks.spawn(refresher.run(backend, ended.clone()));
        tasks.spawn(tidy(edge, ended.clone()));
        tasks.spawn(tell_health(health, keys, stop.clone()));
        let serving = listener::serve(listener, tls, stack, max_connections, stop.clone());
        let stopping = async {
            shutdown.cancelled().await;
            stop.cancel();
        };
        tokio::join!(serving, stopping);
        ended.cancel();
        while tasks.join_next().await.is_some() {}
        info!("the gateway has ended");
    }
}

/// Tells balancers that devices can be served, once the backend has been reached, and that they can't, at the stop.
async fn tell_health(mut health: HealthReporter, keys: KeyCache, stop: CancellationToken) {
    if stop.run_until_cancelled(keys.reached()).await.is_some() {
        health.set_serving::<DeviceServiceServer<Devices>>().await;
        stop.cancelled().await;
    }
    for service in ["", DeviceServiceServer::<Devices>::NAME] {
        health.set_service_status(service, ServingStatus::NotServing).await;
        // Whoever watches it is let go.
        health.clear_service_status(service).await;
    }
}

async fn tidy(edge: Arc<Edge>, ended: CancellationToken) {
    let mut ticks = interval(TIDY_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while ended.run_until_cancelled(ticks.tick()).await.is_some() {
        edge.tidy();
    }
}

fn cors(origins: &[String]) -> Result<CorsLayer, GatewayError> {
    let allowed = match origins {
        [any] if any == "*" => AllowOrigin::any(),
        origins => AllowOrigin::list(origins.iter().map(|origin| self::origin(origin)).collect::<Result<Vec<_>, _>>()?),
    };
    Ok(CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::POST])
        .allow_headers([
            HeaderName::from_static(proto::APP_KEY_METADATA),
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("traceparent"),
            HeaderName::from_static("grpc-timeout"),
            HeaderName::from_static("x-grpc-web"),
            HeaderName::from_static("x-user-agent"),
        ])
        .expose_headers([
            HeaderName::from_static("grpc-status"),
            HeaderName::from_static("grpc-message"),
            HeaderName::from_static("grpc-status-details-bin"),
        ])
        .max_age(PREFLIGHT_AGE))
}

/// An origin as browsers send it (RFC 6454, section 6.1): scheme, host and port, nothing behind.
fn origin(text: &str) -> Result<HeaderValue, GatewayError> {
    let bad = |problem| GatewayError::Origin { origin: text.to_owned(), problem };
    if text == "*" {
        return Err(bad("allows all, so it must stand alone"));
    }
    match text.split_once("://") {
        Some((scheme, host)) if !scheme.is_empty() && !host.is_empty() && !host.contains('/') => {
            HeaderValue::from_str(text).map_err(|_| bad("has characters that no origin has"))
        }
        _ => Err(bad("is no origin; write https://app.example.org, with nothing behind")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_checked_at_the_start() {
        let check = |origins: &[&str], fine: bool| {
            let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
            assert_eq!(cors(&origins).is_ok(), fine, "{origins:?}");
        };
        check(&[], true);
        check(&["*"], true);
        check(&["https://app.example.org", "http://localhost:8080"], true);
        check(&["*", "https://app.example.org"], false);
        check(&["https://app.example.org", "*"], false);
        check(&["https://app.example.org/"], false);
        check(&["app.example.org"], false);
        check(&["https://"], false);
        check(&["https://a\nb"], false);
    }
}
