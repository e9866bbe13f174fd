//! The backend, played: it records what it is asked, and answers what it is told to.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use proto::internal_v1 as internal;
use proto::internal_v1::backend_service_server::{BackendService, BackendServiceServer};
use proto::{Reason, Refusal, v1};
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic::{Request, Response, Status};

use super::token::Signer;

/// One call that came.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: &'static str,
    pub metadata: MetadataMap,
    pub app_id: Option<String>,
    pub holder: Option<internal::TokenHolder>,
}

/// What becomes of calls.
#[derive(Clone, Default)]
pub enum Answer {
    #[default]
    Fine,
    /// A refusal with details.
    Refuse(Reason),
    /// A status that was never meant for a device.
    Plain,
    /// An answer with nothing in it.
    Empty,
    /// None until the semaphore has room.
    Hang(Arc<Semaphore>),
}

type States = mpsc::Sender<Result<internal::WatchSessionResponse, Status>>;

#[derive(Default)]
struct Shared {
    calls: Mutex<Vec<Call>>,
    answer: Mutex<Answer>,
    watches: Mutex<Vec<States>>,
    sealing_keys: v1::GetSealingKeysResponse,
    token_keys: Mutex<Vec<internal::TokenKey>>,
}

/// A backend that is killed when it is dropped, in the middle of whatever it does.
pub struct Fake {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Fake {
    /// A backend on a unix socket.
    pub fn start(path: PathBuf, signer: &Signer) -> Self {
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self::serve(signer, Server::builder(), move |router| async move {
            let listener = UnixListener::from_std(listener).unwrap();
            router.serve_with_incoming(UnixListenerStream::new(listener)).await
        })
    }

    /// A backend on whatever `run` listens on.
    pub fn serve<F>(signer: &Signer, mut server: Server, run: impl FnOnce(Router) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), tonic::transport::Error>> + Send + 'static,
    {
        let shared = Arc::new(Shared {
            sealing_keys: v1::GetSealingKeysResponse {
                key_set: vec![1, 2, 3].into(),
                signature: vec![4; 64].into(),
                identity_key: vec![5; 32].into(),
            },
            token_keys: Mutex::new(vec![token_key(signer)]),
            ..Default::default()
        });
        let router = server.add_service(BackendServiceServer::new(Service(Arc::clone(&shared))));
        // Its own, so that its connections end with it, as a killed process's do.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move { run(router).await });
        Self { shared, runtime: Some(runtime) }
    }

    pub fn answer(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    pub fn know(&self, signer: &Signer) {
        self.shared.token_keys.lock().unwrap().push(token_key(signer));
    }

    /// The calls so far, but for those for the public keys.
    pub fn calls(&self) -> Vec<Call> {
        let calls = self.shared.calls.lock().unwrap();
        calls.iter().filter(|call| call.method != "GetPublicKeys").cloned().collect()
    }

    /// How often the public keys were asked for.
    pub fn key_calls(&self) -> usize {
        self.shared.calls.lock().unwrap().iter().filter(|call| call.method == "GetPublicKeys").count()
    }

    pub fn forget(&self) {
        self.shared.calls.lock().unwrap().clear();
    }

    /// The streams that are open.
    pub fn watches(&self) -> Vec<States> {
        self.shared.watches.lock().unwrap().iter().filter(|states| !states.is_closed()).cloned().collect()
    }

    /// Forgets its ends of the streams, so that they end.
    pub fn end_watches(&self) {
        self.shared.watches.lock().unwrap().clear();
    }
}

fn token_key(signer: &Signer) -> internal::TokenKey {
    internal::TokenKey { key_id: signer.key_id.clone(), public_key: signer.public_key.clone().into() }
}

/// A session's state with this context.
pub fn session(context: &str) -> v1::Session {
    v1::Session { session_id: super::SESSION.to_owned(), context: context.to_owned(), ..Default::default() }
}

pub fn state(context: &str) -> internal::WatchSessionResponse {
    internal::WatchSessionResponse { response: Some(v1::WatchSessionResponse { session: Some(session(context)) }) }
}

struct Service(Arc<Shared>);

impl Service {
    async fn called(&self, call: Call) -> Result<bool, Status> {
        self.0.calls.lock().unwrap().push(call);
        let answer = self.0.answer.lock().unwrap().clone();
        match answer {
            Answer::Fine => Ok(true),
            Answer::Empty => Ok(false),
            Answer::Refuse(reason) => {
                let mut status = Status::from(Refusal::new(reason).with("hint", "of the backend"));
                status.metadata_mut().insert("x-internal", "between us".parse().unwrap());
                Err(status)
            }
            Answer::Plain => Err(Status::unknown("SELECT password FROM accounts")),
            Answer::Hang(semaphore) => {
                semaphore.acquire().await.unwrap().forget();
                Ok(true)
            }
        }
    }
}

fn call<T>(
    method: &'static str,
    request: &Request<T>,
    app_id: Option<String>,
    holder: Option<internal::TokenHolder>,
) -> Call {
    Call { method, metadata: request.metadata().clone(), app_id, holder }
}

#[tonic::async_trait]
impl BackendService for Service {
    type WatchSessionStream = ReceiverStream<Result<internal::WatchSessionResponse, Status>>;

