//! The list of sessions, and the same as a file.

use std::fmt::Display;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use domain::{FailureCode, Platform, SessionId};
use futures_util::stream;
use http::header;
use serde::Deserialize;
use store::{AuditAction, Count, Cursor, ListPage, ListPart, Role, SessionRow, SortBy, SortCursor, Start, StateReason};

use super::listing::{Listing, listing};
use super::{Asker, Data, views};
use crate::auth::{Client, Failure, csv_cell};
use crate::bulk::Act;
use crate::page::search::{Key, Search, encode};
use crate::page::sessions::{Found, Offer, Row, Sessions};
use crate::part::format::iso;
use crate::shell::Section;
use crate::{why, words};

/// Rows of one page, and rows that are written into a file at once.
const PAGE: u64 = 50;
const CHUNK: u64 = 200;

/// What is counted; beyond it, the page says “more than”.
const COUNTED: u64 = 10_000;

/// What a list is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
    sort: String,
    older: Option<String>,
    newer: Option<String>,
}

impl Asked {
    /// The part of a list that is sorted by `by`. A place in another list begins this one anew.
    fn part(&self, by: SortBy) -> ListPart {
        let place = |text: &Option<String>| text.as_deref().and_then(|text| SortCursor::parse(by, text));
        match (place(&self.older), place(&self.newer)) {
            (Some(place), _) => ListPart::After(place),
            (None, Some(place)) => ListPart::Before(place),
            (None, None) => ListPart::First,
        }
    }
}

/// Where in a list to begin, from a link's parameters.
pub(super) fn start(older: Option<&str>, newer: Option<&str>) -> Start {
    match (older.and_then(Cursor::parse), newer.and_then(Cursor::parse)) {
        (Some(cursor), _) => Start::OlderThan(cursor),
        (None, Some(cursor)) => Start::NewerThan(cursor),
        (None, None) => Start::Newest,
    }
}

/// A link to a neighbouring page.
pub(super) fn step(href: &str, name: &str, cursor: Option<impl Display>) -> Option<String> {
    cursor.map(|cursor| format!("{href}{}{name}={cursor}", if href.contains('?') { '&' } else { '?' }))
}

pub(super) async fn page(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let mut search = Search::parse(&asked.q).sorted(&asked.sort);
    if let Some(id) = search.get(Key::Session).and_then(|id| SessionId::parse(id).ok()) {
        return Ok(axum::response::Redirect::to(&format!("/sessions/{id}")).into_response());
    }
    let seen = data.glance.latest(&data.auth).await?;
    let Listing { list, orders, address_hash } = listing(&data, &mut search, &seen.nodes);
    if let Some(hash) = address_hash {
        asker.looks(&data, &client, AuditAction::AddressSearched, hash).await?;
    }
    let ListPage { rows, next, previous } =
        data.store().list_sessions(&list, &asked.part(list.sort().by), PAGE).await?;
    let found = match data.store().count_list(&list, COUNTED).await? {
        Count::Exactly(number) => Found::Exactly(number),
        Count::MoreThan(number) => Found::MoreThan(number),
    };
    let href = search.href();
    let role = asker.staff.role;
    let sessions = Sessions {
        now: data.now(),
        of: Some(seen.states.live()),
        rows: rows.into_iter().map(row).collect(),
        newer: step(&href, "newer", previous),
        older: step(&href, "older", next),
        offers: offers(&search, &seen),
        may_export: role >= Role::Support,
        tabs: views::tabs(&data, &asker, &search, &seen).await?,
        orders,
        sort: list.sort(),
        acts: Act::ALL.into_iter().filter(|act| role >= act.role()).collect(),
        nodes: seen.nodes.len(),
        found,
        search,
    };
    Ok(asker.show(&data, Section::Sessions, "Sessions", || sessions.view()))
}

/// Filters that narrow the list, with how many they leave where that is known without counting.
fn offers(search: &Search, seen: &store::Overview) -> Vec<Offer> {
    use domain::State as Of;
    if search.get(Key::State).is_none() && search.get(Key::Reason).is_none() {
        let count = |state: Of| (search.is_empty() && state != Of::Ended).then(|| seen.states.of(state));
        return [Of::Retrying, Of::Holding, Of::Watching, Of::Waiting, Of::Ended]
            .map(|state| Offer {
                key: Key::State,
                value: state.as_str().to_owned(),
                word: words::state(state).to_owned(),
                count: count(state),
            })
            .to_vec();
    }
    if search.state() != Some(Of::Retrying) || search.get(Key::Reason).is_some() {
        return Vec::new();
    }
    let host = search.get(Key::Host);
    let only_these = search.terms.iter().all(|term| matches!(term.key, Key::State | Key::Host))
        && search.values(Key::Host).len() < 2;
    let mut sums: Vec<(FailureCode, u64)> = Vec::new();
    for group in seen.failures.iter().filter(|group| host.is_none_or(|host| host == group.host)) {
        match sums.iter_mut().find(|(code, _)| *code == group.code) {
            Some((_, sum)) => *sum += group.sessions,
            None => sums.push((group.code, group.sessions)),
        }
    }
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    let offer = |(code, sum): (FailureCode, u64)| Offer {
        key: Key::Reason,
        value: code.as_str().to_owned(),
        word: words::cell(code).to_owned(),
        count: only_these.then_some(sum),
    };
    sums.into_iter().take(6).map(offer).collect()
}

