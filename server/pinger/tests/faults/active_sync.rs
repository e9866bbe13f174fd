//! ActiveSync servers that refuse, redirect, hurry, break off or flood, all at once.

use std::time::Duration;

use peers::eas::{EasOptions, EasServer, Manner, ping_answer, ping_request};
use proto::v1::{self, EndReason, SessionState};

use super::harness::{Account, PATIENCE, Phone, World};
use super::{Scene, documented};

const USER: &str = "blanche.devereaux@example.org";
const PASSWORD: &str = "southern-belle-of-the-long-poll";

async fn server(world: &World, manner: Manner) -> EasServer {
    let users = vec![(USER.to_owned(), PASSWORD.to_owned())];
    let options = EasOptions { users, authority: Some(world.authority.clone()), ..EasOptions::default() };
    let server = EasServer::start(options).await.unwrap();
    server.play(manner);
    server
}

fn phone(scene: &Scene, server: &EasServer) -> Phone {
    let target = v1::EasTarget {
        url: server.url("Ping"),
        command: v1::EasCommand::Ping.into(),
        authentication: v1::EasAuthentication::Basic.into(),
        request: Some(v1::EasRequest {
            headers: vec![],
            body: ping_request(Duration::from_secs(60)).into(),
            no_change_body: ping_answer(1, &[]).into(),
        }),
    };
    scene.healthy.another(&Account::imaps(server.address(), USER, PASSWORD)).polling(target, 60)
}

/// The scene, and the servers with what is expected of each.
async fn scene(cases: Vec<(Manner, &'static str)>) -> (Scene, Vec<(EasServer, &'static str)>) {
    let world = World::new().await;
    let mut servers = Vec::new();
    for (manner, code) in cases {
        servers.push((server(&world, manner).await, code));
    }
    let ports: Vec<u16> = servers.iter().map(|(server, _)| server.address().port()).collect();
    let backend = format!("mail_deadline_seconds = 2\nrefusal_pause_seconds = 1\nallow_eas_ports = {ports:?}");
    let scene = Scene::within(world, &[], &backend, |configuration| configuration).await;
    (scene, servers)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_an_activesync_server_has_its_code_and_is_tried_again() {
    let (scene, servers) = scene(vec![
        (Manner::status(403), "ACCESS_DENIED"),
        (Manner::Body(ping_answer(129, &[])), "ACCESS_DENIED"),
        (Manner::status_with(451, "X-MS-Location", "http://127.0.0.1/M"), "REDIRECT_REFUSED"),
        (Manner::status_with(302, "Location", "https://127.0.0.1/M"), "REDIRECT_REFUSED"),
        (Manner::status(451), "REDIRECT_REFUSED"),
        (Manner::status_with(451, "X-MS-Location", "https://10.0.0.1/M"), "ADDRESS_BLOCKED"),
        (Manner::status_with(503, "Retry-After", "600"), "THROTTLED"),
        (Manner::status(429), "THROTTLED"),
        (Manner::status(500), "SERVER_ERROR"),
        (Manner::Body(ping_answer(8, &[])), "SERVER_ERROR"),
        (Manner::status(404), "NOT_ACTIVESYNC"),
        (Manner::Body(b"<html>Sign in to the hotel's network</html>".to_vec()), "NOT_ACTIVESYNC"),
        (Manner::TooFast, "POLL_TOO_FAST"),
        (Manner::Half, "CONNECTION_LOST"),
        (Manner::EndlessBody, "FLOOD_REFUSED"),
        (Manner::EndlessHead, "FLOOD_REFUSED"),
    ])
    .await;
    let mut phones = Vec::new();
    for (server, code) in &servers {
        let mut phone = phone(&scene, server);
        phone.register().await.unwrap();
        phones.push((phone, code));
    }
    // What the server asks for, or a minute if it doesn't say.
    let mut asked = [600, 60].into_iter();
    for (phone, code) in &phones {
        documented(code);
        let failed = phone.becomes(|session| {
            session.state() == SessionState::Retrying
                && session.last_error.as_ref().is_some_and(|error| error.code == **code)
        });
        let session = failed.await;
        if **code == "THROTTLED" {
            let pause = session.deadline.unwrap().seconds - session.last_error.unwrap().time.unwrap().seconds;
            let asked = asked.next().unwrap();
            assert!((asked..=asked * 3 / 2 + 1).contains(&pause), "{pause}");
        }
    }
    scene.unharmed().await;
    // Nothing of all that is mail.
    for (phone, code) in &phones {
        assert!(scene.world.apns.pushes_to(&phone.push_token()).is_empty(), "{code}");
    }
    scene.ends_well(&[USER.to_owned(), PASSWORD.to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_device_can_mend_ends_the_session_and_says_register() {
    let refused = || (Manner::status(401), "LOGIN_REFUSED");
    let mut cases = vec![
        refused(),
        (Manner::status(449), "PROVISION_NEEDED"),
        (Manner::Body(ping_answer(142, &[])), "PROVISION_NEEDED"),
    ];
    cases.extend((3..=7).map(|status| (Manner::Body(ping_answer(status, &[])), "REQUEST_REFUSED")));
    let (scene, servers) = scene(cases).await;
    for (server, code) in &servers {
        let mut phone = phone(&scene, server);
        phone.register().await.unwrap();
        let ended = phone.becomes_state(SessionState::Ended).await;
        let login = *code == "LOGIN_REFUSED";
        let reason = if login { EndReason::CredentialRefused } else { EndReason::RequestRefused };
        assert_eq!((ended.end_reason(), ended.last_error.unwrap().code.as_str()), (reason, *code));
        let token = phone.push_token();
        let push = scene.world.apns.wait_for(PATIENCE, |push| push.token == token).await.unwrap();
        assert_eq!(push.payload["pinger"]["event"], "register");
        // Once more after a refused password, and never again.
        assert_eq!(server.requests().len(), if login { 2 } else { 1 }, "{code}");
    }
    documented("END_REASON_REQUEST_REFUSED");
    scene.ends_well(&[USER.to_owned(), PASSWORD.to_owned()]).await;
}