    async fn get_public_keys(
        &self,
        request: Request<internal::GetPublicKeysRequest>,
    ) -> Result<Response<internal::GetPublicKeysResponse>, Status> {
        self.0.calls.lock().unwrap().push(call("GetPublicKeys", &request, None, None));
        Ok(Response::new(internal::GetPublicKeysResponse {
            sealing_keys: Some(self.0.sealing_keys.clone()),
            token_keys: self.0.token_keys.lock().unwrap().clone(),
        }))
    }

    async fn register(
        &self,
        request: Request<internal::RegisterRequest>,
    ) -> Result<Response<internal::RegisterResponse>, Status> {
        let app = request.get_ref().app_id.clone();
        let fine = self.called(call("Register", &request, Some(app), None)).await?;
        Ok(Response::new(internal::RegisterResponse {
            response: fine.then(|| v1::RegisterResponse {
                session_id: super::SESSION.to_owned(),
                session_token: "token".to_owned(),
                session: Some(session("account-1")),
            }),
        }))
    }

    async fn defer(
        &self,
        request: Request<internal::DeferRequest>,
    ) -> Result<Response<internal::DeferResponse>, Status> {
        let holder = request.get_ref().holder.clone();
        let fine = self.called(call("Defer", &request, None, holder)).await?;
        let response = fine.then(|| v1::DeferResponse { session: Some(session("deferred")) });
        Ok(Response::new(internal::DeferResponse { response }))
    }

    async fn stop(&self, request: Request<internal::StopRequest>) -> Result<Response<internal::StopResponse>, Status> {
        let holder = request.get_ref().holder.clone();
        let fine = self.called(call("Stop", &request, None, holder)).await?;
        Ok(Response::new(internal::StopResponse { response: fine.then_some(v1::StopResponse {}) }))
    }

    async fn get_session(
        &self,
        request: Request<internal::GetSessionRequest>,
    ) -> Result<Response<internal::GetSessionResponse>, Status> {
        let holder = request.get_ref().holder.clone();
        let fine = self.called(call("GetSession", &request, None, holder)).await?;
        let response = fine.then(|| v1::GetSessionResponse { session: Some(session("account-1")) });
        Ok(Response::new(internal::GetSessionResponse { response }))
    }

    async fn watch_session(
        &self,
        request: Request<internal::WatchSessionRequest>,
    ) -> Result<Response<Self::WatchSessionStream>, Status> {
        let holder = request.get_ref().holder.clone();
        self.called(call("WatchSession", &request, None, holder)).await?;
        let (states, stream) = mpsc::channel(8);
        states.try_send(Ok(state("now"))).unwrap();
        self.0.watches.lock().unwrap().push(states);
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
