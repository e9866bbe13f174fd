//! Each order that is offered is a walk along an index: none scans, none sorts.

use domain::{FailureCode, NodeId, Timestamp};
use sea_orm::{QueryTrait as _, StatementBuilder};

use super::*;
use crate::StateReason;

async fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("pinger.db").display());
    let store = Store::open(&url, NodeId::from_uuid(Uuid::from_u128(7))).await.unwrap();
    (folder, store)
}

async fn plan(store: &Store, statement: &impl StatementBuilder) -> String {
    let mut statement = store.reader().get_database_backend().build(statement);
    statement.sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
    let rows = store.reader().query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get::<String>("", "detail").unwrap()).collect::<Vec<_>>().join("\n")
}

/// Every filter there can be.
fn filters() -> Vec<SessionFilter> {
    let text = |given: bool, text: &str| given.then(|| text.to_owned());
    let at = |given: bool| given.then(|| Timestamp::from_millis(1_700_000_000_000));
    let failed = StateReason::Failed(FailureCode::Throttled);
    (0..1u32 << 10)
        .map(|bits| {
            let bit = |place: u32| bits & (1 << place) != 0;
            SessionFilter {
                address_hash: text(bit(0), "a"),
                device: text(bit(1), "d"),
                user: text(bit(2), "u"),
                context: text(bit(3), "c"),
                host: text(bit(4), "h"),
                state: bit(5).then_some(State::Retrying),
                reason: bit(6).then_some(failed),
                since: at(bit(7)),
                node: bit(8).then(|| NodeId::from_uuid(Uuid::from_u128(9))),
                changed_since: at(bit(9)),
            }
        })
        .collect()
}

fn cursor(by: SortBy) -> SortCursor {
    let key = match by {
        SortBy::Registered => Key::Id,
        SortBy::Changed | SortBy::Next => Key::Time(1_700_000_000_000),
        SortBy::Host => Key::Host("imap.example.org".to_owned()),
    };
    SortCursor { key, id: Uuid::from_u128(1 << 120) }
}

#[tokio::test]
async fn whatever_is_offered_walks_an_index_and_never_sorts() {
    let (_folder, store) = open().await;
    let (mut served, mut refused) = (0, 0);
    for filter in filters() {
        for by in SortBy::ALL.iter().copied() {
            for sort in [Sort::usual(by), Sort::usual(by).reversed()] {
                let Ok(list) = SessionList::new(vec![filter.clone()], sort) else {
                    refused += 1;
                    continue;
                };
                served += 1;
                for part in [ListPart::First, ListPart::After(cursor(by)), ListPart::Before(cursor(by))] {
                    for walk in list.walks(&part, 51) {
                        let plan = plan(&store, &walk.into_query()).await;
                        // The places are in the index: no row is read to be passed over.
                        let walks = plan.starts_with("SEARCH") || plan.starts_with("SCAN session USING COVERING INDEX");
                        assert!(walks && !plan.contains("TEMP B-TREE"), "{filter:?} {sort}\n{plan}");
                        // A walk over all is for a list of all only.
                        assert!(
                            plan.starts_with("SEARCH") || *list.filters == [SessionFilter::default()],
                            "{filter:?} {sort}\n{plan}"
                        );
                    }
                }
            }
        }
    }
    assert!(served > 1000 && refused > 1000, "{served} served, {refused} refused");
}

#[tokio::test]
async fn the_index_that_drives_has_what_is_filtered_by() {
    let (_folder, store) = open().await;
    let (none, host) = (SessionFilter::default, || Some("h".to_owned()));
    let (state, reason) = (Some(State::Retrying), Some(StateReason::Failed(FailureCode::Throttled)));
    let changed_since = Some(Timestamp::from_millis(1));
    let node = Some(NodeId::from_uuid(Uuid::from_u128(9)));
    for (filter, by, expect) in [
        (SessionFilter { node, ..none() }, SortBy::Registered, "session_of_node (node_id=?)"),
        (SessionFilter { node, state, ..none() }, SortBy::Registered, "session_state (state=?)"),
        (none(), SortBy::Changed, "session_state_since (state=?)"),
        (SessionFilter { state, ..none() }, SortBy::Changed, "session_state_since (state=?)"),
        (
            SessionFilter { state, changed_since, ..none() },
            SortBy::Changed,
            "session_state_since (state=? AND state_since>?)",
        ),
        (SessionFilter { reason, state, ..none() }, SortBy::Changed, "session_reason_since (reason=?)"),
        (
            SessionFilter { reason, changed_since, ..none() },
            SortBy::Changed,
            "session_reason_since (reason=? AND state_since>?)",
        ),
        (SessionFilter { state, ..none() }, SortBy::Next, "session_state_next (state=?)"),
        (SessionFilter { state, host: host(), ..none() }, SortBy::Next, "session_host_next (state=? AND mail_host=?)"),
        (SessionFilter { host: host(), ..none() }, SortBy::Next, "session_host_next (state=? AND mail_host=?)"),
        (SessionFilter { state, ..none() }, SortBy::Host, "session_host_state (state=?)"),
        (SessionFilter { reason, ..none() }, SortBy::Host, "session_reason_host (reason=?)"),
    ] {
        let list = SessionList::new(vec![filter.clone()], Sort::usual(by)).unwrap();
        for walk in list.walks(&ListPart::First, 51) {
            let plan = plan(&store, &walk.into_query()).await;
            assert!(plan.contains(expect), "{filter:?} by {by:?}: expected {expect}, got\n{plan}");
        }
    }
    // A count needs no order, and no row of a million that are not asked for.
    let filter = SessionFilter { state: Some(State::Ended), changed_since, ..none() };
    let plan = plan(&store, &filter.count(10_000)).await;
    assert!(plan.contains("(state=? AND state_since>?)"), "{plan}");
}

#[tokio::test]
async fn names_are_looked_up_one_by_one() {
    let (_folder, store) = open().await;
    for (of, expect) in [
        (Named::Device, "device_id>"),
        (Named::User, "user_id>"),
        (Named::Context, "context>"),
        (Named::Host, "mail_host>"),
    ] {
        for after in [None, Some("de".to_owned())] {
            let plan = plan(&store, &next_value(of, "d", after.as_ref())).await;
            assert!(plan.starts_with("SEARCH") && plan.contains(expect) && plan.contains("COVERING"), "{plan}");
        }
    }
}

#[test]
fn orders_and_places_are_read_as_they_are_written() {
    for by in SortBy::ALL.iter().copied() {
        for sort in [Sort::usual(by), Sort::usual(by).reversed()] {
            assert_eq!(Sort::parse(&sort.to_string()), Some(sort));
        }
        let place = cursor(by);
        assert_eq!(SortCursor::parse(by, &place.to_string()), Some(place));
        assert_eq!(SortCursor::parse(by, "nonsense"), None);
    }
    assert_eq!(Sort::parse("colour"), None);
}
