//! Nodes that tell of themselves, and acts on many sessions that outlive whoever began them.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the answer")]

mod support;

use std::time::Duration;

use domain::{SessionId, Timestamp};
use store::{
    AuditAction, AuditFilter, AuditStart, BulkId, BulkOutcome, BulkRefusal, BulkStage, BulkStep, NewAudit, NewBulk,
    NodeBeat, Store,
};
use support::{Database, NOW, session};

fn sessions(many: u128) -> Vec<SessionId> {
    (1..=many).map(|number| SessionId::from_uuid(uuid::Uuid::from_u128(number))).collect()
}

fn order(id: u64, many: u128, at: Timestamp) -> BulkStep {
    BulkStep::Order(Box::new(NewBulk {
        id: BulkId::new(id),
        act: "ping".to_owned(),
        sessions: sessions(many),
        found_by: "state:retrying".to_owned(),
        back: "/sessions?q=state:retrying".to_owned(),
        staff: "kim".to_owned(),
        address: "127.0.0.1".to_owned(),
        reason: "ticket 7".to_owned(),
        at,
    }))
}

fn entry(action: AuditAction) -> NewAudit {
    NewAudit { at: NOW, staff: "kim".to_owned(), action, subject: String::new(), reason: None, address: None }
}

async fn step(store: &Store, step: BulkStep) -> Result<(), BulkRefusal> {
    store.bulk_step(step, None).await.unwrap()
}

async fn audited(store: &Store) -> Vec<String> {
    let page = store.audit_page(&AuditFilter::default(), AuditStart::Newest, 50).await.unwrap();
    page.entries.into_iter().map(|entry| entry.action).collect()
}

async fn a_bulk_act_goes_on_where_it_was(database: Database) {
    let id = BulkId::new(7);
    let store = database.open().await;
    assert_eq!(store.next_bulk().await.unwrap(), None);
    let ordered = store.bulk_step(order(7, 600, NOW), Some(entry(AuditAction::BulkStarted))).await.unwrap();
    assert_eq!(ordered, Ok(()));
    step(&store, order(8, 1, NOW.after(Duration::from_secs(1)))).await.unwrap();
    assert_eq!(step(&store, BulkStep::Begin(id)).await, Ok(()));
    for (position, outcome) in [(0, BulkOutcome::Done), (1, BulkOutcome::Ended), (2, BulkOutcome::Done)] {
        assert_eq!(step(&store, BulkStep::Did { id, position, outcome }).await, Ok(()));
    }
    store.close().await;

    // Another node has nothing to do with it; the same one, started again, goes on.
    let other = database.open_as(8).await;
    assert_eq!(other.next_bulk().await.unwrap(), None);
    other.close().await;
    let store = database.open().await;
    let next = store.next_bulk().await.unwrap().unwrap();
    assert_eq!((next.id, next.stage, next.sessions, next.reason.as_str()), (id, BulkStage::Runs, 600, "ticket 7"));
    let rest = store.bulk_rest(id).await.unwrap();
    assert_eq!((rest.len(), rest[0]), (500, (3, sessions(4)[3])));
    let progress = store.bulk_progress(id).await.unwrap();
    assert_eq!((progress.done, progress.ended, progress.seen()), (2, 1, 3));
    assert_eq!(progress.missed, [(sessions(2)[1], BulkOutcome::Ended)]);

    let ended = BulkStep::End { id, at: NOW };
    assert_eq!(store.bulk_step(ended.clone(), Some(entry(AuditAction::BulkEnded))).await.unwrap(), Ok(()));
    assert_eq!(store.bulk_step(ended, Some(entry(AuditAction::BulkEnded))).await.unwrap(), Err(BulkRefusal::Over));
    assert_eq!(store.bulk(id).await.unwrap().unwrap().stage, BulkStage::Done { at: NOW });
    assert_eq!(store.next_bulk().await.unwrap().unwrap().id, BulkId::new(8), "the next one's turn has come");
    assert_eq!(audited(&store).await, ["bulk_ended", "bulk_started"], "what was refused is not written down");
}

