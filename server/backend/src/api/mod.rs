//! The internal API: parse, one call into the domain, reply. Nobody but the gateway calls it.

mod refuse;

use std::pin::Pin;
use std::sync::Arc;

use domain::{AccountKey, AppId, Event, Life, Limits, PushTarget, SessionId};
use futures_util::Stream;
use proto::internal_v1::backend_service_server::BackendService;
use proto::internal_v1::{self as internal, TokenHolder};
use proto::{Reason, Refusal, parse, render, trace, v1};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use store::{NewSession, SessionRecord};
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::clock;
use crate::push::apns::Apns;
use crate::session::Sessions;
use crate::vault::{Binding, KeyRing};
use crate::watch::guard::{Blocked, Guard};
use refuse::refused;

/// What the internal API works with.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) sessions: Sessions,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) apns: Option<Arc<Apns>>,
    pub(crate) limits: Limits,
    pub(crate) streams: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// A server span for a call, the child of the gateway's.
fn span<T>(request: &Request<T>, method: &'static str, traced: Option<bool>) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "backend call",
        otel.name = format!("pinger.internal.v1.BackendService/{method}"),
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.service = "pinger.internal.v1.BackendService",
        rpc.method = method,
        pinger.session_id = tracing::field::Empty,
        pinger.traced = traced,
        pinger.state = tracing::field::Empty,
        pinger.push_id = tracing::field::Empty,
        pinger.reason = tracing::field::Empty,
    );
    // Without OpenTelemetry there is nothing to be the child of.
    let _ = span.set_parent(trace::extract(request.metadata()));
    span
}

fn answer<T>(result: Result<T, Refusal>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|refusal| {
        let reason = refusal.reason();
        Span::current().record("pinger.reason", reason.as_str());
        tracing::info!(reason = reason.as_str(), "call refused");
        Status::from(refusal)
    })
}

impl Api {
    async fn register(&self, request: internal::RegisterRequest) -> Result<internal::RegisterResponse, Refusal> {
        let app = AppId::parse(&request.app_id).map_err(|_| Refusal::new(Reason::Internal))?;
        let request = request.request.ok_or_else(|| Refusal::new(Reason::Internal))?;
        let registration = parse::registration(&request, &self.limits).map_err(Refusal::fields)?;
        self.check_topic(&registration.push_target)?;
        let mail = &registration.mail;
        self.guard.check_literal(mail.host(), mail.port()).map_err(|blocked| match blocked {
            Blocked::Address(_) => Refusal::new(Reason::AddressBlocked).field("mail_target.imap.host"),
            Blocked::Port => Refusal::new(Reason::PortBlocked).field("mail_target.imap.port"),
        })?;
        let credential =
            self.keys.open(&registration.credential, &Binding::of(&registration)).map_err(refuse::unopened)?;
        let domain::MailTarget::Imap(imap) = mail;
        if !credential.suits(imap.mechanism) {
            return Err(Refusal::new(Reason::CredentialMismatch).field("mail_target.imap.mechanism"));
        }
        let address_hash = self.keys.address_hash(&credential.username);
        drop(credential);

        let now = self.sessions.clock.now();
        let timings = registration.timings;
        let account = AccountKey { host: mail.host().clone(), address_hash: address_hash.clone() };
        let id = clock::session_id();
        let new = NewSession {
            id,
            app,
            life: Life::begin(now, timings.wait_before_use, timings.lifetime, registration.baseline),
            registration,
            address_hash,
            registration_hash: fingerprint(&request),
            created_at: now,
            traceparent: trace::current_traceparent(),
        };
        let registered = self.sessions.store.register(new).await.map_err(refused)?;
        Span::current().record("pinger.session_id", tracing::field::display(registered.id));
        if registered.id == id {
            // Not the very same request again: what was refused, was refused of another credential.
            self.sessions.logins.renew(&account);
        }
        tracing::info!(
            session = %registered.id,
            replaced = registered.replaced.map(tracing::field::display),
            "session registered"
        );
        if let Some(replaced) = registered.replaced {
            self.sessions.watches.wake(replaced);
        }
        let expires_at = registered.life.expires_at;
        let token = self
            .keys
            .token(registered.id, registered.generation, expires_at)
            .map_err(|_| Refusal::new(Reason::Internal))?;
        let response = v1::RegisterResponse {
            session_id: registered.id.to_string(),
            session_token: token.expose_secret().to_owned(),
            session: Some(render::session(registered.id, &request.context, &registered.life)),
        };
        Ok(internal::RegisterResponse { response: Some(response) })
    }

