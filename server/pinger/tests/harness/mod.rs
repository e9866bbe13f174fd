//! The whole of Pinger for a test: the real binary, a real push receiver, and phones with verbs.

#![allow(dead_code, reason = "each test binary uses its own part of the harness")]
#![allow(unreachable_pub, reason = "a module of test binaries")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backend::vault::{Binding, Credential, Secret, seal, verify_key_set};
use domain::Timestamp;
use peers::apns::{ApnsOptions, ApnsReceiver};
use peers::certificate::Authority;
use proto::v1;
use proto::v1::device_service_client::DeviceServiceClient;
use tempfile::TempDir;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

pub const APP_KEY: &str = "test-app-key-0123456789";
pub const TOPIC: &str = "org.example.mail";

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What is around the server: a folder, one authority that all peers' certificates are of, and Apple.
pub struct World {
    pub folder: TempDir,
    pub authority: Arc<Authority>,
    pub apns: ApnsReceiver,
    pub device_port: u16,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::new().unwrap());
        authority.write(folder.path()).unwrap();
        let options = ApnsOptions { authority: Some(authority.clone()), ..ApnsOptions::default() };
        let apns = ApnsReceiver::start(options).await.unwrap();
        apns.provider_key().write(folder.path()).unwrap();
        // Nobody else takes it between here and the server's start, as ports are given out in turn.
        let device_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, authority, apns, device_port }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes the configuration. `backend`, `apns` and `gateway` are lines that come into those sections.
    pub fn configure(&self, mail_ports: &[u16], backend: &str, gateway: &str) -> PathBuf {
        let folder = self.folder.path().display();
        let key = self.apns.provider_key();
        let text = format!(
            r#"
[gateway]
listen = "127.0.0.1:{port}"
cors_origins = ["*"]
{gateway}

[[gateway.app_keys]]
id = "test-app"
sha256 = "{app_key}"

[gateway.rates]
per_peer = {{ per_second = 100000, burst = 100000 }}
global = {{ per_second = 100000, burst = 100000 }}

[backend]
data = "{folder}/data"
mail_ca = "{folder}/ca.pem"
allow_addresses = ["127.0.0.0/8"]
allow_ports = {mail_ports:?}
{backend}

[backend.apns]
topics = ["{TOPIC}"]
production_url = "{apns}"
development_url = "{apns}"
ca = "{folder}/ca.pem"

[backend.apns.authentication.token]
key = "{key_file}"
key_id = "{key_id}"
team_id = "{team_id}"
"#,
            port = self.device_port,
            app_key = sha256(APP_KEY),
            apns = self.apns.url(),
            key_file = key.write(self.folder.path()).unwrap().display(),
            key_id = key.key_id,
            team_id = key.team_id,
        );
        let path = self.folder.path().join("pinger.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts `pinger serve` and waits until it is ready.
    pub async fn serve(&self) -> Server {
        self.serve_with(&[]).await
    }

    pub async fn serve_with(&self, environment: &[(&str, &str)]) -> Server {
        let config = self.folder.path().join("pinger.toml");
        Server::start(&config, &self.folder.path().join("server.log"), environment).await
    }
}

pub fn sha256(text: &str) -> String {
    let out = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            use std::io::Write as _;
            child.stdin.take().unwrap().write_all(text.as_bytes())?;
            child.wait_with_output()
        })
        .unwrap();
    String::from_utf8(out.stdout).unwrap()[..64].to_owned()
}

/// A running `pinger serve`. It is killed, with its gateway, when dropped.
pub struct Server {
    child: Child,
    pub device_api: String,
    pub identity: [u8; 32],
    pub gateway_pid: u32,
    /// All that it said when it was ready.
    pub ready: serde_json::Value,
    log: PathBuf,
}

