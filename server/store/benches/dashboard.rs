//! How long the pages of the dashboard wait for the store, with many sessions, in SQLite or in PostgreSQL.
//!
//! `SESSIONS=1000000 cargo bench -p store --bench dashboard` fills a database in a temporary folder (or the SQLite file that
//! `DATABASE` names, which is kept and used again) with so many sessions, 100,000 if it isn't told, about five timeline
//! entries each, and prints the times in milliseconds. `POSTGRESQL=1` does the same in a PostgreSQL of its own; it goes to
//! `TMPDIR`, and a million sessions take 6 GB there.
//!
//! Method: each query is asked 200 times, one after the other, on a store that does nothing else; each round asks for
//! something else where there is something else. The overview is computed in the background and waited for by nobody.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints figures, and stops where it can't go on")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::future::Future;
use std::time::{Duration, Instant, SystemTime};

use domain::{NodeId, State, Timestamp};
use peers::postgres::Postgres;
use store::{
    Count, DeliveryFilter, ListPart, Page, PushStatus, SessionFilter, SessionList, SessionRow, Sort, SortBy, Start,
    StateReason, Store, demo,
};

const ROUNDS: usize = 200;

fn main() {
    // `cargo test --benches` runs benches too, to see that they build.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let sessions: u64 = std::env::var("SESSIONS").ok().map_or(100_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var("DATABASE").map_or_else(|_| folder.path().join("pinger.db"), Into::into);
    let postgres = match std::env::var("POSTGRESQL") {
        // As docs/operations.md advises; fsync and the rest are PostgreSQL's own.
        Ok(_) => Some(Postgres::start_with(&["shared_buffers=1GB", "max_wal_size=4GB"]).await.unwrap()),
        Err(_) => None,
    };
    let (url, filled) = match &postgres {
        Some(postgres) => (postgres.database().await.unwrap(), false),
        None => (format!("sqlite://{}", path.display()), path.exists()),
    };
    let store = Store::open(&url, NodeId::from_uuid(uuid::Uuid::nil())).await.unwrap();
    let now = now();
    if !filled {
        let began = Instant::now();
        demo::fill(&store, sessions, 1, now).await.unwrap();
        let took = began.elapsed().as_secs_f64();
        println!("{sessions} sessions with their timelines and pushes were written in {took:.1} s");
        if let Some(postgres) = &postgres {
            // PostgreSQL does this by itself, a minute later.
            let sizes = "SELECT relname, reltuples::bigint, pg_total_relation_size(oid) / 1000000 FROM pg_class \
                         WHERE relname IN ('session', 'timeline', 'outbox')";
            postgres.query("pinger_0", "VACUUM ANALYZE").await.unwrap();
            println!("tables, rows, MB with indexes:\n{}", postgres.query("pinger_0", sizes).await.unwrap());
        }
    }
    let opened = store;
    let store = &opened;
    println!("{:<52} {:>9} {:>9} {:>9} {:>9}", "", "p50 ms", "p95 ms", "p99 ms", "max ms");

    // So that SQL can be looked at in the meantime.
    if let Some(postgres) = &postgres {
        println!("{}", postgres.url("pinger_0"));
    }
    let some = rows_to_ask_for(store).await;
    let none = SessionFilter::default;
    let host = |row: &SessionRow| Some(row.mail.host().to_string());
    let state = |state| SessionFilter { state: Some(state), ..none() };
    let common = || SessionFilter { host: Some("imap.example.com".to_owned()), ..none() };
    for (name, filter) in [
        ("list", none()),
        ("list, state:watching", state(State::Watching)),
        ("list, state:retrying", state(State::Retrying)),
        ("list, state:ended", state(State::Ended)),
        ("list, host: of every third account", common()),
        ("list, the same and state:retrying", SessionFilter { state: Some(State::Retrying), ..common() }),
        ("list, the same and state:ended", SessionFilter { state: Some(State::Ended), ..common() }),
        (
            "list, the same and reason:login_refused",
            SessionFilter { reason: StateReason::parse("login_refused"), ..common() },
        ),
        ("list, reason:throttled", SessionFilter { reason: StateReason::parse("throttled"), ..none() }),
        ("list, reason:revoked", SessionFilter { reason: StateReason::parse("revoked"), ..none() }),
        ("list, since: an hour ago", SessionFilter { since: Some(before(now, 3600)), ..none() }),
    ] {
        measure(name, |_| list(store, filter.clone(), Page::newest(50))).await;
        measure(&format!("count, {}", name.trim_start_matches("list, ")), |_| count(store, filter.clone())).await;
    }
    let one = |filter| vec![filter];
    let states = |states: &[State]| states.iter().map(|of| state(*of)).collect::<Vec<_>>();
    let day = SessionFilter { changed_since: Some(before(now, 86_400)), ..state(State::Ended) };
    for (name, filters, by) in [
        ("sorted by since", one(none()), SortBy::Changed),
        ("sorted by since, state:ended changed:24h", one(day), SortBy::Changed),
        (
            "sorted by since, reason:stopped",
            one(SessionFilter { reason: StateReason::parse("stopped"), ..none() }),
            SortBy::Changed,
        ),
        ("sorted by next", one(none()), SortBy::Next),
        (
            "sorted by next, state:retrying,holding,waiting",
            states(&[State::Retrying, State::Holding, State::Waiting]),
            SortBy::Next,
        ),
        ("sorted by next, host: of every third account", one(common()), SortBy::Next),
        ("sorted by host", one(none()), SortBy::Host),
        ("sorted by host, state:watching", one(state(State::Watching)), SortBy::Host),
    ] {
        let list = SessionList::new(filters, Sort::usual(by)).unwrap();
        let list = &list;
        measure(name, |_| async move { drop(store.list_sessions(list, &ListPart::First, 50).await.unwrap()) }).await;
        let turned = store.list_sessions(list, &ListPart::First, 50).await.unwrap().next;
        let Some(place) = turned else { continue };
        let part = &ListPart::After(place);
        measure(&format!("{name}, on"), |_| async move { drop(store.list_sessions(list, part, 50).await.unwrap()) })
            .await;
        measure(&format!("count, {name}"), |_| async move {
            std::hint::black_box(store.count_list(list, 10_000).await.unwrap());
        })
        .await;
    }
    let each = |round: usize| &some[round % some.len()];
    measure("search, device:", |round| {
        list(store, SessionFilter { device: Some(each(round).device.clone()), ..none() }, Page::newest(50))
    })
    .await;
    measure("search, user:", |round| {
        list(store, SessionFilter { user: Some(each(round).user.clone()), ..none() }, Page::newest(50))
    })
    .await;
    measure("search, context:", |round| {
        list(store, SessionFilter { context: Some(each(round).context.clone()), ..none() }, Page::newest(50))
    })
    .await;
    measure("search, host: of anybody", |round| {
        list(store, SessionFilter { host: host(each(round)), ..none() }, Page::newest(50))
    })
    .await;
    measure("search, nothing found", |round| {
        list(store, SessionFilter { device: Some(format!("no-{round}")), ..none() }, Page::newest(50))
    })
    .await;
    let deep =
        |round: usize| Page::new(Start::OlderThan(store::Cursor::parse(&each(round).id.to_string()).unwrap()), 50);
    measure("list, somewhere deep", |round| list(store, none(), deep(round))).await;
    measure("list, state:watching, somewhere deep", |round| list(store, state(State::Watching), deep(round))).await;
    measure("list, host: and back again, somewhere deep", |round| {
        let page = deep(round);
        let Start::OlderThan(from) = page.start else { unreachable!() };
        list(store, common(), Page::new(Start::NewerThan(from), 50))
    })
    .await;
    measure("session", |round| async move { assert!(store.session_detail(each(round).id).await.unwrap().is_some()) })
        .await;
    measure("timeline", |round| async move { drop(store.timeline(each(round).id, None, 50).await.unwrap()) }).await;
    measure("deliveries", |_| deliveries(store, DeliveryFilter::All)).await;
    measure("deliveries, refused", |_| deliveries(store, DeliveryFilter::Status(PushStatus::Refused))).await;
    measure("deliveries of a session", |round| deliveries(store, DeliveryFilter::Session(each(round).id))).await;
    measure("deliveries of a device", |round| deliveries(store, DeliveryFilter::Device(each(round).device.clone())))
        .await;
    measure("devices", |_| async { drop(store.devices("", None, 50).await.unwrap()) }).await;
    measure("devices, somewhere deep", |round| async move {
        drop(store.devices("", Some(&each(round).device), 50).await.unwrap())
    })
    .await;

    let began = Instant::now();
    let overview = store.overview(now).await.unwrap();
    println!("{:<52} {:>9.1}", "overview, the first (in the background)", millis(began.elapsed()));
    let mut times = Vec::new();
    for _ in 0..10 {
        let began = Instant::now();
        drop(store.overview(now).await.unwrap());
        times.push(began.elapsed());
    }
    print("overview, each 5 s after (in the background)", times);
    println!("{:?}, {} failures, {} pushes", overview.states, overview.failures.len(), overview.latency.pushes);
    register(store, now).await;
    opened.close().await;
}

