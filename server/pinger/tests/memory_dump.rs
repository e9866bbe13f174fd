//! What a memory dump gives away: of the gateway at any time, and of the backend while its sessions idle.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that panics has failed, and its figures are for whoever reads them"
)]

#[path = "memory_dump/dump.rs"]
mod dump;
#[path = "harness/mod.rs"]
mod harness;

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dump::{Needles, dump};
use harness::{Account, PATIENCE, Phone, Server, World};
use peers::dovecot::{Dovecot, DovecotOptions, User};
use peers::hostile::{HostileImap, Moment, Script, Transport, Trick};
use proto::v1::{ImapMechanism, ImapSecurity, SessionState};
use rand::Rng as _;
use rand::distr::Alphanumeric;

const SESSIONS: usize = 50;

/// Dumps of the gateway under load.
const DUMPS: usize = 4;

/// 32 characters that are nowhere else, and neither is any eight of them in a row.
fn random_text() -> String {
    rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect()
}

/// Accounts by all mechanisms, over TLS and STARTTLS, and what in them must not be found.
fn accounts(dovecot: &Dovecot, users: &[User]) -> (Vec<Account>, Needles) {
    let mut needles = Needles::default();
    let mechanisms = [ImapMechanism::Plain, ImapMechanism::Login, ImapMechanism::Xoauth2];
    let accounts = users.iter().enumerate().map(|(number, user)| {
        let mechanism = mechanisms[number % mechanisms.len()];
        let mut account = Account::imaps(dovecot.imaps_address(), &user.name, &user.password);
        account.mechanism = mechanism;
        if number % 2 == 1 {
            account.port = dovecot.imap_address().port();
            account.security = ImapSecurity::Starttls;
        }
        let kind = mechanism.as_str_name();
        if mechanism == ImapMechanism::Xoauth2 {
            account.secret = random_text();
            dovecot.accept_token(&account.secret, &user.name);
        }
        needles.add(&format!("{kind} secret"), account.secret.as_bytes());
        needles.add(&format!("{kind} user name"), account.username.as_bytes());
        account
    });
    (accounts.collect(), needles)
}

