//! The backend is absent, restarts, answers nonsense, or sits behind mutual TLS.

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use gateway::{BackendAddress, MutualTls};
use peers::certificate::Authority;
use proto::{Reason, v1};
use support::backend::{Answer, Fake};
use support::token::Signer;
use support::*;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

#[tokio::test]
async fn calls_wait_for_a_backend_that_starts_later() {
    let world = World::alone(|_| {}).await;
    let started = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    let device = world.device().await;
    let (mut one, mut two, mut three) = (device.clone(), device.clone(), device.clone());
    let request = world.with_token(get_session());
    calls.spawn(async move { one.get_sealing_keys(with_app_key(v1::GetSealingKeysRequest {})).await.map(drop) });
    calls.spawn(async move { two.register(with_app_key(registration())).await.map(drop) });
    calls.spawn(async move { three.get_session(request).await.map(drop) });
    // None has been answered yet.
    let early = tokio::time::timeout(Duration::from_millis(300), calls.join_next()).await;
    assert!(early.is_err());
    let backend = world.backend();
    while let Some(answer) = calls.join_next().await {
        answer.unwrap().unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(backend.calls().len(), 2);
    world.stop().await;
}

#[tokio::test]
async fn without_a_backend_calls_are_refused_at_their_deadline() {
    let world = World::alone(|config| config.deadline_seconds = NonZeroU32::MIN).await;
    let device = world.device().await;

    // The configured deadline, one second; or the caller's, if that is shorter.
    for (timeout, least, most) in [(None, 1_000, 1_900), (Some(400), 360, 700), (Some(60_000), 1_000, 1_900)] {
        let timed = |request| match timeout {
            // By hand: tonic's client would otherwise keep the time itself.
            Some(timeout) => with_grpc_timeout(request, &format!("{timeout}m")),
            None => request,
        };
        let started = Instant::now();
        let status =
            refused(device.clone().register(timed(with_app_key(registration()))).await, Reason::BackendUnavailable);
        let took = started.elapsed().as_millis();
        assert!((least..most).contains(&took), "{timeout:?}: {took} ms, {status:?}");
    }
    let short = || Duration::from_millis(300);
    let keys = in_time(with_app_key(v1::GetSealingKeysRequest {}), short());
    refused(device.clone().get_sealing_keys(keys).await, Reason::BackendUnavailable);
    // Nobody's token can be judged.
    let get = in_time(world.with_token(get_session()), short());
    refused(device.clone().get_session(get).await, Reason::BackendUnavailable);
    let watch = in_time(world.with_token(watch_session()), short());
    refused(device.clone().watch_session(watch).await, Reason::BackendUnavailable);
    world.stop().await;
}

#[tokio::test]
async fn a_call_survives_the_backends_restart() {
    let (world, backend) = World::new(|_| {}).await;
    let mut device = world.device().await;
    device.register(with_app_key(registration())).await.unwrap();
    backend.answer(Answer::Hang(Arc::new(Semaphore::new(0))));
    let call = tokio::spawn({
        let mut device = device.clone();
        async move { device.register(with_app_key(registration())).await }
    });
    while backend.calls().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(backend);
    let backend = world.backend();
    call.await.unwrap().unwrap();
    assert_eq!(backend.calls().len(), 1);
    // Tokens are known all the time.
    device.get_session(world.with_token(get_session())).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_backend() {
    let (world, backend) = World::new(|_| {}).await;
    let mut device = world.device().await;
    let mut stream = device.watch_session(world.with_token(watch_session())).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    drop(backend);
    refused(stream.message().await, Reason::BackendUnavailable);
    world.stop().await;
}

#[tokio::test]
async fn refusals_of_the_backend_are_passed_on_and_nothing_else() {
    use tonic_types::StatusExt as _;

    let (world, backend) = World::new(|_| {}).await;
    let mut device = world.device().await;
    for reason in [Reason::TopicUnknown, Reason::SessionEnded, Reason::AddressBlocked, Reason::TokenDead] {
        backend.answer(Answer::Refuse(reason));
        let status = refused(device.register(with_app_key(registration())).await, reason);
        assert_eq!(status.get_details_error_info().unwrap().metadata["hint"], "of the backend");
        assert!(!status.metadata().contains_key("x-internal"));
        refused(device.get_session(world.with_token(get_session())).await, reason);
        refused(device.watch_session(world.with_token(watch_session())).await, reason);
    }
    let before = backend.calls().len();
    for nonsense in [Answer::Plain, Answer::Empty] {
        backend.answer(nonsense);
        let status = refused(device.register(with_app_key(registration())).await, Reason::Internal);
        assert!(!format!("{status:?}").contains("SELECT"), "{status:?}");
    }
    // It has answered: nothing is asked twice.
    assert_eq!(backend.calls().len(), before + 2);

    // In the middle of a stream, too.
    backend.answer(Answer::Fine);
    let mut stream = device.watch_session(world.with_token(watch_session())).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    for states in backend.watches() {
        let status = proto::Refusal::new(Reason::SessionUnknown).into();
        let _ = states.send(Err(status)).await;
    }
    refused(stream.message().await, Reason::SessionUnknown);
    world.stop().await;
}

#[tokio::test]
async fn a_backend_that_hangs_is_not_waited_for_longer_than_the_deadline() {
    let (world, backend) = World::new(|_| {}).await;
    let mut device = world.device().await;
    backend.answer(Answer::Hang(Arc::new(Semaphore::new(0))));
    let call = in_time(with_app_key(registration()), Duration::from_millis(400));
    refused(device.register(call).await, Reason::BackendUnavailable);
    // The backend was told how long it has.
    let timeout = text(&backend.calls()[0].metadata, "grpc-timeout").unwrap();
    let micros: u64 = timeout.trim_end_matches('u').parse().unwrap();
    assert!((1..=360_000).contains(&micros), "{timeout}");
    world.stop().await;
}

#[tokio::test]
async fn mutual_tls_leads_to_the_backend() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let ca = authority.write(folder.path()).unwrap();
    let server = authority.issue_server().unwrap();
    let client = authority.issue_client("gateway").unwrap().write(folder.path(), "gateway").unwrap();
    let stranger = Authority::new().unwrap().issue_client("gateway").unwrap().write(folder.path(), "other").unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(server.certificate_pem(), server.key_pem()))
        .client_ca_root(Certificate::from_pem(authority.certificate_pem()));
    let signer = Signer::new("key-1");
    let backend = Fake::serve(&signer, Server::builder().tls_config(tls).unwrap(), move |router| async move {
        router.serve_with_incoming(TcpListenerStream::new(listener)).await
    });

    let reach = async |files: &peers::certificate::LeafFiles, server_name: &str| {
        let world = World::alone(|config| {
            config.deadline_seconds = NonZeroU32::MIN;
            config.backend = BackendAddress::Tcp {
                address: address.to_string(),
                server_name: server_name.to_owned(),
                tls: MutualTls { ca: ca.clone(), certificate: files.certificate.clone(), key: files.key.clone() },
            };
        })
        .await;
        let answer = world.device().await.register(with_app_key(registration())).await;
        world.stop().await;
        answer
    };
    reach(&client, "localhost").await.unwrap();
    assert_eq!(backend.calls().len(), 1);
    refused(reach(&stranger, "localhost").await, Reason::BackendUnavailable);
    refused(reach(&client, "elsewhere.invalid").await, Reason::BackendUnavailable);
    assert_eq!(backend.calls().len(), 1);
}
