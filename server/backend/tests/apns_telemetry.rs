//! What the APNs channel tells about itself: its span and its logs, and what is never in them.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use backend::push::Channel as _;
use backend::push::apns::Apns;
use backend::{ApnsAuthentication, ApnsConfig};
use domain::{ApnsEnvironment, ApnsPushType, ApnsTarget, Delivery, PushId, PushKind, PushTarget, SessionId, Timestamp};
use peers::apns::{Answer, ApnsOptions, ApnsReceiver};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use uuid::Uuid;

type Fields = BTreeMap<String, String>;

#[derive(Debug)]
struct Span {
    id: u64,
    name: &'static str,
    fields: Fields,
}

/// Keeps what our own code says.
#[derive(Clone, Default)]
struct Heard {
    spans: Arc<Mutex<Vec<Span>>>,
    events: Arc<Mutex<Vec<Fields>>>,
}

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: Subscriber> Layer<S> for Heard {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if attributes.metadata().target().starts_with("backend") {
            let mut fields = Fields::new();
            attributes.record(&mut Into(&mut fields));
            self.spans.lock().unwrap().push(Span { id: id.into_u64(), name: attributes.metadata().name(), fields });
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.spans.lock().unwrap();
        if let Some(span) = spans.iter_mut().rev().find(|span| span.id == id.into_u64()) {
            values.record(&mut Into(&mut span.fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with("backend") {
            let mut fields = Fields::new();
            fields.insert("level".to_owned(), event.metadata().level().to_string());
            event.record(&mut Into(&mut fields));
            self.events.lock().unwrap().push(fields);
        }
    }
}

impl Heard {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(tracing_subscriber::registry().with(self.clone()))
    }

    fn last_span(&self) -> Fields {
        let spans = self.spans.lock().unwrap();
        let span = spans.last().unwrap();
        assert_eq!(span.name, "apns.send");
        span.fields.clone()
    }

    fn everything(&self) -> String {
        format!("{:?} {:?}", self.spans.lock().unwrap(), self.events.lock().unwrap())
    }
}

fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn config(receiver: &ApnsReceiver, folder: &Path, mode: u32) -> ApnsConfig {
    let provider_key = receiver.provider_key();
    let key = provider_key.write(folder).unwrap();
    chmod(&key, mode);
    ApnsConfig {
        topics: Vec::new(),
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

fn delivery(environment: ApnsEnvironment) -> Delivery {
    let target = ApnsTarget::new(&"d".repeat(64), "org.example.mail", environment, ApnsPushType::Background).unwrap();
    Delivery {
        id: PushId::from_uuid(Uuid::now_v7()),
        session: SessionId::from_uuid(Uuid::now_v7()),
        context: "account-1".to_owned(),
        kind: PushKind::NewMail,
        target: PushTarget::Apns(target),
        created_at: Timestamp::from_millis(0),
        expires_at: Timestamp::from_millis(i64::MAX),
        attempts: 0,
        traceparent: None,
    }
}

#[tokio::test]
async fn the_span_says_what_became_of_the_push_and_not_who_got_it() {
    let receiver = ApnsReceiver::start(ApnsOptions::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let heard = Heard::default();
    let _listening = heard.listen();
    let apns = Apns::new(&config(&receiver, folder.path(), 0o600)).unwrap();
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = Timestamp::from_millis(i64::try_from(millis).unwrap());

    let push = delivery(ApnsEnvironment::Production);
    apns.send(&push, now).await;
    let port = receiver.address().port().to_string();
    let expected = [
        ("otel.kind", "client"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("server.address", "localhost"),
        ("server.port", &port),
        ("pinger.push_id", &push.id.to_string()),
        ("pinger.outcome", "accepted"),
    ];
    let expected: Fields = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(heard.last_span(), expected);

    receiver.answer_next(1, Answer::BadDeviceToken);
    apns.send(&push, now).await;
    let span = heard.last_span();
    assert_eq!(span["http.response.status_code"], "400");
    assert_eq!(span["pinger.outcome"], "refused");
    assert_eq!(span["error.type"], "BadDeviceToken");
    assert_eq!(span["otel.status_code"], "ERROR");

    apns.send(&delivery(ApnsEnvironment::Development), now).await;
    let span = heard.last_span();
    assert_eq!(span["pinger.outcome"], "retry");
    assert!(span["error.type"].starts_with("ConnectFailed: "), "{span:?}");
    assert!(!span.contains_key("http.response.status_code"));

    let everything = heard.everything();
    let provider_token = receiver.pushes()[0].headers["authorization"].to_str().unwrap()[7..].to_owned();
    for secret in ["dddd", "/3/device", "org.example.mail", "account-1", &provider_token, "PRIVATE KEY"] {
        assert!(!everything.contains(secret), "{secret} in {everything}");
    }
}

#[tokio::test]
async fn a_key_that_others_can_read_is_warned_of() {
    let receiver = ApnsReceiver::start(ApnsOptions::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (mode, warnings) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)] {
        let heard = Heard::default();
        let _listening = heard.listen();
        Apns::new(&config(&receiver, folder.path(), mode)).unwrap();
        let events = heard.events.lock().unwrap().clone();
        assert_eq!(events.len(), warnings, "mode {mode:o}: {events:?}");
        if let Some(event) = events.first() {
            assert_eq!(event["level"], "WARN");
            assert_eq!(event["mode"], format!("{mode:o}"));
            assert!(event["path"].ends_with(".p8"));
        }
    }
}
