//! What is sent.

use peers::apns::PAYLOAD_LIMIT;
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_background_push_has_apples_headers_and_no_content() {
    let bench = Bench::new().await;
    let delivery = delivery('a');
    let outcome = bench.send(&delivery).await;
    assert_eq!(outcome, PushOutcome::Accepted { provider_id: delivery.id.to_string() });
    let [push] = bench.receiver.pushes().try_into().unwrap();
    assert!(push.valid && push.accepted());
    assert_eq!(push.warnings, Vec::<String>::new());
    assert_eq!(push.token, token('a'));
    assert_eq!(push.topic.as_deref(), Some(TOPIC));
    assert_eq!(push.push_type.as_deref(), Some("background"));
    assert_eq!(push.priority.as_deref(), Some("5"));
    assert_eq!(push.expiration, Some(1_764_000_021));
    assert_eq!(push.collapse_id, Some(delivery.session.to_string()));
    assert_eq!(push.apns_id, delivery.id.to_string());
    let expected = json!({
        "aps": {"content-available": 1},
        "pinger": {
            "v": 1,
            "event": "new_mail",
            "contexts": ["account-1"],
            "session": delivery.session.to_string(),
            "at": 1_764_000_000_123_i64,
            "traceparent": TRACEPARENT,
        },
    });
    assert_eq!(push.payload, expected);
}

#[tokio::test]
async fn an_alert_has_texts_of_the_apps_own() {
    let bench = Bench::new().await;
    for (kind, loc_key, event) in
        [(PushKind::NewMail, "PINGER_NEW_MAIL", "new_mail"), (PushKind::Register, "PINGER_REGISTER", "register")]
    {
        bench.receiver.clear();
        assert!(matches!(bench.send(&alert(kind)).await, PushOutcome::Accepted { .. }));
        let [push] = bench.receiver.pushes().try_into().unwrap();
        assert_eq!(push.push_type.as_deref(), Some("alert"));
        assert_eq!(push.priority.as_deref(), Some("10"));
        assert_eq!(push.payload["aps"], json!({"alert": {"loc-key": loc_key}, "mutable-content": 1}));
        assert_eq!(push.payload["pinger"]["event"], event);
        assert!(push.payload["pinger"].get("traceparent").is_none());
    }
}

#[tokio::test]
async fn the_payload_stays_within_apples_limit() {
    let bench = Bench::new().await;
    let largest = Delivery { context: "\"".repeat(64), ..delivery('a') };
    assert!(matches!(bench.send(&largest).await, PushOutcome::Accepted { .. }));
    assert!(bench.receiver.pushes()[0].payload_bytes < 512);
    let longer = Delivery { traceparent: Some("0".repeat(5000)), ..delivery('a') };
    assert!(matches!(bench.send(&longer).await, PushOutcome::Accepted { .. }));
    let impossible = Delivery { context: "x".repeat(PAYLOAD_LIMIT), ..delivery('a') };
    assert!(matches!(bench.send(&impossible).await, PushOutcome::OurFault { .. }));
    assert_eq!(bench.receiver.pushes().len(), 2, "what is too large is not sent");
}

#[tokio::test]
async fn it_serves_the_configured_topics() {
    let bench = Bench::new().await;
    assert!(bench.apns.serves(TOPIC));
    assert!(!bench.apns.serves("org.example"));
    let target =
        ApnsTarget::new(&token('a'), "org.example", ApnsEnvironment::Production, ApnsPushType::Background).unwrap();
    let foreign = Delivery { target: PushTarget::Apns(target), ..delivery('a') };
    assert_eq!(bench.send(&foreign).await, our_fault("TopicDisallowed"));
}
