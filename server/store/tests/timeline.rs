//! What is told of a session's life.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test, a panic is the answer")]

mod support;

use std::time::Duration;

use domain::{EndReason, Event, Evidence, Failure, FailureCode, SessionId, Timestamp};
use store::{Connection, Finish, Note, PushStatus, Store, TimelineCursor, TimelineEntry, TimelineKind};
use support::{Database, NOW, TRACE, mail, mailbox, session, step, told};

fn at(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

async fn timeline(store: &Store, id: SessionId) -> Vec<TimelineEntry> {
    let page = store.timeline(id, None, 200).await.unwrap();
    assert_eq!(page.older, None);
    page.entries
}

async fn kinds(store: &Store, id: SessionId) -> Vec<&'static str> {
    timeline(store, id).await.iter().rev().map(|entry| entry.note.kind.as_str()).collect()
}

async fn a_whole_life_is_told_in_order(database: Database) {
    let store = database.open().await;
    let id = store.register(session(1, "account-1", "h1")).await.unwrap().id;
    let wait = Duration::from_secs(5);
    told(&store, id, at(1), Event::Deferred { wait, baseline: None }, |_| vec![Note::deferred(wait, None)])
        .await
        .unwrap();
    let failure = Failure::new(FailureCode::ConnectTimeout, Evidence::redact("no answer from 192.0.2.1", None));
    let failed = Event::Failed { failure: failure.clone(), lived: Duration::ZERO };
    step(&store, id, at(6), Event::Tick).await.unwrap();
    told(&store, id, at(7), failed, |life| vec![Note::failed(&failure, life.retry_at)]).await.unwrap();
    let note = Note::connected(Duration::from_millis(180), 40).traced(Some(TRACE.to_owned()));
    store.connected(id, at(20), Connection { note, handshake: Some("{}".repeat(2000)) });
    step(&store, id, at(20), Event::Connected(mailbox(40))).await.unwrap();
    mail(&store, id, at(30)).await;
    let push = store.due_pushes(at(30), 1).await.unwrap().remove(0);
    let again = Finish::Again { at: at(32), reason: "TooManyRequests".to_owned() };
    store.finish_push(push.id, at(31), again).await.unwrap();
    let accepted = Finish::Done { status: PushStatus::Accepted, provider_id: Some("p".to_owned()), reason: None };
    store.finish_push(push.id, at(32), accepted.clone()).await.unwrap();
    // Once it is done, it is done.
    store.finish_push(push.id, at(33), accepted).await.unwrap();
    store.note(id, at(40), Note::new(TimelineKind::Viewed).staff(Some("amara".to_owned()))).await.unwrap();
    store.trace(id, at(41), at(3641), Note::new(TimelineKind::TraceOn).staff(Some("kim".to_owned()))).await.unwrap();
    let ended = |_: &_| vec![Note::ended(EndReason::Stopped)];
    told(&store, id, at(50), Event::Stopped, ended).await.unwrap();

    let expect = [
        "registered",
        "deferred",
        "failed",
        "connected",
        "mail_seen",
        "push_queued",
        "push_retry",
        "push_accepted",
        "viewed",
        "trace_on",
        "ended",
    ];
    assert_eq!(kinds(&store, id).await, expect);
    let entries = timeline(&store, id).await;
    let of = |kind: TimelineKind| entries.iter().find(|entry| entry.note.kind == kind).unwrap();
    assert_eq!(of(TimelineKind::Failed).failure(), Some((FailureCode::ConnectTimeout, "no answer from 192.0.2.1")));
    assert_eq!(of(TimelineKind::Ended).end_reason(), Some(EndReason::Stopped));
    let numbers = |kind| (of(kind).note.a, of(kind).note.b);
    assert_eq!(numbers(TimelineKind::Registered), (Some(40), Some(3_600_000)));
    assert_eq!(numbers(TimelineKind::Deferred), (Some(5000), None));
    assert_eq!(numbers(TimelineKind::Connected), (Some(180), Some(40)));
    assert_eq!(numbers(TimelineKind::MailSeen), (Some(40), Some(41)));
    assert_eq!(numbers(TimelineKind::PushRetry), (Some(at(32).as_millis()), Some(1)));
    assert_eq!(numbers(TimelineKind::PushAccepted), (Some(2000), Some(2)));
    assert_eq!(of(TimelineKind::PushRetry).note.detail.as_deref(), Some("TooManyRequests"));
    assert_eq!(of(TimelineKind::Viewed).note.staff.as_deref(), Some("amara"));
    for kind in [TimelineKind::Registered, TimelineKind::PushQueued, TimelineKind::PushAccepted] {
        assert_eq!(of(kind).note.traceparent.as_deref(), Some(TRACE));
    }
    let detail = store.session_detail(id).await.unwrap().unwrap();
    assert_eq!(detail.handshake.map(|text| text.len()), Some(2048));
    assert_eq!((detail.row.connected_at, detail.row.last_push_at), (Some(at(20)), Some(at(32))));
    assert_eq!((detail.trace_until, detail.sealed_for), (Some(at(3641)), None));
    assert_eq!(detail.push.token_ends, "abab");
    assert_eq!(store.session(id).await.unwrap().unwrap().trace_until, Some(at(3641)));

    // It goes with the session.
    assert!(store.purge(at(51)).await.unwrap() >= 1);
    assert_eq!(kinds(&store, id).await, [""; 0]);
}

