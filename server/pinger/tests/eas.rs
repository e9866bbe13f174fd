//! Exchange ActiveSync, from outside: a phone hands over its long poll, mail arrives, the phone is pushed.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "harness/mod.rs"]
mod harness;

use std::process::Command;
use std::time::Duration;

use harness::{APP_KEY, Account, PATIENCE, Phone, Server, TOPIC, World, fields, reason};
use peers::eas::{EasEvent, EasOptions, EasServer, Manner, ping_answer, ping_request, sync_request};
use proto::v1::{self, EndReason, SessionState};
use tonic::Code;

const USER: &str = "sophia.petrillo@example.org";
const PASSWORD: &str = "picture-it-sicily-1922";

/// How long the polls of these tests wait: longer than any of them.
const WAIT: Duration = Duration::from_secs(60);

async fn eas(world: &World) -> EasServer {
    let users = vec![(USER.to_owned(), PASSWORD.to_owned())];
    let tokens = vec!["an.access.token".to_owned()];
    EasServer::start(EasOptions { users, tokens, authority: Some(world.authority.clone()) }).await.unwrap()
}

async fn serve(world: &World, servers: &[&EasServer]) -> Server {
    let ports: Vec<u16> = servers.iter().map(|server| server.address().port()).collect();
    world.configure(&[], &format!("allow_eas_ports = {ports:?}\nhold_seconds = 1"), "");
    world.serve().await
}

fn ping(server: &EasServer) -> v1::EasTarget {
    let header = |name: &str, value: &str| v1::EasHeader { name: name.to_owned(), value: value.to_owned() };
    v1::EasTarget {
        url: server.url("Ping"),
        command: v1::EasCommand::Ping.into(),
        authentication: v1::EasAuthentication::Basic.into(),
        request: Some(v1::EasRequest {
            headers: vec![header("MS-ASProtocolVersion", "14.1"), header("X-MS-PolicyKey", "307199232")],
            body: ping_request(WAIT).into(),
            no_change_body: ping_answer(1, &[]).into(),
        }),
    }
}

async fn phone(server: &Server, eas: &EasServer, target: v1::EasTarget) -> Phone {
    Phone::new(server, &Account::imaps(eas.address(), USER, PASSWORD)).await.polling(target, 60)
}

fn given_up(event: &EasEvent) -> bool {
    matches!(event, EasEvent::GivenUp { .. })
}

