//! The push receiver answers as Apple does, and records what came in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use peers::apns::{Answer, ApnsOptions, ApnsReceiver, Authentication, PROVIDER_TOKEN_LIFETIME};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

const SHORTLY: Duration = Duration::from_secs(10);

fn device(digit: char) -> String {
    std::iter::repeat_n(digit, 64).collect()
}

fn client(receiver: &ApnsReceiver) -> Result<reqwest::Client> {
    let root = reqwest::Certificate::from_pem(receiver.authority().certificate_pem().as_bytes())?;
    Ok(reqwest::Client::builder().tls_certs_only([root]).build()?)
}

/// A push in order in every way, without a provider token.
fn bare_push(client: &reqwest::Client, receiver: &ApnsReceiver, token: &str) -> RequestBuilder {
    client
        .post(format!("{}/3/device/{token}", receiver.url()))
        .header("apns-topic", "org.example.mail")
        .header("apns-push-type", "background")
        .header("apns-priority", "5")
        .header("apns-expiration", "1800000000")
        .header("apns-collapse-id", "session")
        .body(json!({"aps": {"content-available": 1}, "pinger": "new_mail"}).to_string())
}

fn push(client: &reqwest::Client, receiver: &ApnsReceiver, token: &str) -> Result<RequestBuilder> {
    let provider_token = receiver.provider_key().token(SystemTime::now())?;
    Ok(bare_push(client, receiver, token).bearer_auth(provider_token))
}

async fn outcome(request: RequestBuilder) -> Result<(StatusCode, Value)> {
    let response = request.send().await?;
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert!(response.headers().contains_key("apns-id"));
    let status = response.status();
    let body = response.text().await?;
    Ok((status, if body.is_empty() { Value::Null } else { serde_json::from_str(&body)? }))
}

#[tokio::test]
async fn accepts_and_records_a_push() -> Result<()> {
    let receiver = ApnsReceiver::start(ApnsOptions::default()).await?;
    let client = client(&receiver)?;
    let (waited, sent) = tokio::join!(receiver.wait_for(SHORTLY, |push| push.token == device('a')), async {
        outcome(push(&client, &receiver, &device('a'))?).await
    });
    assert_eq!(sent?, (StatusCode::OK, Value::Null));
    let waited = waited.context("no push was recorded")?;
    assert!(waited.valid && waited.accepted());
    assert_eq!(waited.payload["pinger"], "new_mail");
    assert_eq!(waited.topic.as_deref(), Some("org.example.mail"));
    assert_eq!(waited.collapse_id.as_deref(), Some("session"));
    assert_eq!(waited.expiration, Some(1_800_000_000));
    assert_eq!(waited.connection, 1);
    assert!(waited.warnings.is_empty());
    outcome(push(&client, &receiver, &device('b'))?).await?;
    assert_eq!(receiver.pushes().len(), 2);
    assert_eq!(receiver.connections(), 1, "HTTP/2 keeps its connection");
    receiver.clear();
    assert!(receiver.wait_for(Duration::ZERO, |_| true).await.is_none());
    Ok(())
}