    fn check_topic(&self, target: &PushTarget) -> Result<(), Refusal> {
        let PushTarget::Apns(target) = target;
        if self.apns.as_ref().is_some_and(|apns| apns.serves(target.topic())) {
            Ok(())
        } else {
            Err(Refusal::new(Reason::TopicUnknown).field("push_target.apns.topic"))
        }
    }

    /// The field `pinger.traced` of the span of a call.
    fn traced(&self, holder: Option<&TokenHolder>) -> Option<bool> {
        SessionId::parse(&holder?.session_id).ok().and_then(|id| self.sessions.traced(id))
    }

    /// The session that a token is for, if the token is still worth something.
    async fn held(&self, holder: Option<TokenHolder>) -> Result<SessionRecord, Refusal> {
        let holder = holder.ok_or_else(|| Refusal::new(Reason::Internal))?;
        let id = SessionId::parse(&holder.session_id).map_err(|_| Refusal::new(Reason::Internal))?;
        Span::current().record("pinger.session_id", tracing::field::display(id));
        let found = self.sessions.store.session(id).await.map_err(refused)?;
        let record = found.ok_or_else(|| Refusal::new(Reason::SessionUnknown))?;
        if record.generation == holder.generation { Ok(record) } else { Err(Refusal::new(Reason::TokenDead)) }
    }

    async fn defer(&self, request: internal::DeferRequest) -> Result<internal::DeferResponse, Refusal> {
        let record = self.held(request.holder).await?;
        let request = request.request.ok_or_else(|| Refusal::new(Reason::Internal))?;
        let parse::Defer { wait, baseline, push_target } =
            parse::defer(&request, &self.limits).map_err(Refusal::fields)?;
        if let Some(target) = &push_target {
            self.check_topic(target)?;
        }
        if !record.life.is_live() {
            return Err(ended(&record));
        }
        let event = Event::Deferred { wait, baseline };
        let changed = self.sessions.apply(record.id, event, push_target, None).await.map_err(refused)?;
        let record = changed.ok_or_else(|| Refusal::new(Reason::SessionUnknown))?;
        if !record.life.is_live() {
            return Err(ended(&record));
        }
        let response = v1::DeferResponse { session: Some(session(&record)) };
        Ok(internal::DeferResponse { response: Some(response) })
    }

    async fn stop(&self, request: internal::StopRequest) -> Result<internal::StopResponse, Refusal> {
        let record = self.held(request.holder).await?;
        if record.life.is_live() {
            self.sessions.apply(record.id, Event::Stopped, None, None).await.map_err(refused)?;
        }
        Ok(internal::StopResponse { response: Some(v1::StopResponse {}) })
    }

    async fn get(&self, request: internal::GetSessionRequest) -> Result<internal::GetSessionResponse, Refusal> {
        let record = self.held(request.holder).await?;
        let response = v1::GetSessionResponse { session: Some(session(&record)) };
        Ok(internal::GetSessionResponse { response: Some(response) })
    }