#[tokio::test]
async fn mail_is_pushed_and_the_poll_rests_until_the_device_has_synced() {
    let world = World::new().await;
    let eas = eas(&world).await;
    let server = serve(&world, &[&eas]).await;
    let mut phone = phone(&server, &eas, ping(&eas)).await;
    phone.register().await.unwrap();
    assert!(eas.wait_for_requests(PATIENCE, 1).await);
    let request = eas.requests().remove(0);
    assert!(request.authorized && request.path.ends_with("&User=sophia.petrillo%40example.org"), "{request:?}");
    assert_eq!(request.header("x-ms-policykey"), Some("307199232"));
    assert_eq!(request.body, ping_request(WAIT));
    let watching = phone.becomes_state(SessionState::Watching).await;
    assert_eq!((watching.baseline, watching.last_error), (None, None));

    eas.deliver();
    let token = phone.push_token();
    let push = world.apns.wait_for(PATIENCE, |push| push.token == token).await.unwrap();
    assert_eq!(push.payload["pinger"]["event"], "new_mail");
    // The device syncs, says so, and is watched again; nothing new came of that.
    eas.sync();
    phone.defer(0).await.unwrap();
    phone.becomes_state(SessionState::Watching).await;
    let before = eas.requests().len();
    eas.deliver();
    assert!(world.apns.wait_for_count(PATIENCE, 2, |push| push.token == token).await.is_some());
    // Nobody answers: it is told again, after a hold that doubles.
    assert!(world.apns.wait_for_count(PATIENCE, 4, |push| push.token == token).await.is_some());
    assert!(eas.requests().len() >= before + 2);

    phone.stop().await.unwrap();
    assert!(!server.log().contains(PASSWORD) && !server.log().contains("petrillo"), "{}", server.log());
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_sync_is_polled_with_the_request_that_a_defer_brings() {
    let world = World::new().await;
    let eas = eas(&world).await;
    let server = serve(&world, &[&eas]).await;
    let request =
        |key| v1::EasRequest { headers: vec![], body: sync_request(key, WAIT).into(), no_change_body: vec![].into() };
    let target = v1::EasTarget {
        url: eas.url("Sync"),
        command: v1::EasCommand::Sync.into(),
        authentication: v1::EasAuthentication::Bearer.into(),
        request: Some(request(0)),
    };
    let mut account = Account::imaps(eas.address(), USER, "an.access.token");
    account.mechanism = v1::ImapMechanism::Xoauth2;
    let mut phone = Phone::new(&server, &account).await.polling(target, 60);
    phone.register().await.unwrap();
    assert!(eas.wait_for_requests(PATIENCE, 1).await);
    eas.deliver();
    let token = phone.push_token();
    assert!(world.apns.wait_for(PATIENCE, |push| push.token == token).await.is_some());
    let wait = Some(prost_types::Duration { seconds: 0, nanos: 0 });
    let anew = v1::DeferRequest { wait, eas_request: Some(request(eas.sync())), ..Default::default() };
    let pushes = world.apns.pushes_to(&token).len();
    phone.defer_with(anew).await.unwrap();
    let body = sync_request(1, WAIT);
    let renewed =
        |event: &EasEvent| matches!(event, EasEvent::Request(request) if request.body == body && request.authorized);
    assert!(eas.wait_for(PATIENCE, renewed).await.is_some(), "{:?}", eas.events());
    assert_eq!(world.apns.pushes_to(&token).len(), pushes);
    eas.deliver();
    assert!(world.apns.wait_for_count(PATIENCE, pushes + 1, |push| push.token == token).await.is_some());

    // What is for IMAP is for IMAP.
    let baseline = Some(v1::Baseline { uid_validity: 1, uid_next: 1, highest_modseq: 0 });
    let refused = phone.defer_with(v1::DeferRequest { wait, baseline, ..Default::default() }).await.unwrap_err();
    assert_eq!((reason(&refused).as_str(), fields(&refused)), ("FIELD_INVALID", vec!["baseline".to_owned()]));
}

#[tokio::test]
async fn a_defer_and_a_stop_give_up_a_poll_at_once() {
    let world = World::new().await;
    let eas = eas(&world).await;
    let server = serve(&world, &[&eas]).await;
    for stop in [false, true] {
        let mut phone = phone(&server, &eas, ping(&eas)).await;
        let before = eas.requests().len();
        phone.register().await.unwrap();
        assert!(eas.wait_for_requests(PATIENCE, before + 1).await);
        let connection = eas.requests().last().unwrap().connection;
        let state = if stop {
            phone.stop().await.unwrap();
            phone.status().await.unwrap().state()
        } else {
            phone.defer(300).await.unwrap().state()
        };
        assert_eq!(state, if stop { SessionState::Ended } else { SessionState::Waiting });
        let gone = |event: &EasEvent| *event == EasEvent::GivenUp { connection };
        assert!(eas.wait_for(Duration::from_secs(5), gone).await.is_some(), "{:?}", eas.events());
    }
    // While it backs off, a Defer is heard too.
    eas.play(Manner::status_with(503, "Retry-After", "3000"));
    let mut phone = phone(&server, &eas, ping(&eas)).await;
    phone.register().await.unwrap();
    phone.becomes_state(SessionState::Retrying).await;
    assert_eq!(phone.defer(300).await.unwrap().state(), SessionState::Waiting);
    phone.stop().await.unwrap();
    assert_eq!(phone.status().await.unwrap().end_reason(), EndReason::Stopped);
}

#[tokio::test]
async fn mail_that_comes_while_the_server_is_dead_is_pushed() {
    let world = World::new().await;
    let eas = eas(&world).await;
    let mut server = serve(&world, &[&eas]).await;
    let mut phone = phone(&server, &eas, ping(&eas)).await;
    phone.register().await.unwrap();
    assert!(eas.wait_for_requests(PATIENCE, 1).await);
    server.kill();
    assert!(eas.wait_for(PATIENCE, given_up).await.is_some());
    eas.deliver();
    let server = world.serve().await;
    let token = phone.push_token();
    assert!(world.apns.wait_for(PATIENCE, |push| push.token == token).await.is_some());
    phone.stop().await.unwrap();
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_connection_is_kept_and_a_redirection_is_followed() {
    let world = World::new().await;
    let (first, second) = (eas(&world).await, eas(&world).await);
    let server = serve(&world, &[&first, &second]).await;
    let location = format!("https://{}/Elsewhere?Cmd=Options", second.address());
    first.play(Manner::status_with(451, "X-MS-Location", &location));
    // It answers after a second: too fast, but the first two times that is let pass.
    let mut target = ping(&first);
    target.request.as_mut().unwrap().body = ping_request(Duration::from_secs(1)).into();
    let mut phone = phone(&server, &first, target).await;
    phone.register().await.unwrap();
    assert!(second.wait_for_requests(PATIENCE, 3).await, "{:?}", second.events());
    let requests = second.requests();
    assert!(requests[0].path.starts_with("/Elsewhere?Cmd=Ping&DeviceId=A1B2"), "{}", requests[0].path);
    assert!(requests.iter().all(|request| request.authorized && request.connection == 1), "{requests:?}");
    assert_eq!(first.requests().len(), 1);
    let retrying = phone.becomes_state(SessionState::Retrying).await;
    assert_eq!(retrying.last_error.unwrap().code, "POLL_TOO_FAST");
}

#[tokio::test]
async fn targets_that_may_not_be_dialled_are_refused_at_registration() {
    let world = World::new().await;
    let eas = eas(&world).await;
    let server = serve(&world, &[&eas]).await;
    let url = "mail_target.eas.url".to_owned();
    for (address, expected) in [
        ("https://127.0.0.1/M?Cmd=Ping", "PORT_BLOCKED"),
        ("https://10.0.0.1:PORT/M?Cmd=Ping", "ADDRESS_BLOCKED"),
        ("https://127.0.0.1:PORT/M?Cmd=Ping&User=sophia", "FIELD_INVALID"),
        ("http://127.0.0.1:PORT/M?Cmd=Ping", "FIELD_INVALID"),
    ] {
        let mut target = ping(&eas);
        target.url = address.replace("PORT", &eas.address().port().to_string());
        let mut phone = phone_of(&server, &eas).await;
        phone.request.mail_target = Some(v1::MailTarget { server: Some(v1::mail_target::Server::Eas(target)) });
        let refused = phone.register().await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, expected), "{address}");
        assert_eq!(fields(&refused), std::slice::from_ref(&url), "{address}");
    }
    let mut target = ping(&eas);
    target.authentication = v1::EasAuthentication::Bearer.into();
    let refused = phone(&server, &eas, target).await.register().await.unwrap_err();
    assert_eq!(reason(&refused), "CREDENTIAL_MISMATCH");
    assert!(eas.requests().is_empty());
}