#[tokio::test]
async fn answers_what_the_test_set() -> Result<()> {
    let receiver = ApnsReceiver::start(ApnsOptions::default()).await?;
    let client = client(&receiver)?;
    let since = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    receiver.answer(&device('a'), Answer::Gone { since });
    receiver.answer_next(1, Answer::TooManyRequests);
    receiver.answer_next(1, Answer::ServiceUnavailable { retry_after: Some(Duration::from_secs(7)) });
    let gone = outcome(push(&client, &receiver, &device('a'))?).await?;
    assert_eq!(gone, (StatusCode::GONE, json!({"reason": "Unregistered", "timestamp": 1_700_000_000_000_u64})));
    let busy = outcome(push(&client, &receiver, &device('b'))?).await?;
    assert_eq!(busy, (StatusCode::TOO_MANY_REQUESTS, json!({"reason": "TooManyRequests"})));
    let response = push(&client, &receiver, &device('b'))?.send().await?;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(outcome(push(&client, &receiver, &device('b'))?).await?.0, StatusCode::OK);
    receiver.answer_all(Answer::Reset);
    assert!(push(&client, &receiver, &device('b'))?.send().await.is_err());
    receiver.answer_all(Answer::Disconnect);
    assert!(push(&client, &receiver, &device('b'))?.send().await.is_err());
    receiver.accept_all();
    assert_eq!(outcome(push(&client, &receiver, &device('a'))?).await?.0, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn refuses_with_apples_reason() -> Result<()> {
    let topics = vec!["org.example.mail".to_owned(), "org.example.other".to_owned()];
    let receiver = ApnsReceiver::start(ApnsOptions { topics, ..ApnsOptions::default() }).await?;
    let client = client(&receiver)?;
    let a = device('a');
    let fresh = receiver.provider_key().token(SystemTime::now())?;
    let stale = receiver.provider_key().token(SystemTime::now() - PROVIDER_TOKEN_LIFETIME - SHORTLY)?;
    let foreign = peers::apns::ProviderKey::generate()?.token(SystemTime::now())?;
    let in_order = || bare_push(&client, &receiver, &a).bearer_auth(&fresh);
    let url = format!("{}/3/device/{a}", receiver.url());
    let bare = client.post(&url).bearer_auth(&fresh).header("apns-push-type", "alert");
    let with = |request: RequestBuilder, name: &str, value: &str| -> Result<RequestBuilder> {
        let (client, request) = request.build_split();
        let mut request = request?;
        let name: reqwest::header::HeaderName = name.parse()?;
        request.headers_mut().insert(name, value.parse()?);
        Ok(RequestBuilder::from_parts(client, request))
    };

    let cases = [
        (bare_push(&client, &receiver, &a), 403, "MissingProviderToken"),
        (bare_push(&client, &receiver, &a).bearer_auth(stale), 403, "ExpiredProviderToken"),
        (bare_push(&client, &receiver, &a).bearer_auth(foreign), 403, "InvalidProviderToken"),
        (bare_push(&client, &receiver, &a).bearer_auth("x.y.z"), 403, "InvalidProviderToken"),
        (push(&client, &receiver, "not-a-token")?, 400, "BadDeviceToken"),
        (client.get(&url), 405, "MethodNotAllowed"),
        (client.post(format!("{}/4/device/{a}", receiver.url())), 404, "BadPath"),
        (bare, 400, "MissingTopic"),
        (with(in_order(), "apns-topic", "org.example.third")?, 400, "TopicDisallowed"),
        (with(in_order(), "apns-priority", "10")?, 400, "BadPriority"),
        (with(in_order(), "apns-push-type", "loud")?, 400, "InvalidPushType"),
        (with(in_order(), "apns-expiration", "tomorrow")?, 400, "BadExpirationDate"),
        (with(in_order(), "apns-collapse-id", &"c".repeat(65))?, 400, "BadCollapseId"),
        (with(in_order(), "apns-id", "1")?, 400, "BadMessageId"),
        (in_order().body(""), 400, "PayloadEmpty"),
        (in_order().body(format!("{{\"aps\":{{}},\"x\":\"{}\"}}", "x".repeat(4096))), 413, "PayloadTooLarge"),
    ];
    let count = cases.len();
    for (request, status, reason) in cases {
        let (answered, body) = outcome(request).await?;
        assert_eq!((answered.as_u16(), &body["reason"]), (status, &json!(reason)));
    }
    assert!(receiver.pushes().iter().all(|push| !push.valid));
    assert_eq!(receiver.pushes().len(), count);
    Ok(())
}

#[tokio::test]
async fn certificate_authentication_needs_a_client_certificate() -> Result<()> {
    let options = ApnsOptions { authentication: Authentication::Certificate, ..ApnsOptions::default() };
    let receiver = ApnsReceiver::start(options).await?;
    let without = client(&receiver)?;
    assert!(bare_push(&without, &receiver, &device('a')).send().await.is_err());
    let leaf = receiver.authority().issue_client("org.example.mail")?;
    let identity = reqwest::Identity::from_pem(format!("{}{}", leaf.key_pem(), leaf.certificate_pem()).as_bytes())?;
    let root = reqwest::Certificate::from_pem(receiver.authority().certificate_pem().as_bytes())?;
    let with = reqwest::Client::builder().tls_certs_only([root]).identity(identity).build()?;
    assert_eq!(outcome(bare_push(&with, &receiver, &device('a'))).await?.0, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn restarts_on_its_port() -> Result<()> {
    let mut receiver = ApnsReceiver::start(ApnsOptions::default()).await?;
    let client = client(&receiver)?;
    outcome(push(&client, &receiver, &device('a'))?).await?;
    receiver.stop().await;
    assert!(push(&client, &receiver, &device('b'))?.send().await.is_err());
    receiver.restart().await?;
    outcome(push(&client, &receiver, &device('c'))?).await?;
    let tokens: Vec<_> = receiver.pushes().into_iter().map(|push| push.token).collect();
    assert_eq!(tokens, [device('a'), device('c')]);
    Ok(())
}
