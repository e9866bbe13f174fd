//! Logs and traces of the real processes: what they carry, and what they cost when they are off.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "harness/mod.rs"]
mod harness;

use harness::{Account, PATIENCE, Phone, World};
use peers::imap_server::{ImapOptions, ImapServer};
use peers::otlp::OtlpReceiver;
use serde_json::Value;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PASSWORD: &str = "a password that must not be logged";

/// Registers a phone that says to be part of a trace, waits until its mailbox is watched, and returns the log.
async fn registered(environment: &[(&str, &str)]) -> (World, String, String) {
    let world = World::new().await;
    let users = vec![("anna@example.org".to_owned(), PASSWORD.to_owned())];
    let authority = Some(world.authority.clone());
    let imap = ImapServer::start(ImapOptions { users, authority, ..ImapOptions::default() }).await.unwrap();
    world.configure(&[imap.address().port()], "", "");
    let server = world.serve_with(environment).await;
    let mut phone = Phone::new(&server, &Account::imaps(imap.address(), "anna@example.org", PASSWORD)).await;
    phone.traceparent = Some(format!("00-{TRACE}-b7ad6b7169203331-01"));
    phone.register().await.unwrap();
    phone.is_watched().await;
    let token = phone.token.clone();
    assert!(server.terminate().await.success());
    let log = std::fs::read_to_string(world.folder.path().join("server.log")).unwrap();
    (world, log, token)
}

/// With traces, both processes send theirs, under their own names and with what the environment says.
#[tokio::test(flavor = "multi_thread")]
async fn lines_carry_the_trace_that_they_belong_to() {
    let collector = OtlpReceiver::start().await.unwrap();
    let endpoint = collector.endpoint();
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_SERVICE_NAME", "mail"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let (_world, log, _) = registered(&environment).await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_trace: Vec<&Value> = lines.iter().filter(|line| line["trace_id"] == TRACE).collect();
    assert!(!of_trace.is_empty(), "no line of the trace in {log}");
    assert!(of_trace.iter().all(|line| line["span_id"].as_str().unwrap().len() == 16));
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["target"].is_string()), "{log}");

    for service in ["mail-gateway", "mail-backend"] {
        let span = collector.wait_for(PATIENCE, |span| span.trace_id == TRACE && span.service == service).await;
        let span = span.unwrap_or_else(|| panic!("no span of {service}"));
        assert_eq!(span.resource["deployment.environment.name"], "test");
    }
}

/// On a terminal, or where it is asked for, a line is text, and carries the trace as well.
#[tokio::test(flavor = "multi_thread")]
async fn text_carries_the_trace_too() {
    let collector = OtlpReceiver::start().await.unwrap();
    let endpoint = collector.endpoint();
    let environment = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()), ("PINGER_LOG_FORMAT", "text")];
    let (_world, log, _) = registered(&environment).await;
    assert!(log.lines().any(|line| line.contains(" INFO ") && line.ends_with(&format!("trace_id={TRACE}"))), "{log}");
    assert!(!log.contains('\u{1b}'), "no colours in a file");
}

/// Without a collector there are no traces at all, and whatever filter is set, no secret is logged.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_logged_whatever_the_filter_says() {
    let (_world, log, token) = registered(&[("PINGER_LOG", "trace,async_imap=trace,h2=trace,sqlx=trace")]).await;
    assert!(log.contains("\"DEBUG\"") || log.contains("\"TRACE\""), "the filter was not heard: {log}");
    for secret in [PASSWORD, "anna@example.org", token.as_str(), harness::APP_KEY] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    for silent in ["\"async_imap", "\"imap_proto", "\"h2", "\"hyper"] {
        assert!(!log.contains(silent), "{silent} spoke");
    }
    assert!(!log.contains("trace_id"), "traces are off");
}
