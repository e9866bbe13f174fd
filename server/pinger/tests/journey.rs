//! The main job, from outside: a phone registers, mail arrives at a real Dovecot, the phone is pushed.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "harness/mod.rs"]
mod harness;

use std::time::Duration;

use harness::{Account, PATIENCE, Phone, World, reason};
use peers::dovecot::{Dovecot, DovecotOptions};
use peers::hostile::{Event, HostileImap, Moment, Script, Transport, Trick};
use proto::v1::{EndReason, ImapMechanism, ImapSecurity, SessionState};

async fn dovecot(world: &World, idle: bool) -> Dovecot {
    let authority = Some(world.authority.clone());
    Dovecot::start(DovecotOptions { idle, authority, ..DovecotOptions::default() }).await.unwrap()
}

fn alice(dovecot: &Dovecot) -> Account {
    Account::imaps(dovecot.imaps_address(), "alice", "alice's password")
}

fn ports(dovecot: &Dovecot) -> [u16; 2] {
    [dovecot.imaps_address().port(), dovecot.imap_address().port()]
}

#[tokio::test]
async fn mail_is_pushed_once_and_the_phone_answers() {
    let world = World::new().await;
    let dovecot = dovecot(&world, true).await;
    world.configure(&ports(&dovecot), "", "");
    let server = world.serve().await;
    let mut phone = Phone::new(&server, &alice(&dovecot)).await;
    phone.register().await.unwrap();
    phone.is_watched().await;

    dovecot.deliver("alice", "hello").await.unwrap();
    let token = phone.push_token();
    let push = world.apns.wait_for(PATIENCE, |push| push.token == token).await.unwrap();
    assert!(push.accepted(), "{push:?}");
    assert_eq!(push.collapse_id.as_deref(), Some(phone.session.as_str()));
    assert_eq!(push.push_type.as_deref(), Some("background"));
    assert_eq!(push.payload["pinger"]["event"], "new_mail");
    assert_eq!(push.payload["pinger"]["contexts"][0], phone.request.context.as_str());
    assert!(!push.payload.to_string().contains("alice"));
    phone.becomes_state(SessionState::Holding).await;

    // More mail in the hold is gathered.
    dovecot.deliver("alice", "again").await.unwrap();
    phone.becomes(|session| session.baseline.is_some_and(|baseline| baseline.uid_next == 3)).await;
    assert_eq!(world.apns.pushes_to(&token).len(), 1);
    // The phone has woken up, read everything, and goes back to sleep.
    let baseline = phone.status().await.unwrap().baseline;
    let wait = Some(prost_types::Duration { seconds: 0, nanos: 0 });
    let deferred = phone.defer_with(proto::v1::DeferRequest { wait, baseline, ..Default::default() }).await.unwrap();
    assert_eq!(deferred.state(), SessionState::Watching);
    dovecot.deliver("alice", "third").await.unwrap();
    assert!(world.apns.wait_for_count(PATIENCE, 2, |push| push.token == token).await.is_some());

    phone.stop().await.unwrap();
    phone.stop().await.unwrap();
    let ended = phone.status().await.unwrap();
    assert_eq!((ended.state(), ended.end_reason()), (SessionState::Ended, EndReason::Stopped));
    let refused = phone.defer(5).await.unwrap_err();
    assert_eq!(reason(&refused), "SESSION_ENDED");
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn each_way_to_connect_and_to_log_in() {
    let world = World::new().await;
    let dovecot = dovecot(&world, true).await;
    dovecot.accept_token("alice's access token", "alice");
    world.configure(&ports(&dovecot), "", "");
    let server = world.serve().await;
    let plain = alice(&dovecot);
    let starttls = Account { port: dovecot.imap_address().port(), security: ImapSecurity::Starttls, ..plain.clone() };
    let oauth =
        Account { mechanism: ImapMechanism::Xoauth2, secret: "alice's access token".to_owned(), ..plain.clone() };
    let login = |account: &Account| Account { mechanism: ImapMechanism::Login, ..account.clone() };
    let mut phones = Vec::new();
    for account in [plain.clone(), login(&plain), oauth, starttls.clone(), login(&starttls)] {
        let mut phone = Phone::new(&server, &account).await;
        phone.register().await.unwrap();
        phone.is_watched().await;
        phones.push(phone);
    }
    dovecot.deliver("alice", "to all").await.unwrap();
    for phone in phones {
        let token = phone.push_token();
        assert!(world.apns.wait_for(PATIENCE, |push| push.token == token).await.is_some(), "{:?}", phone.account);
    }
}

#[tokio::test]
async fn without_idle_the_mailbox_is_polled() {
    let world = World::new().await;
    let dovecot = dovecot(&world, false).await;
    world.configure(&ports(&dovecot), "poll_seconds = 1\npoll_max_seconds = 1", "");
    let server = world.serve().await;
    let mut phone = Phone::new(&server, &alice(&dovecot)).await;
    phone.register().await.unwrap();
    phone.is_watched().await;
    dovecot.deliver("alice", "hello").await.unwrap();
    assert!(world.apns.wait_for(PATIENCE, |push| push.accepted()).await.is_some());
}

#[tokio::test]
async fn mail_that_comes_while_nobody_looks_is_pushed() {
    let world = World::new().await;
    let dovecot = dovecot(&world, true).await;
    world.configure(&ports(&dovecot), "", "");
    let mut server = world.serve().await;
    // While the device is awake: nothing is connected, and the baseline was taken at registration.
    let mut waiting = Phone::new(&server, &alice(&dovecot)).await.waiting(3);
    waiting.register().await.unwrap();
    let seen = waiting.becomes(|session| session.baseline.is_some()).await;
    assert_eq!(seen.state(), SessionState::Waiting);
    let bob = Account::imaps(dovecot.imaps_address(), "bob", "bob's password");
    let mut watching = waiting.another(&bob);
    watching.register().await.unwrap();
    watching.is_watched().await;
    dovecot.deliver("alice", "while waiting").await.unwrap();
    let token = waiting.push_token();
    assert!(world.apns.wait_for(PATIENCE, |push| push.token == token).await.is_some());

    // While the server is dead.
    server.kill();
    dovecot.deliver("bob", "while dead").await.unwrap();
    let server = world.serve().await;
    let token = watching.push_token();
    assert!(world.apns.wait_for(PATIENCE, |push| push.token == token).await.is_some());
    watching.becomes_state(SessionState::Holding).await;
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_mail_server_that_restarts_loses_no_mail() {
    let world = World::new().await;
    let mut dovecot = dovecot(&world, true).await;
    world.configure(&ports(&dovecot), "", "");
    let server = world.serve().await;
    let mut phone = Phone::new(&server, &alice(&dovecot)).await;
    phone.register().await.unwrap();
    phone.is_watched().await;
    dovecot.stop();
    let retrying = phone.becomes_state(SessionState::Retrying).await;
    assert!(retrying.last_error.is_some());
    dovecot.restart().await.unwrap();
    dovecot.deliver("alice", "after the restart").await.unwrap();
    assert!(world.apns.wait_for(Duration::from_secs(60), |push| push.accepted()).await.is_some());
    let holding = phone.becomes_state(SessionState::Holding).await;
    assert_eq!(holding.last_error, None);
}

#[tokio::test]
async fn a_refused_password_ends_it_after_two_logins_and_says_register() {
    let world = World::new().await;
    let dovecot = dovecot(&world, true).await;
    world.configure(&ports(&dovecot), "refusal_pause_seconds = 1", "");
    let server = world.serve().await;
    let wrong = Account { secret: "wrong".to_owned(), ..alice(&dovecot) };
    let mut phone = Phone::new(&server, &wrong).await;
    phone.register().await.unwrap();
    let ended = phone.becomes_state(SessionState::Ended).await;
    assert_eq!(ended.end_reason(), EndReason::CredentialRefused);
    assert_eq!(ended.last_error.unwrap().code, "LOGIN_REFUSED");
    let push = world.apns.wait_for(PATIENCE, |push| push.accepted()).await.unwrap();
    assert_eq!(push.payload["pinger"]["event"], "register");
    assert_eq!(dovecot.refused_logins("alice"), 2);
}

#[tokio::test]
async fn a_stop_closes_a_connection_in_the_making() {
    let world = World::new().await;
    let script = Script::At(Moment::Login, Trick::Hang);
    let hostile = HostileImap::start_with(script, Transport::Tls, Some(world.authority.clone())).await.unwrap();
    world.configure(&[hostile.address().port()], "", "");
    let server = world.serve().await;
    let mut phone = Phone::new(&server, &Account::imaps(hostile.address(), "alice", "secret")).await;
    phone.register().await.unwrap();
    let login =
        hostile.wait_for(PATIENCE, |event| matches!(event, Event::Command { line, .. } if line.contains("AUTH")));
    assert!(login.await.is_some());
    phone.stop().await.unwrap();
    // The deadline for the login is 30 seconds.
    let closed = hostile.wait_for(Duration::from_secs(5), |event| matches!(event, Event::Closed { .. }));
    assert!(closed.await.is_some(), "{:?}", hostile.events());
}
