//! From what staff typed to a list that the store has: shared by the page, the file, the acts on many and the views.

use domain::NodeId;
use store::{NotServed, SessionFilter, SessionList, Sort, SortBy};

use super::Data;
use crate::page::search::{Key, Search};

/// The most filters that a search becomes.
const COMBINATIONS: usize = 32;

/// A search as the store has it.
pub(super) struct Listing {
    pub(super) list: SessionList,
    /// The orders that it can be had in.
    pub(super) orders: Vec<SortBy>,
    /// The keyed hash of the address that was searched for.
    pub(super) address_hash: Option<String>,
}

/// Finds the list that a search means. What can't be had is said in the search's problems and left out.
pub(super) fn listing(data: &Data, search: &mut Search, nodes: &[(NodeId, u64)]) -> Listing {
    let filters = filters(data, search, nodes);
    let address_hash = filters.first().and_then(|filter| filter.address_hash.clone());
    let orders: Vec<SortBy> = SortBy::ALL.iter().copied().filter(|by| has(&filters, *by)).collect();
    let first = orders.first().copied().map(Sort::usual).unwrap_or_default();
    let wanted = search.sort.filter(|sort| orders.contains(&sort.by));
    if let (Some(sort), None) = (search.sort.take(), wanted) {
        search.problems.push(why_not(&filters, sort.by));
    }
    // The usual order is not in links.
    search.sort = wanted.filter(|sort| *sort != first);
    match SessionList::new(filters.clone(), wanted.unwrap_or(first)) {
        Ok(list) => Listing { list, orders, address_hash },
        Err(NotServed::TooMany) => {
            search.problems.push(format!(
                "These are more than {COMBINATIONS} combinations of values, so nothing was searched. Take some away."
            ));
            Listing { list: nothing(), orders: Vec::new(), address_hash }
        }
        Err(NotServed::Few | NotServed::Filter) => {
            search.problems.push(
                "changed: goes with states, with reasons or with one customer, and not with the other filters. Take it away, \
                 or those."
                    .to_owned(),
            );
            let filters = filters.into_iter().map(|filter| SessionFilter { changed_since: None, ..filter }).collect();
            let list = SessionList::new(filters, Sort::default()).unwrap_or_else(|_| nothing());
            Listing { list, orders: vec![SortBy::Registered], address_hash }
        }
    }
}

fn nothing() -> SessionList {
    // No filter is one too many.
    SessionList::new(Vec::new(), Sort::default()).unwrap_or_default()
}

fn has(filters: &[SessionFilter], by: SortBy) -> bool {
    SessionList::new(filters.to_vec(), Sort::usual(by)).is_ok()
}

/// Why a list isn't to be had in an order, and what to do.
fn why_not(filters: &[SessionFilter], by: SortBy) -> String {
    let order = match by {
        SortBy::Registered => "registration",
        SortBy::Changed => "the time in the state",
        SortBy::Next => "what happens next",
        SortBy::Host => "mail server",
    };
    match filters.iter().find_map(|filter| filter.serves(by).err()) {
        Some(NotServed::Few) => {
            format!("The order by {order}: one customer’s sessions are few, and listed as they were registered.")
        }
        _ => format!(
            "The order by {order} is not there for these filters: it would sort all that match. Take a filter away, or another \
             order."
        ),
    }
}

/// One filter for each combination of values.
fn filters(data: &Data, search: &mut Search, nodes: &[(NodeId, u64)]) -> Vec<SessionFilter> {
    let text = |search: &Search, key| search.get(key).map(str::to_owned);
    let address_hash = match (&data.address_hash, search.get(Key::Address)) {
        (Some(hash), Some(address)) => Some(hash(address)),
        (None, Some(_)) => {
            search
                .problems
                .push("This dashboard has no key to search by address; the device or the user finds it too.".into());
            None
        }
        (_, None) => None,
    };
    let node = match search.get(Key::Node).map(|text| node(text, data.store().node(), nodes)).transpose() {
        Ok(node) => node,
        Err(problem) => {
            search.problems.push(problem);
            None
        }
    };
    let now = data.now();
    let one = SessionFilter {
        address_hash,
        device: text(search, Key::Device),
        user: text(search, Key::User),
        context: text(search, Key::Context),
        since: search.since(now),
        changed_since: search.changed(now),
        node,
        ..SessionFilter::default()
    };
    let mut filters = vec![one];
    let hosts = search.values(Key::Host);
    if !hosts.is_empty() {
        filters = each(&filters, hosts, |filter, host| filter.host = Some(host.clone()));
    }
    if let Some(states) = search.states() {
        filters = each(&filters, &states, |filter, state| filter.state = Some(*state));
    }
    if let Some(reasons) = search.reasons() {
        filters = each(&filters, &reasons, |filter, reason| filter.reason = Some(*reason));
    }
    filters
}

fn each<T>(filters: &[SessionFilter], values: &[T], set: impl Fn(&mut SessionFilter, &T)) -> Vec<SessionFilter> {
    let with = |filter: &SessionFilter, value| {
        let mut filter = filter.clone();
        set(&mut filter, value);
        filter
    };
    filters.iter().flat_map(|filter| values.iter().map(move |value| with(filter, value))).collect()
}

/// The node whose id is this, or begins so.
fn node(text: &str, own: NodeId, nodes: &[(NodeId, u64)]) -> Result<NodeId, String> {
    let mut known: Vec<NodeId> = nodes.iter().map(|(node, _)| *node).collect();
    if !known.contains(&own) {
        known.push(own);
    }
    let found: Vec<_> = known.iter().filter(|node| node.to_string().starts_with(text)).collect();
    match found.as_slice() {
        [one] => Ok(**one),
        [] => {
            let all = known.iter().map(|node| node.to_string().chars().take(8).collect::<String>());
            let all = all.collect::<Vec<_>>().join(", ");
            Err(format!("No node that runs sessions begins with “{text}”; there are {all}."))
        }
        _ => Err(format!("More than one node begins with “{text}”; type more of its id.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_found_by_how_it_begins() {
        let id = |text: &str| NodeId::from_uuid(uuid::Uuid::try_parse(text).unwrap());
        let (a, b) = (id("019aa3c1-8f2c-7d41-b5c0-77f3c90a71c4"), id("019aa3c2-8f2c-7d41-b5c0-77f3c90a71c4"));
        let nodes = [(a, 3)];
        assert_eq!(node("019aa3c1", b, &nodes), Ok(a));
        assert_eq!(node("019aa3c2", b, &nodes), Ok(b), "our own may run none");
        assert_eq!(
            node("019a", b, &nodes),
            Err("More than one node begins with “019a”; type more of its id.".to_owned())
        );
        assert_eq!(
            node("ffff", b, &nodes),
            Err("No node that runs sessions begins with “ffff”; there are 019aa3c1, 019aa3c2.".to_owned())
        );
    }
}
