//! Requests that are wrong in form, or that this server does not serve.

use std::time::Duration;

use proto::v1;
use tonic::Request;
use tonic_types::StatusExt as _;

use super::harness::{APP_KEY, fields, with_app_key};
use super::{Scene, refused};

type Spoil = fn(&mut v1::RegisterRequest);

fn device(request: &mut v1::RegisterRequest) -> &mut v1::Device {
    request.device.as_mut().unwrap()
}

fn apns(request: &mut v1::RegisterRequest) -> &mut v1::ApnsTarget {
    let v1::push_target::Service::Apns(apns) = request.push_target.as_mut().unwrap().service.as_mut().unwrap();
    apns
}

fn imap(request: &mut v1::RegisterRequest) -> &mut v1::ImapTarget {
    match request.mail_target.as_mut().unwrap().server.as_mut().unwrap() {
        v1::mail_target::Server::Imap(imap) => imap,
        v1::mail_target::Server::Eas(_) => panic!("it is an IMAP target"),
    }
}

fn credential(request: &mut v1::RegisterRequest) -> &mut v1::SealedCredential {
    request.credential.as_mut().unwrap()
}

fn timings(request: &mut v1::RegisterRequest) -> &mut v1::Timings {
    request.timings.get_or_insert_default()
}

fn baseline(request: &mut v1::RegisterRequest) -> &mut v1::Baseline {
    request.baseline.get_or_insert(v1::Baseline { uid_validity: 1, uid_next: 1, highest_modseq: 0 })
}

#[expect(clippy::unnecessary_wraps, reason = "as the field has it")]
const fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

