//! Sizes, rates, shedding, streams, health, reflection: what every call meets first.

mod support;

use std::sync::Arc;
use std::time::Duration;

use gateway::{Config, Rate};
use proto::{MAX_REQUEST_BYTES, Reason, v1};
use support::backend::{Answer, state};
use support::*;
use tokio::sync::Semaphore;
use tonic::Request;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

/// One call a second, after a first few.
fn burst(burst: u32) -> Rate {
    Rate { per_second: number(1), burst: number(burst) }
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let (world, backend) = World::new(|_| {}).await;
    let mut device = world.device().await;
    for bytes in [MAX_REQUEST_BYTES, 1_000_000, 20_000_000] {
        let mut large = registration();
        large.context = "x".repeat(bytes);
        refused(device.register(with_app_key(large)).await, Reason::RequestTooLarge);
    }
    // The largest box that is allowed is not too large.
    let mut fitting = registration();
    fitting.credential.as_mut().unwrap().ciphertext = vec![0; 16_400].into();
    device.register(with_app_key(fitting)).await.unwrap();
    assert_eq!(backend.calls().len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn a_peer_that_calls_too_much_waits() {
    // One is used up by the start of the test.
    let (world, backend) = World::new(|config| config.rates.per_peer = burst(4)).await;
    let mut device = world.device().await;
    for _ in 0..3 {
        device.register(with_app_key(registration())).await.unwrap();
    }
    refused(device.register(with_app_key(registration())).await, Reason::RateLimited);
    assert_eq!(backend.calls().len(), 3);
    // Balancers are not counted.
    let mut health = HealthClient::new(channel(&world).await);
    for _ in 0..10 {
        health.check(HealthCheckRequest::default()).await.unwrap();
    }
    world.stop().await;
}

#[tokio::test]
async fn all_peers_together_have_a_rate() {
    let (world, _backend) = World::new(|config| config.rates.global = burst(2)).await;
    let mut device = world.device().await;
    device.register(with_app_key(registration())).await.unwrap();
    refused(device.register(with_app_key(registration())).await, Reason::RateLimited);
    world.stop().await;
}

#[tokio::test]
async fn the_last_hop_of_a_trusted_proxy_is_the_peer() {
    let forwarded = |value: &str| {
        let mut request = with_app_key(registration());
        request.metadata_mut().insert("x-forwarded-for", value.parse().unwrap());
        request
    };
    let limits = |config: &mut Config| {
        config.rates.per_peer = burst(1);
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    };
    let (world, _backend) = World::new(limits).await;
    let mut device = world.device().await;
    device.register(forwarded("198.51.100.1")).await.unwrap();
    device.register(forwarded("198.51.100.2")).await.unwrap();
    refused(device.register(forwarded("198.51.100.1")).await, Reason::RateLimited);
    // What stands left of the last address is made up.
    refused(device.register(forwarded("203.0.113.5, 198.51.100.1")).await, Reason::RateLimited);
    refused(device.register(forwarded("203.0.113.6,198.51.100.2")).await, Reason::RateLimited);
    device.register(forwarded("198.51.100.1, 198.51.100.3")).await.unwrap();
    world.stop().await;

    // Nobody else is believed.
    let (world, _backend) = World::new(|config| config.rates.per_peer = burst(2)).await;
    let mut device = world.device().await;
    device.register(forwarded("198.51.100.1")).await.unwrap();
    refused(device.register(forwarded("198.51.100.2")).await, Reason::RateLimited);
    world.stop().await;
}

#[tokio::test]
async fn more_than_can_be_done_is_shed() {
    let (world, backend) = World::new(|config| config.max_in_flight = number(2)).await;
    let mut device = world.device().await;
    let gate = Arc::new(Semaphore::new(0));
    backend.answer(Answer::Hang(Arc::clone(&gate)));
    let under_way: Vec<_> = (0..2)
        .map(|_| {
            let mut device = device.clone();
            tokio::spawn(async move { device.register(with_app_key(registration())).await })
        })
        .collect();
    until(|| backend.calls().len() == 2).await;
    refused(device.register(with_app_key(registration())).await, Reason::Overloaded);
    // Health is told all the same, and streams have places of their own.
    HealthClient::new(channel(&world).await).check(HealthCheckRequest::default()).await.unwrap();
    gate.add_permits(3);
    let mut stream = device.watch_session(world.with_token(watch_session())).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().session.unwrap().context, "now");
    for call in under_way {
        call.await.unwrap().unwrap();
    }
    // A place is free again.
    backend.answer(Answer::Fine);
    device.register(with_app_key(registration())).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn streams_pass_through_and_have_a_limit() {
    let (world, backend) = World::new(|config| {
        config.max_watches = number(2);
        config.max_in_flight = number(1);
    })
    .await;
    let mut device = world.device().await;
    let mut first = device.watch_session(world.with_token(watch_session())).await.unwrap().into_inner();
    let second = device.watch_session(world.with_token(watch_session())).await.unwrap().into_inner();
    refused(device.watch_session(world.with_token(watch_session())).await, Reason::Overloaded);
    // Open streams keep no call out.
    device.get_session(world.with_token(get_session())).await.unwrap();

    assert_eq!(first.message().await.unwrap().unwrap().session.unwrap().context, "now");
    for states in backend.watches() {
        states.send(Ok(state("later"))).await.unwrap();
    }
    assert_eq!(first.message().await.unwrap().unwrap().session.unwrap().context, "later");

    // A device that leaves gives its place back, and the backend learns of it.
    drop(second);
    until(|| backend.watches().len() == 1).await;
    device.watch_session(world.with_token(watch_session())).await.unwrap();

    // The backend ends it.
    backend.end_watches();
    assert!(first.message().await.unwrap().is_none());
    world.stop().await;
}

#[tokio::test]
async fn a_stream_ends_at_its_callers_deadline_and_at_the_stop() {
    let (world, _backend) = World::new(|config| config.deadline_seconds = number(1)).await;
    let mut device = world.device().await;
    let short = in_time(world.with_token(watch_session()), Duration::from_millis(1_500));
    let mut short = device.watch_session(short).await.unwrap().into_inner();
    let mut long = device.watch_session(world.with_token(watch_session())).await.unwrap().into_inner();
    short.message().await.unwrap().unwrap();
    long.message().await.unwrap().unwrap();
    refused(short.message().await, Reason::DeadlineOver);

    let stopping = tokio::time::Instant::now();
    world.shut_down();
    refused(long.message().await, Reason::BackendUnavailable);
    drop(device);
    world.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_call_that_is_under_way_at_the_stop_is_answered() {
    let (world, backend) = World::new(|_| {}).await;
    let mut device = world.device().await;
    let gate = Arc::new(Semaphore::new(0));
    backend.answer(Answer::Hang(Arc::clone(&gate)));
    let call = tokio::spawn(async move { device.register(with_app_key(registration())).await });
    until(|| backend.calls().len() == 1).await;
    world.shut_down();
    gate.add_permits(1);
    call.await.unwrap().unwrap();
    world.stop().await;
}

#[tokio::test]
async fn unknown_methods_are_unimplemented() {
    let (world, _backend) = World::new(|_| {}).await;
    for path in ["/pinger.v1.DeviceService/Steal", "/pinger.internal.v1.BackendService/Stop", "/x/y", "/"] {
        let mut client = tonic::client::Grpc::new(channel(&world).await);
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<v1::StopRequest, v1::StopResponse>::default();
        refused(client.unary(Request::new(stop()), path.parse().unwrap(), codec).await, Reason::MethodUnknown);
    }
    world.stop().await;
}

#[tokio::test]
async fn health_says_when_devices_can_be_served() {
    let world = World::alone(|_| {}).await;
    let mut health = HealthClient::new(channel(&world).await);
    let device_service = HealthCheckRequest { service: "pinger.v1.DeviceService".to_owned() };
    let alive = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(alive.status(), ServingStatus::Serving);
    let mut states = health.watch(device_service).await.unwrap().into_inner();
    assert_eq!(states.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    let _backend = world.backend();
    assert_eq!(states.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    world.shut_down();
    assert_eq!(states.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    drop((health, states));
    world.stop().await;
}

#[tokio::test]
async fn reflection_lists_what_is_served() {
    let (world, _backend) = World::new(|_| {}).await;
    let mut reflection = ServerReflectionClient::new(channel(&world).await);
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = reflection.server_reflection_info(tokio_stream::once(ask)).await.unwrap().into_inner();
    let Some(ServerReflectionResponse { message_response: Some(MessageResponse::ListServicesResponse(list)), .. }) =
        answers.message().await.unwrap()
    else {
        panic!("no list")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"pinger.v1.DeviceService".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("internal")), "{names:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_configuration_that_is_wrong_stops_the_start() {
    let check = async |change: fn(&mut Config), expect: &str| {
        let backend = gateway::BackendAddress::Unix { path: "backend.sock".into() };
        let mut config = Config::new("127.0.0.1:0".parse().unwrap(), backend);
        change(&mut config);
        let error = gateway::Gateway::bind(config).await.err().unwrap().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(|config| config.cors_origins = vec!["*".to_owned(), "https://a.example".to_owned()], "alone").await;
    check(|config| config.listen = "192.0.2.1:1".parse().unwrap(), "can't listen on 192.0.2.1:1").await;
    check(
        |config| config.app_keys = vec![gateway::AppKey { id: "a".to_owned(), sha256: "b".to_owned() }],
        "sha256 must be",
    )
    .await;
    check(
        |config| config.tls = Some(gateway::Tls { certificate: "/nowhere".into(), key: "/nowhere".into() }),
        "can't read /nowhere",
    )
    .await;
}
