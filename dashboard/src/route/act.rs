//! What staff do to a session. Each act is in the audit before it is done, and in the session's timeline.

use std::time::Duration;

use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use backend::{Actor, Handle, HandleError};
use domain::SessionId;
use http::StatusCode;
use serde::Deserialize;
use store::{AuditAction, Role};

use super::session::{load, unknown};
use super::{Asker, Data};
use crate::auth::{Client, Failure};
use crate::page::session::{Acts, PingPage, Reason, Reports, RevokePage};
use crate::page::trouble::Trouble;
use crate::shell::Section;
use crate::words;

/// How long a form waits for its ping before it shows what there is so far.
const PATIENCE: Duration = Duration::from_secs(6);

fn actor(asker: &Asker) -> Actor {
    Actor { staff: asker.staff.name.clone(), traceparent: None }
}

/// Whoever may act, on what, by what.
fn may<'a>(data: &'a Data, asker: &Asker, id: &str) -> Result<(&'a Handle, SessionId), Denied> {
    asker.staff.require(Role::Support).map_err(|failure| Denied::Failure(Box::new(failure)))?;
    let id = SessionId::parse(id).map_err(|_| Denied::Unknown)?;
    // A process without a backend shows, and does not act.
    data.handle.as_ref().map(|handle| (handle, id)).ok_or(Denied::Unknown)
}

enum Denied {
    Failure(Box<Failure>),
    Unknown,
}

impl Denied {
    fn answer(self, data: &Data, asker: &Asker, id: String) -> Result<Response, Failure> {
        match self {
            Self::Failure(failure) => Err(*failure),
            Self::Unknown => Ok(unknown(data, asker, id)),
        }
    }
}

/// Says why an act was not done.
fn refused(data: &Data, asker: &Asker, id: SessionId, error: HandleError) -> Result<Response, Failure> {
    let id = id.to_string();
    match error {
        HandleError::Unknown => Ok(unknown(data, asker, id)),
        HandleError::Ended(_) => {
            let trouble =
                Trouble::Ended { id, what: "It has no connection and no credential any more. Nothing was done." };
            Ok(asker.trouble(data, StatusCode::CONFLICT, trouble))
        }
        HandleError::NotWatched => {
            let trouble = Trouble::Ended { id, what: "No node watches it at the moment. Nothing was done; try again." };
            Ok(asker.trouble(data, StatusCode::CONFLICT, trouble))
        }
        HandleError::Store(error) => Err(error.into()),
    }
}

/// How a ping is asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct PingAsked {
    /// Set by a script that shows the steps as they come.
    live: bool,
}

pub(super) async fn ping(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Path(id): Path<String>,
    Query(asked): Query<PingAsked>,
) -> Result<Response, Failure> {
    let (handle, session) = match may(&data, &asker, &id) {
        Ok(may) => may,
        Err(denied) => return denied.answer(&data, &asker, id),
    };
    let Some(loaded) = load(&data, &asker, &id, None).await? else { return Ok(unknown(&data, &asker, id)) };
    let mechanism = words::mechanism(loaded.subject().facts.mechanism);
    data.auth.audit(&asker.staff, &client, AuditAction::PingForced, id, None).await?;
    let steps = match handle.force_ping(session, actor(&asker)).await {
        Ok(steps) => steps,
        Err(error) => return refused(&data, &asker, session, error),
    };
    let by = asker.staff.name.clone();
    let reports = Reports { reports: Vec::new(), by, at: Some(data.now()), mechanism, trace: None };
    data.pings.begin(session, reports, steps);
    // Most pings are over before anybody could look again.
    if !asked.live
        && let Some(mut reports) = data.pings.watch(session)
    {
        let _ = tokio::time::timeout(PATIENCE, reports.wait_for(Reports::is_over)).await;
    }
    Ok(Redirect::to(&format!("/sessions/{session}/ping")).into_response())
}

pub(super) async fn pinged(
    State(data): State<Data>,
    asker: Asker,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let Some(loaded) = load(&data, &asker, &id, None).await? else { return Ok(unknown(&data, &asker, id)) };
    let found = SessionId::parse(&id).ok().and_then(|session| data.pings.watch(session));
    let Some(mut reports) = found.map(|reports| reports.borrow().clone()) else {
        return Ok(Redirect::to(&format!("/sessions/{id}")).into_response());
    };
    reports.trace = loaded.ping_trace(&data, reports.at).filter(|_| reports.is_over());
    let acts = Acts { allowed: asker.staff.role >= Role::Support, csrf: asker.staff.csrf.clone() };
    let page = PingPage { subject: loaded.subject(), acts, run: reports.run() };
    Ok(asker.show(&data, Section::Sessions, "Forced ping", || page.view()))
}

pub(super) async fn test_push(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let (handle, session) = match may(&data, &asker, &id) {
        Ok(may) => may,
        Err(denied) => return denied.answer(&data, &asker, id),
    };
    data.auth.audit(&asker.staff, &client, AuditAction::TestPushSent, id, None).await?;
    match handle.send_test_push(session, &actor(&asker)).await {
        Ok(_) => Ok(Redirect::to(&format!("/sessions/{session}#deliveries")).into_response()),
        Err(error) => refused(&data, &asker, session, error),
    }
}

pub(super) async fn trace(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let (handle, session) = match may(&data, &asker, &id) {
        Ok(may) => may,
        Err(denied) => return denied.answer(&data, &asker, id),
    };
    data.auth.audit(&asker.staff, &client, AuditAction::TraceOn, id, None).await?;
    match handle.trace_session(session, &actor(&asker)).await {
        Ok(_) => Ok(Redirect::to(&format!("/sessions/{session}")).into_response()),
        Err(error) => refused(&data, &asker, session, error),
    }
}

/// What the dialog asks for.
#[derive(Deserialize)]
pub(super) struct RevokeForm {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    note: String,
}

pub(super) async fn revoke(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Path(id): Path<String>,
    Form(form): Form<RevokeForm>,
) -> Result<Response, Failure> {
    let (handle, session) = match may(&data, &asker, &id) {
        Ok(may) => may,
        Err(denied) => return denied.answer(&data, &asker, id),
    };
    let note: String = form.note.trim().chars().filter(|char| !char.is_control()).take(400).collect();
    let problem = match Reason::parse(&form.reason) {
        None => Some("Choose a reason."),
        Some(Reason::Other) if note.is_empty() => Some("Say in the note what the other reason is."),
        Some(_) => None,
    };
    if let Some(problem) = problem {
        let Some(loaded) = load(&data, &asker, &id, None).await? else { return Ok(unknown(&data, &asker, id)) };
        let csrf = asker.staff.csrf.clone();
        let page = RevokePage { subject: loaded.subject(), csrf, problem: Some(problem.to_owned()), note };
        let response = asker.show(&data, Section::Sessions, "Revoke", || page.view());
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, response).into_response());
    }
    let reason = Reason::parse(&form.reason).map_or("", Reason::text);
    let reason = if note.is_empty() { reason.to_owned() } else { format!("{reason}: {note}") };
    data.auth.audit(&asker.staff, &client, AuditAction::SessionRevoked, id, Some(reason)).await?;
    match handle.revoke(session, &actor(&asker)).await {
        Ok(()) => Ok(Redirect::to(&format!("/sessions/{session}")).into_response()),
        Err(error) => refused(&data, &asker, session, error),
    }
}
