//! A new password by a link that an admin made, for whoever forgot theirs.

use axum::extract::{Path, State};
use axum::response::Response;
use domain::Timestamp;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use store::{AuditAction, NewAudit, PasswordReset, Refusal, StaffAct, StaffRecord, Store, StoreError};

use super::answer::{Fields, bare, redirect};
use super::password;
use super::secret::Token;
use super::{Auth, Client, Failure, INVITE_LIFETIME};
use crate::page::reset as view;

impl Auth {
    /// Makes a link by which somebody sets their password anew, once, and gives its path. None if they are shut out.
    pub(crate) async fn offer_reset(
        store: &Store,
        now: Timestamp,
        person: &StaffRecord,
        by: &str,
        address: Option<String>,
    ) -> Result<Result<String, Refusal>, StoreError> {
        let token = Token::random();
        let offer = PasswordReset {
            token_hash: token.hash(),
            staff: person.id,
            created_by: by.to_owned(),
            created_at: now,
            expires_at: now.after(INVITE_LIFETIME),
        };
        let entry = NewAudit {
            at: now,
            staff: by.to_owned(),
            action: AuditAction::ResetOffered,
            subject: person.name.clone(),
            reason: None,
            address,
        };
        let offered = store.staff_act(now, StaffAct::OfferReset(offer), Some(entry)).await?;
        Ok(offered.map(|()| format!("/sign-in/reset/{}", token.text())))
    }
}

async fn person_of(auth: &Auth, token: &str) -> Result<Option<(String, StaffRecord)>, StoreError> {
    let Some(hash) = Token::parse(token).map(|token| token.hash()) else { return Ok(None) };
    Ok(auth.store().password_reset(&hash, auth.now()).await?.map(|person| (hash, person)))
}

fn dead_link(headers: &HeaderMap) -> Response {
    bare(StatusCode::NOT_FOUND, "This link does not work", headers, crate::page::sign_in::dead_link)
}

fn form(
    status: StatusCode,
    headers: &HeaderMap,
    token: &str,
    name: &str,
    problem: Option<(String, String)>,
) -> Response {
    let page = view::Reset { token: token.to_owned(), name: name.to_owned(), problem };
    bare(status, "A new password", headers, || page.view())
}

pub(super) async fn page(
    State(auth): State<Auth>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let Some((_, person)) = person_of(&auth, &token).await? else { return Ok(dead_link(&headers)) };
    Ok(form(StatusCode::OK, &headers, &token, &person.name, None))
}

#[derive(Deserialize)]
pub(super) struct NewPassword {
    password: SecretString,
}

/// Sets the password. Whoever did it is not signed in by that: a second factor is asked for as always.
pub(super) async fn submit(
    State(auth): State<Auth>,
    Path(token): Path<String>,
    client: Client,
    headers: HeaderMap,
    Fields(new): Fields<NewPassword>,
) -> Result<Response, Failure> {
    let Some((token_hash, person)) = person_of(&auth, &token).await? else { return Ok(dead_link(&headers)) };
    let again = |bold: &str, text: &str| {
        let problem = Some((bold.to_owned(), text.to_owned()));
        Ok(form(StatusCode::UNPROCESSABLE_ENTITY, &headers, &token, &person.name, problem))
    };
    if let Some(problem) = password::problem(new.password.expose_secret(), &person.name) {
        return again("Take another password.", &problem);
    }
    if let Err(throttled) = auth.inner.throttle.take_address(client.address, auth.now()) {
        return again("Too many tries.", &format!("Wait {} seconds, then try again.", throttled.wait.as_secs() + 1));
    }
    let hash = auth.inner.passwords.hash(new.password).await?;
    let entry = auth.entry(&person.name, &client, AuditAction::PasswordReset, "");
    match auth.act(StaffAct::UseReset { token_hash, hash }, Some(entry)).await? {
        Ok(()) => Ok(redirect("/sign-in?reset=1")),
        Err(_) => Ok(dead_link(&headers)),
    }
}