/// Each field, each time as wrong as it may be.
const REGISTER: &[(&str, Spoil)] = &[
    ("user_id", |request| request.user_id.clear()),
    ("user_id", |request| request.user_id = "u".repeat(65)),
    ("user_id", |request| request.user_id = "zoë".to_owned()),
    ("device", |request| request.device = None),
    ("device.device_id", |request| device(request).device_id.clear()),
    ("device.device_id", |request| device(request).device_id = "tab\there".to_owned()),
    ("device.platform", |request| device(request).platform = 0),
    ("device.platform", |request| device(request).platform = 99),
    ("device.platform", |request| device(request).platform = -1),
    ("device.os_version", |request| device(request).os_version = "1".repeat(65)),
    ("device.app_version", |request| device(request).app_version = "1\n2".to_owned()),
    ("context", |request| request.context = "four".to_owned()),
    ("context", |request| request.context = "c".repeat(65)),
    ("push_target", |request| request.push_target = None),
    ("push_target", |request| request.push_target = Some(v1::PushTarget { service: None })),
    ("push_target.apns.token", |request| apns(request).token = "ab".to_owned()),
    ("push_target.apns.token", |request| apns(request).token = "g".repeat(64)),
    ("push_target.apns.token", |request| apns(request).token = "a".repeat(202)),
    ("push_target.apns.topic", |request| apns(request).topic = "org/example".to_owned()),
    ("push_target.apns.environment", |request| apns(request).environment = 0),
    ("push_target.apns.environment", |request| apns(request).environment = 3),
    ("push_target.apns.push_type", |request| apns(request).push_type = 0),
    ("push_target.apns.push_type", |request| apns(request).push_type = 3),
    ("mail_target", |request| request.mail_target = None),
    ("mail_target.imap", |request| request.mail_target = Some(v1::MailTarget { server: None })),
    ("mail_target.imap.host", |request| imap(request).host.clear()),
    ("mail_target.imap.host", |request| imap(request).host = "imap.example.org/".to_owned()),
    ("mail_target.imap.host", |request| imap(request).host = "0x7f.1".to_owned()),
    ("mail_target.imap.host", |request| imap(request).host = "2130706433".to_owned()),
    ("mail_target.imap.port", |request| imap(request).port = 0),
    ("mail_target.imap.port", |request| imap(request).port = 65_536 + 993),
    ("mail_target.imap.mailbox", |request| imap(request).mailbox = "a\r\nb1 DELETE INBOX".to_owned()),
    ("mail_target.imap.mailbox", |request| imap(request).mailbox = "m".repeat(256)),
    ("mail_target.imap.security", |request| imap(request).security = 0),
    ("mail_target.imap.security", |request| imap(request).security = 3),
    ("mail_target.imap.mechanism", |request| imap(request).mechanism = 0),
    ("mail_target.imap.mechanism", |request| imap(request).mechanism = 7),
    ("credential", |request| request.credential = None),
    ("credential.key_id", |request| credential(request).key_id.clear()),
    ("credential.encapsulated_key", |request| credential(request).encapsulated_key = vec![0; 31].into()),
    ("credential.ciphertext", |request| credential(request).ciphertext = vec![0; 16].into()),
    ("credential.ciphertext", |request| credential(request).ciphertext = vec![0; 273].into()),
    ("timings.wait_before_use", |request| timings(request).wait_before_use = seconds(601)),
    ("timings.wait_before_use", |request| timings(request).wait_before_use = seconds(-1)),
    ("timings.response_timeout", |request| timings(request).response_timeout = seconds(59)),
    ("timings.response_timeout", |request| timings(request).response_timeout = seconds(3601)),
    ("timings.lifetime", |request| timings(request).lifetime = seconds(59)),
    ("timings.lifetime", |request| timings(request).lifetime = seconds(i64::MAX)),
    ("baseline.uid_validity", |request| baseline(request).uid_validity = 0),
    ("baseline.uid_next", |request| baseline(request).uid_next = 0),
    ("baseline.highest_modseq", |request| baseline(request).highest_modseq = u64::MAX),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_field_is_named() {
    let scene = Scene::new(&[], "").await;
    let mut phone = scene.phone("wrong in form");
    let fine = phone.request.clone();
    for (field, spoil) in REGISTER {
        phone.request = fine.clone();
        spoil(&mut phone.request);
        let status = refused(phone.register().await, "FIELD_INVALID");
        assert_eq!(fields(&status), [*field], "{status:?}");
    }
    // All that is wrong is said at once.
    phone.request = fine.clone();
    phone.request.context.clear();
    device(&mut phone.request).platform = 99;
    imap(&mut phone.request).port = 0;
    timings(&mut phone.request).lifetime = seconds(1);
    let status = refused(phone.register().await, "FIELD_INVALID");
    let mut all = fields(&status);
    all.sort();
    assert_eq!(all, ["context", "device.platform", "mail_target.imap.port", "timings.lifetime"]);
    let described = status.get_details_bad_request().unwrap().field_violations;
    assert!(described.iter().all(|violation| !violation.description.is_empty()));

    // Nothing is left of all that, and the request itself was fine.
    phone.request = fine;
    phone.register().await.unwrap();
    phone.is_watched().await;
    let target = |apns| Some(v1::PushTarget { service: Some(v1::push_target::Service::Apns(apns)) });
    let wrong_target = v1::ApnsTarget { token: "ab".to_owned(), ..apns(&mut phone.request).clone() };
    for (field, request) in [
        ("wait", v1::DeferRequest { wait: seconds(601), ..Default::default() }),
        ("wait", v1::DeferRequest { wait: seconds(-1), ..Default::default() }),
        (
            "baseline.uid_next",
            v1::DeferRequest {
                baseline: Some(v1::Baseline { uid_validity: 1, uid_next: 0, highest_modseq: 0 }),
                ..Default::default()
            },
        ),
        ("push_target", v1::DeferRequest { push_target: Some(v1::PushTarget { service: None }), ..Default::default() }),
        ("push_target.apns.token", v1::DeferRequest { push_target: target(wrong_target), ..Default::default() }),
    ] {
        let status = refused(phone.defer_with(request).await, "FIELD_INVALID");
        assert_eq!(fields(&status), [field], "{status:?}");
    }
    for id in ["", "1", "not-a-uuid", &"0".repeat(5000)] {
        let nameless = super::harness::Phone { session: id.to_owned(), ..phone.clone() };
        let status = refused(nameless.status().await, "FIELD_INVALID");
        assert_eq!(fields(&status), ["session_id"]);
        refused(nameless.stop().await, "FIELD_INVALID");
        refused(nameless.defer(1).await, "FIELD_INVALID");
    }
    scene.ends_well(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_a_size_and_an_app() {
    let scene = Scene::new(&[], "").await;
    let mut phone = scene.phone("large");
    let fine = phone.request.clone();
    for size in [proto::MAX_REQUEST_BYTES, 2 * proto::MAX_REQUEST_BYTES, 5 << 20] {
        credential(&mut phone.request).ciphertext = vec![0; size].into();
        refused(phone.register().await, "REQUEST_TOO_LARGE");
    }
    phone.request = fine.clone();

    let mut client = scene.healthy.client.clone();
    refused(client.register(Request::new(fine.clone())).await, "APP_KEY_MISSING");
    refused(client.get_sealing_keys(Request::new(v1::GetSealingKeysRequest {})).await, "APP_KEY_MISSING");
    for key in ["", "another key", &APP_KEY.to_uppercase(), &format!("{APP_KEY}0"), &"k".repeat(4000)] {
        let mut request = Request::new(fine.clone());
        request.metadata_mut().insert(proto::APP_KEY_METADATA, key.parse().unwrap());
        refused(client.register(request).await, "APP_KEY_UNKNOWN");
    }

    let mut elsewhere = fine;
    apns(&mut elsewhere).topic = "org.example.other".to_owned();
    let status = refused(client.register(with_app_key(elsewhere.clone())).await, "TOPIC_UNKNOWN");
    assert_eq!(fields(&status), ["push_target.apns.topic"]);
    let moved = v1::DeferRequest { push_target: elsewhere.push_target, ..Default::default() };
    refused(scene.healthy.defer_with(moved).await, "TOPIC_UNKNOWN");
    scene.ends_well(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_have_a_rate() {
    let scene = Scene::changed(&[], "", |configuration| {
        let free = "per_peer = { per_second = 100000, burst = 100000 }";
        assert!(configuration.contains(free));
        configuration.replace(free, "per_peer = { per_second = 5, burst = 40 }")
    })
    .await;
    let mut calls = 0;
    let status = loop {
        if let Err(status) = scene.healthy.status().await {
            break status;
        }
        calls += 1;
        assert!(calls < 1000, "no rate");
    };
    refused::<()>(Err(status.clone()), "RATE_LIMITED");
    let after = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(after > Duration::ZERO && after <= Duration::from_millis(200), "{after:?}");
    // It is as it says.
    tokio::time::sleep(after).await;
    scene.healthy.status().await.unwrap();
    // The watch goes on all the while. (The push is looked for without a call: all are used up.)
    let token = scene.healthy.push_token();
    scene.mail.deliver(super::NAME).await.unwrap();
    assert!(scene.world.apns.wait_for(super::PATIENCE, |push| push.token == token).await.is_some());
}
