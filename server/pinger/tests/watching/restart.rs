//! A real Dovecot that is restarted under sessions that idle.
//!
//! `RESTART_SESSIONS` is how many; the figures in `docs/performance.md` are of 1,000.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use domain::LoginRules;
use futures_util::StreamExt as _;
use peers::dovecot::{Dovecot, DovecotOptions, User};
use proto::v1::SessionState;

use super::harness::{Account, Phone, World};

const ACCOUNTS: usize = 20;

/// How long all of them may take for something, on a machine that is busy.
const ALL_PATIENCE: Duration = Duration::from_secs(180);

/// So many calls are made at once.
const CALLS: usize = 32;

fn sessions() -> usize {
    std::env::var("RESTART_SESSIONS").map_or(2 * ACCOUNTS, |count| count.parse().unwrap())
}

fn name(account: usize) -> String {
    format!("restart{account}")
}

/// Limits as an administrator of so many connections sets them.
fn limits(sessions: usize) -> String {
    let (processes, clients) = (2 * sessions + 100, 4 * sessions + 4_000);
    let service = |name: &str, limits: String| format!("service {name} {{\n  {limits}\n}}\n");
    let mut text = service("imap", format!("process_limit = {processes}"));
    text += &service("imap-login", format!("client_limit = {clients}\n  vsz_limit = 1G"));
    for name in ["anvil", "auth", "stats"] {
        text += &service(name, format!("client_limit = {clients}"));
    }
    text
}

/// Waits for something, which is looked for every now and then.
async fn until(what: &str, wanted: usize, mut count: impl AsyncFnMut() -> usize) {
    let deadline = Instant::now() + ALL_PATIENCE;
    loop {
        let count = count().await;
        if count >= wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {count}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How many of the sessions are watched, as their devices are told.
async fn watched(phones: &[Phone]) -> usize {
    let one = |phone: &Phone| {
        let phone = phone.clone();
        async move {
            let session = phone.status().await.unwrap();
            let open = matches!(session.state(), SessionState::Watching | SessionState::Holding);
            usize::from(open && session.baseline.is_some() && session.last_error.is_none())
        }
    };
    futures_util::stream::iter(phones.iter().map(one)).buffer_unordered(CALLS).fold(0, async |sum, one| sum + one).await
}

/// How many of the device tokens have had a push since so many had come.
fn pushed(world: &World, since: usize) -> usize {
    world.apns.pushes().iter().skip(since).map(|push| push.token.clone()).collect::<HashSet<_>>().len()
}

/// How Dovecot ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Terminated,
    Killed,
}

#[tokio::test(flavor = "multi_thread")]
async fn dovecot_restarts_under_idling_sessions() {
    let count = sessions();
    let world = World::new().await;
    let accounts: Vec<_> = (0..ACCOUNTS).map(|number| User::new(&name(number), "open sesame")).collect();
    let mut dovecot = Dovecot::start(DovecotOptions {
        users: accounts.clone(),
        authority: Some(world.authority.clone()),
        extra_configuration: limits(count),
        ..DovecotOptions::default()
    })
    .await
    .unwrap();
    world.configure(&[dovecot.imaps_address().port()], "hold_seconds = 1", "");
    let server = world.serve().await;

    let account =
        |number: usize| Account::imaps(dovecot.imaps_address(), &accounts[number % ACCOUNTS].name, "open sesame");
    let first = Phone::new(&server, &account(0)).await;
    let register = |number: usize| {
        let mut phone = first.another(&account(number));
        async move {
            phone.register().await.unwrap();
            phone
        }
    };
    let began = Instant::now();
    let phones: Vec<_> = futures_util::stream::iter((0..count).map(register)).buffer_unordered(CALLS).collect().await;
    until("sessions watched", count, async || watched(&phones).await).await;
    println!(
        "{count} sessions of {ACCOUNTS} accounts are watched {:.1} s after the first of them registered",
        began.elapsed().as_secs_f64()
    );

    for end in [End::Terminated, End::Killed] {
        let (logins, pushes) = (dovecot.all_logins(), world.apns.pushes().len());
        match end {
            End::Terminated => dovecot.terminate().await.unwrap(),
            End::Killed => dovecot.stop(),
        }
        let down = Instant::now();
        for account in &accounts {
            dovecot.deliver_meanwhile(&account.name, "While it was down").unwrap();
        }
        // Everybody notices, so that nobody is counted as watched who isn't.
        until("sessions that notice", count, async || count - watched(&phones).await).await;
        dovecot.restart().await.unwrap();
        let up = Instant::now();
        until("connections", count, async || dovecot.connections().await.unwrap()).await;
        until("sessions watched again", count, async || watched(&phones).await).await;
        let took = up.elapsed().as_secs_f64();
        let logins = dovecot.all_logins() - logins;
        // The mail of the meantime, to each.
        until("devices told", count, async || pushed(&world, pushes)).await;
        println!(
            "{end:?}: down for {:.1} s; all {count} sessions are watched again after {took:.1} s ({logins} log-ins, \
             {:.0}/s), and each is told of the mail of the meantime after {:.1} s",
            (up - down).as_secs_f64(),
            logins as f64 / took,
            up.elapsed().as_secs_f64(),
        );
        assert!(logins >= count);
        for account in &accounts {
            let refused = dovecot.refused_logins(&account.name);
            assert!(refused <= LoginRules::default().per_account, "{}: {refused} refused", account.name);
        }
    }

    // They are watched indeed: each hears of the next mail.
    let pushes = world.apns.pushes().len();
    for account in &accounts {
        dovecot.deliver(&account.name, "And now").await.unwrap();
    }
    until("devices told of new mail", count, async || pushed(&world, pushes)).await;
}
