//! Sorted lists and saved views: whatever is asked for in an order that is offered, its pages hold exactly the rows that
//! match, in that order, there and back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test, a panic is the answer")]

mod support;

use std::time::Duration;

use domain::{Event, State, Timestamp};
use store::{
    Count, Direction, ListPart, Named, NotServed, Page, PushStatus, SavedView, SessionFilter, SessionList, SessionRow,
    Sort, SortBy, StaffId, StateReason, Store, ViewAct, ViewId, ViewRefusal, demo,
};
use support::{Database, NOW, named, step};

async fn all(store: &Store) -> Vec<SessionRow> {
    let list = SessionList::new(vec![SessionFilter::default()], Sort::default()).unwrap();
    walk(store, &list, 200).await
}

/// The whole list, page by page; on the way back from its end it must be the same.
async fn walk(store: &Store, list: &SessionList, limit: u64) -> Vec<SessionRow> {
    let (mut rows, mut part) = (Vec::new(), ListPart::First);
    let end = loop {
        let page = store.list_sessions(list, &part, limit).await.unwrap();
        assert!(page.rows.len() as u64 <= limit);
        rows.extend(page.rows);
        match page.next {
            Some(next) => part = ListPart::After(next),
            None => break page.previous,
        }
    };
    let (mut pages, mut from) = (Vec::new(), end);
    while let Some(place) = from {
        let page = store.list_sessions(list, &ListPart::Before(place), limit).await.unwrap();
        from = page.previous;
        pages.push(page.rows);
    }
    let back: Vec<_> = pages.into_iter().rev().flatten().collect();
    assert_eq!(back[..], rows[..back.len()], "the way back shows the same");
    rows
}

fn matches(filter: &SessionFilter, row: &SessionRow) -> bool {
    filter.state.is_none_or(|state| row.life.state() == state)
        && filter.reason.is_none_or(|reason| StateReason::of(&row.life) == Some(reason))
        && filter.host.as_ref().is_none_or(|host| host == row.mail.host().as_str())
        && filter.node.is_none_or(|node| row.node == Some(node))
        && filter.changed_since.is_none_or(|since| row.life.state_since >= since)
}

fn key(row: &SessionRow, by: SortBy) -> (i64, String) {
    match by {
        SortBy::Registered => (0, String::new()),
        SortBy::Changed => (row.life.state_since.as_millis(), String::new()),
        SortBy::Next => (row.life.deadline().map_or(i64::MAX, Timestamp::as_millis), String::new()),
        SortBy::Host => (0, row.mail.host().to_string()),
    }
}

async fn each_order_holds_exactly_what_matches(database: Database) {
    let store = database.open().await;
    demo::fill(&store, 400, 5, NOW).await.unwrap();
    let rows = all(&store).await;
    assert_eq!(rows.len(), 400);
    let none = SessionFilter::default;
    let states =
        |states: &[State]| states.iter().map(|state| SessionFilter { state: Some(*state), ..none() }).collect();
    let reasons = |words: &[&str]| {
        words.iter().map(|word| SessionFilter { reason: StateReason::parse(word), ..none() }).collect::<Vec<_>>()
    };
    let host = |name: &str| SessionFilter { host: Some(name.to_owned()), ..none() };
    let hour_ago = Timestamp::from_millis(NOW.as_millis() - 3_600_000);
    let node = rows.iter().find_map(|row| row.node);
    assert!(node.is_some());
    let lists: Vec<Vec<SessionFilter>> = vec![
        vec![none()],
        states(&[State::Watching]),
        states(&[State::Retrying, State::Holding, State::Waiting]),
        reasons(&["stopped", "expired", "throttled", "login_refused"]),
        vec![host("imap.example.com")],
        vec![host("imap.example.com"), host("mail.example.net")],
        vec![SessionFilter { state: Some(State::Watching), ..host("imap.example.com") }],
        vec![SessionFilter { state: Some(State::Ended), changed_since: Some(hour_ago), ..none() }],
        vec![SessionFilter { changed_since: Some(hour_ago), ..none() }],
        vec![SessionFilter { node, ..none() }],
        Vec::new(),
    ];
    let (mut shown, mut refused) = (0, 0);
    for filters in lists {
        for by in SortBy::ALL.iter().copied() {
            for sort in [Sort::usual(by), Sort::usual(by).reversed()] {
                let Ok(list) = SessionList::new(filters.clone(), sort) else {
                    refused += 1;
                    continue;
                };
                let mut expect: Vec<_> =
                    rows.iter().filter(|row| filters.iter().any(|filter| matches(filter, row))).cloned().collect();
                expect.sort_by_key(|row| (key(row, by), row.id.as_uuid()));
                if sort.direction == Direction::Descending {
                    expect.reverse();
                }
                for limit in [7, 50] {
                    let found = walk(&store, &list, limit).await;
                    assert!(found == expect, "{filters:?} {sort}: {} of {}", found.len(), expect.len());
                }
                let count = expect.len() as u64;
                assert_eq!(store.count_list(&list, 10_000).await.unwrap(), Count::Exactly(count));
                if count > 0 {
                    assert_eq!(store.count_list(&list, count - 1).await.unwrap(), Count::MoreThan(count - 1));
                }
                shown += expect.len();
            }
        }
    }
    assert!(shown > 1000 && refused > 10, "{shown} rows in all, {refused} orders refused");
}