async fn phone_of(server: &Server, eas: &EasServer) -> Phone {
    phone(server, eas, ping(eas)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_registers_a_long_poll() {
    let world = World::new().await;
    let eas = eas(&world).await;
    let server = serve(&world, &[&eas]).await;
    let folder = world.folder.path();
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).unwrap();
        folder.join(name).display().to_string()
    };
    let (body, quiet) = (file("body", &ping_request(WAIT)), file("quiet", &ping_answer(1, &[])));
    let state = folder.join("device.json").display().to_string();
    let (url, token) = (eas.url("Ping"), "cd".repeat(32));
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinger"));
    command.args(["device", "--state", &state, "register", "--server", &server.device_api, "--trust-first-use"]);
    command.args(["--eas", &url, "--eas-body", &body, "--eas-no-change", &quiet]);
    command.args(["--eas-header", "X-MS-PolicyKey: 7", "--username", USER]);
    command.args(["--apns-token", &token, "--apns-topic", TOPIC, "--apns-environment", "development"]);
    command.env("PINGER_APP_KEY", APP_KEY).env("PINGER_PASSWORD", PASSWORD);
    let out = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(out.status.success(), "{out:?}");
    assert!(eas.wait_for_requests(PATIENCE, 1).await);
    assert_eq!(eas.requests()[0].header("x-ms-policykey"), Some("7"));
    eas.deliver();
    assert!(world.apns.wait_for(PATIENCE, |push| push.token == token).await.is_some());
}
