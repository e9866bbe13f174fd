//! A provider that answers nobody holds up its own sessions, and no others.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use peers::hostile::{HostileImap, Script, Transport};
use peers::imap_server::{ImapOptions, ImapServer};

use super::PATIENCE;
use super::browser::{Browser, with_dashboard};
use super::harness::{Account, Phone, World};

const NAME: &str = "patience@example.org";
const PASSWORD: &str = "a virtue";

/// Ten sessions at the good server: how long the slowest of them took to be watched.
async fn ten(first: &Phone, good: &ImapServer) -> Duration {
    let one = async |number: usize| {
        let account = Account::imaps(good.addresses()[1], &format!("{number}.{NAME}"), PASSWORD);
        let mut phone = first.another(&account);
        let began = Instant::now();
        phone.register().await.unwrap();
        phone.is_watched().await;
        began.elapsed()
    };
    join_all((0..10).map(one)).await.into_iter().max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_delays_nobody_else() {
    let world = World::new().await;
    let authority = Some(world.authority.clone());
    let hole = HostileImap::start_with(Script::HangInTls, Transport::Tls, authority.clone()).await.unwrap();
    // Accounts of their own, each; and another address of this machine's, which is another host.
    let open_password = Some(PASSWORD.to_owned());
    let options = ImapOptions { open_password, addresses: 2, authority, ..ImapOptions::default() };
    let good = ImapServer::start(options).await.unwrap();
    let ports = [hole.address().port(), good.address().port()];
    with_dashboard(&world.configure(&ports, "mail_deadline_seconds = 5", ""), "");
    let server = world.serve().await;
    let staff = Browser::sign_up(&server.ready).await;
    let first = Phone::new(&server, &Account::imaps(hole.address(), NAME, PASSWORD)).await;
    let alone = ten(&first, &good).await;

    let began = Instant::now();
    let account = |number: usize| Account::imaps(hole.address(), &format!("{number}.{NAME}"), PASSWORD);
    let stuck = join_all((0..200).map(|number| {
        let mut phone = first.another(&account(number));
        async move {
            phone.register().await.unwrap();
            phone
        }
    }));
    let stuck = stuck.await;
    assert!(hole.wait_for_connects(PATIENCE, 2).await);
    let beside = ten(&first, &good).await;
    println!("ten sessions were watched after {alone:?}, and after {beside:?} beside 200 at a black hole");
    assert!(beside < alone + Duration::from_secs(1), "{beside:?} beside the black hole, {alone:?} without");
    // Two try it, and then one after the other, five seconds each, however many wait.
    let most = 2 + usize::try_from(began.elapsed().as_secs() / 5).unwrap();
    assert!(hole.connects() <= most, "{}, not {most}", hole.connects());

    // Whoever waits is told for how long.
    let last = format!("/sessions/{}", stuck.last().unwrap().session);
    let waits = staff.get_until(&last, |page| page.contains("waits its turn to connect, about")).await;
    assert!(waits.contains("Connecting"), "{waits}");
}
