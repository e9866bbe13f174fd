//! What staff do to a session. Each act is in the audit before it is done, and in the session's timeline.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use backend::{Actor, Handle, HandleError, PingReport, PingStep};
use domain::SessionId;
use http::StatusCode;
use serde::Deserialize;
use store::{AuditAction, Role};
use tokio::sync::mpsc;

use super::session::{load, unknown};
use super::{Asker, Data};
use crate::auth::{Client, Failure};
use crate::page::session::{Acts, PingPage, Progress, Reason, Reports, RevokePage};
use crate::page::trouble::Trouble;
use crate::shell::Section;
use crate::words;

/// How long a form waits for its ping before it shows what there is so far.
const PATIENCE: Duration = Duration::from_secs(6);

/// Pings that are remembered, so that their page can be looked at again.
const REMEMBERED: usize = 256;

/// The pings of late, each as far as it has come.
#[derive(Default)]
pub(crate) struct Pings {
    all: Mutex<VecDeque<Remembered>>,
}

/// One of them.
struct Remembered {
    session: SessionId,
    reports: Reports,
    steps: mpsc::Receiver<PingStep>,
}

impl Pings {
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Remembered>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, session: SessionId, reports: Reports, steps: mpsc::Receiver<PingStep>) {
        let mut all = self.lock();
        all.retain(|other| other.session != session);
        all.push_back(Remembered { session, reports, steps });
        if all.len() > REMEMBERED {
            all.pop_front();
        }
    }

    /// The ping of a session, with what has been reported by now.
    fn look(&self, id: SessionId) -> Option<Reports> {
        let mut all = self.lock();
        let ping = all.iter_mut().find(|other| other.session == id)?;
        while let Ok(step) = ping.steps.try_recv() {
            ping.reports.reports.push(report(step));
        }
        Some(ping.reports.clone())
    }
}

fn report(PingStep { elapsed, report }: PingStep) -> (u64, Progress) {
    let progress = match report {
        PingReport::Connecting { host } => Progress::Connecting { host },
        PingReport::Connected => Progress::Connected,
        PingReport::LoggedIn => Progress::LoggedIn,
        PingReport::Opened => Progress::Opened,
        PingReport::Asked { before, after } => Progress::Asked { before, after },
        PingReport::NothingNew => Progress::NothingNew,
        PingReport::Pushed => Progress::Pushed,
        PingReport::Gathered => Progress::Gathered,
        PingReport::Failed { code, evidence } => Progress::Failed { code, evidence },
    };
    (u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), progress)
}

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

pub(super) async fn ping(
    State(data): State<Data>,
    asker: Asker,
    client: Client,
    Path(id): Path<String>,
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
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline && !data.pings.look(session).is_none_or(|reports| reports.is_over()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(Redirect::to(&format!("/sessions/{session}/ping")).into_response())
}

pub(super) async fn pinged(
    State(data): State<Data>,
    asker: Asker,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let Some(loaded) = load(&data, &asker, &id, None).await? else { return Ok(unknown(&data, &asker, id)) };
    let found = SessionId::parse(&id).ok().and_then(|session| data.pings.look(session));
    let Some(mut reports) = found else { return Ok(Redirect::to(&format!("/sessions/{id}")).into_response()) };
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