/// How fast devices register while all of that is stored.
async fn register(store: &Store, now: Timestamp) {
    for (callers, each) in [(1, 500u128), (64, 100)] {
        let began = Instant::now();
        let mut calls = tokio::task::JoinSet::new();
        for caller in 0..callers {
            let store = store.clone();
            calls.spawn(async move {
                for number in 0..each {
                    let number = (callers * 1000 + caller) * 1000 + number;
                    // Names that are strewn over the indexes, as names are.
                    let strewn = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
                    let name = format!("{:016x}-{}", strewn >> 64, now.as_millis());
                    let mut new = support::named(number, now, [&name, &name, &name], "imap.example.com");
                    new.id = domain::SessionId::from_uuid(uuid::Uuid::now_v7());
                    new.address_hash = format!("{strewn:064x}");
                    store.register(new).await.unwrap();
                }
            });
        }
        calls.join_all().await;
        let rate = f64::from(u32::try_from(callers * each).unwrap()) / began.elapsed().as_secs_f64();
        println!("registrations a second, durable, {callers} callers: {rate:.0}");
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn before(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_millis(now.as_millis() - seconds * 1000)
}

/// Sessions from all over the list.
async fn rows_to_ask_for(store: &Store) -> Vec<SessionRow> {
    let mut rows = Vec::new();
    let newest = store.find_sessions(&SessionFilter::default(), Page::newest(1)).await.unwrap().rows;
    let last = newest[0].created_at;
    for part in 0..ROUNDS as u64 {
        // A cursor need not be a row's.
        let at = before(last, i64::try_from(part * 48 * 3600 / ROUNDS as u64).unwrap());
        let id = uuid::Builder::from_unix_timestamp_millis(at.as_millis().unsigned_abs(), &[9; 10]).into_uuid();
        let page = Page::new(Start::OlderThan(store::Cursor::parse(&id.to_string()).unwrap()), 1);
        rows.extend(store.find_sessions(&SessionFilter::default(), page).await.unwrap().rows);
    }
    rows
}

async fn list(store: &Store, filter: SessionFilter, page: Page) {
    drop(store.find_sessions(&filter, page).await.unwrap());
}

async fn count(store: &Store, filter: SessionFilter) {
    let (Count::Exactly(count) | Count::MoreThan(count)) = store.count_sessions(&filter, 10_000).await.unwrap();
    std::hint::black_box(count);
}

async fn deliveries(store: &Store, filter: DeliveryFilter) {
    drop(store.deliveries(&filter, Page::newest(50)).await.unwrap());
}

async fn measure<F: Future<Output = ()>>(name: &str, ask: impl Fn(usize) -> F) {
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let began = Instant::now();
        // Each round asks for something else, where there is something else.
        ask(round * 7919).await;
        times.push(began.elapsed());
    }
    print(name, times);
}

fn print(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| millis(times[(times.len() - 1) * percent / 100]);
    println!("{name:<52} {:>9.2} {:>9.2} {:>9.2} {:>9.2}", at(50), at(95), at(99), at(100));
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
