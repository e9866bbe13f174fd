//! What every call passes first, whoever makes it: its span, the rates, the limits of what is under way, its deadline
//! and its size. It stands inside of gRPC-web's translation, so that its refusals reach browsers too.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use ipnet::IpNet;
use proto::{Reason, Refusal, Violation, trace};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::body::{Held, Limited};
use crate::config::Config;
use crate::deadline::Deadline;
use crate::method::{Lane, Method};
use crate::peer::{SocketPeer, peer};
use crate::rate::Limiter;

/// Streams that need no admission.
const SIDE_STREAMS: usize = 128;

/// When to try again after OVERLOADED.
const SHED_RETRY: Duration = Duration::from_secs(1);

/// The services answer at the deadline by themselves; this much later a call is ended whose request didn't even arrive.
const GRACE: Duration = Duration::from_millis(200);

/// What all calls share.
pub(crate) struct Edge {
    limiter: Limiter,
    trusted_proxies: Vec<IpNet>,
    deadline: Duration,
    calls: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    side: Arc<Semaphore>,
}

impl Edge {
    pub(crate) fn new(config: &Config) -> Self {
        let places = |number: std::num::NonZeroU32| {
            Arc::new(Semaphore::new(usize::try_from(number.get()).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)))
        };
        Self {
            limiter: Limiter::new(config.rates),
            trusted_proxies: config.trusted_proxies.clone(),
            deadline: config.deadline(),
            calls: places(config.max_in_flight),
            watches: places(config.max_watches),
            side: Arc::new(Semaphore::new(SIDE_STREAMS)),
        }
    }

    /// Forgets peers that are gone.
    pub(crate) fn tidy(&self) {
        self.limiter.tidy();
    }

    /// Lets a call in, with the place that it takes.
    fn enter(&self, lane: Lane, request: &Request<Body>) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        let places = match lane {
            Lane::Health => return Ok(None),
            Lane::Call => &self.calls,
            Lane::Watch => &self.watches,
            Lane::Side => &self.side,
        };
        if let Some(SocketPeer(socket)) = request.extensions().get() {
            self.limiter
                .take(peer(*socket, request.headers(), &self.trusted_proxies))
                .map_err(|after| Refusal::new(Reason::RateLimited).retry_after(after))?;
        }
        match Arc::clone(places).try_acquire_owned() {
            Ok(place) => Ok(Some(place)),
            Err(_) => Err(Refusal::new(Reason::Overloaded).retry_after(SHED_RETRY)),
        }
    }

    async fn answer<S>(&self, lane: Lane, mut request: Request<Body>, mut inner: S) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let place = match self.enter(lane, &request) {
            Ok(place) => place,
            Err(refusal) => return Status::from(refusal).into_http(),
        };
        let deadline = Deadline::new(Instant::now(), self.deadline, request.headers());
        request.extensions_mut().insert(deadline);
        let request = request.map(|body| Body::new(Limited::new(body)));
        let response = match timeout_at(deadline.answer + GRACE, inner.call(request)).await {
            Ok(Ok(response)) => explained(response),
            Ok(Err(never)) => match never {},
            Err(_) => return Status::from(Refusal::new(Reason::DeadlineOver)).into_http(),
        };
        match (lane, place) {
            // The answer of a call is ready as it leaves here: a caller who reads slowly keeps nobody out.
            (Lane::Watch | Lane::Side, Some(place)) => response.map(|body| Body::new(Held::new(body, place))),
            _ => response,
        }
    }
}

/// Gives a reason to what tonic refuses by itself. The services never say INTERNAL without details; tonic does, when
/// the bytes that came are no message. It says UNIMPLEMENTED when it knows no such path.
fn explained(response: Response<Body>) -> Response<Body> {
    if response.headers().contains_key(Status::GRPC_STATUS_DETAILS) {
        return response;
    }
    let refusal = match response.headers().get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes())) {
        Some(Code::Internal) => Refusal::fields(vec![Violation {
            field: "request".to_owned(),
            description: "is no message of this method".to_owned(),
        }]),
        Some(Code::Unimplemented) => Refusal::new(Reason::MethodUnknown),
        _ => return response,
    };
    Status::from(refusal).into_http()
}

/// The span of one call, as a child of the caller's.
fn server_span(method: Method, headers: &mut HeaderMap) -> Span {
    if method.lane == Lane::Health {
        // Balancers ask every other second.
        return Span::none();
    }
    let (service, name) = method.parts();
    let span = info_span!(
        "call",
        otel.name = method.name,
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = name,
        rpc.grpc.status_code = field::Empty,
        pinger.session_id = field::Empty,
        pinger.reason = field::Empty,
    );
    let metadata = MetadataMap::from_headers(std::mem::take(headers));
    // It fails only if the span is of no use to anybody.
    let _ = span.set_parent(trace::extract(&metadata));
    *headers = metadata.into_headers();
    span
}

/// Records how a call ended; for a stream, how it began. A failed call has its status in the headers.
fn record(span: &Span, response: &Response<Body>) {
    let status = if span.is_disabled() { None } else { Status::from_header_map(response.headers()) };
    let code = status.as_ref().map_or(Code::Ok, Status::code);
    span.record("rpc.grpc.status_code", i32::from(code));
    // The codes that are the server's fault (OpenTelemetry, conventions for gRPC).
    if matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    ) {
        span.record("otel.status_code", "ERROR");
    }
    if let Some(info) = status.as_ref().and_then(|status| status.get_details_error_info()) {
        span.record("pinger.reason", info.reason);
    }
}

/// Puts the edge around a service.
#[derive(Clone)]
pub(crate) struct EdgeLayer(pub(crate) Arc<Edge>);

impl<S> Layer<S> for EdgeLayer {
    type Service = EdgeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        EdgeService { edge: Arc::clone(&self.0), inner }
    }
}

/// A service behind the edge.
#[derive(Clone)]
pub(crate) struct EdgeService<S> {
    edge: Arc<Edge>,
    inner: S,
}

impl<S> Service<Request<Body>> for EdgeService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let edge = Arc::clone(&self.edge);
        // The one that is ready goes with the call.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        let method = Method::of(request.uri().path());
        let span = server_span(method, request.headers_mut());
        Box::pin(async move {
            let response = edge.answer(method.lane, request, inner).instrument(span.clone()).await;
            record(&span, &response);
            Ok(response)
        })
    }
}
