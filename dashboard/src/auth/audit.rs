//! The audit: its page, its file, and the check of its chain.

use std::sync::PoisonError;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use domain::Timestamp;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use store::{AuditAction, AuditCheck, AuditEntry, AuditFilter, AuditStart, Role, StoreError};

use super::answer::{framed, redirect};
use super::{Auth, Client, Failure, Staff};
use crate::page::audit as view;
use crate::page::search::encode;
use crate::part::format::iso;
use crate::shell::Section;

/// Entries of one page.
const PAGE: u64 = 50;

/// Entries that are written into a file at once.
const CHUNK: u64 = 500;

/// What the audit is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    staff: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    /// Milliseconds since the Unix epoch.
    since: Option<i64>,
    older: Option<i64>,
    newer: Option<i64>,
}

impl Asked {
    fn filter(&self) -> AuditFilter {
        let given =
            |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        AuditFilter {
            staff: given(&self.staff),
            action: self.action.as_deref().and_then(AuditAction::parse),
            subject: given(&self.subject),
            since: self.since.map(Timestamp::from_millis),
        }
    }

    fn start(&self) -> AuditStart {
        match (self.older, self.newer) {
            (Some(seq), _) => AuditStart::OlderThan(seq),
            (None, Some(seq)) => AuditStart::NewerThan(seq),
            (None, None) => AuditStart::Newest,
        }
    }
}

/// The link to a list with a filter.
fn link(path: &str, filter: &AuditFilter, place: Option<(&str, i64)>) -> String {
    let mut pairs = Vec::new();
    if let Some(staff) = &filter.staff {
        pairs.push(format!("staff={}", encode(staff)));
    }
    if let Some(action) = filter.action {
        pairs.push(format!("action={}", action.as_str()));
    }
    if let Some(subject) = &filter.subject {
        pairs.push(format!("subject={}", encode(subject)));
    }
    if let Some(since) = filter.since {
        pairs.push(format!("since={}", since.as_millis()));
    }
    if let Some((name, seq)) = place {
        pairs.push(format!("{name}={seq}"));
    }
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// What staff filter by most; and whatever is set, to take it off again.
fn choices(filter: &AuditFilter) -> Vec<(String, String, bool)> {
    let actions = [
        AuditAction::SessionViewed,
        AuditAction::PingForced,
        AuditAction::SessionRevoked,
        AuditAction::SignedIn,
        AuditAction::SignInRefused,
        AuditAction::RoleChanged,
    ];
    let mut choices = Vec::new();
    if let Some(staff) = &filter.staff {
        let without = AuditFilter { staff: None, ..filter.clone() };
        choices.push((staff.clone(), link("/audit", &without, None), true));
    }
    if let Some(subject) = &filter.subject {
        let without = AuditFilter { subject: None, ..filter.clone() };
        choices.push((subject.clone(), link("/audit", &without, None), true));
    }
    for action in actions.into_iter().chain(filter.action.filter(|action| !actions.contains(action))) {
        let chosen = filter.action == Some(action);
        let then = AuditFilter { action: (!chosen).then_some(action), ..filter.clone() };
        choices.push((view::action(action.as_str()).2, link("/audit", &then, None), chosen));
    }
    choices
}

pub(super) async fn page(
    State(auth): State<Auth>,
    staff: Staff,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    staff.require(Role::Support)?;
    let filter = asked.filter();
    let found = auth.store().audit_page(&filter, asked.start(), PAGE).await?;
    let shown = |entry: AuditEntry| view::Entry {
        at: entry.at,
        staff: entry.staff,
        action: entry.action,
        subject: entry.subject,
        reason: entry.reason,
        address: entry.address,
        hash: entry.hash,
    };
    let page = view::Audit {
        now: auth.now(),
        check: auth.inner.checked.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        entries: found.entries.into_iter().map(shown).collect(),
        choices: choices(&filter),
        newer: found.newer.map(|seq| link("/audit", &filter, Some(("newer", seq)))),
        older: found.older.map(|seq| link("/audit", &filter, Some(("older", seq)))),
        csv: link("/audit.csv", &filter, None),
        csrf: (staff.role >= Role::Admin).then(|| staff.csrf.clone()),
    };
    let frame = auth.frame(Section::Audit, "Audit", &staff, &headers, &link("/audit", &filter, None));
    Ok(framed(frame, None, || page.view()))
}

/// Checks the chain, and shows what came of it until the next check. It reads the whole audit, so it is for admins, one at a
/// time: whoever asks meanwhile is shown what the one before found.
pub(super) async fn check(State(auth): State<Auth>, staff: Staff) -> Result<Response, Failure> {
    staff.require(Role::Admin)?;
    let asked = auth.now();
    let _turn = auth.inner.checking.lock().await;
    if !auth.is_checked_since(asked) {
        auth.check_audit().await?;
    }
    Ok(redirect("/audit"))
}

impl Auth {
    fn is_checked_since(&self, asked: Timestamp) -> bool {
        let checked = self.inner.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.as_ref().is_some_and(|check| check.at() > asked)
    }

    /// Checks the audit's chain, and keeps what came of it for the page.
    pub(crate) async fn check_audit(&self) -> Result<(), StoreError> {
        let checked = self.store().verify_audit().await?;
        let (number, at) = (|seq: i64| u64::try_from(seq).unwrap_or(0), self.now());
        let shown = match checked {
            AuditCheck::Whole { entries, newest, hash } => {
                view::Check::Whole { entries: number(entries), newest, hash, at }
            }
            AuditCheck::Broken { seq, fault } => {
                tracing::error!(seq, ?fault, "the audit's chain is broken");
                view::Check::Broken { seq: number(seq), fault, at }
            }
        };
        *self.inner.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        Ok(())
    }
}

/// The audit as a file, a piece at a time.
pub(super) async fn csv(
    State(auth): State<Auth>,
    staff: Staff,
    client: Client,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    staff.require(Role::Support)?;
    let filter = asked.filter();
    auth.audit(&staff, &client, AuditAction::Exported, link("/audit.csv", &filter, None), None).await?;
    let head = Bytes::from_static(b"seq,at,staff,action,subject,reason,address,hash\r\n");
    let rest = stream::unfold(Some(AuditStart::Newest), move |start| {
        let (auth, filter) = (auth.clone(), filter.clone());
        async move {
            match auth.store().audit_page(&filter, start?, CHUNK).await {
                Ok(page) => {
                    let lines: String = page.entries.iter().map(line).collect();
                    Some((Ok(Bytes::from(lines)), page.older.map(AuditStart::OlderThan)))
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "an export broke off");
                    // The file breaks off, and the browser says so.
                    Some((Err(error), None))
                }
            }
        }
    });
    // What compresses it asks once more behind its end, which an unfold does not bear.
    let body = stream::iter([Ok::<_, StoreError>(head)]).chain(rest).fuse();
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"pinger-audit.csv\""),
    ];
    Ok((StatusCode::OK, headers, Body::from_stream(body)).into_response())
}

