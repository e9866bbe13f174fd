//! The APNs channel against a receiver that speaks Apple's provider API and checks what Apple checks.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backend::push::Channel as _;
use backend::push::apns::{Apns, ApnsError};
use backend::{ApnsAuthentication, ApnsConfig};
use domain::{
    ApnsEnvironment, ApnsPushType, ApnsTarget, Delivery, PushId, PushKind, PushOutcome, PushReason, PushTarget,
    SessionId, Timestamp,
};
use http_body_util::Empty;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use peers::apns::{Answer, ApnsOptions, ApnsReceiver, Authentication, PAYLOAD_LIMIT};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

const TOPIC: &str = "org.example.mail";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A receiver, the channel that knows it, and the folder with the files.
struct Bench {
    receiver: ApnsReceiver,
    apns: Apns,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self::with(ApnsOptions { topics: vec![TOPIC.to_owned()], ..ApnsOptions::default() }).await
    }

    async fn with(options: ApnsOptions) -> Self {
        let receiver = ApnsReceiver::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let apns = Apns::new(&token_config(&receiver, folder.path())).unwrap();
        Self { receiver, apns, folder }
    }

    async fn send(&self, delivery: &Delivery) -> PushOutcome {
        self.apns.send(delivery, now()).await
    }

    async fn outcome_of(&self, answer: Answer) -> PushOutcome {
        self.receiver.answer_next(1, answer);
        self.send(&delivery('a')).await
    }
}