    /// Sends the session whenever it has changed, until it has ended, the caller left, or we stop.
    async fn follow(
        self,
        mut record: SessionRecord,
        mut changes: broadcast::Receiver<SessionId>,
        out: mpsc::Sender<Result<internal::WatchSessionResponse, Status>>,
    ) {
        loop {
            let response = v1::WatchSessionResponse { session: Some(session(&record)) };
            if out.send(Ok(internal::WatchSessionResponse { response: Some(response) })).await.is_err()
                || !record.life.is_live()
            {
                return;
            }
            let shown = record.revision;
            while record.revision == shown {
                tokio::select! {
                    heard = changes.recv() => match heard {
                        Ok(id) if id != record.id => continue,
                        // A hearer that lags looks for itself.
                        Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => return,
                    },
                    () = out.closed() => return,
                    () = self.stop.cancelled() => return,
                }
                match self.sessions.store.session(record.id).await {
                    Ok(Some(read)) => record = read,
                    Ok(None) => return,
                    Err(error) => {
                        let _ = out.send(Err(Status::from(refused(error)))).await;
                        return;
                    }
                }
            }
        }
    }
}

fn session(record: &SessionRecord) -> v1::Session {
    render::session(record.id, &record.context, &record.life)
}

fn ended(record: &SessionRecord) -> Refusal {
    let reason = record.life.end_reason().map_or("", domain::EndReason::as_str);
    Refusal::new(Reason::SessionEnded).with("end_reason", reason)
}

/// What makes a request the very same as another.
fn fingerprint(request: &v1::RegisterRequest) -> String {
    let digest = Sha256::digest(prost::Message::encode_to_vec(request));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tonic::async_trait]
impl BackendService for Api {
    type WatchSessionStream =
        Pin<Box<dyn Stream<Item = Result<internal::WatchSessionResponse, Status>> + Send + 'static>>;

    async fn get_public_keys(
        &self,
        _request: Request<internal::GetPublicKeysRequest>,
    ) -> Result<Response<internal::GetPublicKeysResponse>, Status> {
        Ok(Response::new(internal::GetPublicKeysResponse {
            sealing_keys: Some(self.keys.key_set(self.sessions.clock.now())),
            token_keys: self.keys.token_keys(),
        }))
    }

    async fn register(
        &self,
        request: Request<internal::RegisterRequest>,
    ) -> Result<Response<internal::RegisterResponse>, Status> {
        let span = span(&request, "Register", None);
        async { answer(Self::register(self, request.into_inner()).await) }.instrument(span).await
    }

    async fn defer(
        &self,
        request: Request<internal::DeferRequest>,
    ) -> Result<Response<internal::DeferResponse>, Status> {
        let span = span(&request, "Defer", self.traced(request.get_ref().holder.as_ref()));
        async { answer(Self::defer(self, request.into_inner()).await) }.instrument(span).await
    }

    async fn stop(&self, request: Request<internal::StopRequest>) -> Result<Response<internal::StopResponse>, Status> {
        let span = span(&request, "Stop", self.traced(request.get_ref().holder.as_ref()));
        async { answer(Self::stop(self, request.into_inner()).await) }.instrument(span).await
    }

    async fn get_session(
        &self,
        request: Request<internal::GetSessionRequest>,
    ) -> Result<Response<internal::GetSessionResponse>, Status> {
        let span = span(&request, "GetSession", self.traced(request.get_ref().holder.as_ref()));
        async { answer(self.get(request.into_inner()).await) }.instrument(span).await
    }

    async fn watch_session(
        &self,
        request: Request<internal::WatchSessionRequest>,
    ) -> Result<Response<Self::WatchSessionStream>, Status> {
        let span = span(&request, "WatchSession", self.traced(request.get_ref().holder.as_ref()));
        async {
            // Heard from before the first look, so that no change falls in between.
            let changes = self.sessions.store.changes();
            let record = match self.held(request.into_inner().holder).await {
                Ok(record) => record,
                Err(refusal) => return answer(Err(refusal)),
            };
            let (out, stream) = mpsc::channel(4);
            self.streams.spawn(self.clone().follow(record, changes, out));
            let stream: Self::WatchSessionStream = Box::pin(ReceiverStream::new(stream));
            Ok(Response::new(stream))
        }
        .instrument(span)
        .await
    }
}
