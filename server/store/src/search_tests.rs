//! Every list is a walk along an index: no query scans a table, and none that is for a page sorts.

use domain::NodeId;
use sea_orm::{EntityTrait, QueryTrait as _, Select, StatementBuilder};
use tempfile::TempDir;

use super::*;
use crate::deliveries::{self, DeliveryFilter};
use crate::{PushStatus, devices, overview, timeline};

struct Database {
    _folder: TempDir,
    store: Store,
}

impl Database {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("pinger.db").display());
        let store = Store::open(&url, NodeId::from_uuid(Uuid::from_u128(7))).await.unwrap();
        Self { _folder: folder, store }
    }

    /// How SQLite would go about a statement, a line a step.
    async fn plan(&self, statement: &impl StatementBuilder) -> String {
        let db = self.store.reader();
        let mut statement = db.get_database_backend().build(statement);
        statement.sql = format!("EXPLAIN QUERY PLAN {}", statement.sql);
        let rows = db.query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get::<String>("", "detail").unwrap()).collect::<Vec<_>>().join("\n")
    }

    async fn check(&self, statement: &impl StatementBuilder, expect: &str) {
        let plan = self.plan(statement).await;
        assert!(plan.contains(expect), "expected {expect}, got:\n{plan}");
        for step in plan.lines() {
            assert!(!step.starts_with("SCAN") || step.contains("INDEX") || step.contains("found"), "a scan:\n{plan}");
        }
    }

    /// A list for a page: the same, and in order without sorting, for each part of it.
    async fn check_list<E: EntityTrait>(&self, query: Select<E>, id: E::Column, expect: &str)
    where
        E::Column: Copy,
    {
        let cursor = Cursor(Uuid::from_u128(1 << 120));
        for start in [Start::Newest, Start::OlderThan(cursor), Start::NewerThan(cursor)] {
            let statement = Page::new(start, 50).ordered(query.clone(), id).into_query();
            self.check(&statement, expect).await;
            let plan = self.plan(&statement).await;
            assert!(!plan.contains("TEMP B-TREE"), "it sorts:\n{plan}");
        }
    }
}

fn filters() -> Vec<(SessionFilter, &'static str)> {
    let text = |text: &str| Some(text.to_owned());
    let none = SessionFilter::default;
    let refused = Some(StateReason::Failed(FailureCode::LoginRefused));
    let since = Some(Timestamp::from_millis(1_700_000_000_000));
    let (state, host) = (Some(State::Retrying), text("imap.example.org"));
    vec![
        (none(), "sqlite_autoindex_session_1"),
        (SessionFilter { address_hash: text("a"), ..none() }, "session_address (address_hash=?"),
        (SessionFilter { device: text("d"), ..none() }, "session_device (device_id=?"),
        (SessionFilter { user: text("u"), ..none() }, "session_user (user_id=?"),
        (SessionFilter { context: text("c"), ..none() }, "session_context (context=?"),
        (SessionFilter { host: host.clone(), ..none() }, "session_host (mail_host=?"),
        (SessionFilter { state, ..none() }, "session_state (state=?"),
        (SessionFilter { reason: refused, ..none() }, "session_reason (reason=?"),
        (SessionFilter { host: host.clone(), state, ..none() }, "session_host_state (state=? AND mail_host=?"),
        (
            SessionFilter { host: host.clone(), reason: refused, ..none() },
            "session_reason_host (reason=? AND mail_host=?",
        ),
        (
            SessionFilter { host: host.clone(), reason: refused, state, ..none() },
            "session_reason_host (reason=? AND mail_host=?",
        ),
        (SessionFilter { reason: refused, state, ..none() }, "session_reason (reason=?"),
        (
            SessionFilter {
                address_hash: text("a"),
                device: text("d"),
                user: text("u"),
                context: text("c"),
                host,
                state,
                reason: refused,
                ..none()
            },
            "session_address (address_hash=?",
        ),
        (SessionFilter { device: text("d"), user: text("u"), state, ..none() }, "session_device (device_id=?"),
        (SessionFilter { user: text("u"), state, reason: refused, ..none() }, "session_user (user_id=?"),
        (SessionFilter { since, ..none() }, "sqlite_autoindex_session_1 (id>?"),
        (SessionFilter { state, since, ..none() }, "session_state (state=? AND id>?"),
    ]
}

#[tokio::test]
async fn each_filter_walks_its_index_and_never_sorts() {
    let database = Database::new().await;
    for (filter, index) in filters() {
        database.check_list(filter.select(), Column::Id, index.split(" AND id").next().unwrap()).await;
        // A count needs no order, so any index that begins with the same columns will do.
        let columns = index.split_once(' ').map_or("INDEX", |(_, columns)| columns);
        database.check(&filter.count(10_000), columns).await;
    }
}

#[tokio::test]
async fn the_other_lists_walk_theirs() {
    use crate::entity::outbox::Column as Outbox;
    let database = Database::new().await;
    let session = domain::SessionId::from_uuid(Uuid::from_u128(1));
    for (filter, index) in [
        (DeliveryFilter::All, "sqlite_autoindex_outbox_1"),
        (DeliveryFilter::Status(PushStatus::Queued), "outbox_status (status=?"),
        (DeliveryFilter::Session(session), "outbox_session (session_id=?"),
    ] {
        database.check_list(deliveries::select(&filter, Vec::new()), Outbox::Id, index).await;
    }
    // The pushes of a device's sessions are sorted; they are few.
    let device =
        deliveries::select(&DeliveryFilter::Device("d".to_owned()), vec![Uuid::from_u128(1), Uuid::from_u128(2)]);
    database.check(&device.into_query(), "outbox_session (session_id=?").await;

    for before in [None, timeline::TimelineCursor::parse("5.00000000000000000000000000000001")] {
        let statement = timeline::select(session, before, 50).into_query();
        database.check(&statement, "timeline_session (session_id=?").await;
        assert!(!database.plan(&statement).await.contains("TEMP B-TREE"));
    }
    database.check(&devices::ids("", None, 50), "session_device").await;
    database.check(&devices::ids("dev", Some("device"), 50), "session_device (device_id>").await;
    let summary = devices::summary(&["a".to_owned(), "b".to_owned()]);
    database.check(&summary, "SEARCH newest USING COVERING INDEX session_device (device_id=?)").await;
}

#[tokio::test]
async fn the_overview_reads_indexes_alone_where_it_counts_many() {
    let database = Database::new().await;
    database.check(&overview::states_by_host(), "COVERING INDEX session_host").await;
    database.check(&overview::ended(0), "COVERING INDEX session_ended (ended_at>?").await;
    database.check(&overview::pushes(0), "COVERING INDEX outbox_done (done_at>?").await;
    database.check(&overview::queued(), "COVERING INDEX outbox_status (status=?").await;
    database.check(&overview::nodes(), "COVERING INDEX session_of_node (node_id>?").await;
    // What fails, and what waits, is few, and looked at row by row.
    database.check(&overview::failures(), "session_reason_host (reason=?").await;
    database.check(&overview::queued_by_minute(), "outbox_status (status=?").await;
}

#[test]
fn the_least_id_of_a_time_is_below_all_of_them() {
    let at = Timestamp::from_millis(1_700_000_000_123);
    let made = |millis: u64, byte| uuid::Builder::from_unix_timestamp_millis(millis, &[byte; 10]).into_uuid();
    let least = least_id(at);
    assert!(made(1_700_000_000_122, 0xff) < least && least < made(1_700_000_000_123, 0));
}
