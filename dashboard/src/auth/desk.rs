//! What every act of somebody who is signed in has in common: who they are, from where, and the way from a form to its entry
//! in the audit and the answer.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use http::HeaderMap;
use leptos::prelude::AnyView;
use secrecy::SecretString;
use store::{AuditAction, NewAudit, Refusal, Role, StaffAct, StaffRecord};

use super::answer::framed;
use super::password::Verdict;
use super::{Auth, Client, Failure, Staff};
use crate::part::mark::Mark;
use crate::part::notice::Toast;
use crate::shell::Section;

/// Somebody at their desk.
pub(super) struct Desk {
    pub(super) auth: Auth,
    pub(super) staff: Staff,
    pub(super) client: Client,
    pub(super) headers: HeaderMap,
}

impl FromRequestParts<Auth> for Desk {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, auth: &Auth) -> Result<Self, Failure> {
        let staff = Staff::from_request_parts(parts, auth).await?;
        let Ok(client) = Client::from_request_parts(parts, auth).await;
        Ok(Self { auth: auth.clone(), staff, client, headers: parts.headers.clone() })
    }
}

/// The same, for an admin alone.
pub(super) struct AdminDesk(pub(super) Desk);

impl FromRequestParts<Auth> for AdminDesk {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, auth: &Auth) -> Result<Self, Failure> {
        let desk = Desk::from_request_parts(parts, auth).await?;
        desk.staff.require(Role::Admin)?;
        Ok(Self(desk))
    }
}

/// The result of somebody's own act.
pub(super) fn toast(mark: Mark, text: impl Into<String>) -> Option<Toast> {
    Some(Toast { mark, text: text.into(), link: None })
}

impl Desk {
    /// Whoever is at it, as stored.
    pub(super) async fn me(&self) -> Result<StaffRecord, Failure> {
        self.auth.store().staff(self.staff.id).await?.ok_or(Failure::SignedOut)
    }

    /// Asks for the password again before what it guards is changed; as slowly as at a sign-in.
    pub(super) async fn proves(&self, me: &StaffRecord, password: SecretString) -> Result<bool, Failure> {
        let (auth, address) = (&self.auth, self.client.address);
        if auth.inner.throttle.take(&me.name, address, auth.now()).is_err() {
            return Ok(false);
        }
        let verdict = auth.inner.passwords.verify(password, me.password_hash.clone()).await?;
        if verdict == Verdict::Wrong {
            auth.refused(Some(me), &self.client, "wrong password, signed in").await?;
            return Ok(false);
        }
        auth.inner.throttle.succeeded(&me.name, address, auth.now());
        Ok(true)
    }

    /// Does something to staff, with its entry in the audit: both or neither.
    pub(super) async fn act(
        &self,
        act: StaffAct,
        action: AuditAction,
        subject: impl Into<String>,
        reason: Option<String>,
    ) -> Result<Result<(), Refusal>, Failure> {
        let reason = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
        let entry = NewAudit { reason, ..self.auth.entry(&self.staff.name, &self.client, action, subject) };
        Ok(self.auth.act(act, Some(entry)).await?)
    }

    /// A page with all around it.
    pub(super) fn show(
        &self,
        section: Section,
        title: &str,
        path: &str,
        toast: Option<Toast>,
        body: impl FnOnce() -> AnyView,
    ) -> Response {
        framed(self.auth.frame(section, title, &self.staff, &self.headers, path), toast, body)
    }
}
