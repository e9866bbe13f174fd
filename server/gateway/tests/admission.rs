//! Who may call what, with which app key, token and fields.

mod support;

use std::time::Duration;

use proto::{Reason, v1};
use serde_json::json;
use support::token::{Signer, claims, with, without};
use support::*;
use tonic::{Code, Request};

#[tokio::test]
async fn calls_reach_the_backend_with_who_made_them() {
    let (world, backend) = World::new(|_| {}).await;
    let mut device = world.device().await;

    let keys = device.get_sealing_keys(with_app_key(v1::GetSealingKeysRequest {})).await.unwrap().into_inner();
    assert_eq!(&keys.key_set[..], [1, 2, 3]);
    let registered = device.register(with_app_key(registration())).await.unwrap().into_inner();
    assert_eq!(registered.session_id, SESSION);
    let deferred = device.defer(world.with_token(defer())).await.unwrap().into_inner();
    assert_eq!(deferred.session.unwrap().context, "deferred");
    device.get_session(world.with_token(get_session())).await.unwrap();
    device.stop(world.with_token(stop())).await.unwrap();

    let calls = backend.calls();
    let methods: Vec<_> = calls.iter().map(|call| call.method).collect();
    assert_eq!(methods, ["Register", "Defer", "GetSession", "Stop"]);
    assert_eq!(calls[0].app_id.as_deref(), Some("app-1"));
    for call in &calls[1..] {
        let holder = call.holder.as_ref().unwrap();
        assert_eq!((holder.session_id.as_str(), holder.generation), (SESSION, 7));
    }
    for call in &calls {
        // What admitted a call stays here.
        assert!(!call.metadata.contains_key("authorization") && !call.metadata.contains_key(proto::APP_KEY_METADATA));
        assert!(call.metadata.contains_key("grpc-timeout"));
    }
    world.stop().await;
}

#[tokio::test]
async fn app_keys_are_needed_and_known() {
    let (world, backend) = World::new(|_| {}).await;
    let mut device = world.device().await;
    let other = |key: &str| {
        let mut request = Request::new(registration());
        request.metadata_mut().insert(proto::APP_KEY_METADATA, key.parse().unwrap());
        request
    };
    refused(device.register(Request::new(registration())).await, Reason::AppKeyMissing);
    refused(device.register(other("wrong")).await, Reason::AppKeyUnknown);
    refused(device.register(other("")).await, Reason::AppKeyUnknown);
    // Its hash is no secret, and no key.
    refused(device.register(other(&sha256_hex(APP_KEY))).await, Reason::AppKeyUnknown);
    let none = Request::new(v1::GetSealingKeysRequest {});
    refused(device.get_sealing_keys(none).await, Reason::AppKeyMissing);
    // A session's token registers nothing.
    refused(device.register(world.with_token(registration())).await, Reason::AppKeyMissing);
    assert!(backend.calls().is_empty());
    world.stop().await;
}

