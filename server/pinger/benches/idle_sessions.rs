//! The memory of idle sessions, beside that of bare TLS sockets, and how soon all of them are back after a restart.
//!
//! Sessions: `pinger serve` watches that many mailboxes on the mock mail server, over TLS, in IDLE; the figure is what the
//! process of the backend has grown by since it stood there without sessions, divided by the sessions. Bare: a process that
//! holds as many TLS connections to such a server, made with tokio-rustls and one shared `ClientConfig`; the greeting was
//! read, and each stream is owned by a task that waits for the next byte. Both use the same allocator and runtime, and are
//! left alone for some seconds before they are looked at. The mail server is a third process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench prints, and fails loudly")]

#[path = "../tests/harness/mod.rs"]
mod harness;
mod support;

use std::alloc::System;
use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::process::ChildStdin;
use std::sync::Arc;
use std::time::Instant;

use harness::{Account, Phone, World};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use support::machine::{Memory, introduce};
use support::mail_server::{self, MailServer, PASSWORD, settling};
use support::{part, play, size, thousands};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use zeroizing_alloc::ZeroAlloc;

/// The product's, so that the bare sockets have what the sessions have.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// The part of the process that holds bare sockets.
const BARE: &str = "bare-sockets";

fn main() {
    // As `pinger` has it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match part().as_deref() {
        Some(mail_server::PART) => runtime.block_on(mail_server::run()),
        Some(BARE) => runtime.block_on(hold_bare_sockets()),
        _ => runtime.block_on(bench()),
    }
}

async fn bench() {
    let counts = [size(1_000, 20), size(10_000, 50)];
    let world = World::new().await;
    introduce("idle sessions", world.folder.path());
    println!("| what | how many | resident bytes each | of them anonymous | proportional |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let bare = bare_sockets(counts).await;

    let mut mail = MailServer::start().await;
    mail.is_trusted_by(&world.folder.path().join("ca.pem"));
    world.configure(&[mail.port], "", "");
    let mut server = world.serve().await;
    tokio::time::sleep(settling()).await;
    let before = Memory::of(server.pid());
    let first = Phone::new(&server, &Account::imaps(mail.address(0), "user0", PASSWORD)).await;
    let mut registered = 0;
    for (at, count) in counts.into_iter().enumerate() {
        while registered < count {
            let account = Account::imaps(mail.address(registered), &format!("user{registered}"), PASSWORD);
            first.another(&account).waiting(0).register().await.unwrap();
            registered += 1;
        }
        mail.until("idling", count).await;
        tokio::time::sleep(settling()).await;
        let each = report("session of Pinger", count, before, Memory::of(server.pid()));
        println!("| a session by a bare socket | {} | {:.2} × | | |", thousands(count as f64), each / bare[at]);
    }

    let count = registered;
    server.kill();
    mail.until("connections", 0).await;
    let logins = mail.count("logins").await;
    let start = Instant::now();
    let server = world.serve().await;
    let ready = start.elapsed();
    mail.until("idling", count).await;
    let idle = start.elapsed();
    let logins = mail.count("logins").await - logins;
    println!(
        "restart after SIGKILL: ready after {:.2} s, all {} sessions idle after {:.1} s ({} log-ins, {}/s)",
        ready.as_secs_f64(),
        thousands(count as f64),
        idle.as_secs_f64(),
        thousands(logins as f64),
        thousands(logins as f64 / idle.as_secs_f64()),
    );
    tokio::time::sleep(settling()).await;
    report("session of Pinger, after the restart", count, before, Memory::of(server.pid()));
}

/// Prints a row, and answers the resident bytes of each.
fn report(what: &str, count: usize, before: Memory, after: Memory) -> f64 {
    let each = |field: fn(&Memory) -> u64| (field(&after) as f64 - field(&before) as f64) / count as f64;
    let resident = each(|memory| memory.resident);
    println!(
        "| {what} | {} | {} | {} | {} |",
        thousands(count as f64),
        thousands(resident),
        thousands(each(|memory| memory.anonymous)),
        thousands(each(|memory| memory.proportional)),
    );
    resident
}

/// Measures the bare sockets, on a mail server of their own.
async fn bare_sockets(counts: [usize; 2]) -> [f64; 2] {
    let mail = MailServer::start().await;
    let addresses: Vec<_> = (0..mail.addresses.len()).map(|n| mail.address(n).to_string()).collect();
    let mut child = play(BARE)
        .env("PINGER_BENCH_CA", &mail.authority)
        .env("PINGER_BENCH_ADDRESSES", addresses.join(" "))
        .spawn()
        .unwrap();
    let (pid, mut input) = (child.id(), child.stdin.take().unwrap());
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let mut answer = |input: &mut ChildStdin, count: usize| {
        writeln!(input, "{count}").unwrap();
        assert_eq!(output.next().unwrap().unwrap(), count.to_string());
    };
    answer(&mut input, 0);
    tokio::time::sleep(settling()).await;
    let before = Memory::of(pid);
    let mut each = [0.0; 2];
    for (at, count) in counts.into_iter().enumerate() {
        answer(&mut input, count);
        tokio::time::sleep(settling()).await;
        each[at] = report("bare socket of tokio-rustls", count, before, Memory::of(pid));
    }
    drop(input);
    child.wait().unwrap();
    each
}

/// What this process does as the holder of bare sockets: on each line of input it has as many as that says.
async fn hold_bare_sockets() {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    peers::certificate::install_crypto_provider();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(std::env::var("PINGER_BENCH_CA").unwrap()).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let addresses: Vec<SocketAddr> =
        std::env::var("PINGER_BENCH_ADDRESSES").unwrap().split(' ').map(|address| address.parse().unwrap()).collect();
    let mut sockets = JoinSet::new();
    for line in std::io::stdin().lines() {
        let wanted: usize = line.unwrap().parse().unwrap();
        while sockets.len() < wanted {
            let address = addresses[sockets.len() % addresses.len()];
            let mut stream = connect(&connector, address).await;
            sockets.spawn(async move { while stream.read_u8().await.is_ok() {} });
        }
        println!("{wanted}");
    }
}

async fn connect(connector: &TlsConnector, address: SocketAddr) -> Box<tokio_rustls::client::TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await.unwrap();
    let stream = connector.connect(address.ip().into(), socket).await.unwrap();
    let mut stream = Box::new(stream);
    while stream.read_u8().await.unwrap() != b'\n' {}
    stream
}