async fn every_outcome_of_a_push_is_told(database: Database) {
    let store = database.open().await;
    for (number, status, reason, kind, detail) in [
        (1, PushStatus::Refused, Some("BadTopic"), TimelineKind::PushRefused, Some("BadTopic")),
        (2, PushStatus::Gone, Some("Unregistered"), TimelineKind::PushGone, Some("Unregistered")),
        (3, PushStatus::Expired, None, TimelineKind::PushRefused, Some("expired")),
        (4, PushStatus::Accepted, None, TimelineKind::PushAccepted, None),
    ] {
        let id = store.register(session(number, &format!("account-{number}"), "h")).await.unwrap().id;
        mail(&store, id, at(1)).await;
        let push = store.due_pushes(at(1), 1).await.unwrap().remove(0);
        let done = Finish::Done { status, provider_id: None, reason: reason.map(ToOwned::to_owned) };
        store.finish_push(push.id, at(2), done).await.unwrap();
        let last = timeline(&store, id).await.remove(0);
        assert_eq!((last.note.kind, last.note.detail.as_deref(), last.note.a), (kind, detail, Some(1000)));
        let row = store.session_detail(id).await.unwrap().unwrap().row;
        assert_eq!(row.last_push_at.is_some(), status == PushStatus::Accepted);
    }
}

async fn a_registration_is_told_once_and_a_replaced_session_says_by_what(database: Database) {
    let store = database.open().await;
    let first = store.register(session(1, "account-1", "h1")).await.unwrap().id;
    store.register(session(2, "account-1", "h1")).await.unwrap();
    assert_eq!(kinds(&store, first).await, ["registered"], "the same again is no news");
    let second = store.register(session(3, "account-1", "h2")).await.unwrap().id;
    assert_eq!(kinds(&store, first).await, ["registered", "replaced"]);
    assert_eq!(timeline(&store, first).await[0].note.detail, Some(second.to_string()));
    // What lost the race leaves no trace.
    let record = store.session(second).await.unwrap().unwrap();
    let change = store::Change {
        id: second,
        revision: record.revision - 1,
        now: at(1),
        life: record.life,
        token_dies: false,
        push_target: None,
        push: None,
        notes: vec![Note::new(TimelineKind::Viewed)],
    };
    assert!(store.change(change).await.is_err());
    assert_eq!(kinds(&store, second).await, ["registered"]);
    // A connection of a session that is gone is told nobody.
    let gone = session(9, "account-9", "h").id;
    store.connected(gone, at(1), Connection { note: Note::connected(Duration::ZERO, 1), handshake: None });
    store.note(second, at(2), Note::new(TimelineKind::Viewed)).await.unwrap();
    assert_eq!(kinds(&store, gone).await, [""; 0]);
}

async fn pages_go_back_to_the_beginning_though_many_entries_have_one_time(database: Database) {
    let store = database.open().await;
    let id = store.register(session(1, "account-1", "h1")).await.unwrap().id;
    for number in 0..50 {
        store.note(id, at(number / 10), Note::new(TimelineKind::Viewed).detail(number.to_string())).await.unwrap();
    }
    for limit in [1, 7, 51, 500] {
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = store.timeline(id, before, limit).await.unwrap();
            assert!(page.entries.len() as u64 <= limit);
            seen.extend(page.entries.into_iter().map(|entry| entry.note.detail));
            before = page.older;
            let Some(older) = before else { break };
            assert_eq!(TimelineCursor::parse(&older.to_string()), Some(older));
        }
        let mut expect: Vec<_> = (0..50).rev().map(|number| Some(number.to_string())).collect();
        // Registered at the very time of the first ten, and before them.
        expect.push(None);
        assert_eq!(seen, expect);
    }
    for nonsense in ["", "1", "1.x", "x.018bcfe5680070008000000000000001", "1.1.1", "' OR 1=1"] {
        assert_eq!(TimelineCursor::parse(nonsense), None, "{nonsense}");
    }
}

async fn what_a_server_says_is_text_and_has_a_bound(database: Database) {
    let store = database.open().await;
    let id = store.register(session(1, "account-1", "h1")).await.unwrap().id;
    let hostile = "NO <img src=x onerror=alert(1)> '); DROP TABLE timeline; -- \" \\ \u{202e} %s ${x}";
    let failure = Failure::new(FailureCode::ServerBye, Evidence::redact(hostile, None));
    store.note(id, at(1), Note::failed(&failure, None).staff(Some(hostile.repeat(9)))).await.unwrap();
    store.note(id, at(2), Note::new(TimelineKind::PingDone).detail("ü".repeat(9000))).await.unwrap();
    let entries = timeline(&store, id).await;
    assert_eq!(entries[0].note.detail.as_ref().map(|detail| detail.chars().count()), Some(512));
    assert_eq!(entries[1].failure(), Some((FailureCode::ServerBye, failure.evidence.as_str())));
    assert_eq!(entries[1].note.staff.as_ref().map(|staff| staff.chars().count()), Some(64));
}

#[test]
fn kinds_are_read_back() {
    for kind in TimelineKind::ALL {
        assert_eq!(TimelineKind::parse(kind.as_str()), Some(*kind));
        assert!(kind.as_str().len() <= 32);
    }
    assert_eq!(TimelineKind::parse("eaten"), None);
}

support::on_each_database![
    a_whole_life_is_told_in_order,
    every_outcome_of_a_push_is_told,
    a_registration_is_told_once_and_a_replaced_session_says_by_what,
    pages_go_back_to_the_beginning_though_many_entries_have_one_time,
    what_a_server_says_is_text_and_has_a_bound,
];
