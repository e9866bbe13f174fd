//! gRPC-web over HTTP/1.1, as browsers send it: answers, refusals with their details, CORS.

mod support;

use std::num::NonZeroU32;
use std::time::Duration;

use gateway::Rate;
use prost::Message as _;
use proto::{MAX_REQUEST_BYTES, Reason, v1};
use reqwest::Method;
use support::web::{client, framed, post, read};
use support::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const APP: (&str, &str) = (proto::APP_KEY_METADATA, APP_KEY);
const ORIGIN: &str = "https://app.example.org";

#[tokio::test]
async fn a_browser_calls() {
    let (world, backend) = World::new(|_| {}).await;
    let base = format!("http://{}", world.address);
    let answer = post(&client(), &base, "Register", &[APP], &registration()).await;
    let response = v1::RegisterResponse::decode(&answer.message.unwrap()[..]).unwrap();
    assert_eq!(response.session_id, SESSION);
    assert_eq!(answer.trailers["grpc-status"], "0");

    let token = format!("Bearer {}", world.signer.token(SESSION));
    let metadata = [("authorization", token.as_str())];
    let answer = post(&client(), &base, "Defer", &metadata, &defer()).await;
    assert_eq!(answer.trailers["grpc-status"], "0");
    assert_eq!(backend.calls().len(), 2);
    world.stop().await;
}

#[tokio::test]
async fn refusals_reach_a_browser_with_their_details() {
    let (world, backend) = World::new(|config| {
        config.rates.per_peer = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::new(6).unwrap() };
        config.cors_origins = vec![ORIGIN.to_owned()];
    })
    .await;
    let (client, base) = (client(), format!("http://{}", world.address));
    let origin = ("origin", ORIGIN);
    let check = async |metadata: &[(&str, &str)], message: &v1::RegisterRequest, reason| {
        let answer = post(&client, &base, "Register", metadata, message).await;
        // A page may read only what is exposed to it.
        assert_eq!(answer.headers["access-control-allow-origin"], ORIGIN);
        let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap();
        for header in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
            assert!(exposed.contains(header), "{exposed}");
        }
        assert_eq!(answer.headers["content-type"], "application/grpc-web+proto");
        let status = answer.status().unwrap();
        refused::<()>(Err(status), reason);
    };
    check(&[origin], &registration(), Reason::AppKeyMissing).await;
    let wrong = v1::RegisterRequest::default();
    check(&[origin, APP], &wrong, Reason::FieldInvalid).await;
    let mut large = registration();
    large.context = "x".repeat(MAX_REQUEST_BYTES);
    check(&[origin, APP], &large, Reason::RequestTooLarge).await;
    backend.answer(support::backend::Answer::Refuse(Reason::TopicUnknown));
    check(&[origin, APP], &registration(), Reason::TopicUnknown).await;
    backend.answer(support::backend::Answer::Plain);
    check(&[origin, APP], &registration(), Reason::Internal).await;
    check(&[origin, APP], &registration(), Reason::RateLimited).await;
    world.stop().await;
}

