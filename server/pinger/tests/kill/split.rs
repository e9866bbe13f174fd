//! Gateway and backend as two servers, with mutual TLS between them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use peers::certificate::{Authority, LeafFiles};
use peers::dovecot::{Dovecot, DovecotOptions};
use proto::internal_v1::GetPublicKeysRequest;
use proto::internal_v1::backend_service_client::BackendServiceClient;
use proto::v1;
use proto::v1::device_service_client::DeviceServiceClient;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{APP_KEY, Account, PATIENCE, Phone, World, reason, sha256, with_app_key};

/// The gateway's own patience with the backend.
const DEADLINE: Duration = Duration::from_secs(3);

/// `pinger gateway` or `pinger backend`. It is killed when dropped.
struct Role {
    child: Child,
    log: PathBuf,
}

impl Role {
    /// Starts a role and waits until its log says that it is ready.
    async fn start(role: &str, config: &Path) -> Self {
        let log = config.with_extension("log");
        let errors = std::fs::File::create(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinger"));
        command.arg("--config").arg(config).arg(role).env("PINGER_LOG_FORMAT", "json");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().unwrap();
        let mut started = Self { child, log };
        let begin = Instant::now();
        while !started.log().contains(&format!("{role} ready")) {
            let ended = started.child.try_wait().unwrap();
            assert!(ended.is_none() && begin.elapsed() < PATIENCE, "{role} does not start: {}", started.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        started
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What both sides show each other.
struct Certificates {
    authority: Authority,
    backend: LeafFiles,
    gateway: LeafFiles,
}

impl Certificates {
    fn new(folder: &Path) -> Self {
        std::fs::create_dir(folder).unwrap();
        let authority = Authority::new().unwrap();
        authority.write(folder).unwrap();
        let backend = authority.issue_server().unwrap().write(folder, "backend").unwrap();
        let gateway = authority.issue_client("gateway.internal").unwrap().write(folder, "gateway").unwrap();
        Self { authority, backend, gateway }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn tls(ca: &Path, leaf: &LeafFiles) -> String {
    let LeafFiles { certificate, key } = leaf;
    format!("{{ ca = {ca:?}, certificate = {certificate:?}, key = {key:?} }}")
}

/// A world with two servers in it.
struct Split {
    world: World,
    certificates: Certificates,
    backend_port: u16,
}

impl Split {
    async fn new() -> Self {
        let world = World::new().await;
        let certificates = Certificates::new(&world.folder.path().join("internal"));
        Self { world, certificates, backend_port: free_port() }
    }

    fn ca(&self) -> PathBuf {
        self.world.folder.path().join("internal").join("ca.pem")
    }

    /// The backend's file: the harness's own, without what is the gateway's.
    fn backend(&self, mail_port: u16) -> PathBuf {
        let listen = format!(
            "listen = {{ tcp = {{ address = \"127.0.0.1:{}\", tls = {} }} }}",
            self.backend_port,
            tls(&self.ca(), &self.certificates.backend)
        );
        let whole = std::fs::read_to_string(self.world.configure(&[mail_port], &listen, "")).unwrap();
        let path = self.world.folder.path().join("backend.toml");
        std::fs::write(&path, &whole[whole.find("[backend]").unwrap()..]).unwrap();
        path
    }

    /// A gateway's file, and where devices call it.
    fn gateway(&self, name: &str, server_name: &str, ca: &Path, leaf: &LeafFiles) -> (PathBuf, String) {
        let listen = format!("127.0.0.1:{}", free_port());
        let path = self.world.folder.path().join(format!("{name}.toml"));
        let text = format!(
            r#"
[gateway]
listen = "{listen}"
deadline_seconds = {deadline}
backend = {{ tcp = {{ address = "127.0.0.1:{port}", server_name = "{server_name}", tls = {tls} }} }}

[[gateway.app_keys]]
id = "test-app"
sha256 = "{app_key}"
"#,
            deadline = DEADLINE.as_secs(),
            port = self.backend_port,
            tls = tls(ca, leaf),
            app_key = sha256(APP_KEY),
        );
        std::fs::write(&path, text).unwrap();
        (path, format!("http://{listen}"))
    }

    /// The gateway's file as it should be.
    fn good_gateway(&self) -> (PathBuf, String) {
        self.gateway("gateway", "localhost", &self.ca(), &self.certificates.gateway)
    }
}

#[track_caller]
fn is_unavailable(status: &Status) {
    assert_eq!((status.code(), reason(status).as_str()), (Code::Unavailable, "BACKEND_UNAVAILABLE"), "{status:?}");
    let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert_eq!(retry, Some(Duration::from_secs(2)), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_for_the_backend_until_its_deadline() {
    let split = Split::new().await;
    let authority = Some(split.world.authority.clone());
    let dovecot = Dovecot::start(DovecotOptions { authority, ..DovecotOptions::default() }).await.unwrap();
    let config = split.backend(dovecot.imaps_address().port());
    let mut backend = Role::start("backend", &config).await;
    let (gateway_config, device_api) = split.good_gateway();
    let mut gateway = Role::start("gateway", &gateway_config).await;
    let identity = identity(&device_api).await;
    let account = Account::imaps(dovecot.imaps_address(), "alice", "alice's password");
    let mut phone = Phone::at(&device_api, &identity, &account).await;
    phone.register().await.unwrap();
    phone.is_watched().await;

    // A call that is made while nobody is there is answered by who comes.
    backend.kill();
    let mut second = phone.another(&Account::imaps(dovecot.imaps_address(), "bob", "bob's password"));
    let begin = Instant::now();
    let (registered, restarted) = tokio::join!(async { (second.register().await, begin.elapsed()) }, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Role::start("backend", &config).await
    });
    backend = restarted;
    let (registered, took) = registered;
    registered.unwrap();
    assert!(took > Duration::from_secs(1) && took < DEADLINE, "{took:?}");
    println!("a registration during a restart that took 1 s and more: {took:?}");

    // Past its deadline it is told to come again, and by which time.
    backend.kill();
    let begin = Instant::now();
    let late = phone.status().await.unwrap_err();
    let took = begin.elapsed();
    is_unavailable(&late);
    assert!(took >= DEADLINE - Duration::from_millis(300) && took < DEADLINE + Duration::from_secs(1), "{took:?}");

    // Mail that came in the meantime is pushed. A gateway that is killed, and another one, change nothing.
    dovecot.deliver("alice", "while dead").await.unwrap();
    gateway.kill();
    let _backend = Role::start("backend", &config).await;
    let _gateway = Role::start("gateway", &gateway_config).await;
    let token = phone.push_token();
    let push = split.world.apns.wait_for(PATIENCE, |push| push.token == token).await;
    assert!(push.is_some_and(|push| push.accepted()));
    phone.becomes_state(v1::SessionState::Holding).await;
    second.is_watched().await;
}

/// The identity key, taken on trust from whoever answers.
async fn identity(device_api: &str) -> [u8; 32] {
    let mut client = DeviceServiceClient::connect(device_api.to_owned()).await.unwrap();
    let keys = client.get_sealing_keys(with_app_key(v1::GetSealingKeysRequest {})).await.unwrap().into_inner();
    keys.identity_key.as_ref().try_into().unwrap()
}

/// What becomes of a call through this gateway.
async fn ask(config: &Path, device_api: &str) -> Result<(), Status> {
    let _gateway = Role::start("gateway", config).await;
    let mut client = DeviceServiceClient::connect(device_api.to_owned()).await.unwrap();
    client.get_sealing_keys(with_app_key(v1::GetSealingKeysRequest {})).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_side_speaks_to_a_stranger() {
    let split = Split::new().await;
    let config = split.backend(993);
    let _backend = Role::start("backend", &config).await;
    let others = Certificates::new(&split.world.folder.path().join("others"));
    let others_ca = split.world.folder.path().join("others").join("ca.pem");

    let ours = split.good_gateway();
    let foreign_client = split.gateway("foreign-client", "localhost", &split.ca(), &others.gateway);
    let foreign_ca = split.gateway("foreign-ca", "localhost", &others_ca, &split.certificates.gateway);
    let other_name = split.gateway("other-name", "elsewhere.internal", &split.ca(), &split.certificates.gateway);
    let (ours, foreign_client, foreign_ca, other_name) = tokio::join!(
        ask(&ours.0, &ours.1),
        ask(&foreign_client.0, &foreign_client.1),
        ask(&foreign_ca.0, &foreign_ca.1),
        ask(&other_name.0, &other_name.1),
    );
    ours.unwrap();
    is_unavailable(&foreign_client.unwrap_err());
    is_unavailable(&foreign_ca.unwrap_err());
    is_unavailable(&other_name.unwrap_err());

    // No gateway of ours comes without a certificate, so another client does.
    let ours = split.certificates.authority.certificate_pem();
    let pem = |leaf: &LeafFiles| {
        let read = |path| std::fs::read_to_string(path).unwrap();
        Identity::from_pem(read(&leaf.certificate), read(&leaf.key))
    };
    let call = async |identity: Option<Identity>| {
        let mut tls = ClientTlsConfig::new().domain_name("localhost").ca_certificate(Certificate::from_pem(&ours));
        if let Some(identity) = identity {
            tls = tls.identity(identity);
        }
        let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{}", split.backend_port)).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect_lazy();
        BackendServiceClient::new(channel).get_public_keys(GetPublicKeysRequest {}).await.map(drop)
    };
    call(Some(pem(&split.certificates.gateway))).await.unwrap();
    for (who, identity) in [("nobody", None), ("a stranger", Some(pem(&others.gateway)))] {
        let refused = call(identity).await.expect_err(who);
        assert!(reason(&refused).is_empty(), "{who} was answered: {refused:?}");
    }
}
