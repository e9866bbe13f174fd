//! Who we are: provider tokens, certificates, and their configuration.

use std::path::PathBuf;

use backend::push::apns::ApnsError;
use peers::apns::Authentication;

use super::*;

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
