//! From the registration to the push and back, and episodes that fail.

use peers::apns::ReceivedPush;
use peers::eas::{EasOptions, EasServer, ping_answer, ping_request};
use peers::hostile::{HostileImap, Script, Transport};
use peers::otlp::{ReceivedSpan, SpanKind};
use proto::v1;

use super::harness::{Account, PATIENCE, Phone, World};
use super::{BACKEND, GATEWAY, NAME, PASSWORD, PHONE_SPAN, Scene, TRACE, documented, is_documented, traceparent};

const REGISTER: &str = "pinger.v1.DeviceService/Register";
const INTERNAL: &str = "pinger.internal.v1.BackendService/Register";

/// Register's way through both processes; the answer is the span that episodes link to.
async fn registration(scene: &Scene) -> ReceivedSpan {
    let edge = scene.span(REGISTER, |span| span.name == REGISTER).await;
    assert_eq!((edge.trace_id.as_str(), edge.parent_id.as_deref()), (TRACE, Some(PHONE_SPAN)));
    assert_eq!((edge.service.as_str(), edge.kind), (GATEWAY, SpanKind::Server));
    let call = scene.child(&edge, INTERNAL).await;
    assert_eq!((call.service.as_str(), call.kind), (GATEWAY, SpanKind::Client));
    let served = scene.child(&call, INTERNAL).await;
    assert_eq!((served.service.as_str(), served.kind), (BACKEND, SpanKind::Server));
    let stored = scene.child(&served, "store.register").await;
    assert_eq!((stored.service.as_str(), stored.kind), (BACKEND, SpanKind::Client));
    assert_eq!(stored.attribute("db.system.name"), Some("sqlite"));
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_registration_to_the_push_and_back() {
    let scene = Scene::new(World::new().await, &[], &[]).await;
    let mut phone = scene.phone().await;
    phone.register().await.unwrap();
    phone.is_watched().await;
    let session = phone.session.clone();
    let served = registration(&scene).await;
    assert_eq!(served.attribute("pinger.session_id"), Some(session.as_str()));

    // The episode in which the mailbox was opened.
    let connect = scene.episode(&served, "session.connect").await;
    assert_ne!(connect.trace_id, TRACE);
    assert_eq!(connect.attribute("pinger.session_id"), Some(session.as_str()));
    assert_eq!(connect.attribute("pinger.state"), Some("watching"));
    assert!(!connect.is_error && connect.attribute("pinger.failure").is_none());
    let dial = scene.child(&connect, "imap.connect").await;
    assert_eq!((dial.kind, dial.attribute("server.address")), (SpanKind::Client, Some("127.0.0.1")));
    assert_eq!(dial.attribute("server.port"), Some(scene.mail.address().port().to_string().as_str()));
    scene.child(&dial, "imap.login").await;
    scene.child(&dial, "imap.examine").await;
    scene.child(&connect, "store.change").await;

    // The episode in which mail came.
    scene.mail.deliver(NAME).await.unwrap();
    let token = phone.push_token();
    let push = scene.world.apns.wait_for(PATIENCE, |push| push.token == token).await.unwrap();
    let mail = scene.episode(&served, "session.mail").await;
    assert!(![TRACE, connect.trace_id.as_str()].contains(&mail.trace_id.as_str()));
    assert_eq!(mail.attribute("pinger.state"), Some("holding"));
    let ping = scene.child(&mail, "imap.ping").await;
    let change = scene.child(&mail, "store.change").await;
    assert!(ping.end_ns <= change.begin_ns, "asked first, then stored");
    let sent = scene.child(&mail, "push.send").await;
    assert_eq!(sent.kind, SpanKind::Producer);
    assert_eq!(sent.attribute("pinger.push_id"), mail.attribute("pinger.push_id"));
    assert_eq!(sent.attribute("pinger.outcome"), Some("accepted"));
    let asked = scene.child(&sent, "apns.send").await;
    assert_eq!((asked.kind, asked.attribute("http.response.status_code")), (SpanKind::Client, Some("200")));

    // The push carries that trace to the phone, and what the phone does about it is part of it.
    let carried = push.payload["pinger"]["traceparent"].as_str().unwrap();
    assert_eq!(carried, format!("00-{}-{}-01", mail.trace_id, mail.span_id));
    let mut awake = phone.clone();
    awake.traceparent = Some(carried.to_owned());
    awake.defer(0).await.unwrap();
    let answer = scene.child(&mail, "pinger.v1.DeviceService/Defer").await;
    assert_eq!(answer.service, GATEWAY);
    let defer = "pinger.internal.v1.BackendService/Defer";
    let served = scene.child(&scene.child(&answer, defer).await, defer).await;
    scene.child(&served, "store.change").await;

    // A session that ends is told so within the trace of whoever ended it.
    phone.stop().await.unwrap();
    scene.span("Stop", |span| span.name == "pinger.v1.DeviceService/Stop" && span.trace_id == TRACE).await;

    let names = documented();
    assert!(scene.server.terminate().await.success());
    for span in scene.collector.spans() {
        assert!(is_documented(&names, &span.name), "ARCHITECTURE.md does not list {}", span.name);
        assert!([GATEWAY, BACKEND].contains(&span.service.as_str()), "{span:?}");
        assert!(span.end_ns >= span.begin_ns && !span.is_error, "{span:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_episode_says_why() {
    let world = World::new().await;
    let absent = peers::closed_port().unwrap();
    let start =
        async |script| HostileImap::start_with(script, Transport::Tls, Some(world.authority.clone())).await.unwrap();
    let (refusing, rude) = (start(Script::refuse_login()).await, start(Script::bye_in_idle()).await);
    let cases = [
        (absent, "CONNECT_REFUSED", Some("imap.connect")),
        (refusing.address(), "LOGIN_REFUSED", Some("imap.connect")),
        // Nothing was under way when it came.
        (rude.address(), "SERVER_BYE", None),
    ];
    let ports = cases.map(|(address, ..)| address.port());
    let scene = Scene::new(world, &ports, &[]).await;
    for (address, code, child) in cases {
        let mut phone = scene.phone().await.another(&Account::imaps(address, NAME, "whatever"));
        phone.register().await.unwrap();
        let session = phone.session.clone();
        let failed = scene.span(code, |span| {
            span.name == "session.connect"
                && span.attribute("pinger.session_id") == Some(&session)
                && span.attribute("pinger.failure").is_some()
        });
        let failed = failed.await;
        assert_eq!(failed.attribute("pinger.failure"), Some(code));
        assert!(failed.is_error && failed.parent_id.is_none(), "{failed:?}");
        assert_eq!(failed.links.len(), 1, "{failed:?}");
        scene.child(&failed, "store.change").await;
        if let Some(name) = child {
            let child = scene.child(&failed, name).await;
            assert_eq!((child.attribute("pinger.failure"), child.is_error), (Some(code), true));
        }
    }
    // The register push of the one that was refused is within the episode that ended it.
    let push = scene.world.apns.wait_for(PATIENCE, |push| push.payload["pinger"]["event"] == "register").await.unwrap();
    let trace = carried(&push);
    let sent = scene.span("push.send", |span| span.name == "push.send" && span.trace_id == trace).await;
    assert_eq!(sent.attribute("pinger.push_kind"), Some("register"));
}

/// The trace that a push carries.
fn carried(push: &ReceivedPush) -> String {
    push.payload["pinger"]["traceparent"].as_str().unwrap().split('-').nth(1).unwrap().to_owned()
}

/// The root of the push's trace, of that name, with the push in it.
async fn cause(scene: &Scene, push: &ReceivedPush, name: &str) -> ReceivedSpan {
    let trace = carried(push);
    let root = scene.span(name, |span| span.name == name && span.trace_id == trace && span.parent_id.is_none()).await;
    assert_eq!(root.attribute("pinger.state"), Some("holding"));
    scene.child(&root, "push.send").await;
    root
}

/// Mail is not always seen when it comes: the push belongs to the episode that saw it, or that let it go.
#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_a_push_is_an_episode() {
    let scene = Scene::new(World::new().await, &[], &[]).await;
    let mut phone = scene.phone().await.waiting(600);
    phone.register().await.unwrap();
    let token = phone.push_token();
    let served = registration(&scene).await;
    phone.becomes(|session| session.baseline.is_some()).await;

    // Mail while the device is awake and nothing is connected: it is seen at the next connect.
    scene.mail.deliver(NAME).await.unwrap();
    phone.defer(0).await.unwrap();
    let pushes = scene.world.apns.wait_for_count(PATIENCE, 1, |push| push.token == token).await.unwrap();
    assert!(cause(&scene, &pushes[0], "session.connect").await.links_to(&served));

    // Mail in a hold is gathered: it goes out when the hold is over.
    scene.mail.deliver(NAME).await.unwrap();
    let pushes = scene.world.apns.wait_for_count(PATIENCE, 2, |push| push.token == token).await.unwrap();
    assert!(cause(&scene, &pushes[1], "session.deadline").await.links_to(&served));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_has_the_same_episodes() {
    let world = World::new().await;
    let users = vec![(NAME.to_owned(), PASSWORD.to_owned())];
    let options = EasOptions { users, authority: Some(world.authority.clone()), ..EasOptions::default() };
    let eas = EasServer::start(options).await.unwrap();
    let scene = Scene::new(world, &[eas.address().port()], &[]).await;
    let target = v1::EasTarget {
        url: eas.url("Ping"),
        command: v1::EasCommand::Ping.into(),
        authentication: v1::EasAuthentication::Basic.into(),
        request: Some(v1::EasRequest {
            headers: vec![],
            body: ping_request(std::time::Duration::from_secs(60)).into(),
            no_change_body: ping_answer(1, &[]).into(),
        }),
    };
    let account = Account::imaps(eas.address(), NAME, PASSWORD);
    let mut phone = Phone::new(&scene.server, &account).await.polling(target, 60);
    phone.traceparent = traceparent();
    phone.register().await.unwrap();
    let served = registration(&scene).await;
    let connect = scene.episode(&served, "session.connect").await;
    assert_eq!((connect.attribute("pinger.state"), connect.is_error), (Some("watching"), false));
    let dial = scene.child(&connect, "eas.connect").await;
    assert_eq!((dial.kind, dial.attribute("server.address")), (SpanKind::Client, Some("127.0.0.1")));
    eas.deliver();
    let token = phone.push_token();
    let push = scene.world.apns.wait_for(PATIENCE, |push| push.token == token).await.unwrap();
    let mail = scene.episode(&served, "session.mail").await;
    assert_eq!(mail.attribute("pinger.state"), Some("holding"));
    let sent = scene.child(&mail, "push.send").await;
    assert_eq!(sent.attribute("pinger.outcome"), Some("accepted"));
    let carried = push.payload["pinger"]["traceparent"].as_str().unwrap();
    assert_eq!(carried, format!("00-{}-{}-01", mail.trace_id, mail.span_id));
    let names = documented();
    for span in scene.collector.spans() {
        assert!(is_documented(&names, &span.name), "ARCHITECTURE.md does not list {}", span.name);
        let told = format!("{span:?}");
        assert!(!told.contains(NAME) && !told.contains("trace.dancer") && !told.contains(PASSWORD), "{told}");
    }
}
