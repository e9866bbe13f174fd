//! From new mail to the push request, with 1,000 idle sessions.
//!
//! The clock (CLOCK_MONOTONIC, which processes share) starts when the mail server is about to write `* n EXISTS` and stops
//! when the push receiver, which speaks HTTP/2 over TLS as Apple does, has the request's headers. In between: the backend
//! asks which UIDs are new, moves the baseline and writes the push in one synced commit, and sends it. Mail comes at an
//! even pace, to each session in turn. Mail server, Pinger and receiver are three processes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench prints, and fails loudly")]

#[path = "../tests/harness/mod.rs"]
mod harness;
mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use harness::{Account, PATIENCE, Phone, World};
use peers::monotonic_ns;
use support::machine::{cpu_time, introduce};
use support::mail_server::{self, MailServer, PASSWORD, settling};
use support::{Sample, ms, part, size};
use tokio::time::{MissedTickBehavior, interval};

/// Between two mails.
const PACE: Duration = Duration::from_millis(40);

/// How often each session gets a mail. In between the hold of 30 s that follows a push is over.
const ROUNDS: usize = 2;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match part().as_deref() {
        Some(mail_server::PART) => runtime.block_on(mail_server::run()),
        _ => runtime.block_on(bench()),
    }
}

async fn bench() {
    let sessions = size(1_000, 20);
    let world = World::new().await;
    introduce("new mail to push request", world.folder.path());
    let mut mail = MailServer::start().await;
    mail.is_trusted_by(&world.folder.path().join("ca.pem"));
    world.configure(&[mail.port], "", "");
    let server = world.serve().await;

    let first = Phone::new(&server, &Account::imaps(mail.address(0), "user0", PASSWORD)).await;
    let mut users = HashMap::new();
    for n in 0..sessions {
        let mut phone = first.another(&Account::imaps(mail.address(n), &format!("user{n}"), PASSWORD)).waiting(0);
        phone.register().await.unwrap();
        users.insert(format!("user{n}"), phone.push_token());
    }
    mail.until("idling", sessions).await;
    tokio::time::sleep(settling()).await;

    println!("{sessions} idle sessions, a mail every {}:", ms(PACE));
    println!("| round | mails | p50 | p99 | worst | CPU of the backend for one |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: |");
    for round in 1..=if sessions < 1_000 { 1 } else { ROUNDS } {
        world.apns.clear();
        let (epoch, epoch_ns) = (Instant::now(), monotonic_ns());
        let before = cpu_time(server.pid());
        let mut told = HashMap::new();
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for n in 0..sessions {
            ticks.tick().await;
            mail.deliver(&format!("user{n}")).await;
            let (user, at_ns) = mail.delivered().await;
            told.insert(users[&user].clone(), at_ns);
        }
        let pushes = world.apns.wait_for_count(PATIENCE, sessions, |push| push.valid).await.expect("a push is missing");
        let took = pushes.iter().map(|push| {
            let at_ns = epoch_ns + u64::try_from((push.at - epoch).as_nanos()).unwrap();
            Duration::from_nanos(at_ns - told[&push.token])
        });
        let sample = Sample::new(took.collect());
        let mails = u32::try_from(sessions).unwrap();
        println!(
            "| {round} | {} | {} | {} | {} | {} µs |",
            sample.len(),
            ms(sample.percentile(50)),
            ms(sample.percentile(99)),
            ms(sample.worst()),
            ((cpu_time(server.pid()) - before) / mails).as_micros(),
        );
    }
}
