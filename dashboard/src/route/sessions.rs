//! The list of sessions, and the same as a file.

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use domain::{FailureCode, Platform, SessionId};
use futures_util::stream;
use http::header;
use serde::Deserialize;
use store::{AuditAction, Count, Cursor, Page, Paged, Role, SessionFilter, SessionRow, Start, StateReason};

use super::{Asker, Data};
use crate::auth::{Client, Failure};
use crate::page::search::{Key, Search};
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
    older: Option<String>,
    newer: Option<String>,
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
pub(super) fn step(href: &str, name: &str, cursor: Option<Cursor>) -> Option<String> {
    cursor.map(|cursor| format!("{href}{}{name}={cursor}", if href.contains('?') { '&' } else { '?' }))
}

fn filter(data: &Data, search: &mut Search) -> SessionFilter {
    let text = |search: &Search, key| search.get(key).map(str::to_owned);
    let address = text(search, Key::Address);
    let address_hash = match (&data.address_hash, address) {
        (Some(hash), Some(address)) => Some(hash(&address)),
        (None, Some(_)) => {
            search
                .problems
                .push("This dashboard has no key to search by address; the device or the user finds it too.".into());
            None
        }
        (_, None) => None,
    };
    if search.get(Key::Node).is_some() {
        search.problems.push("There is one node, so node: changes nothing.".into());
    }
    SessionFilter {
        address_hash,
        device: text(search, Key::Device),
        user: text(search, Key::User),
        context: text(search, Key::Context),
        host: text(search, Key::Host),
        state: search.state(),
        reason: search.get(Key::Reason).and_then(StateReason::parse),
        since: search.since(data.now()),
    }
}

pub(super) async fn page(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let mut search = Search::parse(&asked.q);
    if let Some(id) = search.get(Key::Session).and_then(|id| SessionId::parse(id).ok()) {
        return Ok(axum::response::Redirect::to(&format!("/sessions/{id}")).into_response());
    }
    let filter = filter(&data, &mut search);
    if let Some(hash) = &filter.address_hash {
        data.auth.audit(&asker.staff, &client, AuditAction::AddressSearched, hash.clone(), None).await?;
    }
    let start = start(asked.older.as_deref(), asked.newer.as_deref());
    let Paged { rows, older, newer } = data.store().find_sessions(&filter, Page::new(start, PAGE)).await?;
    let found = match data.store().count_sessions(&filter, COUNTED).await? {
        Count::Exactly(number) => Found::Exactly(number),
        Count::MoreThan(number) => Found::MoreThan(number),
    };
    let seen = data.glance.latest(&data.auth).await?;
    let href = search.href();
    let sessions = Sessions {
        now: data.now(),
        of: Some(seen.states.live()),
        rows: rows.into_iter().map(row).collect(),
        newer: step(&href, "newer", newer),
        older: step(&href, "older", older),
        offers: offers(&search, &seen),
        may_export: asker.staff.role >= Role::Support,
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
    let only_these = search.terms.iter().all(|term| matches!(term.key, Key::State | Key::Host));
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

fn row(of: SessionRow) -> Row {
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
        user: of.user,
        device_id: of.device,
    }
}

/// A cell of a file: quoted, and never a formula (what begins with `=`, `+`, `-` or `@` gets an apostrophe before it).
fn csv_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\""))
}

fn csv_line(of: &SessionRow) -> String {
    let (_, state) = why::cell(&of.life);
    let last_push = of.last_push_at.map(iso).unwrap_or_default();
    let reason = StateReason::of(&of.life).map_or("", StateReason::as_str);
    let id = of.id.to_string();
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
    ];
    let mut line = cells.map(csv_cell).join(",");
    line.push_str("\r\n");
    line
}

const CSV_HEAD: &str =
    "session,state,reason,in words,since,user,device,context,device is,host,mailbox,registered,last push\r\n";

/// All that match, page by page, so that a million rows need no memory.
pub(super) async fn csv(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    asker.staff.require(Role::Support)?;
    let mut search = Search::parse(&asked.q);
    let filter = filter(&data, &mut search);
    let what =
        if search.is_empty() { "sessions".to_owned() } else { format!("sessions, {}", search.without(Key::Address)) };
    let what: String = what.chars().take(120).collect();
    data.auth.audit(&asker.staff, &client, AuditAction::Exported, what, None).await?;
    let store = data.store().clone();
    let lines = stream::try_unfold(Some(Start::Newest), move |start| {
        let (store, filter) = (store.clone(), filter.clone());
        async move {
            let Some(start) = start else { return Ok::<_, store::StoreError>(None) };
            let Paged { rows, older, .. } = store.find_sessions(&filter, Page::new(start, CHUNK)).await?;
            let mut text = if start == Start::Newest { CSV_HEAD.to_owned() } else { String::new() };
            rows.iter().for_each(|row| text.push_str(&csv_line(row)));
            Ok(Some((Bytes::from(text), older.map(Start::OlderThan))))
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"sessions.csv\""),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

#[cfg(test)]
mod tests {
    use super::csv_cell;

    #[test]
    fn cells_are_no_formulas() {
        assert_eq!(csv_cell("=1+1"), "\"'=1+1\"");
        assert_eq!(csv_cell("@SUM(A1)"), "\"'@SUM(A1)\"");
        assert_eq!(csv_cell("a \"b\", c"), "\"a \"\"b\"\", c\"");
    }
}
