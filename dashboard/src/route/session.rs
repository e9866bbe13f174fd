//! One session's page.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use domain::{MailTarget, Rules, SessionId, Timestamp};
use http::StatusCode;
use serde::Deserialize;
use store::{
    AuditAction, DeliveryFilter, DeliveryRow, Page, Role, SessionDetail, TimelineCursor, TimelineEntry, TimelineKind,
};

use super::sessions::{device_is, mailbox};
use super::{Asker, Data, delivery, timeline};
use crate::auth::{Client, Failure};
use crate::page::session::{Acts, Details, Handshake, Line, RevokePage, SessionPage, Show, Subject};
use crate::page::trouble::Trouble;
use crate::part::timeline::Entry;
use crate::shell::Section;
use crate::why::Facts;
use crate::words;

/// Entries of a timeline and deliveries on the page.
const ENTRIES: u64 = 60;
const DELIVERIES: u64 = 10;

/// What the page is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    show: String,
    before: Option<String>,
}

/// A session with all that its pages are made of.
pub(super) struct Loaded {
    detail: SessionDetail,
    entries: Vec<TimelineEntry>,
    older: Option<TimelineCursor>,
    deliveries: Vec<DeliveryRow>,
    breaker_open: bool,
    now: Timestamp,
    /// How long it has still to wait for its turn to connect.
    turn_in: Option<Duration>,
}

pub(super) async fn load(
    data: &Data,
    asker: &Asker,
    id: &str,
    before: Option<TimelineCursor>,
) -> Result<Option<Loaded>, Failure> {
    let Ok(id) = SessionId::parse(id) else { return Ok(None) };
    let Some(detail) = data.store().session_detail(id).await? else { return Ok(None) };
    let page = data.store().timeline(id, before, ENTRIES).await?;
    let deliveries = data.store().deliveries(&DeliveryFilter::Session(id), Page::newest(DELIVERIES)).await?.rows;
    let breaker_open = asker.frame(data, Section::Sessions, "").breaker_open;
    let turn_in = data.handle.as_ref().and_then(|handle| handle.turn_in(id));
    let now = data.now();
    Ok(Some(Loaded { detail, entries: page.entries, older: page.older, deliveries, breaker_open, now, turn_in }))
}

impl Loaded {
    /// The trace of the forced ping that was over last, if it can be one that was asked for at `since`.
    pub(super) fn ping_trace(&self, data: &Data, since: Option<Timestamp>) -> Option<String> {
        let done = self.entries.iter().find(|entry| entry.note.kind == TimelineKind::PingDone)?;
        // A ping may be over before the form's handler has looked at the clock.
        let is_this = since.is_none_or(|since| done.at.after(Duration::from_secs(2)) >= since);
        data.traces.link(done.note.traceparent.as_deref()).filter(|_| is_this)
    }

    pub(super) fn subject(&self) -> Subject {
        let row = &self.detail.row;
        let MailTarget::Imap(imap) = &row.mail;
        let newest = |kind: TimelineKind| self.entries.iter().find(|entry| entry.note.kind == kind);
        Subject {
            id: row.id.to_string(),
            facts: Facts {
                now: self.now,
                life: row.life.clone(),
                registered_at: row.created_at,
                host: imap.host.to_string(),
                mailbox: mailbox(row).to_owned(),
                mechanism: imap.mechanism,
                key: self.detail.sealed_for.as_ref().map(ToString::to_string),
                connected_at: row.connected_at,
                is_polled: newest(TimelineKind::IdleDistrusted).is_some(),
                mail_at: newest(TimelineKind::MailSeen).map(|entry| entry.at),
                push: self.deliveries.first().map(|row| delivery::last(row, self.breaker_open)),
                revoked_by: newest(TimelineKind::Ended).and_then(|entry| entry.note.staff.clone()),
                max_refusals: Rules::default().max_refusals,
                turn_in: self.turn_in,
            },
            user: row.user.clone(),
            device: row.device.clone(),
            device_is: device_is(row),
            context: row.context.clone(),
        }
    }
}

pub(super) fn unknown(data: &Data, asker: &Asker, id: String) -> Response {
    let id = id.chars().take(64).collect();
    asker.trouble(data, StatusCode::NOT_FOUND, Trouble::NoSession { id })
}

