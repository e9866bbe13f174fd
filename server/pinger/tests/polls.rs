//! Mailboxes that are polled: servers without IDLE, and those whose IDLE keeps quiet about mail.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "harness/mod.rs"]
mod harness;

use std::time::Duration;

use harness::{Account, PATIENCE, Phone, World};
use peers::dovecot::{Dovecot, DovecotOptions};
use peers::hostile::{Event, HostileImap, Script, Transport};
use proto::v1::SessionState;

/// Long pauses are spent without a connection; mail is found by the next log-in, and calls bring none forward.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_closed_between_polls_that_are_far_apart() {
    let world = World::new().await;
    let authority = Some(world.authority.clone());
    let dovecot = Dovecot::start(DovecotOptions { idle: false, authority, ..DovecotOptions::default() }).await.unwrap();
    let ports = [dovecot.imaps_address().port()];
    world.configure(&ports, "poll_seconds = 3\npoll_max_seconds = 3\npoll_close_seconds = 1", "");
    let server = world.serve().await;
    let mut phone = Phone::new(&server, &Account::imaps(dovecot.imaps_address(), "alice", "alice's password")).await;
    phone.register().await.unwrap();
    phone.is_watched().await;
    // Each of these wakes the watch while it rests.
    for _ in 0..20 {
        phone.defer(0).await.unwrap();
    }
    assert!(dovecot.logins("alice") <= 2, "{}", dovecot.log());
    assert_eq!(phone.status().await.unwrap().state(), SessionState::Watching);
    assert!(dovecot.wait_for_logins(PATIENCE, "alice", 3).await);
    dovecot.deliver("alice", "hello").await.unwrap();
    assert!(world.apns.wait_for(PATIENCE, |push| push.accepted()).await.is_some());
    let left = |line: &str| line.contains("Logged out");
    assert!(dovecot.wait_for_log(PATIENCE, left).await.is_some());
    phone.stop().await.unwrap();
    let logins = dovecot.logins("alice");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(dovecot.logins("alice"), logins, "a session that has ended does not log in");
    assert!(server.terminate().await.success());
}

/// Two lies, and the session is polled: the third mail is found without IDLE.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_that_lies_becomes_polls() {
    let world = World::new().await;
    let authority = Some(world.authority.clone());
    let hostile = HostileImap::start_with(Script::LyingIdle, Transport::Tls, authority).await.unwrap();
    let quirk = "quirk = [{ host = \"127.0.0.1\", renew_seconds = 1 }]";
    let settings = format!("poll_seconds = 1\npoll_max_seconds = 1\nhold_seconds = 1\n{quirk}");
    world.configure(&[hostile.address().port()], &settings, "");
    let server = world.serve().await;
    let mut phone = Phone::new(&server, &Account::imaps(hostile.address(), "alice", "secret")).await;
    phone.register().await.unwrap();
    phone.is_watched().await;
    for mail in 1..=2 {
        hostile.deliver();
        let pushed = world.apns.wait_for_count(PATIENCE, mail, |push| push.accepted()).await;
        assert!(pushed.is_some(), "mail {mail}");
    }
    let is_idle = |event: &Event| matches!(event, Event::Command { line, .. } if line == "IDLE");
    let idles = || hostile.events().iter().filter(|event| is_idle(event)).count();
    let before = idles();
    hostile.deliver();
    assert!(world.apns.wait_for_count(PATIENCE, 3, |push| push.accepted()).await.is_some());
    assert_eq!(idles(), before, "IDLE is tried no more");
    assert_eq!(hostile.connects(), 1);
    let told = "IDLE kept quiet about mail; the mailbox is polled from now on";
    assert!(server.log().contains(told), "{}", server.log());
    assert!(server.terminate().await.success());
}
