//! Without OpenTelemetry: no trace, no thread for it, no attempt to reach a collector.

use std::time::Duration;

use peers::imap_server::{ImapOptions, ImapServer};

use super::harness::{Account, PATIENCE, Phone, World, gateway_of};
use super::{NAME, PASSWORD, traceparent};

/// The names of a process's threads.
fn threads(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn off_costs_nothing() {
    let collector = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let disabled = [("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let none = [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    for environment in [&[][..], &disabled, &none] {
        let world = World::new().await;
        let options = ImapOptions {
            users: vec![(NAME.to_owned(), PASSWORD.to_owned())],
            authority: Some(world.authority.clone()),
            ..ImapOptions::default()
        };
        let mail = ImapServer::start(options).await.unwrap();
        world.configure(&[mail.address().port()], "", "");
        let server = world.serve_with(&[environment, &[("OTEL_BSP_SCHEDULE_DELAY", "10")]].concat()).await;
        let mut phone = Phone::new(&server, &Account::imaps(mail.address(), NAME, PASSWORD)).await;
        phone.traceparent = traceparent();
        phone.register().await.unwrap();
        phone.is_watched().await;
        mail.deliver(NAME).await.unwrap();
        let push = world.apns.wait_for(PATIENCE, |_| true).await.unwrap();
        assert!(push.payload["pinger"]["traceparent"].is_null(), "{:?}", push.payload);
        for pid in [server.pid(), gateway_of(server.pid()).unwrap()] {
            let threads = threads(pid);
            assert!(!threads.iter().any(|name| name.to_lowercase().contains("telemetry")), "{threads:?}");
        }
        let folder = world.folder;
        assert!(server.terminate().await.success());
        let log = std::fs::read_to_string(folder.path().join("server.log")).unwrap();
        assert!(!log.contains("trace_id") && !log.contains("span_id"), "{log}");
    }
    let nobody = tokio::time::timeout(Duration::from_millis(100), collector.accept()).await;
    assert!(nobody.is_err(), "somebody looked for the collector");
}