pub(super) async fn page(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let before = asked.before.as_deref().and_then(TimelineCursor::parse);
    let Some(loaded) = load(&data, &asker, &id, before).await? else { return Ok(unknown(&data, &asker, id)) };
    let subject = loaded.subject();
    asker.looks(&data, &client, AuditAction::SessionViewed, subject.id.clone()).await?;

    let now = loaded.now;
    let show = Show::parse(&asked.show);
    let life = &subject.facts.life;
    let traces = &data.traces;
    let mut entries: Vec<_> = loaded
        .entries
        .iter()
        .filter(|entry| timeline::is_in(show, entry))
        .map(|entry| Entry { trace: traces.link(entry.note.traceparent.as_deref()), ..timeline::entry(entry, now) })
        .collect();
    if life.failure.is_some()
        && let Some(latest) =
            entries.iter_mut().find(|entry| entry.quote.is_some() || entry.at == life.failed_at.unwrap_or(now))
    {
        latest.hot = true;
    }
    if before.is_none() && show == Show::All {
        entries.splice(0..0, timeline::planned(life, subject.facts.max_refusals));
    }
    let older = loaded.older.map(|cursor| {
        let show = if asked.show.is_empty() {
            String::new()
        } else {
            format!("&show={}", crate::page::search::encode(&asked.show))
        };
        format!("/sessions/{}?before={cursor}{show}", subject.id)
    });
    let detail = &loaded.detail;
    let MailTarget::Imap(imap) = &detail.row.mail;
    let channel = delivery::channel(&detail.push.service, &detail.push.environment);
    let page = SessionPage {
        acts: Acts { allowed: asker.staff.role >= Role::Support, csrf: asker.staff.csrf.clone() },
        show,
        timeline: entries,
        older,
        handshake: handshake(detail),
        target: format!("{channel}, token ends {}", detail.push.token_ends),
        details: Details {
            security: words::security(imap.security),
            port: imap.port,
            generation: detail.generation,
            app: detail.app.clone(),
            node: detail.row.node.map(|node| node.to_string()),
            topic: detail.push.topic.clone(),
        },
        trace_until: detail.trace_until,
        fault_trace: life.failure.as_ref().and_then(|_| traces.newest(&loaded.entries, &[TimelineKind::Failed])),
        traces: traces.of_session(detail.traceparent.as_deref(), &loaded.entries, &loaded.deliveries),
        deliveries: loaded
            .deliveries
            .iter()
            .cloned()
            .map(|row| delivery::line(row, loaded.breaker_open, traces))
            .collect(),
        subject,
    };
    let title = page.title();
    Ok(asker.show(&data, Section::Sessions, &title, || page.view()))
}

pub(super) async fn revoke(
    State(data): State<Data>,
    asker: Asker,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    asker.staff.require(Role::Support)?;
    let Some(loaded) = load(&data, &asker, &id, None).await? else { return Ok(unknown(&data, &asker, id)) };
    let subject = loaded.subject();
    if !subject.facts.life.is_live() {
        let trouble =
            Trouble::Ended { id: subject.id, what: "There is no credential left to revoke. Nothing was done." };
        return Ok(asker.trouble(&data, StatusCode::CONFLICT, trouble));
    }
    let page = RevokePage { subject, csrf: asker.staff.csrf.clone(), problem: None, note: String::new() };
    Ok(asker.show(&data, Section::Sessions, "Revoke", || page.view()))
}

/// A line of a handshake as it is stored.
#[derive(Deserialize)]
struct StoredLine {
    /// Milliseconds from the first line.
    #[serde(default)]
    ms: u64,
    /// `server`, or `client` for us.
    #[serde(default)]
    who: String,
    #[serde(default)]
    text: String,
    /// In the first line: when it began.
    #[serde(default)]
    at: Option<i64>,
}

/// The handshake: one JSON object a line. What can't be read is left out; it is told, not decided on.
fn handshake(detail: &SessionDetail) -> Option<Handshake> {
    let stored: Vec<StoredLine> =
        detail.handshake.as_deref()?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let at = stored.first().and_then(|line| line.at).map(Timestamp::from_millis);
    let lines: Vec<Line> = stored
        .into_iter()
        .map(|line| {
            let from_server = line.who != "client";
            let words: Vec<&str> = line.text.split(' ').take(2).collect();
            let is_bad = from_server && matches!(words.as_slice(), [_, "NO" | "BAD" | "BYE"]);
            Line { millis: line.ms, from_server, text: line.text, is_bad }
        })
        .collect();
    let capabilities = lines
        .iter()
        .filter(|line| line.from_server)
        .filter_map(|line| line.text.split_once("CAPABILITY ").map(|(_, list)| list.trim_end_matches(']')))
        .next_back()
        .map(|list| list.split(']').next().unwrap_or(list).to_owned());
    let MailTarget::Imap(imap) = &detail.row.mail;
    let agreed = lines.iter().find(|line| line.from_server && line.text.starts_with("TLS"));
    let tls = agreed.map_or_else(|| words::security(imap.security).to_owned(), |line| line.text.clone());
    (!lines.is_empty()).then(|| Handshake {
        at: at.or(detail.row.connected_at),
        lines,
        capabilities,
        address: Some(format!("{}, port {}", imap.host, imap.port)),
        tls: Some(tls),
    })
}
