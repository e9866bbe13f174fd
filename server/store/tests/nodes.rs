//! What a database with several writers, and one that goes away, must not do to the store.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test, a panic is the answer")]

mod support;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use domain::{Event, NodeId};
use peers::postgres::Postgres;
use store::{
    AuditAction, AuditCheck, AuditFilter, AuditStart, DeliveryFilter, NewAudit, Note, Page, SessionFilter, Store,
    StoreError, TimelineKind, demo,
};
use support::{Database, NOW, named, session, step};
use uuid::Uuid;

fn entry(number: u32) -> NewAudit {
    NewAudit {
        at: NOW,
        staff: "kim".to_owned(),
        action: AuditAction::ALL[0],
        subject: number.to_string(),
        reason: None,
        address: None,
    }
}

/// More than one transaction's worth, so that what is left over is found again.
async fn a_purge_takes_many_in_pieces(database: Database) {
    let store = database.open().await;
    demo::fill(&store, 1500, 9, NOW).await.unwrap();
    let ended = SessionFilter { state: Some(domain::State::Ended), ..SessionFilter::default() };
    let gone = store.find_sessions(&ended, Page::newest(1)).await.unwrap().rows[0].id;
    assert!(!store.timeline(gone, None, 10).await.unwrap().entries.is_empty());
    let later = NOW.after(Duration::from_secs(60));
    let deleted = store.purge(later).await.unwrap();
    assert!(deleted > 1000, "{deleted}: too few to be told from one piece");
    assert!(store.find_sessions(&ended, Page::newest(1)).await.unwrap().rows.is_empty());
    assert!(store.timeline(gone, None, 10).await.unwrap().entries.is_empty());
    let left = store.deliveries(&DeliveryFilter::All, Page::newest(200)).await.unwrap().rows;
    assert!(left.iter().all(|push| push.done_at.is_none()), "{left:?}");
    assert_eq!(store.purge(later).await.unwrap(), 0);
}

/// PostgreSQL has no character 0 in a text; what is looked for with one is not there, and nothing fails.
async fn a_nul_is_in_no_text(database: Database) {
    let store = database.open().await;
    store.register(session(1, "account-1", "h1")).await.unwrap();
    let nul = || Some("device\0".to_owned());
    for filter in [
        SessionFilter { device: nul(), ..SessionFilter::default() },
        SessionFilter { host: nul(), context: nul(), ..SessionFilter::default() },
    ] {
        assert!(store.find_sessions(&filter, Page::newest(9)).await.unwrap().rows.is_empty());
        assert_eq!(store.count_sessions(&filter, 9).await.unwrap(), store::Count::Exactly(0));
    }
    assert!(store.devices("dev\0", None, 9).await.unwrap().rows.is_empty());
    assert!(store.devices("", Some("\0"), 9).await.unwrap().rows.is_empty());
    let audit = AuditFilter { subject: nul(), ..AuditFilter::default() };
    assert!(store.audit_page(&audit, AuditStart::Newest, 9).await.unwrap().entries.is_empty());
    let said = Note::new(TimelineKind::Viewed).detail("ticket\0 7").staff(nul());
    let id = session(1, "account-1", "h1").id;
    store.note(id, NOW, said).await.unwrap();
    let told = store.timeline(id, None, 1).await.unwrap().entries.remove(0).note;
    assert_eq!((told.detail.as_deref(), told.staff.as_deref()), (Some("ticket 7"), Some("device")));
    assert!(
        store.deliveries(&DeliveryFilter::Device("d\0".to_owned()), Page::newest(9)).await.unwrap().rows.is_empty()
    );
}

/// Ids are compared byte by byte, whatever a database takes for the order of letters.
async fn devices_are_in_the_order_of_their_bytes(database: Database) {
    let store = database.open().await;
    let ids = ["a-1", "A-2", "a_3", "B", "b", "Z", "~", "10", "9"];
    for (number, id) in (1..).zip(ids) {
        store.register(named(number, NOW, ["u-1", id, &format!("account-{number}")], "imap.example")).await.unwrap();
    }
    let mut sorted = ids.map(str::to_owned);
    sorted.sort();
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = store.devices("", after.as_deref(), 2).await.unwrap();
        found.extend(page.rows.into_iter().map(|row| row.device));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, sorted);
    let a = store.devices("a", None, 9).await.unwrap().rows;
    assert_eq!(a.iter().map(|row| row.device.as_str()).collect::<Vec<_>>(), ["a-1", "a_3"]);
}