#[tokio::test]
async fn an_order_that_no_index_has_is_refused_with_its_reason() {
    let none = SessionFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let by = |filter: SessionFilter, by| SessionList::new(vec![filter], Sort::usual(by)).err();
    assert_eq!(by(SessionFilter { user: text("u"), ..none() }, SortBy::Next), Some(NotServed::Few));
    assert_eq!(by(SessionFilter { host: text("h"), ..none() }, SortBy::Changed), Some(NotServed::Filter));
    assert_eq!(by(SessionFilter { changed_since: Some(NOW), ..none() }, SortBy::Registered), Some(NotServed::Filter));
    let many = vec![none(); 33];
    assert_eq!(SessionList::new(many, Sort::default()).err(), Some(NotServed::TooMany));
}

async fn the_next_deadline_follows_the_life(database: Database) {
    let store = database.open().await;
    let id = store.register(named(1, NOW, ["u-1", "device-1", "context-1"], "imap.one.example")).await.unwrap().id;
    let soon = store.register(named(2, NOW, ["u-2", "device-2", "context-2"], "imap.two.example")).await.unwrap().id;
    let list = SessionList::new(vec![SessionFilter::default()], Sort::usual(SortBy::Next)).unwrap();
    let order = async || {
        let page = store.list_sessions(&list, &ListPart::First, 10).await.unwrap();
        page.rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    // Mail is pushed, and a hold begins, which is over before the session is.
    support::mail(&store, soon, NOW.after(Duration::from_secs(1))).await;
    assert_eq!(order().await, [soon, id]);
    step(&store, soon, NOW.after(Duration::from_secs(2)), Event::Stopped).await.unwrap();
    assert_eq!(order().await, [id, soon], "what has ended comes last");
}

async fn names_are_found_by_how_they_begin(database: Database) {
    let store = database.open().await;
    for (number, host) in ["imap.a.example", "imap.a.example", "imap.b.example", "mail.c.example"].iter().enumerate() {
        let name = format!("name-{number}");
        store.register(named(number as u128 + 1, NOW, [&name, &name, &name], host)).await.unwrap();
    }
    assert_eq!(store.values(Named::Host, "imap.", 8).await.unwrap(), ["imap.a.example", "imap.b.example"]);
    assert_eq!(store.values(Named::Host, "", 2).await.unwrap(), ["imap.a.example", "imap.b.example"]);
    assert_eq!(store.values(Named::User, "name-2", 8).await.unwrap(), ["name-2"]);
    assert_eq!(store.values(Named::Device, "none", 8).await.unwrap(), Vec::<String>::new());
    assert_eq!(store.values(Named::Context, "name", 0).await.unwrap(), Vec::<String>::new());
}

async fn the_overview_knows_nodes_and_what_waited_when(database: Database) {
    let store = database.open().await;
    let id = store.register(named(1, NOW, ["u-1", "device-1", "context-1"], "imap.one.example")).await.unwrap().id;
    store.claim(10).await.unwrap();
    support::mail(&store, id, NOW.after(Duration::from_secs(1))).await;
    let later = NOW.after(Duration::from_secs(185));
    let overview = store.overview(later).await.unwrap();
    assert_eq!(overview.nodes, [(store.node(), 1)]);
    let waiting = |minutes: &[store::PushMinute]| -> Vec<u64> {
        minutes[minutes.len() - 5..].iter().map(|minute| minute.waiting).collect()
    };
    assert_eq!(waiting(&overview.minutes), [0, 1, 1, 1, 1], "it waits since it was written");
    let push = store.due_pushes(later, 9).await.unwrap()[0].id;
    let done = store::Finish::Done { status: PushStatus::Accepted, provider_id: None, reason: None };
    store.finish_push(push, later, done).await.unwrap();
    let overview = store.overview(later).await.unwrap();
    assert_eq!(waiting(&overview.minutes), [0, 1, 1, 1, 0], "it waited until it was taken");
}

async fn views_are_ones_own_or_everybodys(database: Database) {
    let store = database.open().await;
    let (kim, tomas) = (StaffId::new(), StaffId::new());
    let view = |owner, name: &str| SavedView {
        id: ViewId::new(),
        owner,
        name: name.to_owned(),
        query: "state:retrying".to_owned(),
        sort: "next".to_owned(),
        created_at: NOW,
    };
    let (mine, ours) = (view(Some(kim), "Mine"), view(None, "Zones"));
    for view in [&mine, &ours] {
        assert_eq!(store.view_act(ViewAct::Save(view.clone()), None).await.unwrap(), Ok(()));
    }
    assert_eq!(store.views_of(kim).await.unwrap(), [ours.clone(), mine.clone()]);
    assert_eq!(store.views_of(tomas).await.unwrap(), vec![ours.clone()]);
    let again = store.view_act(ViewAct::Save(view(Some(kim), "Mine")), None).await.unwrap();
    assert_eq!(again, Err(ViewRefusal::NameTaken));
    // Nobody changes another one's.
    for act in [
        ViewAct::Remove { id: mine.id, owner: Some(tomas) },
        ViewAct::Remove { id: mine.id, owner: None },
        ViewAct::Rename { id: mine.id, owner: Some(tomas), name: "Ha".to_owned() },
    ] {
        assert_eq!(store.view_act(act, None).await.unwrap(), Err(ViewRefusal::Unknown));
    }
    let rename = ViewAct::Rename { id: mine.id, owner: Some(kim), name: "Yours".to_owned() };
    assert_eq!(store.view_act(rename, None).await.unwrap(), Ok(()));
    assert_eq!(store.views_of(kim).await.unwrap()[1].name, "Yours");
    assert_eq!(store.view_act(ViewAct::Remove { id: mine.id, owner: Some(kim) }, None).await.unwrap(), Ok(()));
    for number in 0..20 {
        let saved = store.view_act(ViewAct::Save(view(Some(tomas), &format!("{number}"))), None).await.unwrap();
        assert_eq!(saved, Ok(()));
    }
    let one_more = store.view_act(ViewAct::Save(view(Some(tomas), "one more")), None).await.unwrap();
    assert_eq!(one_more, Err(ViewRefusal::TooMany));
}

async fn a_plain_page_and_a_list_by_registration_are_the_same(database: Database) {
    let store = database.open().await;
    demo::fill(&store, 120, 3, NOW).await.unwrap();
    let plain = store.find_sessions(&SessionFilter::default(), Page::newest(120)).await.unwrap().rows;
    assert_eq!(all(&store).await, plain);
}

support::on_each_database![
    each_order_holds_exactly_what_matches,
    the_next_deadline_follows_the_life,
    names_are_found_by_how_they_begin,
    the_overview_knows_nodes_and_what_waited_when,
    views_are_ones_own_or_everybodys,
    a_plain_page_and_a_list_by_registration_are_the_same,
];