async fn what_is_stopped_goes_on_no_more(database: Database) {
    let id = BulkId::new(7);
    let store = database.open().await;
    step(&store, order(7, 3, NOW)).await.unwrap();
    step(&store, BulkStep::Begin(id)).await.unwrap();
    let stop = BulkStep::Stop { id, at: NOW, by: "tomas".to_owned() };
    assert_eq!(step(&store, stop.clone()).await, Ok(()));
    // What was being done meanwhile was done, and is written down.
    let did = BulkStep::Did { id, position: 0, outcome: BulkOutcome::Done };
    assert_eq!(step(&store, did).await, Err(BulkRefusal::Over));
    assert_eq!(store.bulk_progress(id).await.unwrap().done, 1);
    for again in [stop, BulkStep::Begin(id), BulkStep::End { id, at: NOW }] {
        assert_eq!(step(&store, again).await, Err(BulkRefusal::Over));
    }
    let stage = store.bulk(id).await.unwrap().unwrap().stage;
    assert_eq!(stage, BulkStage::Stopped { at: NOW, by: "tomas".to_owned() });
    assert_eq!(store.next_bulk().await.unwrap(), None);
    assert_eq!(step(&store, BulkStep::Begin(BulkId::new(99))).await, Err(BulkRefusal::Over), "nobody ordered it");
}

async fn only_ten_wait_and_what_is_old_is_forgotten(database: Database) {
    let store = database.open().await;
    for id in 0..10 {
        assert_eq!(step(&store, order(id, 2, NOW)).await, Ok(()));
    }
    let more = store.bulk_step(order(10, 2, NOW), Some(entry(AuditAction::BulkStarted))).await.unwrap();
    assert_eq!(more, Err(BulkRefusal::Crowded));
    assert!(audited(&store).await.is_empty());
    let first = BulkId::new(0);
    step(&store, BulkStep::Stop { id: first, at: NOW, by: "kim".to_owned() }).await.unwrap();
    assert_eq!(step(&store, order(10, 2, NOW)).await, Ok(()));
    store.purge(NOW).await.unwrap();
    assert!(store.bulk(first).await.unwrap().is_some(), "it is kept for as long as it is said");
    store.purge(NOW.after(Duration::from_secs(1))).await.unwrap();
    assert_eq!(store.bulk(first).await.unwrap(), None);
    assert!(store.bulk_rest(first).await.unwrap().is_empty());
    assert!(store.bulk(BulkId::new(1)).await.unwrap().is_some(), "what waits is not old");
    assert_eq!(store.bulk_rest(BulkId::new(1)).await.unwrap().len(), 2);
}

async fn a_node_is_seen_until_it_is_gone(database: Database) {
    let (store, other) = (database.open().await, database.open_as(8).await);
    let beat = |seen_at, stops| NodeBeat { version: "0.1.0".to_owned(), started_at: NOW, seen_at, stops };
    let later = NOW.after(Duration::from_secs(10));
    store.beat(beat(NOW, false)).await.unwrap();
    other.beat(beat(NOW, false)).await.unwrap();
    store.beat(beat(later, false)).await.unwrap();
    let nodes = store.nodes().await.unwrap();
    let seen: Vec<_> = nodes.iter().map(|node| (node.id, node.seen_at, node.stopped_at)).collect();
    assert_eq!(seen, [(store.node(), later, None), (other.node(), NOW, None)]);
    assert_eq!((nodes[0].version.as_str(), nodes[0].started_at), ("0.1.0", NOW));
    other.beat(beat(NOW, true)).await.unwrap();
    assert_eq!(store.nodes().await.unwrap()[1].stopped_at, Some(NOW));

    // A node that is gone is forgotten, unless sessions wait for it.
    other.register(session(1, "account-1", "h1")).await.unwrap();
    assert_eq!(other.claim(9).await.unwrap().len(), 1);
    store.purge(later).await.unwrap();
    assert_eq!(store.nodes().await.unwrap().len(), 2);
    other.release().await.unwrap();
    store.purge(later).await.unwrap();
    assert_eq!(store.nodes().await.unwrap().len(), 1);
}

async fn boxes_are_counted_by_their_keys(database: Database) {
    let store = database.open().await;
    for number in 1..=3 {
        store.register(session(number, &format!("account-{number}"), "h")).await.unwrap();
    }
    let ended = session(1, "account-1", "h").id;
    support::step(&store, ended, NOW, domain::Event::Stopped).await.unwrap();
    assert_eq!(store.boxes_by_key().await.unwrap(), [("key-1".to_owned(), 2)]);
}

support::on_each_database![
    a_bulk_act_goes_on_where_it_was,
    what_is_stopped_goes_on_no_more,
    only_ten_wait_and_what_is_old_is_forgotten,
    a_node_is_seen_until_it_is_gone,
    boxes_are_counted_by_their_keys,
];
