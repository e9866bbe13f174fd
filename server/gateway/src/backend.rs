//! The one internal call. The backend may be absent for a while, as when it restarts: a call waits for it until its
//! own deadline. All calls are idempotent, so that trying again does no harm.

use std::future::Future;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use proto::internal_v1::backend_service_client::BackendServiceClient;
use proto::{Reason, Refusal, internal_v1 as internal, trace};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::{Instrument as _, Span, debug, field, info_span, warn};

use crate::config::{BackendAddress, GatewayError, read};

/// The pauses between attempts, from the first to the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(320));

/// When a device may ask again, after the backend was not there.
const RETRY_AFTER: Duration = Duration::from_secs(2);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

type Client = BackendServiceClient<Channel>;

/// Nobody answers.
pub(crate) fn unavailable() -> Refusal {
    Refusal::new(Reason::BackendUnavailable).retry_after(RETRY_AFTER)
}

/// The way to the backend.
pub(crate) struct Backend {
    calls: Client,
    // A connection of their own: a peer takes a limited number of streams on one, and these stay.
    watches: Client,
}

impl Backend {
    /// Prepares the way. Nothing is connected before the first call.
    pub(crate) fn new(address: &BackendAddress) -> Result<Self, GatewayError> {
        Ok(Self { calls: Client::new(channel(address)?), watches: Client::new(channel(address)?) })
    }

    pub(crate) async fn public_keys(&self, deadline: Instant) -> Result<internal::GetPublicKeysResponse, Status> {
        let request = internal::GetPublicKeysRequest {};
        let send = |mut client: Client, request| async move { client.get_public_keys(request).await };
        // Outside of any span: it is nobody's call.
        self.answer("GetPublicKeys", deadline, request, send).await
    }

    pub(crate) async fn register(
        &self,
        request: internal::RegisterRequest,
        deadline: Instant,
    ) -> Result<internal::RegisterResponse, Status> {
        let send = |mut client: Client, request| async move { client.register(request).await };
        self.call("Register", deadline, request, send).await
    }

    pub(crate) async fn defer(
        &self,
        request: internal::DeferRequest,
        deadline: Instant,
    ) -> Result<internal::DeferResponse, Status> {
        let send = |mut client: Client, request| async move { client.defer(request).await };
        self.call("Defer", deadline, request, send).await
    }

    pub(crate) async fn stop(
        &self,
        request: internal::StopRequest,
        deadline: Instant,
    ) -> Result<internal::StopResponse, Status> {
        let send = |mut client: Client, request| async move { client.stop(request).await };
        self.call("Stop", deadline, request, send).await
    }

    pub(crate) async fn get_session(
        &self,
        request: internal::GetSessionRequest,
        deadline: Instant,
    ) -> Result<internal::GetSessionResponse, Status> {
        let send = |mut client: Client, request| async move { client.get_session(request).await };
        self.call("GetSession", deadline, request, send).await
    }

    /// Opens a stream. The deadline is for its beginning.
    pub(crate) async fn watch_session(
        &self,
        request: internal::WatchSessionRequest,
        deadline: Instant,
    ) -> Result<Streaming<internal::WatchSessionResponse>, Status> {
        let watches = &self.watches;
        let span = client_span("WatchSession");
        let send = move |request| {
            let mut client = watches.clone();
            async move { client.watch_session(request).await }
        };
        let answer = retry(deadline, || with_context(request.clone()), send).instrument(span.clone()).await;
        finish(&span, answer)
    }

    async fn call<Q, A, F>(
        &self,
        method: &'static str,
        deadline: Instant,
        request: Q,
        send: impl Fn(Client, Request<Q>) -> F + Send + Sync,
    ) -> Result<A, Status>
    where
        Q: Clone + Send + Sync,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        let span = client_span(method);
        let answer = self.answer(method, deadline, request, send).instrument(span.clone()).await;
        finish(&span, answer)
    }

    async fn answer<Q, A, F>(
        &self,
        method: &'static str,
        deadline: Instant,
        request: Q,
        send: impl Fn(Client, Request<Q>) -> F + Send + Sync,
    ) -> Result<A, Status>
    where
        Q: Clone + Send + Sync,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        let make = || {
            let mut request = with_context(request.clone());
            request.set_timeout(deadline.saturating_duration_since(Instant::now()));
            request
        };
        let answer = retry(deadline, make, |request| send(self.calls.clone(), request)).await;
        answer.inspect_err(|status| debug!(method, code = ?status.code(), "the backend did not do it"))
    }
}