fn line(entry: &AuditEntry) -> String {
    let cells = [
        entry.seq.to_string(),
        iso(entry.at),
        entry.staff.clone(),
        entry.action.clone(),
        entry.subject.clone(),
        entry.reason.clone().unwrap_or_default(),
        entry.address.clone().unwrap_or_default(),
        entry.hash.clone(),
    ];
    let mut line = cells.map(|text| cell(&text)).join(",");
    line.push_str("\r\n");
    line
}

/// A cell that no spreadsheet takes for a formula: quoted (RFC 4180), and with an apostrophe before what could be one.
pub(crate) fn cell(text: &str) -> String {
    let risky = text.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
        || text.starts_with(['\t', '\r', '\n']);
    let before = if risky { "'" } else { "" };
    format!("\"{before}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!(cell("kim"), "\"kim\"");
        assert_eq!(cell("a \"b\", c"), "\"a \"\"b\"\", c\"");
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "\u{ff1d}1"] {
            assert!(cell(bad).starts_with("\"'"), "{bad:?}");
        }
    }

    #[test]
    fn links_carry_the_filter() {
        let filter = AuditFilter {
            staff: Some("kim&x=1".to_owned()),
            action: Some(AuditAction::PingForced),
            subject: None,
            since: Some(Timestamp::from_millis(7)),
        };
        assert_eq!(
            link("/audit", &filter, Some(("older", 5))),
            "/audit?staff=kim%26x%3D1&action=ping_forced&since=7&older=5"
        );
        assert_eq!(link("/audit", &AuditFilter::default(), None), "/audit");
        assert_eq!(choices(&filter).iter().filter(|choice| choice.2).count(), 2);
    }
}
