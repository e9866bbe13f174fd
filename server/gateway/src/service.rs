//! The device API: who calls, is the request in form, then the one internal call.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use domain::Limits;
use proto::v1::device_service_server::DeviceService;
use proto::{Reason, Refusal, internal_v1 as internal, parse, v1};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};
use tracing::{Span, field};

use crate::admission::AppKeys;
use crate::backend::{Backend, Fault, unavailable};
use crate::deadline::Deadline;
use crate::keys::KeyCache;
use crate::token::{Holder, Unverified};

/// The device API.
pub(crate) struct Devices {
    pub(crate) app_keys: AppKeys,
    pub(crate) keys: KeyCache,
    pub(crate) backend: Arc<Backend>,
    pub(crate) limits: Limits,
    /// Ends the streams.
    pub(crate) stop: CancellationToken,
}

impl Devices {
    /// Who calls, by the session token; it must be for the session that the request names.
    async fn holder(
        &self,
        metadata: &MetadataMap,
        session_id: &str,
        deadline: Instant,
    ) -> Result<internal::TokenHolder, Refusal> {
        let token = Unverified::from_metadata(metadata)?;
        let key = self.keys.token_key(token.key_id(), deadline).await?;
        let Holder { session, generation } = token.verify(&key, SystemTime::now())?;
        if parse::session_id(session_id).map_err(Refusal::fields)? != session {
            return Err(Refusal::new(Reason::TokenForeign));
        }
        Span::current().record("pinger.session_id", field::display(session));
        Ok(internal::TokenHolder { session_id: session.to_string(), generation })
    }
}

/// The deadline that the edge has set. Without one the call is late already, rather than endless.
fn deadline<T>(request: &Request<T>) -> Deadline {
    request.extensions().get().copied().unwrap_or_else(|| Deadline { answer: Instant::now(), caller: None })
}

/// What the backend has to say, but doesn't.
fn missing() -> Status {
    tracing::warn!("the backend's answer is empty");
    Refusal::new(Reason::Internal).into()
}

#[tonic::async_trait]
impl DeviceService for Devices {
    type WatchSessionStream = Watch;

    async fn get_sealing_keys(
        &self,
        request: Request<v1::GetSealingKeysRequest>,
    ) -> Result<Response<v1::GetSealingKeysResponse>, Status> {
        self.app_keys.admit(request.metadata())?;
        Ok(Response::new(self.keys.sealing_keys(deadline(&request).answer).await?))
    }

    async fn register(&self, request: Request<v1::RegisterRequest>) -> Result<Response<v1::RegisterResponse>, Status> {
        let app = self.app_keys.admit(request.metadata())?;
        let deadline = deadline(&request).answer;
        let request = request.into_inner();
        parse::registration(&request, &self.limits).map_err(Refusal::fields)?;
        let request = internal::RegisterRequest { app_id: app.to_string(), request: Some(request) };
        let response = self.backend.register(request, deadline).await?.response.ok_or_else(missing)?;
        Span::current().record("pinger.session_id", &response.session_id);
        Ok(Response::new(response))
    }

    async fn defer(&self, request: Request<v1::DeferRequest>) -> Result<Response<v1::DeferResponse>, Status> {
        let deadline = deadline(&request).answer;
        let holder = self.holder(request.metadata(), &request.get_ref().session_id, deadline).await?;
        let request = request.into_inner();
        parse::defer(&request, &self.limits).map_err(Refusal::fields)?;
        let request = internal::DeferRequest { holder: Some(holder), request: Some(request) };
        let response = self.backend.defer(request, deadline).await?.response;
        response.map(Response::new).ok_or_else(missing)
    }

    async fn stop(&self, request: Request<v1::StopRequest>) -> Result<Response<v1::StopResponse>, Status> {
        let deadline = deadline(&request).answer;
        let holder = self.holder(request.metadata(), &request.get_ref().session_id, deadline).await?;
        let response = self.backend.stop(internal::StopRequest { holder: Some(holder) }, deadline).await?.response;
        response.map(Response::new).ok_or_else(missing)
    }

    async fn get_session(
        &self,
        request: Request<v1::GetSessionRequest>,
    ) -> Result<Response<v1::GetSessionResponse>, Status> {
        let deadline = deadline(&request).answer;
        let holder = self.holder(request.metadata(), &request.get_ref().session_id, deadline).await?;
        let request = internal::GetSessionRequest { holder: Some(holder) };
        let response = self.backend.get_session(request, deadline).await?.response;
        response.map(Response::new).ok_or_else(missing)
    }

    async fn watch_session(&self, request: Request<v1::WatchSessionRequest>) -> Result<Response<Watch>, Status> {
        let deadline = deadline(&request);
        let holder = self.holder(request.metadata(), &request.get_ref().session_id, deadline.answer).await?;
        let request = internal::WatchSessionRequest { holder: Some(holder) };
        let states = self.backend.watch_session(request, deadline.answer).await?;
        Ok(Response::new(Watch {
            states: Some(states),
            stop: Box::pin(self.stop.clone().cancelled_owned()),
            end: deadline.caller.map(|end| Box::pin(sleep_until(end))),
        }))
    }
}

/// The backend's stream, passed on until it ends, the caller's time is over or we stop.
pub(crate) struct Watch {
    states: Option<Streaming<internal::WatchSessionResponse>>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    end: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<v1::WatchSessionResponse, Status>>> {
        let Some(states) = &mut self.states else { return Poll::Ready(None) };
        if self.stop.as_mut().poll(cx).is_ready() {
            // The device calls again, and gets another gateway or the next one.
            return Poll::Ready(Some(Err(unavailable().into())));
        }
        if self.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Some(Err(Refusal::new(Reason::DeadlineOver).into())));
        }
        Pin::new(states).poll_next(cx).map(|next| match next? {
            Ok(message) => Some(message.response.ok_or_else(missing)),
            Err(status) => Some(Err(Fault::of(status).into_status())),
        })
    }
}

impl Stream for Watch {
    type Item = Result<v1::WatchSessionResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.poll(cx);
        // After its end or an error there is nothing more, and the backend's stream is let go.
        if let Poll::Ready(None | Some(Err(_))) = next {
            self.states = None;
        }
        next
    }
}
