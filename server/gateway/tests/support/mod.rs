//! A gateway, a backend that is played, and a device that calls.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

pub mod backend;
pub mod token;
pub mod web;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::{AppKey, BackendAddress, Config, Gateway};
use proto::v1;
use proto::v1::device_service_client::DeviceServiceClient;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use self::backend::Fake;
use self::token::Signer;

/// The key of the app `app-1`.
pub const APP_KEY: &str = "correct-horse";

pub const SESSION: &str = "0190a6f2-7c3e-7d1a-9f00-0123456789ab";
pub const OTHER_SESSION: &str = "0190a6f2-7c3e-7d1a-9f00-ba9876543210";

/// A gateway under test with its backend's address.
pub struct World {
    pub folder: tempfile::TempDir,
    pub signer: Signer,
    pub address: SocketAddr,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl World {
    /// A gateway whose backend is not there yet.
    pub async fn alone(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backend = BackendAddress::Unix { path: folder.path().join("backend.sock") };
        let mut config = Config::new("127.0.0.1:0".parse().unwrap(), backend);
        config.app_keys = vec![AppKey { id: "app-1".to_owned(), sha256: sha256_hex(APP_KEY) }];
        change(&mut config);
        let gateway = Gateway::bind(config).await.unwrap();
        let address = gateway.local_addr();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(gateway.run(shutdown.clone()));
        Self { folder, signer: Signer::new("key-1"), address, shutdown, running }
    }

    /// A gateway and its backend.
    pub async fn new(change: impl FnOnce(&mut Config)) -> (Self, Fake) {
        let world = Self::alone(change).await;
        let backend = world.backend();
        // Until the gateway knows the keys.
        let mut device = world.device().await;
        device.get_sealing_keys(with_app_key(v1::GetSealingKeysRequest {})).await.unwrap();
        backend.forget();
        (world, backend)
    }

    /// Starts the backend.
    pub fn backend(&self) -> Fake {
        Fake::start(self.socket(), &self.signer)
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("backend.sock")
    }

    pub async fn device(&self) -> DeviceServiceClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        DeviceServiceClient::new(endpoint.connect().await.unwrap())
    }

    /// Stops the gateway, and waits until it has ended.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
    }

    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// A request with the token of the session.
    pub fn with_token<T>(&self, message: T) -> Request<T> {
        with_bearer(message, &self.signer.token(SESSION))
    }
}

pub fn sha256_hex(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn with_app_key<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(proto::APP_KEY_METADATA, APP_KEY.parse().unwrap());
    request
}

pub fn with_bearer<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

pub fn in_time<T>(mut request: Request<T>, timeout: Duration) -> Request<T> {
    request.set_timeout(timeout);
    request
}

pub fn defer() -> v1::DeferRequest {
    v1::DeferRequest { session_id: SESSION.to_owned(), ..Default::default() }
}

pub fn get_session() -> v1::GetSessionRequest {
    v1::GetSessionRequest { session_id: SESSION.to_owned() }
}

pub fn stop() -> v1::StopRequest {
    v1::StopRequest { session_id: SESSION.to_owned() }
}

pub fn watch_session() -> v1::WatchSessionRequest {
    v1::WatchSessionRequest { session_id: SESSION.to_owned() }
}

pub fn registration() -> v1::RegisterRequest {
    v1::RegisterRequest {
        user_id: "user-1".to_owned(),
        device: Some(v1::Device {
            device_id: "device-1".to_owned(),
            platform: v1::Platform::Ios.into(),
            os_version: "19.1".to_owned(),
            app_version: "4.2".to_owned(),
        }),
        context: "account-1".to_owned(),
        push_target: Some(v1::PushTarget {
            service: Some(v1::push_target::Service::Apns(v1::ApnsTarget {
                token: "ab".repeat(32),
                topic: "org.example.mail".to_owned(),
                environment: v1::ApnsEnvironment::Production.into(),
                push_type: v1::ApnsPushType::Background.into(),
            })),
        }),
        mail_target: Some(v1::MailTarget {
            server: Some(v1::mail_target::Server::Imap(v1::ImapTarget {
                host: "imap.example.org".to_owned(),
                port: 993,
                security: v1::ImapSecurity::Tls.into(),
                mailbox: String::new(),
                mechanism: v1::ImapMechanism::Plain.into(),
            })),
        }),
        credential: Some(v1::SealedCredential {
            key_id: "key-1".to_owned(),
            encapsulated_key: vec![1; 32].into(),
            ciphertext: vec![2; 272].into(),
        }),
        timings: None,
        baseline: None,
    }
}

/// What a device learns from a refusal.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub code: Code,
    pub reason: String,
    pub fields: Vec<String>,
    pub retry: bool,
}

pub fn seen(status: &Status) -> Seen {
    let details = status.get_error_details();
    Seen {
        code: status.code(),
        reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
        fields: details
            .bad_request()
            .map(|bad| bad.field_violations.iter().map(|violation| violation.field.clone()).collect())
            .unwrap_or_default(),
        retry: details.retry_info().is_some_and(|info| info.retry_delay.is_some_and(|delay| !delay.is_zero())),
    }
}

/// Checks that a call was refused for this reason, with its code and its details.
#[track_caller]
pub fn refused<T>(answer: Result<T, Status>, reason: proto::Reason) -> Status {
    let Err(status) = answer else { panic!("was not refused for {reason:?}") };
    let seen = seen(&status);
    assert_eq!((seen.reason.as_str(), seen.code), (reason.as_str(), reason.code()), "{status:?}");
    let retry = matches!(reason.as_str(), "RATE_LIMITED" | "OVERLOADED" | "BACKEND_UNAVAILABLE");
    assert_eq!(seen.retry, retry, "{status:?}");
    status
}

pub fn text(metadata: &MetadataMap, key: &str) -> Option<String> {
    metadata.get(key).map(|value| value.to_str().unwrap().to_owned())
}

pub fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// A connection to the gateway.
pub async fn channel(world: &World) -> Channel {
    Endpoint::from_shared(format!("http://{}", world.address)).unwrap().connect().await.unwrap()
}

/// Waits for something that happens soon.
pub async fn until(condition: impl Fn() -> bool) {
    let happening = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), happening).await.unwrap();
}

/// Says how long the caller waits, by hand: tonic's client would otherwise keep the time itself.
pub fn with_grpc_timeout<T>(mut request: tonic::Request<T>, timeout: &str) -> tonic::Request<T> {
    request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
    request
}

/// What the gateway logs.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}
