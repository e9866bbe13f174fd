//! The main job on PostgreSQL, and with a store in trouble: what was answered is kept, what can't be stored is refused with
//! a stable reason, and all goes on when the trouble is over.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that panics has failed, and says why it looks at nothing"
)]

#[path = "harness/mod.rs"]
mod harness;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use harness::{Account, PATIENCE, Phone, Server, World, reason};
use peers::imap_server::{ImapOptions, ImapServer};
use peers::postgres::Postgres;
use proto::v1::SessionState;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

const USERS: [&str; 3] = ["alice", "bob", "carol"];

async fn mail_server(world: &World) -> ImapServer {
    let users = USERS.iter().map(|user| (user.to_string(), format!("{user}'s password"))).collect();
    let authority = Some(world.authority.clone());
    ImapServer::start(ImapOptions { users, authority, ..ImapOptions::default() }).await.unwrap()
}

fn account(mail: &ImapServer, user: &str) -> Account {
    Account::imaps(mail.address(), user, &format!("{user}'s password"))
}

async fn pushed(world: &World, phone: &Phone) -> bool {
    let token = phone.push_token();
    world.apns.wait_for(PATIENCE, |push| push.token == token && push.accepted()).await.is_some()
}

#[track_caller]
fn is_refused_for_now(status: &Status) {
    assert_eq!((status.code(), reason(status).as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"), "{status:?}");
    let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert!(retry.is_some_and(|after| !after.is_zero()), "{status:?}");
}

#[track_caller]
fn is_calm(server: &Server) {
    let log = server.log();
    assert!(!log.contains("panicked") && !log.contains("crashed"), "{log}");
}

#[tokio::test]
async fn the_main_job_on_postgresql_survives_a_kill() {
    let world = World::new().await;
    let mail = mail_server(&world).await;
    world.configure(&[mail.address().port()], "hold_seconds = 1", "");
    let postgres = Postgres::start().await.unwrap();
    postgres.database().await.unwrap();
    let url = postgres.tls_url("pinger_0");
    let environment = [("PINGER_DATABASE_URL", url.as_str())];
    let mut server = world.serve_with(&environment).await;
    let mut phone = Phone::new(&server, &account(&mail, "alice")).await;
    phone.register().await.unwrap();
    phone.is_watched().await;
    mail.deliver("alice").await.unwrap();
    assert!(pushed(&world, &phone).await);
    let mut other = phone.another(&account(&mail, "bob"));
    other.register().await.unwrap();
    other.is_watched().await;

    server.kill();
    mail.deliver("bob").await.unwrap();
    let server = world.serve_with(&environment).await;
    assert!(pushed(&world, &other).await, "what came while nobody watched");
    phone.becomes(|session| session.baseline.is_some()).await;
    mail.deliver("alice").await.unwrap();
    let token = phone.push_token();
    assert!(world.apns.wait_for_count(PATIENCE, 2, |push| push.token == token).await.is_some(), "watched again");
    assert!(!world.data().join("pinger.db").exists(), "it is in PostgreSQL alone");
    let password = url.split(['@']).next().unwrap().rsplit(':').next().unwrap();
    let log = server.log();
    assert!(!log.contains(password) && !log.contains(&password.replace("%20", " ").replace("%3A", ":")), "{log}");
    is_calm(&server);
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn postgresql_goes_away_for_ten_seconds_and_nothing_is_lost() {
    let world = World::new().await;
    let mail = mail_server(&world).await;
    world.configure(&[mail.address().port()], "", "");
    let mut postgres = Postgres::start().await.unwrap();
    let url = postgres.database().await.unwrap();
    let server = world.serve_with(&[("PINGER_DATABASE_URL", &url)]).await;
    let mut watched = Phone::new(&server, &account(&mail, "alice")).await;
    watched.register().await.unwrap();
    watched.is_watched().await;

    postgres.stop().await.unwrap();
    let away = Instant::now();
    mail.deliver("alice").await.unwrap();
    let mut late = watched.another(&account(&mail, "bob"));
    is_refused_for_now(&late.register().await.unwrap_err());
    is_refused_for_now(&watched.status().await.unwrap_err());
    assert!(away.elapsed() < Duration::from_secs(10), "callers wait for {:?}", away.elapsed());
    tokio::time::sleep(Duration::from_secs(10).saturating_sub(away.elapsed())).await;
    assert!(world.apns.pushes().is_empty(), "a push that is written down nowhere");

    postgres.start_again().await.unwrap();
    assert!(pushed(&world, &watched).await, "the mail that came in the meantime");
    late.register().await.unwrap();
    late.is_watched().await;
    mail.deliver("bob").await.unwrap();
    assert!(pushed(&world, &late).await);
    watched.becomes_state(SessionState::Holding).await;
    is_calm(&server);
    assert!(server.terminate().await.success());
}

/// A small disk of a test's own. It needs the right to mount one.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs"]).arg(at).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn clear(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_what_it_cannot_keep_and_loses_nothing() {
    let world = World::new().await;
    let Some(disk) = Disk::mount(&world.data()) else {
        println!("skipped: it needs the right to mount a tmpfs");
        return;
    };
    let mail = mail_server(&world).await;
    world.configure(&[mail.address().port()], "", "");
    let mut server = world.serve().await;
    let mut watched = Phone::new(&server, &account(&mail, "alice")).await;
    watched.register().await.unwrap();
    watched.is_watched().await;

    disk.fill();
    // The log has some room of its own, which is used up first.
    let mut kept = Vec::new();
    let refused = loop {
        let mut phone = watched.another(&account(&mail, "bob")).waiting(600);
        phone.seal();
        match phone.register().await {
            Ok(_) => kept.push(phone),
            Err(status) => break status,
        }
        assert!(kept.len() < 2000, "the disk is never full");
    };
    is_refused_for_now(&refused);
    mail.deliver("alice").await.unwrap();
    // What is stored can be read, while nothing can be written.
    watched.status().await.unwrap();

    disk.clear();
    let mut late = watched.another(&account(&mail, "carol"));
    assert!(pushed(&world, &watched).await, "the mail that came while there was no room");
    late.register().await.unwrap();
    late.is_watched().await;
    is_calm(&server);
    server.kill();
    let server = world.serve().await;
    for phone in kept.iter().chain([&late, &watched]) {
        phone.status().await.unwrap();
    }
    println!("{} registrations were acknowledged on a disk that was filling, and are all there", kept.len());
    assert!(server.terminate().await.success());
    drop(disk);
}
