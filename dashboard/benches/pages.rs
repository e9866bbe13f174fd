//! How long the dashboard takes for each page, and how much it sends, with many sessions.
//!
//! `SESSIONS=1000000 cargo bench -p dashboard --bench pages` fills a SQLite database in a temporary folder with so many
//! sessions, 100,000 if it isn't told; `STORE=postgres://…` (or `sqlite://…`) takes one that is filled already and in which
//! nobody has signed up. Method: the real dashboard on a loopback port, one signed-in browser, each page 100 times, one
//! after the other; the time is from the request to the last byte of the compressed page. A page's transfer is the page and
//! the files that it names, all compressed; a browser keeps the files.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench prints figures, and stops where it can't go on"
)]

#[allow(dead_code, reason = "the harness has more than this bench uses")]
#[path = "../tests/auth/support.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use reqwest::Method;
use support::{Browser, World};

const ROUNDS: usize = 100;

fn main() {
    // `cargo test --benches` runs benches too, to see that they build.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(run());
}

async fn run() {
    let folder = tempfile::tempdir().unwrap();
    let given = std::env::var("STORE").ok();
    let url = given.clone().unwrap_or_else(|| format!("sqlite://{}", folder.path().join("pinger.db").display()));
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let world = World::on(folder, &url, i64::try_from(since.as_millis()).unwrap()).await;
    if given.is_none() {
        let sessions = std::env::var("SESSIONS").ok().map_or(100_000, |text| text.parse().unwrap());
        store::demo::fill(&world.store, sessions, 1, world.now()).await.unwrap();
    }
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;

    let list = kim.get("/sessions").await.text;
    let session = link(&list, "/sessions/0");
    let device = link(&kim.get(&session).await.text, "/devices/");
    let older = link(&list, "/sessions?older=");
    // The overview is computed in the background; the first one may take seconds.
    kim.get("/").await;
    println!(
        "{:<44} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9}",
        "", "p50 ms", "p95 ms", "p99 ms", "plain kB", "sent kB", "all kB"
    );
    for path in [
        "/",
        "/sessions",
        "/sessions?q=state:retrying",
        "/sessions?q=state:ended",
        "/sessions?q=host:imap.example.com",
        "/sessions?q=host:imap.example.com+state:ended",
        "/sessions?q=reason:login_refused",
        &older,
        &session,
        &format!("{session}/revoke"),
        "/devices",
        &device,
        "/pushes",
        "/pushes?show=refused",
        "/staff",
        "/audit",
        "/settings",
        "/account",
    ] {
        measure(&mut kim, path).await;
    }
    server.stop().await;
}

/// The first link in a page that begins so.
fn link(page: &str, begin: &str) -> String {
    let at = page.find(&format!("href=\"{begin}")).unwrap_or_else(|| panic!("{begin} is not in {page}"));
    page[at + 6..].split('"').next().unwrap().replace("&amp;", "&")
}

async fn measure(kim: &mut Browser, path: &str) {
    let page = kim.get(path).await;
    assert_eq!(page.status, 200, "{path}");
    let files: BTreeSet<&str> =
        page.text.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let mut all = 0;
    for file in files {
        all += sent(kim, &format!("/assets/{file}")).await;
    }
    let (mut times, mut size) = (Vec::with_capacity(ROUNDS), 0);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        size = sent(kim, path).await;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let at = |percent: usize| millis(times[(times.len() - 1) * percent / 100]);
    // The id of a session is long, and says nothing here.
    let name: String = path.chars().take(44).collect();
    println!(
        "{name:<44} {:>8.2} {:>8.2} {:>8.2} {:>9.1} {:>9.1} {:>9.1}",
        at(50),
        at(95),
        at(99),
        kilobytes(page.text.len()),
        kilobytes(size),
        kilobytes(all + size)
    );
}

/// How many bytes come, compressed where the dashboard compresses.
async fn sent(kim: &Browser, path: &str) -> usize {
    let request = kim.request(Method::GET, path).header("accept-encoding", "gzip, br").header("sec-fetch-site", "none");
    request.send().await.unwrap().bytes().await.unwrap().len()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "pages are far below where a float loses anything")]
fn kilobytes(bytes: usize) -> f64 {
    bytes as f64 / 1000.0
}