#[tokio::test]
async fn tokens_are_proven() {
    let (world, backend) = World::new(|_| {}).await;
    let mut device = world.device().await;
    let signer = &world.signer;
    let forger = Signer::new("key-1");
    let good = signer.token(SESSION);
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let others = signer.token(OTHER_SESSION);
    let (_, others_claims) = others.rsplit_once('.').unwrap().0.split_once('.').unwrap();

    let cases = [
        ("nothing", String::new(), Reason::TokenMissing),
        ("no JWT", "abc".to_owned(), Reason::TokenInvalid),
        ("another key under our id", forger.token(SESSION), Reason::TokenInvalid),
        ("an unknown id", Signer::new("key-2").token(SESSION), Reason::TokenInvalid),
        ("no algorithm", signer.none(&claims(SESSION, 60)), Reason::TokenInvalid),
        ("no algorithm, with a signature", signer.none(&claims(SESSION, 60)) + signature, Reason::TokenInvalid),
        ("an HMAC with the public key", signer.hmac(&claims(SESSION, 60)), Reason::TokenInvalid),
        ("no signature", format!("{head}."), Reason::TokenInvalid),
        ("the claims of another", format!("{header}.{others_claims}.{signature}"), Reason::TokenInvalid),
        ("expired", signer.sign(&claims(SESSION, -60)), Reason::TokenExpired),
        ("just expired", signer.sign(&claims(SESSION, -6)), Reason::TokenExpired),
        ("for another session", others.clone(), Reason::TokenForeign),
        ("another issuer", signer.sign(&with(claims(SESSION, 60), "iss", json!("other"))), Reason::TokenInvalid),
        ("no issuer", signer.sign(&without(claims(SESSION, 60), "iss")), Reason::TokenInvalid),
        ("no end", signer.sign(&without(claims(SESSION, 60), "exp")), Reason::TokenInvalid),
        ("an end that is none", signer.sign(&with(claims(SESSION, 60), "exp", json!("soon"))), Reason::TokenInvalid),
        ("a negative end", signer.sign(&with(claims(SESSION, 60), "exp", json!(-1))), Reason::TokenInvalid),
        ("no session", signer.sign(&without(claims(SESSION, 60), "sid")), Reason::TokenInvalid),
        ("no session's id", signer.sign(&claims("x", 60)), Reason::TokenInvalid),
        ("no generation", signer.sign(&without(claims(SESSION, 60), "gen")), Reason::TokenInvalid),
    ];
    for (what, token, reason) in cases {
        println!("{what}");
        refused(device.defer(with_bearer(defer(), &token)).await, reason);
        refused(device.stop(with_bearer(stop(), &token)).await, reason);
        refused(device.get_session(with_bearer(get_session(), &token)).await, reason);
        refused(device.watch_session(with_bearer(watch_session(), &token)).await, reason);
    }
    refused(device.defer(Request::new(defer())).await, Reason::TokenMissing);
    refused(device.defer(with_app_key(defer())).await, Reason::TokenMissing);
    assert!(backend.calls().is_empty());
    // Within the leeway of the clocks.
    device.stop(with_bearer(stop(), &signer.sign(&claims(SESSION, -1)))).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn unknown_keys_are_asked_for_but_not_often() {
    let world = World::alone(|_| {}).await;
    let backend = world.backend();
    let mut device = world.device().await;
    device.get_session(world.with_token(get_session())).await.unwrap();
    let unknown = Signer::new("key-9");
    for _ in 0..20 {
        refused(device.get_session(with_bearer(get_session(), &unknown.token(SESSION))).await, Reason::TokenInvalid);
    }
    assert!(backend.key_calls() <= 2, "{}", backend.key_calls());
    // The backend's key is new: known after the pause between two askings.
    let new = Signer::new("key-2");
    backend.know(&new);
    let known = async {
        while device.get_session(with_bearer(get_session(), &new.token(SESSION))).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(8), known).await.unwrap();
    assert!(backend.key_calls() <= 6, "{}", backend.key_calls());
    world.stop().await;
}

#[tokio::test]
async fn fields_are_checked_here() {
    let (world, backend) = World::new(|_| {}).await;
    let mut device = world.device().await;

    let mut wrong = registration();
    wrong.user_id = "anna@example.org".to_owned();
    wrong.device.as_mut().unwrap().platform = 99;
    wrong.context.clear();
    let status = refused(device.register(with_app_key(wrong)).await, Reason::FieldInvalid);
    assert_eq!(
        seen(&status),
        Seen {
            code: Code::InvalidArgument,
            reason: "FIELD_INVALID".to_owned(),
            fields: vec!["user_id".to_owned(), "device.platform".to_owned(), "context".to_owned()],
            retry: false,
        }
    );

    let long = v1::DeferRequest { wait: Some(prost_types::Duration { seconds: 601, nanos: 0 }), ..defer() };
    let status = refused(device.defer(world.with_token(long)).await, Reason::FieldInvalid);
    assert_eq!(seen(&status).fields, ["wait"]);
    let status = refused(
        device.stop(world.with_token(v1::StopRequest { session_id: "x".to_owned() })).await,
        Reason::FieldInvalid,
    );
    assert_eq!(seen(&status).fields, ["session_id"]);
    assert!(backend.calls().is_empty());
    world.stop().await;
}

#[tokio::test]
async fn the_lifetime_is_the_configured_one() {
    let (world, _backend) = World::new(|config| config.max_lifetime_seconds = 3600).await;
    let mut device = world.device().await;
    let mut long = registration();
    let lifetime = prost_types::Duration { seconds: 3601, nanos: 0 };
    long.timings = Some(v1::Timings { lifetime: Some(lifetime), ..Default::default() });
    let status = refused(device.register(with_app_key(long)).await, Reason::FieldInvalid);
    assert_eq!(seen(&status).fields, ["timings.lifetime"]);
    world.stop().await;
}
