//! “Trace this session”: what the sampler would drop is kept for one session, for an hour.

use std::process::Command;

use peers::imap_server::{ImapOptions, ImapServer};
use peers::otlp::{OtlpReceiver, ReceivedSpan};

use super::browser::{Browser, with_dashboard};
use super::harness::{Account, PATIENCE, Phone, Server, World};
use super::{PASSWORD, Scene};

const FLAGGED: &str = "flagged@example.org";
const OTHER: &str = "other@example.org";

impl Scene {
    /// Mail comes, is pushed, and the device answers.
    async fn mail(&self, phone: &Phone, name: &str) {
        let token = phone.push_token();
        let before = self.world.apns.pushes_to(&token).len();
        self.mail.deliver(name).await.unwrap();
        let pushed = self.world.apns.wait_for_count(PATIENCE, before + 1, |push| push.token == token).await;
        assert!(pushed.is_some());
        phone.defer(0).await.unwrap();
    }
}

/// Another start of the server with all that it has stored. The collector stays.
async fn restart(scene: Scene, environment: &[(&str, &str)], change: &str) -> Scene {
    let Scene { world, collector, mail, server } = scene;
    assert!(server.terminate().await.success());
    if !change.is_empty() {
        let script = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\ndb.execute(sys.argv[2])\ndb.commit()";
        let file = world.data().join("pinger.db");
        assert!(Command::new("python3").args(["-c", script]).arg(file).arg(change).status().unwrap().success());
    }
    let server: Server = world.serve_with(environment).await;
    Scene { world, collector, mail, server }
}

async fn check(sampler: &str) {
    let world = World::new().await;
    let collector = OtlpReceiver::start().await.unwrap();
    let users = [FLAGGED, OTHER].map(|name| (name.to_owned(), PASSWORD.to_owned())).to_vec();
    let options = ImapOptions { users, authority: Some(world.authority.clone()), ..ImapOptions::default() };
    let mail = ImapServer::start(options).await.unwrap();
    let config = world.configure(&[mail.address().port()], "hold_seconds = 1", "");
    with_dashboard(&config, "trace_url = \"https://traces.example.org/{trace_id}\"");
    let endpoint = collector.endpoint();
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_TRACES_SAMPLER", sampler),
    ];
    let server = world.serve_with(&environment).await;
    let mut scene = Scene { world, collector, mail, server };
    let staff = Browser::sign_up(&scene.server.ready).await;
    let account = |name| Account::imaps(scene.mail.address(), name, PASSWORD);
    let mut phone = Phone::new(&scene.server, &account(FLAGGED)).await;
    let mut other = phone.another(&account(OTHER));
    for phone in [&mut phone, &mut other] {
        phone.register().await.unwrap();
        phone.is_watched().await;
    }
    let here = format!("/sessions/{}", phone.session);

    // From now on, at once.
    staff.post(&here, &format!("{here}/trace"), "").await;
    assert!(staff.get(&here).await.contains("Traced until"));
    scene.mail(&other, OTHER).await;
    scene.mail(&phone, FLAGGED).await;
    let is_ours = |span: &ReceivedSpan| span.attribute("pinger.session_id") == Some(phone.session.as_str());
    let episode = scene.span("session.mail", |span| span.name == "session.mail" && is_ours(span)).await;
    assert_eq!(episode.attribute("pinger.traced"), Some("true"));
    scene.child(&episode, "imap.ping").await;
    scene.child(&episode, "store.change").await;
    let sent = scene.child(&episode, "push.send").await;
    scene.child(&sent, "apns.send").await;
    let defer = "pinger.internal.v1.BackendService/Defer";
    let call = scene.span(defer, |span| span.name == defer && is_ours(span)).await;
    scene.child(&call, "store.change").await;

    // The pages lead to it.
    let link = format!("https://traces.example.org/{}", episode.trace_id);
    let page = staff.get_until(&here, |page| page.contains(&link)).await;
    assert!(page.matches(&link).count() >= 3, "mail seen, push, list of traces: {page}");
    staff.post(&here, &format!("{here}/ping"), "").await;
    let pinged = staff.get_until(&format!("{here}/ping"), |page| page.contains("traces.example.org")).await;
    assert!(!pinged.contains(&link), "a ping is an episode of its own");
    let theirs = staff.get(&format!("/sessions/{}", other.session)).await;
    assert!(!theirs.contains("traces.example.org"), "there is nothing to look at: {theirs}");

    // A restart forgets nothing.
    scene = restart(scene, &environment, "").await;
    let connect = scene.span("session.connect", |span| span.name == "session.connect" && is_ours(span)).await;
    scene.child(&scene.child(&connect, "imap.connect").await, "imap.login").await;

    // The hour is over.
    scene = restart(scene, &environment, "UPDATE session SET trace_until = 1000 WHERE trace_until IS NOT NULL").await;
    let before = scene.collector.spans().len();
    phone.is_watched().await;
    scene.mail(&phone, FLAGGED).await;
    scene.mail(&other, OTHER).await;
    let Scene { server, collector, .. } = scene;
    assert!(server.terminate().await.success());
    assert_eq!(collector.spans().len(), before, "{:?}", collector.spans());
    let theirs = collector.spans().into_iter().find(|span| span.attribute("pinger.session_id") == Some(&other.session));
    assert!(theirs.is_none(), "{theirs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_is_traced_where_none_is() {
    check("always_off").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_is_traced_where_callers_decide() {
    check("parentbased_always_off").await;
}