fn token_config(receiver: &ApnsReceiver, folder: &Path) -> ApnsConfig {
    let provider_key = receiver.provider_key();
    let key = provider_key.write(folder).unwrap();
    private(&key);
    ApnsConfig {
        topics: vec![TOPIC.to_owned()],
        authentication: ApnsAuthentication::Token {
            key,
            key_id: provider_key.key_id.clone(),
            team_id: provider_key.team_id.clone(),
        },
        production_url: receiver.url(),
        development_url: "https://localhost:1".to_owned(),
        ca: Some(receiver.authority().write(folder).unwrap()),
    }
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn now() -> Timestamp {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    Timestamp::from_millis(i64::try_from(millis).unwrap())
}

fn minutes_ago(minutes: i64) -> Timestamp {
    Timestamp::from_millis(now().as_millis() - minutes * 60_000)
}

fn token(digit: char) -> String {
    std::iter::repeat_n(digit, 64).collect()
}

fn delivery(digit: char) -> Delivery {
    let target = ApnsTarget::new(&token(digit), TOPIC, ApnsEnvironment::Production, ApnsPushType::Background).unwrap();
    Delivery {
        id: PushId::from_uuid(Uuid::now_v7()),
        session: SessionId::from_uuid(Uuid::now_v7()),
        context: "account-1".to_owned(),
        kind: PushKind::NewMail,
        target: PushTarget::Apns(target),
        created_at: Timestamp::from_millis(1_764_000_000_123),
        expires_at: Timestamp::from_millis(1_764_000_021_999),
        attempts: 0,
        traceparent: Some(TRACEPARENT.to_owned()),
    }
}

fn alert(kind: PushKind) -> Delivery {
    let target = ApnsTarget::new(&token('b'), TOPIC, ApnsEnvironment::Production, ApnsPushType::Alert).unwrap();
    Delivery { kind, target: PushTarget::Apns(target), traceparent: None, ..delivery('b') }
}

fn reason(text: &str) -> PushReason {
    PushReason::new(text)
}

fn retry(text: &str) -> PushOutcome {
    PushOutcome::Retry { reason: reason(text), after: None }
}

fn refused(text: &str) -> PushOutcome {
    PushOutcome::Refused { reason: reason(text) }
}

fn our_fault(text: &str) -> PushOutcome {
    PushOutcome::OurFault { reason: reason(text) }
}

#[track_caller]
fn assert_retry(outcome: &PushOutcome, word: &str) {
    match outcome {
        PushOutcome::Retry { reason, after: None } if reason.as_str().starts_with(word) => {}
        other => panic!("{other:?} is no retry because of {word}"),
    }
}

#[tokio::test]
async fn a_background_push_has_apples_headers_and_no_content() {
    let bench = Bench::new().await;
    let delivery = delivery('a');
    let outcome = bench.send(&delivery).await;
    assert_eq!(outcome, PushOutcome::Accepted { provider_id: delivery.id.to_string() });
    let [push] = bench.receiver.pushes().try_into().unwrap();
    assert!(push.valid && push.accepted());
    assert_eq!(push.warnings, Vec::<String>::new());
    assert_eq!(push.token, token('a'));
    assert_eq!(push.topic.as_deref(), Some(TOPIC));
    assert_eq!(push.push_type.as_deref(), Some("background"));
    assert_eq!(push.priority.as_deref(), Some("5"));
    assert_eq!(push.expiration, Some(1_764_000_021));
    assert_eq!(push.collapse_id, Some(delivery.session.to_string()));
    assert_eq!(push.apns_id, delivery.id.to_string());
    let expected = json!({
        "aps": {"content-available": 1},
        "pinger": {
            "v": 1,
            "event": "new_mail",
            "contexts": ["account-1"],
            "session": delivery.session.to_string(),
            "at": 1_764_000_000_123_i64,
            "traceparent": TRACEPARENT,
        },
    });
    assert_eq!(push.payload, expected);
}

#[tokio::test]
async fn an_alert_has_texts_of_the_apps_own() {
    let bench = Bench::new().await;
    for (kind, loc_key, event) in
        [(PushKind::NewMail, "PINGER_NEW_MAIL", "new_mail"), (PushKind::Register, "PINGER_REGISTER", "register")]
    {
        bench.receiver.clear();
        assert!(matches!(bench.send(&alert(kind)).await, PushOutcome::Accepted { .. }));
        let [push] = bench.receiver.pushes().try_into().unwrap();
        assert_eq!(push.push_type.as_deref(), Some("alert"));
        assert_eq!(push.priority.as_deref(), Some("10"));
        assert_eq!(push.payload["aps"], json!({"alert": {"loc-key": loc_key}, "mutable-content": 1}));
        assert_eq!(push.payload["pinger"]["event"], event);
        assert!(push.payload["pinger"].get("traceparent").is_none());
    }
}

#[tokio::test]
async fn the_payload_stays_within_apples_limit() {
    let bench = Bench::new().await;
    let largest = Delivery { context: "\"".repeat(64), ..delivery('a') };
    assert!(matches!(bench.send(&largest).await, PushOutcome::Accepted { .. }));
    assert!(bench.receiver.pushes()[0].payload_bytes < 512);
    let longer = Delivery { traceparent: Some("0".repeat(5000)), ..delivery('a') };
    assert!(matches!(bench.send(&longer).await, PushOutcome::Accepted { .. }));
    let impossible = Delivery { context: "x".repeat(PAYLOAD_LIMIT), ..delivery('a') };
    assert!(matches!(bench.send(&impossible).await, PushOutcome::OurFault { .. }));
    assert_eq!(bench.receiver.pushes().len(), 2, "what is too large is not sent");
}

#[tokio::test]
async fn a_dead_token_is_dead_since() {
    let bench = Bench::new().await;
    let since = UNIX_EPOCH + Duration::from_millis(1_763_999_999_456);
    for (answer, word) in [(Answer::Gone { since }, "Unregistered"), (Answer::ExpiredToken { since }, "ExpiredToken")] {
        let expected =
            PushOutcome::Gone { reason: reason(word), since: Some(Timestamp::from_millis(1_763_999_999_456)) };
        assert_eq!(bench.outcome_of(answer).await, expected);
    }
    let without = Answer::Other { status: 410, reason: "Unregistered".to_owned() };
    assert_eq!(bench.outcome_of(without).await, PushOutcome::Gone { reason: reason("Unregistered"), since: None });
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    let bench = Bench::new().await;
    let cases = [
        (Answer::BadDeviceToken, refused("BadDeviceToken")),
        (Answer::DeviceTokenNotForTopic, refused("DeviceTokenNotForTopic")),
        (Answer::MissingTopic, our_fault("MissingTopic")),
        (Answer::TopicDisallowed, our_fault("TopicDisallowed")),
        (Answer::BadCertificate, our_fault("BadCertificate")),
        (Answer::InvalidProviderToken, our_fault("InvalidProviderToken")),
        (Answer::PayloadTooLarge, our_fault("PayloadTooLarge")),
        (Answer::TooManyRequests, retry("TooManyRequests")),
        (Answer::TooManyProviderTokenUpdates, retry("TooManyProviderTokenUpdates")),
        (Answer::InternalServerError, retry("InternalServerError")),
        (Answer::ServiceUnavailable { retry_after: None }, retry("ServiceUnavailable")),
        (Answer::Shutdown, retry("Shutdown")),
        (
            Answer::ServiceUnavailable { retry_after: Some(Duration::from_secs(90)) },
            PushOutcome::Retry { reason: reason("ServiceUnavailable"), after: Some(Duration::from_secs(90)) },
        ),
        (
            Answer::ServiceUnavailable { retry_after: Some(Duration::from_secs(u64::MAX)) },
            PushOutcome::Retry { reason: reason("ServiceUnavailable"), after: Some(Duration::from_secs(3600)) },
        ),
    ];
    for (answer, expected) in cases {
        assert_eq!(bench.outcome_of(answer.clone()).await, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn each_reason_has_its_meaning() {
    let bench = Bench::new().await;
    let fault = [
        (400, "BadCollapseId"),
        (400, "BadExpirationDate"),
        (400, "BadMessageId"),
        (400, "BadPriority"),
        (400, "BadTopic"),
        (400, "DuplicateHeaders"),
        (400, "MissingDeviceToken"),
        (400, "PayloadEmpty"),
        (403, "BadCertificateEnvironment"),
        (403, "Forbidden"),
        (403, "MissingProviderToken"),
        (404, "BadPath"),
        (405, "MethodNotAllowed"),
        // Apple's, and not known to a2.
        (400, "InvalidPushType"),
        (403, "UnrelatedKeyIdInToken"),
        (403, "BadEnvironmentKeyIdInToken"),
        // Not Apple's yet.
        (400, "SomethingNew"),
        (410, "SomethingNew"),
    ];
    for (status, word) in fault {
        let answer = Answer::Other { status, reason: word.to_owned() };
        assert_eq!(bench.outcome_of(answer).await, our_fault(word), "{status} {word}");
    }
    for (status, word) in [(400, "IdleTimeout"), (429, "SomethingNew"), (503, "SomethingNew")] {
        let answer = Answer::Other { status, reason: word.to_owned() };
        assert_eq!(bench.outcome_of(answer).await, retry(word), "{status} {word}");
    }
}

#[tokio::test]
async fn what_is_not_apples_never_kills_a_token() {
    let bench = Bench::new().await;
    let huge = "x".repeat(100_000);
    for body in ["", "<html>", "{\"reason\":7}", "{}", &huge] {
        for (status, expected) in [
            (400, our_fault("HTTP 400 without a reason")),
            (403, our_fault("HTTP 403 without a reason")),
            (404, our_fault("HTTP 404 without a reason")),
            (410, our_fault("HTTP 410 without a reason")),
            (307, our_fault("HTTP 307 without a reason")),
            (429, retry("HTTP 429 without a reason")),
            (502, retry("HTTP 502 without a reason")),
        ] {
            let answer = Answer::NotApple { status, body: body.to_owned() };
            assert_eq!(bench.outcome_of(answer).await, expected, "{status} with {} bytes", body.len());
        }
    }
    let control = Answer::Other { status: 400, reason: format!("Bad\r\n\u{1b}[31m{}", "x".repeat(1000)) };
    let PushOutcome::OurFault { reason } = bench.outcome_of(control).await else { panic!("no fault of ours") };
    assert_eq!(reason.as_str().len(), 128);
    assert!(reason.as_str().starts_with("Bad[31mxxx"));
}

#[tokio::test]
async fn transport_faults_are_tried_again() {
    let bench = Bench::new().await;
    assert_retry(&bench.outcome_of(Answer::Reset).await, "ConnectionLost: ");
    assert_retry(&bench.outcome_of(Answer::Disconnect).await, "ConnectionLost: ");
    assert!(matches!(bench.send(&delivery('a')).await, PushOutcome::Accepted { .. }), "on a new connection");
    let mut elsewhere = delivery('a');
    let target = ApnsTarget::new(&token('a'), TOPIC, ApnsEnvironment::Development, ApnsPushType::Background).unwrap();
    elsewhere.target = PushTarget::Apns(target);
    assert_retry(&bench.send(&elsewhere).await, "ConnectFailed: ");
}

#[tokio::test]
async fn no_answer_ends_in_time() {
    let bench = Bench::new().await;
    assert!(matches!(bench.send(&delivery('a')).await, PushOutcome::Accepted { .. }));
    bench.receiver.answer_next(1, Answer::Hang);
    // The clock of the timers jumps to the next one whenever nothing else is to be done.
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    assert_retry(&bench.send(&delivery('a')).await, "Timeout: ");
    assert!(before.elapsed() < Duration::from_secs(21));
}

#[tokio::test]
async fn a_stranger_gets_nothing() {
    let bench = Bench::new().await;
    let config = token_config(&bench.receiver, bench.folder.path());
    peers::certificate::Authority::new().unwrap().write(bench.folder.path()).unwrap();
    let outcome = Apns::new(&config).unwrap().send(&delivery('a'), now()).await;
    assert_retry(&outcome, "ConnectFailed: invalid peer certificate");
    assert_eq!(bench.receiver.pushes().len(), 0);
}

/// Says goodbye (GOAWAY) in the middle of each connection, as Apple does when it moves its load.
async fn impolite_service(leaf: peers::certificate::Leaf, listener: TcpListener, served: Arc<AtomicUsize>) {
    let tls = TlsAcceptor::from(leaf.server_config(&[b"h2"]).unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, served) = (tls.clone(), Arc::clone(&served));
        tokio::spawn(async move {
            let stream = tls.accept(stream).await.unwrap();
            let service = service_fn(|_| {
                served.fetch_add(1, Ordering::Relaxed);
                async { Ok::<_, std::convert::Infallible>(hyper::Response::new(Empty::<bytes::Bytes>::new())) }
            });
            let mut connection = pin!(
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
            );
            let before = served.load(Ordering::Relaxed);
            let some = std::future::poll_fn(|context| {
                let ended = connection.as_mut().poll(context).is_ready();
                if ended || served.load(Ordering::Relaxed) >= before + 3 { Poll::Ready(()) } else { Poll::Pending }
            });
            some.await;
            connection.as_mut().graceful_shutdown();
            // How it ends is the client's business.
            let _ = connection.await;
        });
    }
}

#[tokio::test]
async fn a_goodbye_of_the_service_loses_no_push() {
    let bench = Bench::new().await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let served = Arc::new(AtomicUsize::new(0));
    let leaf = bench.receiver.authority().issue_server().unwrap();
    let service = tokio::spawn(impolite_service(leaf, listener, Arc::clone(&served)));
    let config = ApnsConfig { production_url: url, ..token_config(&bench.receiver, bench.folder.path()) };
    let apns = Apns::new(&config).unwrap();
    let deliveries: Vec<_> = (0..30).map(|_| delivery('a')).collect();
    for delivery in &deliveries {
        let outcome = apns.send(delivery, now()).await;
        assert!(matches!(outcome, PushOutcome::Accepted { .. }), "one after the other: {outcome:?}");
    }
    for outcome in futures_util::future::join_all(deliveries.iter().map(|delivery| apns.send(delivery, now()))).await {
        assert!(matches!(outcome, PushOutcome::Accepted { .. }), "all at once: {outcome:?}");
    }
    assert_eq!(served.load(Ordering::Relaxed), 60);
    service.abort();
}

#[tokio::test]
async fn one_token_and_one_connection_serve_many_pushes() {
    let bench = Bench::new().await;
    let deliveries: Vec<_> = (0..50).map(|_| delivery('a')).collect();
    let sends = deliveries.iter().map(|delivery| bench.send(delivery));
    for outcome in futures_util::future::join_all(sends).await {
        assert!(matches!(outcome, PushOutcome::Accepted { .. }), "{outcome:?}");
    }
    for _ in 0..50 {
        bench.send(&delivery('a')).await;
    }
    assert_eq!(bench.receiver.pushes().len(), 100);
    assert_eq!(bench.receiver.provider_tokens(), 1);
    assert_eq!(bench.receiver.connections(), 1);
}

#[tokio::test]
async fn a_token_is_used_for_forty_minutes() {
    let bench = Bench::new().await;
    let mut tokens = Vec::new();
    for minutes in [55, 50, 16, 15, 4, 0] {
        bench.apns.send(&delivery('a'), minutes_ago(minutes)).await;
        tokens.push(bench.receiver.provider_tokens());
    }
    assert_eq!(tokens, [1, 1, 1, 2, 2, 2], "a new one after 40 minutes");
    bench.apns.send(&delivery('a'), minutes_ago(5)).await;
    assert_eq!(bench.receiver.provider_tokens(), 2, "a clock that was set back a little");
    assert!(bench.receiver.pushes().iter().all(|push| push.valid));
}

#[tokio::test]
async fn an_expired_token_is_replaced_once() {
    let bench = Bench::new().await;
    bench.send(&delivery('a')).await;
    let delivery = delivery('a');
    bench.receiver.answer_next(1, Answer::ExpiredProviderToken);
    assert!(matches!(bench.send(&delivery).await, PushOutcome::Accepted { .. }));
    let pushes = bench.receiver.pushes();
    assert_eq!(pushes[1].reason, "ExpiredProviderToken");
    assert_eq!(pushes[1].apns_id, pushes[2].apns_id);
    assert_ne!(pushes[1].headers["authorization"], pushes[2].headers["authorization"]);
    assert_eq!(bench.receiver.provider_tokens(), 2);

    // A wrong clock of ours can't be mended by ever more tokens, and Apple takes one in 20 minutes.
    bench.receiver.answer_all(Answer::ExpiredProviderToken);
    for _ in 0..3 {
        assert_eq!(bench.send(&delivery).await, our_fault("ExpiredProviderToken"));
    }
    assert_eq!(bench.receiver.provider_tokens(), 2);
    assert_eq!(bench.receiver.pushes().len(), 6);
}

#[tokio::test]
async fn many_pushes_share_the_token_that_replaces_an_expired_one() {
    let bench = Bench::new().await;
    bench.send(&delivery('a')).await;
    bench.receiver.answer_next(20, Answer::ExpiredProviderToken);
    bench.receiver.set_latency(Duration::from_millis(50));
    let deliveries: Vec<_> = (0..20).map(|_| delivery('a')).collect();
    let sends = deliveries.iter().map(|delivery| bench.send(delivery));
    for outcome in futures_util::future::join_all(sends).await {
        assert!(matches!(outcome, PushOutcome::Accepted { .. }), "{outcome:?}");
    }
    assert_eq!(bench.receiver.provider_tokens(), 2);
}

#[tokio::test]
async fn an_old_clock_is_our_fault() {
    let bench = Bench::new().await;
    let outcome = bench.apns.send(&delivery('a'), minutes_ago(120)).await;
    assert_eq!(outcome, our_fault("ExpiredProviderToken"), "refused by the receiver's own check of `iat`");
}

#[tokio::test]
async fn it_connects_again_after_a_restart_of_the_service() {
    let mut bench = Bench::new().await;
    assert!(matches!(bench.send(&delivery('a')).await, PushOutcome::Accepted { .. }));
    bench.receiver.stop().await;
    assert_retry(&bench.send(&delivery('a')).await, "Conn");
    bench.receiver.restart().await.unwrap();
    assert!(matches!(bench.send(&delivery('a')).await, PushOutcome::Accepted { .. }));
    bench.receiver.restart().await.unwrap();
    assert!(matches!(bench.send(&delivery('a')).await, PushOutcome::Accepted { .. }), "without a push in between");
    assert_eq!(bench.receiver.connections(), 3);
}

#[tokio::test]
async fn a_certificate_proves_who_we_are() {
    let options = ApnsOptions { authentication: Authentication::Certificate, ..ApnsOptions::default() };
    let bench = Bench::with(options).await;
    assert!(matches!(bench.send(&delivery('a')).await, PushOutcome::Retry { .. }), "without a certificate");

    let leaf = bench.receiver.authority().issue_client(TOPIC).unwrap();
    let identity = bench.folder.path().join("identity.pem");
    std::fs::write(&identity, format!("{}{}", leaf.certificate_pem(), leaf.key_pem())).unwrap();
    let config = ApnsConfig {
        authentication: ApnsAuthentication::Certificate { identity },
        ..token_config(&bench.receiver, bench.folder.path())
    };
    let outcome = Apns::new(&config).unwrap().send(&delivery('a'), now()).await;
    assert!(matches!(outcome, PushOutcome::Accepted { .. }), "{outcome:?}");
    let [push] = bench.receiver.pushes().try_into().unwrap();
    assert!(!push.headers.contains_key("authorization"));
}

#[tokio::test]
async fn it_serves_the_configured_topics() {
    let bench = Bench::new().await;
    assert!(bench.apns.serves(TOPIC));
    assert!(!bench.apns.serves("org.example"));
    let target =
        ApnsTarget::new(&token('a'), "org.example", ApnsEnvironment::Production, ApnsPushType::Background).unwrap();
    let foreign = Delivery { target: PushTarget::Apns(target), ..delivery('a') };
    assert_eq!(bench.send(&foreign).await, our_fault("TopicDisallowed"));
}

#[tokio::test]
async fn a_wrong_configuration_is_told_at_the_start() {
    let bench = Bench::new().await;
    let folder = bench.folder.path();
    let fine = token_config(&bench.receiver, folder);
    let text = folder.join("text");
    std::fs::write(&text, "nothing of the kind").unwrap();
    let key = bench.receiver.provider_key().write(folder).unwrap();
    let error = |change: &dyn Fn(&mut ApnsConfig)| {
        let mut config = fine.clone();
        change(&mut config);
        Apns::new(&config).err().unwrap()
    };
    let token = |key: &Path, key_id: &str, team_id: &str| {
        let (key, key_id, team_id) = (key.to_owned(), key_id.to_owned(), team_id.to_owned());
        ApnsAuthentication::Token { key, key_id, team_id }
    };
    let authentication =
        |authentication: ApnsAuthentication| error(&|config| config.authentication = authentication.clone());
    let identity = |identity: PathBuf| authentication(ApnsAuthentication::Certificate { identity });

    let (id, absent) = ("ABCDE12345", folder.join("absent"));
    assert!(matches!(authentication(token(&absent, id, id)), ApnsError::Read { .. }));
    assert!(matches!(authentication(token(&text, id, id)), ApnsError::Key { .. }));
    assert!(matches!(authentication(token(&key, "ABC", id)), ApnsError::Id { field: "key_id" }));
    assert!(matches!(authentication(token(&key, id, "ABCDE-1234")), ApnsError::Id { field: "team_id" }));
    assert!(matches!(identity(absent.clone()), ApnsError::Read { .. }));
    assert!(matches!(identity(text.clone()), ApnsError::Identity { .. }));
    assert!(matches!(identity(key.clone()), ApnsError::Identity { .. }), "a key without a certificate");
    assert!(matches!(error(&|config| config.ca = Some(absent.clone())), ApnsError::Read { .. }));
    assert!(matches!(error(&|config| config.ca = Some(text.clone())), ApnsError::Ca { .. }));
    for url in
        ["http://localhost", "https://localhost/path", "https://user@localhost", "https://localhost/?a", "nothing"]
    {
        assert!(matches!(error(&|config| config.production_url = url.to_owned()), ApnsError::Url { .. }), "{url}");
        assert!(matches!(error(&|config| config.development_url = url.to_owned()), ApnsError::Url { .. }), "{url}");
    }
    let other = bench.receiver.authority().issue_client(TOPIC).unwrap();
    let mixed = folder.join("mixed.pem");
    std::fs::write(&mixed, format!("{}{}", other.certificate_pem(), bench.receiver.provider_key().pem())).unwrap();
    assert!(matches!(identity(mixed), ApnsError::Tls(_)), "a certificate with another's key");
}
