//! The connection: what breaks it, and what that does to a push.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use http_body_util::Empty;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

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