/// “iOS 19.1, app 8.4.1”
pub(super) fn device_is(row: &SessionRow) -> String {
    let platform = match row.platform {
        Platform::Ios => "iOS",
        Platform::Android => "Android",
        Platform::Web => "Web",
        Platform::Desktop => "Desktop",
    };
    // Some devices name the system in its version, too; on a desktop and in a browser that says more.
    let version = row.os_version.to_lowercase();
    let named = version.starts_with(&platform.to_lowercase()) || version.starts_with(char::is_alphabetic);
    let system = if named { row.os_version.clone() } else { format!("{platform} {}", row.os_version) };
    let app = if row.app_version.is_empty() { String::new() } else { format!(", app {}", row.app_version) };
    format!("{}{app}", system.trim_end())
}

/// The mailbox's name.
pub(super) fn mailbox(row: &SessionRow) -> &str {
    match &row.mail {
        domain::MailTarget::Imap(imap) => &imap.mailbox,
    }
}

pub(super) fn row(of: SessionRow) -> Row {
    let (mark, state) = why::cell(&of.life);
    Row {
        id: of.id.to_string(),
        mark,
        state,
        since: of.life.state_since,
        device: device_is(&of),
        mailbox: mailbox(&of).to_owned(),
        host: of.mail.host().to_string(),
        last_push: of.last_push_at,
        next: of.life.deadline(),
        node: of.node.map(|node| node.to_string().chars().take(8).collect()),
        user: of.user,
        device_id: of.device,
    }
}

fn csv_line(of: &SessionRow) -> String {
    let (_, state) = why::cell(&of.life);
    let last_push = of.last_push_at.map(iso).unwrap_or_default();
    let reason = StateReason::of(&of.life).map_or("", StateReason::as_str);
    let id = of.id.to_string();
    let node = of.node.map(|node| node.to_string()).unwrap_or_default();
    let next = of.life.deadline().map(iso).unwrap_or_default();
    let cells = [
        id.as_str(),
        of.life.state().as_str(),
        reason,
        &state,
        &iso(of.life.state_since),
        &of.user,
        &of.device,
        &of.context,
        &device_is(of),
        of.mail.host().as_str(),
        mailbox(of),
        &iso(of.created_at),
        &last_push,
        &next,
        &node,
    ];
    let mut line = cells.map(csv_cell).join(",");
    line.push_str("\r\n");
    line
}

const CSV_HEAD: &str =
    "session,state,reason,in words,since,user,device,context,device is,host,mailbox,registered,last push,next,node\r\n";

/// All that match, page by page, so that a million rows need no memory. What was not understood is said on the list and not
/// left out: a file with more rows than were meant is taken for the answer.
pub(super) async fn csv(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    asker.staff.require(Role::Support)?;
    let mut search = Search::parse(&asked.q).sorted(&asked.sort);
    let seen = data.glance.latest(&data.auth).await?;
    let list = listing(&data, &mut search, &seen.nodes).list;
    if !search.problems.is_empty() {
        return Ok(axum::response::Redirect::to(&format!("/sessions?q={}", encode(&asked.q))).into_response());
    }
    let shown = search.without(Key::Address);
    let what = if search.is_empty() { "sessions".to_owned() } else { format!("sessions, {shown}") };
    let what: String = what.chars().take(120).collect();
    data.auth.audit(&asker.staff, &client, AuditAction::Exported, what, None).await?;
    let store = data.store().clone();
    let lines = stream::try_unfold(Some(ListPart::First), move |part| {
        let (store, list) = (store.clone(), list.clone());
        async move {
            let Some(part) = part else { return Ok::<_, store::StoreError>(None) };
            let page = store.list_sessions(&list, &part, CHUNK).await.inspect_err(|error| {
                // The file breaks off, and the browser says so.
                tracing::error!(error = error as &dyn std::error::Error, "an export broke off");
            })?;
            let mut text = if part == ListPart::First { CSV_HEAD.to_owned() } else { String::new() };
            page.rows.iter().for_each(|row| text.push_str(&csv_line(row)));
            Ok(Some((Bytes::from(text), page.next.map(ListPart::After))))
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"sessions.csv\""),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}
