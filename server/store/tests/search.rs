//! The list of sessions: whatever is asked for, its pages hold exactly the rows that match.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test, a panic is the answer")]

mod support;

use std::time::Duration;

use domain::{EndReason, Event, FailureCode, SessionId, State, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::{
    Count, Cursor, DeliveryFilter, Page, PushStatus, SessionFilter, SessionRow, Start, StateReason, Store, demo,
};
use support::{Database, NOW, named, session, step};

/// All sessions, newest first, each with the hash of its address.
async fn all(store: &Store) -> Vec<(SessionRow, String)> {
    let mut rows = Vec::new();
    let mut page = Page::newest(200);
    loop {
        let found = store.find_sessions(&SessionFilter::default(), page).await.unwrap();
        for row in found.rows {
            let detail = store.session_detail(row.id).await.unwrap().unwrap();
            assert_eq!(detail.row, row);
            rows.push((row, detail.address_hash));
        }
        let Some(older) = found.older else { return rows };
        page.start = Start::OlderThan(older);
    }
}

fn matches(filter: &SessionFilter, (row, address_hash): &(SessionRow, String)) -> bool {
    let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
    is(&filter.address_hash, address_hash)
        && is(&filter.device, &row.device)
        && is(&filter.user, &row.user)
        && is(&filter.context, &row.context)
        && is(&filter.host, row.mail.host().as_str())
        && filter.state.is_none_or(|state| row.life.state() == state)
        && filter.reason.is_none_or(|reason| StateReason::of(&row.life) == Some(reason))
        && filter.since.is_none_or(|since| row.created_at >= since)
}

async fn ids_forward(store: &Store, filter: &SessionFilter, limit: u64) -> Vec<SessionId> {
    let (mut ids, mut page) = (Vec::new(), Page::newest(limit));
    loop {
        let found = store.find_sessions(filter, page).await.unwrap();
        assert!(found.rows.len() as u64 <= limit);
        ids.extend(found.rows.iter().map(|row| row.id));
        let Some(older) = found.older else { return ids };
        page.start = Start::OlderThan(older);
    }
}

/// From the oldest page back to the newest; what is before `from` in the list, in the list's order.
async fn ids_backward(store: &Store, filter: &SessionFilter, from: Cursor, limit: u64) -> Vec<SessionId> {
    let (mut pages, mut page) = (Vec::new(), Page::new(Start::NewerThan(from), limit));
    loop {
        let found = store.find_sessions(filter, page).await.unwrap();
        pages.push(found.rows.iter().map(|row| row.id).collect::<Vec<_>>());
        let Some(newer) = found.newer else { break };
        page.start = Start::NewerThan(newer);
    }
    pages.into_iter().rev().flatten().collect()
}

#[test]
fn any_filter_pages_through_exactly_what_matches_in_sqlite() {
    any_filter_pages_through_exactly_what_matches(300, async || Database::sqlite());
}

#[test]
fn any_filter_pages_through_exactly_what_matches_in_postgresql() {
    any_filter_pages_through_exactly_what_matches(100, async || Database::postgresql().await);
}

fn any_filter_pages_through_exactly_what_matches(cases: u32, database: impl AsyncFnOnce() -> Database) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(database());
    let (store, rows) = runtime.block_on(async {
        let store = database.open().await;
        demo::fill(&store, 400, 5, NOW).await.unwrap();
        let rows = all(&store).await;
        (store, rows)
    });
    assert_eq!(rows.len(), 400);
    let maybe = || proptest::option::weighted(0.25, 0..rows.len());
    // Each qualifier is that of some row, so that there is something to find; two of one row often.
    let filter = (0..rows.len(), [maybe(), maybe(), maybe(), maybe(), maybe(), maybe(), maybe(), maybe()]);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(filter, any::<bool>(), 1u64..60), |((one, places), same, limit)| {
        let at = |place: usize| places[place].map(|other| &rows[if same { one } else { other }]);
        let filter = SessionFilter {
            address_hash: at(0).map(|row| row.1.clone()),
            device: at(1).map(|row| row.0.device.clone()),
            user: at(2).map(|row| row.0.user.clone()),
            context: at(3).map(|row| row.0.context.clone()),
            host: at(4).map(|row| row.0.mail.host().to_string()),
            state: at(5).map(|row| row.0.life.state()),
            reason: at(6).and_then(|row| StateReason::of(&row.0.life)),
            since: at(7).map(|row| row.0.created_at),
            ..SessionFilter::default()
        };
        let expect: Vec<_> = rows.iter().filter(|row| matches(&filter, row)).map(|row| row.0.id).collect();
        runtime.block_on(async {
            prop_assert_eq!(&ids_forward(&store, &filter, limit).await, &expect);
            if let Some(last) = expect.last() {
                let from = Cursor::parse(&last.to_string()).unwrap();
                prop_assert_eq!(&ids_backward(&store, &filter, from, limit).await[..], &expect[..expect.len() - 1]);
            }
            let count = expect.len() as u64;
            prop_assert_eq!(store.count_sessions(&filter, 10_000).await.unwrap(), Count::Exactly(count));
            if count > 0 {
                prop_assert_eq!(store.count_sessions(&filter, count - 1).await.unwrap(), Count::MoreThan(count - 1));
            }
            Ok(())
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

async fn each_qualifier_finds_its_own(database: Database) {
    let store = database.open().await;
    let mut wanted = named(1, NOW, ["u-1", "device-1", "context-1"], "imap.one.example");
    wanted.address_hash = "bb".repeat(32);
    let id = store.register(wanted).await.unwrap().id;
    let other = named(2, NOW.after(Duration::from_secs(9)), ["u-2", "device-2", "context-2"], "imap.two.example");
    let other = store.register(other).await.unwrap().id;
    step(&store, other, NOW, Event::Stopped).await.unwrap();

    let text = |text: &str| Some(text.to_owned());
    let none = SessionFilter::default;
    let stopped = Some(StateReason::Ended(EndReason::Stopped));
    let both = vec![other, id];
    for (filter, expect) in [
        (none(), both.clone()),
        (SessionFilter { address_hash: Some("bb".repeat(32)), ..none() }, vec![id]),
        (SessionFilter { device: text("device-1"), ..none() }, vec![id]),
        (SessionFilter { user: text("u-1"), ..none() }, vec![id]),
        (SessionFilter { context: text("context-1"), ..none() }, vec![id]),
        (SessionFilter { host: text("imap.one.example"), ..none() }, vec![id]),
        (SessionFilter { state: Some(State::Watching), ..none() }, vec![id]),
        (SessionFilter { state: Some(State::Ended), ..none() }, vec![other]),
        (SessionFilter { reason: stopped, ..none() }, vec![other]),
        (SessionFilter { since: Some(NOW), ..none() }, both),
        (SessionFilter { since: Some(NOW.after(Duration::from_secs(9))), ..none() }, vec![other]),
        (SessionFilter { host: text("imap.one.example"), state: Some(State::Ended), ..none() }, vec![]),
        // Nothing lives and has ended.
        (SessionFilter { reason: stopped, state: Some(State::Watching), ..none() }, vec![]),
        (SessionFilter { device: text("device-"), ..none() }, vec![]),
        (SessionFilter { device: text("DEVICE-1"), ..none() }, vec![]),
    ] {
        assert_eq!(ids_forward(&store, &filter, 10).await, expect, "{filter:?}");
    }
}

async fn a_reader_misses_nothing_while_others_register(database: Database) {
    let store = database.open().await;
    let at = |number: u128| NOW.after(Duration::from_millis(u64::try_from(number).unwrap()));
    let new =
        |number: u128| named(number, at(number), ["u-1", "device-1", &format!("context-{number}")], "imap.example");
    for number in 1..=20 {
        store.register(new(number)).await.unwrap();
    }
    let filter = SessionFilter { user: Some("u-1".to_owned()), ..SessionFilter::default() };
    let (mut seen, mut page, mut next) = (Vec::new(), Page::newest(3), 21);
    let mut last = None;
    loop {
        let found = store.find_sessions(&filter, page).await.unwrap();
        seen.extend(found.rows.iter().map(|row| row.context.clone()));
        store.register(new(next)).await.unwrap();
        next += 1;
        last = found.rows.last().map(|row| row.id).or(last);
        let Some(older) = found.older else { break };
        page.start = Start::OlderThan(older);
    }
    let expect: Vec<_> = (1..=20).rev().map(|number| format!("context-{number}")).collect();
    assert_eq!(seen, expect, "each that was there is seen once, in order");
    let from = Cursor::parse(&last.unwrap().to_string()).unwrap();
    let back = ids_backward(&store, &filter, from, 4).await;
    assert_eq!(back.len() as u128, next - 2, "on the way back the new ones are there too");
}

async fn what_looks_like_html_or_sql_is_only_text(database: Database) {
    let store = database.open().await;
    // Everything that an id may hold: printable ASCII without spaces.
    for (number, text) in
        ["<script>alert(1)</script>", "'||(SELECT(1))||'", "x';DROP/**/TABLE/**/session;--", "%_%_%", "\"`\\'--"]
            .into_iter()
            .enumerate()
    {
        let number = number as u128 + 1;
        let mut new = named(number, NOW, [text, text, text], "imap.example.org");
        text.clone_into(&mut new.address_hash);
        let id = store.register(new).await.unwrap().id;
        let one = || Some(text.to_owned());
        let none = SessionFilter::default;
        for filter in [
            SessionFilter { user: one(), ..none() },
            SessionFilter { device: one(), ..none() },
            SessionFilter { context: one(), ..none() },
            SessionFilter { address_hash: one(), ..none() },
            SessionFilter { user: one(), device: one(), context: one(), address_hash: one(), ..none() },
        ] {
            let found = store.find_sessions(&filter, Page::newest(9)).await.unwrap().rows;
            assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), [id], "{filter:?}");
            assert_eq!((found[0].user.as_str(), found[0].device.as_str()), (text, text));
        }
        let devices = store.devices(text, None, 9).await.unwrap().rows;
        assert_eq!(devices.iter().map(|row| row.device.as_str()).collect::<Vec<_>>(), [text]);
        let hosts = SessionFilter { host: one(), ..none() };
        assert!(store.find_sessions(&hosts, Page::newest(9)).await.unwrap().rows.is_empty());
    }
    assert_eq!(store.count_sessions(&SessionFilter::default(), 100).await.unwrap(), Count::Exactly(5));
}

#[test]
fn cursors_and_reasons_are_read_back_and_nonsense_is_not() {
    let cursor = Cursor::parse("018bcfe5-6800-7000-8000-000000000001").unwrap();
    assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
    assert_eq!(Cursor::parse("' OR 1=1"), None);
    for reason in StateReason::all() {
        assert_eq!(StateReason::parse(reason.as_str()), Some(reason));
    }
    assert_eq!(StateReason::parse("login_refused"), Some(StateReason::Failed(FailureCode::LoginRefused)));
    assert_eq!(StateReason::parse("Stopped"), Some(StateReason::Ended(EndReason::Stopped)));
    assert_eq!(StateReason::parse("bored"), None);
}

async fn made_up_sessions_are_a_whole_world_that_nobody_runs(database: Database) {
    let store = database.open().await;
    demo::fill(&store, 3000, 1, NOW).await.unwrap();
    let of = |state| SessionFilter { state: Some(state), ..SessionFilter::default() };
    for state in State::ALL {
        assert_ne!(store.count_sessions(&of(*state), 10_000).await.unwrap(), Count::Exactly(0), "{state:?}");
    }
    assert_eq!(store.claim(10_000).await.unwrap(), [], "a backend would connect for them");
    assert_eq!(store.due_pushes(NOW.after(Duration::from_secs(99_999)), 10).await.unwrap().len(), 0);
    let world = all(&store).await;
    for (row, _) in &world {
        let host = row.mail.host().as_str();
        assert!(["example.com", "example.net", "example.org", "test"].iter().any(|end| host.ends_with(end)), "{host}");
        assert!(row.created_at <= NOW && row.ended_at.is_none_or(|at| at <= NOW && at >= row.created_at), "{row:?}");
        assert!(row.life.is_live() || row.node.is_none());
        // A backend can read it.
        assert_eq!(store.session(row.id).await.unwrap().unwrap().life, row.life);
    }
    // A session that ended is not told of afterwards.
    for (row, _) in world.iter().filter(|(row, _)| row.ended_at.is_some()).take(300) {
        let told = store.timeline(row.id, None, 200).await.unwrap().entries;
        let late: Vec<_> = told.iter().filter(|entry| Some(entry.at) > row.ended_at).collect();
        assert!(late.iter().all(|entry| entry.note.kind.as_str().starts_with("push_")), "{late:?}");
    }
    let overview = store.overview(NOW).await.unwrap();
    let live = world.iter().filter(|(row, _)| row.life.is_live()).count() as u64;
    assert_eq!(overview.states.live(), live);
    assert!(!overview.failures.is_empty() && overview.latency.pushes > 500, "{overview:?}");
    // Another run beside it, and the same again later.
    demo::fill(&store, 500, 2, NOW).await.unwrap();
    demo::fill(&store, 500, 1, NOW.after(Duration::from_secs(60))).await.unwrap();
    assert_eq!(store.count_sessions(&SessionFilter::default(), 10_000).await.unwrap(), Count::Exactly(4000));
}

async fn deliveries_and_devices_are_paged_too(database: Database) {
    let store = database.open().await;
    demo::fill(&store, 500, 3, NOW).await.unwrap();
    let (mut pushes, mut page) = (Vec::new(), Page::newest(20));
    loop {
        let found = store.deliveries(&DeliveryFilter::All, page).await.unwrap();
        pushes.extend(found.rows);
        let Some(older) = found.older else { break };
        page.start = Start::OlderThan(older);
    }
    assert!(pushes.len() > 100 && pushes.is_sorted_by(|a, b| a.created_at >= b.created_at));
    let some = &pushes[7];
    let (holder, took) = (some.holder.clone().unwrap(), some.took());
    assert_eq!(took.is_some(), some.status == PushStatus::Accepted);
    for (filter, expect) in [
        (DeliveryFilter::Session(some.session), pushes.iter().filter(|push| push.session == some.session).count()),
        (
            DeliveryFilter::Device(holder.device.clone()),
            pushes.iter().filter(|push| push.holder.as_ref().is_some_and(|of| of.device == holder.device)).count(),
        ),
        (
            DeliveryFilter::Status(PushStatus::Refused),
            pushes.iter().filter(|push| push.status == PushStatus::Refused).count(),
        ),
    ] {
        let found = store.deliveries(&filter, Page::newest(200)).await.unwrap().rows;
        assert_eq!(found.len(), expect, "{filter:?}");
    }

    let (mut devices, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = store.devices("", after.as_deref(), 30).await.unwrap();
        devices.extend(page.rows);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let world = all(&store).await;
    assert!(devices.is_sorted_by(|a, b| a.device < b.device));
    assert_eq!(devices.iter().map(|row| row.sessions).sum::<u64>(), 500);
    for row in &devices {
        let of: Vec<_> = world.iter().map(|(row, _)| row).filter(|session| session.device == row.device).collect();
        assert_eq!((row.sessions, &row.newest), (of.len() as u64, of[0]));
        assert_eq!(row.live, of.iter().filter(|session| session.life.is_live()).count() as u64);
    }
}

async fn the_overview_counts_what_is_there(database: Database) {
    let store = database.open().await;
    demo::fill(&store, 1500, 4, NOW).await.unwrap();
    let world: Vec<_> = all(&store).await.into_iter().map(|(row, _)| row).collect();
    let overview = store.overview(NOW).await.unwrap();
    let day = Timestamp::from_millis(NOW.as_millis() - 24 * 60 * 60 * 1000);
    for state in State::ALL {
        let recent = |row: &&SessionRow| row.ended_at.is_none_or(|at| at >= day);
        let there = world.iter().filter(recent).filter(|row| row.life.state() == *state).count() as u64;
        assert_eq!(overview.states.of(*state), there, "{state:?}");
    }
    let failing = world.iter().filter(|row| row.life.is_live() && row.life.failure.is_some()).count() as u64;
    assert_eq!(overview.failures.iter().map(|group| group.sessions).sum::<u64>(), failing);
    for group in &overview.failures {
        let filter = SessionFilter {
            host: Some(group.host.clone()),
            reason: Some(StateReason::Failed(group.code)),
            ..SessionFilter::default()
        };
        assert_eq!(store.count_sessions(&filter, 10_000).await.unwrap(), Count::Exactly(group.sessions));
    }
    let ended = world.iter().filter(|row| row.ended_at.is_some_and(|at| at >= day)).count() as u64;
    assert_eq!(overview.ended.iter().map(|(_, sessions)| sessions).sum::<u64>(), ended);
    let there: std::collections::BTreeSet<_> =
        world.iter().filter(|row| row.life.is_live()).map(|row| row.mail.host().to_string()).collect();
    assert_eq!(overview.host_count, there.len() as u64);
    assert_eq!(overview.minutes.len(), 60);
    assert_eq!(overview.latency.histogram.iter().sum::<u64>(), overview.latency.pushes);
    assert!(overview.latency.p50 <= overview.latency.p95 && overview.latency.p95 <= overview.latency.p99);

    // A push that is accepted later is found by the next look, which reads the last minutes only.
    let one = session(77, "context-77", "h");
    store.register(one.clone()).await.unwrap();
    let later = NOW.after(Duration::from_secs(70));
    support::mail(&store, one.id, later).await;
    let due = store.due_pushes(later, 1).await.unwrap();
    let done = store::Finish::Done { status: PushStatus::Accepted, provider_id: None, reason: None };
    store.finish_push(due[0].id, later.after(Duration::from_millis(310)), done).await.unwrap();
    let next = store.overview(later.after(Duration::from_secs(1))).await.unwrap();
    assert_eq!(next.minutes.last().map(|minute| minute.accepted), Some(1));
    let fresh = database.open().await.overview(later.after(Duration::from_secs(1))).await.unwrap();
    assert_eq!((next.minutes, next.latency), (fresh.minutes, fresh.latency), "a reader that begins now sees the same");
}

support::on_each_database![
    each_qualifier_finds_its_own,
    a_reader_misses_nothing_while_others_register,
    what_looks_like_html_or_sql_is_only_text,
    made_up_sessions_are_a_whole_world_that_nobody_runs,
    deliveries_and_devices_are_paged_too,
    the_overview_counts_what_is_there,
];