#[tokio::test]
async fn base64_is_understood_too() {
    use base64::Engine as _;

    let (world, backend) = World::new(|_| {}).await;
    let mut body = base64::engine::general_purpose::STANDARD.encode(framed(&registration().encode_to_vec()));
    let send = async |body: String| {
        let request = client()
            .post(format!("http://{}/pinger.v1.DeviceService/Register", world.address))
            .header("content-type", "application/grpc-web-text+proto")
            .header("accept", "application/grpc-web+proto")
            .header(APP.0, APP.1)
            .body(body);
        read(request.send().await.unwrap()).await
    };
    assert_eq!(send(body.clone()).await.trailers["grpc-status"], "0");
    body.truncate(10);
    assert_ne!(i32::from(send(body).await.status().unwrap().code()), 0);
    assert_eq!(backend.calls().len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn preflights_are_answered_for_the_configured_origins() {
    let preflight = async |world: &World, origin: &str| {
        client()
            .request(Method::OPTIONS, format!("http://{}/pinger.v1.DeviceService/Register", world.address))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,x-grpc-web,x-pinger-app-key,traceparent")
            .send()
            .await
            .unwrap()
    };
    let world = World::alone(|config| config.cors_origins = vec![ORIGIN.to_owned()]).await;
    let answer = preflight(&world, ORIGIN).await;
    assert!(answer.status().is_success());
    assert_eq!(answer.headers()["access-control-allow-origin"], ORIGIN);
    assert_eq!(answer.headers()["access-control-allow-methods"], "POST");
    assert_eq!(answer.headers()["access-control-max-age"], "7200");
    let allowed = answer.headers()["access-control-allow-headers"].to_str().unwrap().to_owned();
    for header in [
        "x-pinger-app-key",
        "authorization",
        "traceparent",
        "x-grpc-web",
        "grpc-timeout",
        "content-type",
        "x-user-agent",
    ] {
        assert!(allowed.split(',').any(|allowed| allowed.trim() == header), "{header} is not in {allowed}");
    }
    let answer = preflight(&world, "https://evil.example").await;
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    world.stop().await;

    let world = World::alone(|config| config.cors_origins = vec!["*".to_owned()]).await;
    assert_eq!(preflight(&world, "https://any.example").await.headers()["access-control-allow-origin"], "*");
    world.stop().await;

    let world = World::alone(|_| {}).await;
    assert!(!preflight(&world, ORIGIN).await.headers().contains_key("access-control-allow-origin"));
    world.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_callers_mistake() {
    let (world, backend) = World::new(|_| {}).await;
    let good = framed(&registration().encode_to_vec());
    let mut longer = good.clone();
    longer[4] = longer[4].wrapping_add(1);
    let bodies = [
        Vec::new(),
        vec![0, 0, 0],
        framed(&[0xff; 20]),
        // A text that is no UTF-8.
        framed(&[0x0a, 1, 0xff]),
        // A message that ends early, and one with flags that mean nothing.
        longer,
        [&[2][..], &good[1..]].concat(),
    ];
    for body in bodies {
        let request = client()
            .post(format!("http://{}/pinger.v1.DeviceService/Register", world.address))
            .header("content-type", "application/grpc-web+proto")
            .header(APP.0, APP.1)
            .body(body.clone());
        let answer = read(request.send().await.unwrap()).await;
        let status = refused::<()>(Err(answer.status().unwrap()), Reason::FieldInvalid);
        assert_eq!(seen(&status).fields, ["request"], "{body:?}");
    }
    assert!(backend.calls().is_empty());
    world.stop().await;
}

#[tokio::test]
async fn a_request_that_does_not_arrive_is_given_up() {
    let (world, _backend) = World::new(|config| config.deadline_seconds = NonZeroU32::MIN).await;
    let mut socket = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "POST /pinger.v1.DeviceService/Register HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc-web+proto\r\n\
         {}: {APP_KEY}\r\ncontent-length: 1000\r\n\r\n",
        proto::APP_KEY_METADATA
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1000];
    let read = tokio::time::timeout(Duration::from_secs(4), socket.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).to_lowercase();
    assert!(answer.contains("grpc-status: 4\r\n"), "{answer}");
    world.stop().await;
}

#[tokio::test]
async fn what_is_no_call_is_refused() {
    let (world, _backend) = World::new(|_| {}).await;
    let base = format!("http://{}", world.address);
    let get = client().get(&base).send().await.unwrap();
    assert_eq!(get.status(), 400);
    let json = client().post(format!("{base}/pinger.v1.DeviceService/Register")).body("{}").send().await.unwrap();
    assert_eq!(json.status(), 400);

    // Garbage harms nobody but the one who sends it.
    let mut socket = tokio::net::TcpStream::connect(world.address).await.unwrap();
    socket.write_all(b"\x16\x03\x01\x00\xa5 this is no HTTP\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    post(&client(), &base, "Register", &[APP], &registration()).await.message.unwrap();
    world.stop().await;
}
