//! The nodes: what each told of itself last, and what the sessions say that it runs.

use std::time::Duration;

use domain::{NodeId, Timestamp};
use store::{NodeRecord, Overview, StoreError};

use super::Data;
use crate::page::node::Node;
use crate::page::search::{Key, Search};
use crate::part::format::{counted, short_id};
use crate::part::mark::Mark;

/// A node that was not seen for so long is silent: it tells of itself every 10 seconds.
const SILENT_AFTER: Duration = Duration::from_secs(30);

/// A node that runs nothing is listed for so long after it was seen last.
const LISTED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pulse {
    Runs,
    Stopped,
    Silent,
    /// It never told of itself.
    Untold,
}

fn pulse(record: Option<&NodeRecord>, now: Timestamp) -> Pulse {
    match record {
        None => Pulse::Untold,
        Some(record) if record.stopped_at.is_some() => Pulse::Stopped,
        // A clock that is ahead of ours is no silence.
        Some(record) if record.seen_at <= now && now.since(record.seen_at) > SILENT_AFTER => Pulse::Silent,
        Some(_) => Pulse::Runs,
    }
}

/// This node first, then those that run sessions, then those that were seen in the last day.
pub(super) async fn nodes(data: &Data, seen: &Overview) -> Result<Vec<Node>, StoreError> {
    let (own, now) = (data.store().node(), data.now());
    let records = data.store().nodes().await?;
    let mut ids: Vec<NodeId> = vec![own];
    let recent = records.iter().filter(|record| now.since(record.seen_at) < LISTED_FOR);
    for id in seen.nodes.iter().map(|(node, _)| *node).chain(recent.map(|record| record.id)) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let line = |id: NodeId| {
        let record = records.iter().find(|record| record.id == id);
        let sessions = seen.nodes.iter().find(|(node, _)| *node == id).map_or(0, |(_, sessions)| *sessions);
        line(id, own, record, sessions, now)
    };
    Ok(ids.into_iter().map(line).collect())
}

fn line(id: NodeId, own: NodeId, record: Option<&NodeRecord>, sessions: u64, now: Timestamp) -> Node {
    let text = id.to_string();
    let name = short_id(&text);
    let left = sessions > 0;
    let is_demo = id == store::demo::NODE;
    let (mark, state) = match pulse(record, now) {
        Pulse::Runs => (Mark::Ok, "Runs"),
        Pulse::Stopped if left => (Mark::Fault, "Stopped"),
        Pulse::Stopped => (Mark::Ended, "Stopped"),
        Pulse::Silent if left || id == own => (Mark::Fault, "Silent"),
        Pulse::Silent => (Mark::NotReached, "Silent"),
        // This page is made by it.
        Pulse::Untold if id == own => (Mark::Ok, "Runs"),
        Pulse::Untold if is_demo => (Mark::NotReached, "None"),
        Pulse::Untold => (Mark::NotReached, "Not told"),
    };
    let them = counted(sessions, "session");
    let (are, go) = if sessions == 1 { ("is", "it goes") } else { ("are", "they go") };
    let next = match pulse(record, now) {
        Pulse::Silent if id == own => Some(format!(
            "{name} is this node, and its heartbeat is not written: the store does not take it. Look at this node’s log and \
             at the disk of the store."
        )),
        Pulse::Silent if left => Some(format!(
            "{name} is silent, and its {them} {are} not watched until it starts again. Then {go} on without any help, and \
             mail that came meanwhile is pushed. Start it again; its log says why it ended."
        )),
        Pulse::Stopped if left => Some(format!(
            "{name} was stopped, and its {them} {are} not watched until it starts again. Then {go} on without any help, and \
             mail that came meanwhile is pushed."
        )),
        _ => None,
    };
    let remark = match () {
        () if id == own => "this one",
        () if is_demo => "made-up sessions of the demo",
        () if left => "has sessions",
        () => "runs nothing",
    };
    Node {
        name,
        href: Search::default().with(Key::Node, &text).href(),
        sessions,
        version: record
            .map(|record| record.version.clone())
            .or_else(|| (id == own).then(|| env!("CARGO_PKG_VERSION").to_owned())),
        remark: remark.to_owned(),
        mark,
        state: state.to_owned(),
        seen: record.map(|record| record.seen_at),
        started: record.map(|record| record.started_at),
        next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_168_694_000);

    fn id(number: u128) -> NodeId {
        NodeId::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn record(seen_ago: u64, stopped: bool) -> NodeRecord {
        let seen_at =
            Timestamp::from_millis(NOW.as_millis() - i64::try_from(Duration::from_secs(seen_ago).as_millis()).unwrap());
        NodeRecord {
            id: id(1),
            version: "0.1.0".to_owned(),
            started_at: Timestamp::from_millis(0),
            seen_at,
            stopped_at: stopped.then_some(seen_at),
        }
    }

    #[track_caller]
    fn check(own: u128, record: Option<NodeRecord>, sessions: u64, expect: (Mark, &str), next: &str) {
        let node = line(id(1), id(own), record.as_ref(), sessions, NOW);
        assert_eq!((node.mark, node.state.as_str()), expect);
        let told = node.next.unwrap_or_default();
        assert!(if next.is_empty() { told.is_empty() } else { told.contains(next) }, "{told}");
    }

    #[test]
    fn a_node_is_silent_when_it_was_not_seen_for_long() {
        check(1, Some(record(30, false)), 3, (Mark::Ok, "Runs"), "");
        check(1, None, 3, (Mark::Ok, "Runs"), "");
        check(1, Some(record(31, false)), 0, (Mark::Fault, "Silent"), "the store does not take it");
        check(2, Some(record(31, false)), 3, (Mark::Fault, "Silent"), "its 3 sessions are not watched");
        check(2, Some(record(31, false)), 1, (Mark::Fault, "Silent"), "its 1 session is not watched");
        check(2, Some(record(31, false)), 0, (Mark::NotReached, "Silent"), "");
        check(2, Some(record(1, true)), 3, (Mark::Fault, "Stopped"), "was stopped, and its 3 sessions");
        check(2, Some(record(1, true)), 0, (Mark::Ended, "Stopped"), "");
        check(2, None, 3, (Mark::NotReached, "Not told"), "");
    }
}