fn client_span(method: &'static str) -> Span {
    info_span!(
        "call",
        otel.name = format_args!("pinger.internal.v1.BackendService/{method}"),
        otel.kind = "client",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.service = "pinger.internal.v1.BackendService",
        rpc.method = method,
        rpc.grpc.status_code = field::Empty,
    )
}

fn finish<A>(span: &Span, answer: Result<A, Status>) -> Result<A, Status> {
    let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
    span.record("rpc.grpc.status_code", i32::from(code));
    if code != Code::Ok {
        span.record("otel.status_code", "ERROR");
    }
    answer
}

fn with_context<Q>(request: Q) -> Request<Q> {
    let mut request = Request::new(request);
    trace::inject(request.metadata_mut());
    request
}

/// Sends until there is an answer or the deadline has come.
async fn retry<Q, A, F>(
    deadline: Instant,
    make: impl Fn() -> Request<Q> + Send,
    send: impl Fn(Request<Q>) -> F + Send,
) -> Result<A, Status>
where
    F: Future<Output = Result<Response<A>, Status>> + Send,
{
    let (mut pause, longest) = PAUSE;
    loop {
        match timeout_at(deadline, send(make())).await {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => match Fault::of(status) {
                Fault::Said(status) => return Err(status),
                Fault::Transport => {}
            },
            Err(_) => return Err(unavailable().into()),
        }
        sleep_until(deadline.min(Instant::now() + pause)).await;
        if Instant::now() >= deadline {
            return Err(unavailable().into());
        }
        pause = longest.min(pause * 2);
    }
}

/// What it means that a call to the backend went wrong.
pub(crate) enum Fault {
    /// The backend has answered, and the device is to know.
    Said(Status),
    /// It couldn't be reached, or went away before it answered.
    Transport,
}

impl Fault {
    /// Tells the two apart. What the backend says has details; what it never meant to say becomes INTERNAL here, without
    /// its text.
    pub(crate) fn of(status: Status) -> Self {
        use std::error::Error as _;

        if !status.details().is_empty() {
            // Message and details; its metadata is between the two of us.
            let details = bytes::Bytes::copy_from_slice(status.details());
            return Self::Said(Status::with_details(status.code(), status.message(), details));
        }
        // A status that was made on this side has the error that it was made from.
        let here = status.source().is_some();
        match status.code() {
            Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => Self::Transport,
            _ if here => Self::Transport,
            code => {
                warn!(?code, "the backend answered with a status that has no details");
                Self::Said(Refusal::new(Reason::Internal).into())
            }
        }
    }

    /// The status for the device, where nothing is left to try.
    pub(crate) fn into_status(self) -> Status {
        match self {
            Self::Said(status) => status,
            Self::Transport => unavailable().into(),
        }
    }
}

fn channel(address: &BackendAddress) -> Result<Channel, GatewayError> {
    let problem = |problem: String| GatewayError::Backend { problem };
    match address {
        BackendAddress::Unix { path } => {
            let path = path.clone();
            let connect = tower::service_fn(move |_: Uri| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            // The name is for the protocol only.
            Ok(Endpoint::from_static("http://backend.invalid").connect_with_connector_lazy(connect))
        }
        BackendAddress::Tcp { address, server_name, tls } => {
            let client = ClientTlsConfig::new()
                .domain_name(server_name)
                .ca_certificate(Certificate::from_pem(read(&tls.ca)?))
                .identity(Identity::from_pem(read(&tls.certificate)?, read(&tls.key)?));
            let endpoint = Endpoint::from_shared(format!("https://{address}"))
                .and_then(|endpoint| endpoint.tls_config(client))
                .map_err(|error| problem(error_chain(&error)))?;
            Ok(endpoint
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(KEEP_ALIVE.0)
                .keep_alive_timeout(KEEP_ALIVE.1)
                .keep_alive_while_idle(true)
                .connect_lazy())
        }
    }
}

/// tonic's own errors say little without their sources.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
