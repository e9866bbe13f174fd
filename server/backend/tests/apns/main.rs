//! The APNs channel against a receiver that speaks Apple's provider API and checks what Apple checks.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod answers;
mod connection;
mod notification;
mod provider;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backend::push::Channel as _;
use backend::push::apns::Apns;
use backend::{ApnsAuthentication, ApnsConfig};
use domain::{
    ApnsEnvironment, ApnsPushType, ApnsTarget, Delivery, PushId, PushKind, PushOutcome, PushReason, PushTarget,
    SessionId, Timestamp,
};
use peers::apns::{Answer, ApnsOptions, ApnsReceiver};
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