impl Server {
    async fn start(config: &Path, log: &Path, environment: &[(&str, &str)]) -> Self {
        let errors = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinger"));
        command.args(["--config", config.to_str().unwrap(), "serve", "--ready-json"]);
        command.env("PINGER_LOG_FORMAT", "json").envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let line = tokio::task::spawn_blocking(move || BufReader::new(out).lines().next()).await.unwrap();
        let Some(Ok(line)) = line else {
            let _ = child.kill();
            panic!("the server did not start: {}", std::fs::read_to_string(log).unwrap());
        };
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let identity = base64(ready["identity_key"].as_str().unwrap());
        Self {
            child,
            device_api: ready["device_api"].as_str().unwrap().to_owned(),
            identity: identity.try_into().unwrap(),
            gateway_pid: u32::try_from(ready["gateway_pid"].as_u64().unwrap()).unwrap(),
            ready,
            log: log.to_owned(),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL to the backend; the gateway dies with it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGKILL to the gateway.
    pub fn kill_gateway(pid: u32) {
        signal("KILL", pid);
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(mut self) -> std::process::ExitStatus {
        signal("TERM", self.child.id());
        tokio::task::spawn_blocking(move || self.child.wait().unwrap()).await.unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The process id of the gateway of a `serve`, found as its child.
pub fn gateway_of(serve: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{serve}/task/{serve}/children")).ok()?;
    let mut all: Vec<u32> = children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    for thread in std::fs::read_dir(format!("/proc/{serve}/task")).ok()?.flatten() {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    all.pop()
}

pub fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

/// A mail account as a device knows it.
#[derive(Clone, Debug)]
pub struct Account {
    pub host: String,
    pub port: u16,
    pub security: v1::ImapSecurity,
    pub mechanism: v1::ImapMechanism,
    pub username: String,
    pub secret: String,
}

impl Account {
    /// TLS from the start and PLAIN.
    pub fn imaps(address: SocketAddr, username: &str, password: &str) -> Self {
        Self {
            host: host_of(address.ip()),
            port: address.port(),
            security: v1::ImapSecurity::Tls,
            mechanism: v1::ImapMechanism::Plain,
            username: username.to_owned(),
            secret: password.to_owned(),
        }
    }
}

fn host_of(ip: IpAddr) -> String {
    ip.to_string()
}

static NAMES: AtomicU64 = AtomicU64::new(1);

/// A device with one account. Its verbs are calls of the device API.
#[derive(Clone)]
pub struct Phone {
    pub client: DeviceServiceClient<Channel>,
    pub key: v1::SealingKey,
    pub request: v1::RegisterRequest,
    pub account: Account,
    pub session: String,
    pub token: String,
    /// Sent with each call, if set.
    pub traceparent: Option<String>,
}

impl Phone {
    /// A phone that trusts the server's identity, with a push token of its own. It has not registered yet.
    pub async fn new(server: &Server, account: &Account) -> Self {
        Self::at(&server.device_api, &server.identity, account).await
    }

    /// The same, of a server that is known by its address and its identity key.
    pub async fn at(device_api: &str, identity: &[u8; 32], account: &Account) -> Self {
        let channel = Endpoint::from_shared(device_api.to_owned()).unwrap().connect_lazy();
        let mut client = DeviceServiceClient::new(channel);
        let keys = client.get_sealing_keys(with_app_key(v1::GetSealingKeysRequest {})).await.unwrap().into_inner();
        let key = verify_key_set(&keys, Some(identity), now()).unwrap().keys.remove(0);
        Self::with_key(client, key, account)
    }

    /// Another phone, on the same connection.
    pub fn another(&self, account: &Account) -> Self {
        Self { traceparent: self.traceparent.clone(), ..Self::with_key(self.client.clone(), self.key.clone(), account) }
    }

    fn with_key(client: DeviceServiceClient<Channel>, key: v1::SealingKey, account: &Account) -> Self {
        let number = NAMES.fetch_add(1, Ordering::Relaxed);
        let target = v1::ApnsTarget {
            token: format!("{number:064x}"),
            topic: TOPIC.to_owned(),
            environment: v1::ApnsEnvironment::Development.into(),
            push_type: v1::ApnsPushType::Background.into(),
        };
        let imap = v1::ImapTarget {
            host: account.host.clone(),
            port: u32::from(account.port),
            security: account.security.into(),
            mailbox: String::new(),
            mechanism: account.mechanism.into(),
        };
        let request = v1::RegisterRequest {
            user_id: format!("user-{number}"),
            device: Some(v1::Device {
                device_id: format!("device-{number}"),
                platform: v1::Platform::Ios.into(),
                os_version: "19.1".to_owned(),
                app_version: "1.0".to_owned(),
            }),
            context: format!("account-{number}"),
            push_target: Some(v1::PushTarget { service: Some(v1::push_target::Service::Apns(target)) }),
            mail_target: Some(v1::MailTarget { server: Some(v1::mail_target::Server::Imap(imap)) }),
            credential: None,
            timings: None,
            baseline: None,
        };
        let mut phone = Self {
            client,
            key,
            request,
            account: account.clone(),
            session: String::new(),
            token: String::new(),
            traceparent: None,
        };
        phone.seal();
        phone
    }

    /// Seals the credential anew, for what the request says now.
    pub fn seal(&mut self) {
        let v1::mail_target::Server::Imap(imap) = self.request.mail_target.clone().unwrap().server.unwrap();
        let device = self.request.device.clone().unwrap().device_id;
        let port = u16::try_from(imap.port).unwrap_or(0);
        let binding = Binding::new(&self.request.user_id, &device, &self.request.context, &imap.host, port);
        let secret = match self.account.mechanism {
            v1::ImapMechanism::Xoauth2 | v1::ImapMechanism::Oauthbearer => {
                Secret::AccessToken(self.account.secret.clone().into())
            }
            _ => Secret::Password(self.account.secret.clone().into()),
        };
        let credential = Credential { username: self.account.username.clone().into(), secret };
        let sealed = seal(&self.key, &binding, &credential).unwrap();
        self.request.credential = Some(v1::SealedCredential {
            key_id: sealed.key_id.to_string(),
            encapsulated_key: sealed.encapsulated_key.to_vec().into(),
            ciphertext: sealed.ciphertext.into(),
        });
    }

    /// How long the device stays awake after it has registered.
    #[must_use]
    pub fn waiting(mut self, seconds: i64) -> Self {
        let timings = self.request.timings.get_or_insert_default();
        timings.wait_before_use = Some(prost_types::Duration { seconds, nanos: 0 });
        self
    }

    /// The device token that pushes go to.
    pub fn push_token(&self) -> String {
        let v1::push_target::Service::Apns(apns) = self.request.push_target.clone().unwrap().service.unwrap();
        apns.token
    }

    pub async fn register(&mut self) -> Result<v1::Session, Status> {
        let mut request = with_app_key(self.request.clone());
        self.trace(&mut request);
        let response = self.client.clone().register(request).await?.into_inner();
        self.session = response.session_id;
        self.token = response.session_token;
        Ok(response.session.unwrap())
    }

    pub async fn defer(&self, seconds: i64) -> Result<v1::Session, Status> {
        let wait = Some(prost_types::Duration { seconds, nanos: 0 });
        self.defer_with(v1::DeferRequest { wait, ..Default::default() }).await
    }

    pub async fn defer_with(&self, request: v1::DeferRequest) -> Result<v1::Session, Status> {
        let request = self.authorized(v1::DeferRequest { session_id: self.session.clone(), ..request });
        Ok(self.client.clone().defer(request).await?.into_inner().session.unwrap())
    }

    pub async fn stop(&self) -> Result<(), Status> {
        let request = self.authorized(v1::StopRequest { session_id: self.session.clone() });
        self.client.clone().stop(request).await.map(|_| ())
    }

    pub async fn status(&self) -> Result<v1::Session, Status> {
        let request = self.authorized(v1::GetSessionRequest { session_id: self.session.clone() });
        Ok(self.client.clone().get_session(request).await?.into_inner().session.unwrap())
    }

    /// Follows the session until it is as `wanted`, and fails after [`PATIENCE`].
    #[track_caller]
    pub fn becomes(&self, wanted: impl Fn(&v1::Session) -> bool) -> impl Future<Output = v1::Session> {
        let caller = std::panic::Location::caller();
        async move {
            let deadline = tokio::time::Instant::now() + PATIENCE;
            let mut last = None;
            while tokio::time::Instant::now() < deadline {
                let request = self.authorized(v1::WatchSessionRequest { session_id: self.session.clone() });
                // Across a restart of the server the stream breaks; it is opened again.
                if let Ok(stream) = self.client.clone().watch_session(request).await {
                    let mut stream = stream.into_inner();
                    while let Ok(Ok(Some(message))) = tokio::time::timeout_at(deadline, stream.message()).await {
                        let session = message.session.unwrap();
                        if wanted(&session) {
                            return session;
                        }
                        last = Some(session);
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            panic!("{caller}: the session did not become what it should; last seen: {last:?}");
        }
    }

    #[track_caller]
    pub fn becomes_state(&self, state: v1::SessionState) -> impl Future<Output = v1::Session> {
        self.becomes(move |session| session.state() == state)
    }

    /// Watching, with a baseline: whatever is delivered from now on is new.
    #[track_caller]
    pub fn is_watched(&self) -> impl Future<Output = v1::Session> {
        self.becomes(|session| session.state() == v1::SessionState::Watching && session.baseline.is_some())
    }

    pub fn authorized<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let value = MetadataValue::try_from(format!("Bearer {}", self.token)).unwrap();
        request.metadata_mut().insert("authorization", value);
        self.trace(&mut request);
        request
    }

    fn trace<T>(&self, request: &mut Request<T>) {
        if let Some(traceparent) = &self.traceparent {
            request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
        }
    }
}

pub fn with_app_key<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(proto::APP_KEY_METADATA, APP_KEY.parse().unwrap());
    request
}

/// The stable reason of a refusal.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The fields that a refusal blames.
pub fn fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}