/// What only the backend may know.
fn backend_secrets(world: &World, database: &str) -> Needles {
    let mut needles = Needles::default();
    needles.add("database", database.as_bytes());
    let key = std::fs::read_to_string(world.apns.provider_key().write(world.folder.path()).unwrap()).unwrap();
    let lines: Vec<&str> = key.lines().filter(|line| !line.starts_with('-')).collect();
    // PKCS#8 of a P-256 key: 36 bytes that all have, then the key.
    needles.add_raw("push key, PEM", &lines[0].as_bytes()[48..]);
    needles.add("push key", &STANDARD.decode(lines.concat()).unwrap()[36..68]);
    let ring = std::fs::read(world.data().join("keys.json")).unwrap();
    let ring: serde_json::Value = serde_json::from_slice(&ring).unwrap();
    let mut private = |name: &str, key: &serde_json::Value| {
        let private = STANDARD.decode(key["private"].as_str().unwrap()).unwrap();
        // PKCS#8 of an Ed25519 key: 16 bytes that all have, then the key, then perhaps its public half.
        needles.add(name, if private.len() == 32 { &private } else { &private[16..48] });
    };
    private("identity key", &ring["identity"]);
    private("token key", &ring["token"]);
    private("address hash key", &ring["address_hash"]);
    private("sealing key", &ring["sealing"][0]);
    needles
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_gateway_nor_an_idle_backend_holds_a_credential() {
    let world = World::new().await;
    let users: Vec<_> = (0..SESSIONS).map(|_| User::new(&random_text().to_lowercase(), &random_text())).collect();
    let options =
        DovecotOptions { users: users.clone(), authority: Some(world.authority.clone()), ..DovecotOptions::default() };
    let dovecot = Dovecot::start(options).await.unwrap();
    let (accounts, credentials) = accounts(&dovecot, &users);
    let ports = [dovecot.imaps_address().port(), dovecot.imap_address().port()];
    world.configure(&ports, "", "");
    let database = format!("{}.db", random_text());
    std::fs::create_dir_all(world.data()).unwrap();
    let url = format!("sqlite://{}/{database}", world.data().display());
    let server = world.serve_with(&[("PINGER_DATABASE_URL", &url)]).await;

    let first = Phone::new(&server, &accounts[0]).await;
    let mut phones: Vec<_> = accounts.iter().map(|account| first.another(account)).collect();
    let registered = Cell::new(0);
    let dumped = Cell::new(false);
    // Everyone registers, and then again and again, until the gateway was looked at.
    let load = async {
        while !dumped.get() {
            for phone in &mut phones {
                phone.seal();
                phone.register().await.unwrap();
                registered.set(registered.get() + 1);
                if registered.get() > SESSIONS && dumped.get() {
                    return;
                }
            }
        }
    };
    let mut secrets = credentials.clone();
    secrets.append(backend_secrets(&world, &database));
    let look = async {
        while registered.get() < SESSIONS {
            tokio::task::yield_now().await;
        }
        for number in 0..DUMPS {
            let (gateway, secrets, before) = (server.gateway_pid, secrets.clone(), registered.get());
            let found = tokio::task::spawn_blocking(move || dump(gateway, &secrets)).await.unwrap();
            println!(
                "gateway, dump {number}, {} registrations meanwhile: {}",
                registered.get() - before,
                found.summary()
            );
            assert!(registered.get() > before, "no load");
            found.is_clean("the gateway");
        }
        dumped.set(true);
    };
    tokio::join!(load, look);
    confined(&server);

    // Each session has been pushed to, and so is watched by IDLE.
    for phone in &phones {
        phone.is_watched().await;
    }
    for user in &users {
        dovecot.deliver(&user.name, "hello").await.unwrap();
    }
    for phone in &phones {
        phone.becomes_state(SessionState::Holding).await;
    }
    assert!(world.apns.wait_for_count(PATIENCE, SESSIONS, |push| push.accepted()).await.is_some());
    let pid = server.pid();
    // The backend holds a secret that is its own, which shows that this finds what is there.
    let sealing = backend_secrets(&world, &database);
    let (found, control) =
        tokio::task::spawn_blocking(move || (dump(pid, &credentials), dump(pid, &sealing))).await.unwrap();
    println!("backend, {SESSIONS} sessions idle: {}", found.summary());
    println!("backend, its own secrets: {}", control.summary());
    assert!(control.names().contains("database"), "the control finds nothing");
    found.is_clean("the backend");
    assert!(server.terminate().await.success());
}

/// While a login is under way its credential is there, which shows what a dump would find; when it is over, in whatever
/// way, nothing stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_failed_leaves_nothing_behind() {
    let world = World::new().await;
    let script = Script::At(Moment::Login, Trick::Hang);
    let hanging = HostileImap::start_with(script, Transport::Tls, Some(world.authority.clone())).await.unwrap();
    let refusing = HostileImap::start_with(Script::refuse_login(), Transport::Tls, Some(world.authority.clone())).await;
    let refusing = refusing.unwrap();
    world.configure(&[hanging.address().port(), refusing.address().port()], "", "");
    let server = world.serve().await;
    let pid = server.pid();
    let mut needles = Needles::default();
    let account = |address, mechanism, needles: &mut Needles| {
        let account = Account { mechanism, ..Account::imaps(address, &random_text(), &random_text()) };
        needles.add(mechanism.as_str_name(), account.secret.as_bytes());
        needles.add("user name", account.username.as_bytes());
        account
    };
    let mechanisms = [ImapMechanism::Plain, ImapMechanism::Login, ImapMechanism::Xoauth2];
    // First those that are answered: a host of which nothing was heard yet is tried by two at once.
    let first = account(refusing.address(), ImapMechanism::Plain, &mut needles);
    let first = Phone::new(&server, &first).await;
    let mut phones = Vec::new();
    for mechanism in mechanisms {
        phones.push(first.another(&account(refusing.address(), mechanism, &mut needles)));
    }
    for phone in &mut phones {
        phone.register().await.unwrap();
    }
    assert!(refusing.wait_for_logins(PATIENCE, 3).await);
    for phone in &phones {
        phone.becomes(|session| session.last_error.is_some()).await;
    }
    for mechanism in mechanisms {
        let mut cut_off = first.another(&account(hanging.address(), mechanism, &mut needles));
        cut_off.register().await.unwrap();
        phones.push(cut_off);
    }
    assert!(hanging.wait_for_logins(PATIENCE, 3).await);
    let searched = needles.clone();
    let found = tokio::task::spawn_blocking(move || dump(pid, &searched)).await.unwrap();
    println!("backend, 3 logins under way: {}", found.summary());
    assert_eq!(found.names().len(), 4, "the dump finds too little: {}", found.summary());

    drop(hanging);
    for phone in &phones {
        phone.becomes(|session| session.last_error.is_some()).await;
        phone.stop().await.unwrap();
        phone.becomes_state(SessionState::Ended).await;
    }
    let found = tokio::task::spawn_blocking(move || dump(pid, &needles)).await.unwrap();
    println!("backend, 3 logins refused and 3 cut off: {}", found.summary());
    found.is_clean("the backend");
    assert!(server.terminate().await.success());
}

/// The gateway has no environment, no file and no core dump.
fn confined(server: &Server) {
    let process = format!("/proc/{}", server.gateway_pid);
    assert_eq!(std::fs::read(format!("{process}/environ")).unwrap(), b"");
    let limits = std::fs::read_to_string(format!("{process}/limits")).unwrap();
    let core: Vec<_> = limits.lines().find(|line| line.starts_with("Max core")).unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"]);
    for entry in std::fs::read_dir(format!("{process}/fd")).unwrap().flatten() {
        // It may have been closed since.
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        let standard = ["0", "1", "2"].iter().any(|standard| entry.file_name() == *standard);
        let kind = target.to_string_lossy().into_owned();
        let harmless = ["pipe:", "socket:", "anon_inode:"].iter().any(|harmless| kind.starts_with(harmless));
        assert!(standard || harmless, "open in the gateway: {kind}");
    }
}

/// The search finds what is there: in another process, in each form, and in this one.
#[test]
fn the_search_finds_what_is_there() {
    let (password, token, absent) = (random_text(), random_text(), random_text());
    let mut needles = Needles::default();
    needles.add("password", password.as_bytes());
    needles.add("token", token.as_bytes());
    needles.add("absent", absent.as_bytes());
    for name in ["", "a", "bc", "def"] {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "read -r held; echo held; read -r end"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        // As AUTHENTICATE PLAIN has it, for names of all lengths: the password stands at each place of a base64 group.
        let sasl = STANDARD.encode(format!("\0{name}\0{password}"));
        writeln!(shell.stdin.as_mut().unwrap(), "{sasl} {token}").unwrap();
        BufReader::new(shell.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let found = dump(shell.id(), &needles);
        shell.kill().unwrap();
        shell.wait().unwrap();
        assert_eq!(found.names(), ["password", "token"].into(), "name {name:?}: {}", found.summary());
    }
    let mut others = Needles::default();
    others.add("token", token.as_bytes());
    let found = dump(std::process::id(), &others);
    assert!(found.has(&token), "{}", found.summary());
}