support::on_each_database![a_purge_takes_many_in_pieces, a_nul_is_in_no_text, devices_are_in_the_order_of_their_bytes,];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_write_one_chain_and_claim_each_their_own() {
    let database = Database::postgresql().await;
    // They start in the same moment, and only one of them brings the schema up to date.
    let (one, other) = tokio::join!(database.open_as(7), database.open_as(8));
    for number in 1..=40 {
        one.register(session(number, &format!("account-{number}"), "h")).await.unwrap();
    }
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..60 {
        let store = if number % 2 == 0 { one.clone() } else { other.clone() };
        writes.spawn(async move { store.audit(entry(number)).await.unwrap() });
    }
    let mut claims = tokio::task::JoinSet::new();
    for store in [one.clone(), other.clone()] {
        claims.spawn(async move {
            let mut mine = Vec::new();
            for _ in 0..20 {
                mine.extend(store.claim(3).await.unwrap().into_iter().map(|claimed| claimed.id));
            }
            mine
        });
    }
    writes.join_all().await;
    let claimed: Vec<_> = claims.join_all().await.into_iter().flatten().collect();
    assert_eq!((claimed.len(), claimed.iter().collect::<HashSet<_>>().len()), (40, 40), "one session, two nodes");
    let AuditCheck::Whole { entries, .. } = one.verify_audit().await.unwrap() else { panic!("the chain is broken") };
    assert_eq!(entries, 60);
}

#[tokio::test]
async fn the_audit_is_append_only_in_postgresql_too() {
    let server = Postgres::start().await.unwrap();
    let url = server.database().await.unwrap();
    let store = Store::open(&url, NodeId::from_uuid(Uuid::nil())).await.unwrap();
    store.audit(entry(1)).await.unwrap();
    for sql in ["UPDATE audit SET staff = 'nobody'", "DELETE FROM audit", "TRUNCATE audit"] {
        let refused = server.query("pinger_0", sql).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
}

#[tokio::test]
async fn tls_is_spoken_and_the_certificate_is_checked() {
    let server = Postgres::start().await.unwrap();
    server.database().await.unwrap();
    let node = NodeId::from_uuid(Uuid::nil());
    let url = server.tls_url("pinger_0");
    let store = Store::open(&url, node).await.unwrap();
    store.register(session(1, "account-1", "h1")).await.unwrap();
    let unencrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                       WHERE application_name = 'pinger' AND NOT ssl";
    assert_eq!(server.query("pinger_0", unencrypted).await.unwrap(), "0");
    let encrypted = unencrypted.replace("AND NOT", "AND");
    assert_ne!(server.query("pinger_0", &encrypted).await.unwrap(), "0");

    // Without its authority, its certificate is nobody's; with another password, we are nobody.
    let (unknown, _) = url.split_once("&sslrootcert").unwrap();
    for url in [unknown, &url.replace("opens", "shuts")] {
        assert!(matches!(Store::open(url, node).await, Err(StoreError::Open { .. })), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgresql_is_away_calls_fail_soon_and_afterwards_all_is_well() {
    let mut server = Postgres::start().await.unwrap();
    let url = server.database().await.unwrap();
    let store = Store::open(&url, NodeId::from_uuid(Uuid::nil())).await.unwrap();
    let id = store.register(session(1, "account-1", "h1")).await.unwrap().id;
    server.stop().await.unwrap();

    // Many at once, so that they are in one transaction; none waits for the others' time-outs.
    let began = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for number in 2..=60 {
        let store = store.clone();
        calls.spawn(async move { store.register(session(number, &format!("account-{number}"), "h")).await.is_err() });
    }
    assert!(calls.join_all().await.into_iter().all(|failed| failed));
    assert!(store.session(id).await.is_err());
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());

    server.start_again().await.unwrap();
    assert!(store.session(id).await.unwrap().is_some());
    for number in 2..=60 {
        store.register(session(number, &format!("account-{number}"), "h")).await.unwrap();
    }
    step(&store, id, NOW, Event::Stopped).await.unwrap();
    assert_eq!(store.count_sessions(&SessionFilter::default(), 100).await.unwrap(), store::Count::Exactly(60));
}
