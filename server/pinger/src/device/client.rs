//! The device's side of the API.

use std::path::Path;
use std::time::Duration;

use backend::vault::{self, KeySetError};
use proto::v1::device_service_client::DeviceServiceClient;
use proto::{APP_KEY_METADATA, v1};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};

use super::DeviceError;
use super::state::{SessionToken, State};
use super::trace::Trace;
use crate::clock;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a call may take, streams aside. It includes a first log-in at the mail server.
const CALL: Duration = Duration::from_secs(60);

/// How often a connection with nothing on it is checked, as while watching.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// What proves who calls.
enum Proof {
    AppKey(AsciiMetadataValue),
    Token(AsciiMetadataValue),
}

/// A connection to a server, and who we are there.
pub(super) struct Client {
    service: DeviceServiceClient<Channel>,
    proof: Proof,
    trace: Trace,
}

impl Client {
    /// For an app.
    pub(super) async fn of_app(
        server: &str,
        ca: Option<&Path>,
        app_key: &SecretString,
        trace: Trace,
    ) -> Result<Self, DeviceError> {
        let service = connect(server, ca).await?;
        Ok(Self { service, proof: Proof::AppKey(value(app_key.expose_secret(), "the app key")?), trace })
    }

    /// For a session.
    pub(super) async fn of_session(state: &State, trace: Trace) -> Result<Self, DeviceError> {
        let service = connect(&state.server, state.ca.as_deref()).await?;
        let SessionToken(token) = &state.session_token;
        Ok(Self { service, proof: Proof::Token(value(&format!("Bearer {token}"), "the session token")?), trace })
    }

    /// The sealing keys, and the identity key that signed them, which is `pinned` if that is given.
    pub(super) async fn sealing_keys(
        &mut self,
        pinned: Option<[u8; 32]>,
    ) -> Result<(v1::SealingKeySet, Vec<u8>), DeviceError> {
        let request = self.request(v1::GetSealingKeysRequest {})?;
        let response = self.service.get_sealing_keys(request).await.map_err(of_status)?.into_inner();
        let set = vault::verify_key_set(&response, pinned.as_ref(), clock::now())?;
        Ok((set, response.identity_key.to_vec()))
    }

    pub(super) async fn register(&mut self, request: v1::RegisterRequest) -> Result<v1::RegisterResponse, DeviceError> {
        let request = self.request(request)?;
        Ok(self.service.register(request).await.map_err(of_status)?.into_inner())
    }

    pub(super) async fn defer(&mut self, request: v1::DeferRequest) -> Result<v1::Session, DeviceError> {
        let request = self.request(request)?;
        let response = self.service.defer(request).await.map_err(of_status)?;
        response.into_inner().session.ok_or(DeviceError::NoSession)
    }

    pub(super) async fn stop(&mut self, session_id: &str) -> Result<(), DeviceError> {
        let request = self.request(v1::StopRequest { session_id: session_id.to_owned() })?;
        self.service.stop(request).await.map_err(of_status)?;
        Ok(())
    }

    pub(super) async fn session(&mut self, session_id: &str) -> Result<v1::Session, DeviceError> {
        let request = self.request(v1::GetSessionRequest { session_id: session_id.to_owned() })?;
        let response = self.service.get_session(request).await.map_err(of_status)?;
        response.into_inner().session.ok_or(DeviceError::NoSession)
    }

    pub(super) async fn watch(&mut self, session_id: &str) -> Result<Watch, DeviceError> {
        let mut request = self.request(v1::WatchSessionRequest { session_id: session_id.to_owned() })?;
        request.metadata_mut().remove("grpc-timeout");
        Ok(Watch(self.service.watch_session(request).await.map_err(of_status)?.into_inner()))
    }

    fn request<T>(&self, message: T) -> Result<Request<T>, DeviceError> {
        let mut request = Request::new(message);
        request.set_timeout(CALL);
        let metadata = request.metadata_mut();
        match &self.proof {
            Proof::AppKey(key) => metadata.insert(AsciiMetadataKey::from_static(APP_KEY_METADATA), key.clone()),
            Proof::Token(token) => metadata.insert("authorization", token.clone()),
        };
        metadata.insert("traceparent", value(&self.trace.to_string(), "the trace")?);
        Ok(request)
    }
}

/// The states of a session as they come.
pub(super) struct Watch(Streaming<v1::WatchSessionResponse>);

impl Watch {
    /// The next one; none when the server has ended the stream.
    pub(super) async fn next(&mut self) -> Result<Option<v1::Session>, DeviceError> {
        let message = self.0.message().await.map_err(of_status)?;
        message.map(|message| message.session.ok_or(DeviceError::NoSession)).transpose()
    }
}

async fn connect(server: &str, ca: Option<&Path>) -> Result<DeviceServiceClient<Channel>, DeviceError> {
    let unusable = |_| DeviceError::Usage(format!("{server} is no server: write http://HOST:PORT or https://HOST"));
    let endpoint = Endpoint::from_shared(server.to_owned()).map_err(unusable)?;
    let endpoint = match endpoint.uri().scheme_str() {
        Some("https") => endpoint.tls_config(tls(ca)?).map_err(|source| DeviceError::Tls { source })?,
        Some("http") if ca.is_none() => endpoint,
        Some("http") => return Err(DeviceError::Usage(format!("{server} has no TLS, so --ca is of no use"))),
        _ => return Err(DeviceError::Usage(format!("{server} is no server: write http://HOST:PORT or https://HOST"))),
    };
    let endpoint = endpoint.connect_timeout(CONNECT).http2_keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(CONNECT);
    let connected = endpoint.connect().await;
    let channel = connected.map_err(|source| DeviceError::Connect { server: server.to_owned(), source })?;
    Ok(DeviceServiceClient::new(channel))
}

fn tls(ca: Option<&Path>) -> Result<ClientTlsConfig, DeviceError> {
    let tls = ClientTlsConfig::new().with_native_roots();
    let Some(path) = ca else { return Ok(tls) };
    let pem = std::fs::read(path).map_err(|source| DeviceError::File { path: path.to_owned(), source })?;
    Ok(tls.ca_certificate(Certificate::from_pem(pem)))
}

fn value(text: &str, what: &str) -> Result<AsciiMetadataValue, DeviceError> {
    let mut value = AsciiMetadataValue::try_from(text)
        .map_err(|_| DeviceError::Usage(format!("{what} has characters that can't be sent")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A status is a refusal, unless it was made here because the connection broke.
fn of_status(status: Status) -> DeviceError {
    use std::error::Error as _;
    if status.source().is_some() { DeviceError::Broken { source: status } } else { DeviceError::refused(&status) }
}

impl From<KeySetError> for DeviceError {
    fn from(source: KeySetError) -> Self {
        Self::KeySet { source }
    }
}
