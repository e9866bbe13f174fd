//! Signing up by a one-time link.

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use store::{AuditAction, Factor, Invite, Refusal, StaffAct, StaffId, StaffName, StoreError};

use super::answer::{Fields, bare};
use super::next::Next;
use super::password;
use super::secret::Token;
use super::sign_in::{Entering, enter};
use super::{Auth, Client, Failure};
use crate::page::sign_in as view;

/// The form.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    name: String,
    password: SecretString,
}

async fn open_invite(auth: &Auth, token: &str) -> Result<Option<Invite>, StoreError> {
    let Some(token) = Token::parse(token) else { return Ok(None) };
    Ok(auth.store().invite(&token.hash()).await?.filter(|invite| invite.is_open(auth.now())))
}

fn dead_link(headers: &HeaderMap) -> Response {
    bare(StatusCode::NOT_FOUND, "This link does not work", headers, view::dead_link)
}

pub(super) async fn page(
    State(auth): State<Auth>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let Some(invite) = open_invite(&auth, &token).await? else { return Ok(dead_link(&headers)) };
    Ok(form(StatusCode::OK, &headers, &token, &invite, "", None))
}

fn form(
    status: StatusCode,
    headers: &HeaderMap,
    token: &str,
    invite: &Invite,
    name: &str,
    problem: Option<(String, String)>,
) -> Response {
    let page = view::SignUp {
        token: token.to_owned(),
        role: invite.role.to_string(),
        name: name.to_owned(),
        problem,
        secret: None,
    };
    bare(status, "Sign up", headers, || page.view())
}

pub(super) async fn submit(
    State(auth): State<Auth>,
    Path(token): Path<String>,
    client: Client,
    headers: HeaderMap,
    Fields(wanted): Fields<Wanted>,
) -> Result<Response, Failure> {
    let Some(invite) = open_invite(&auth, &token).await? else { return Ok(dead_link(&headers)) };
    let typed: String = wanted.name.chars().take(64).collect();
    let again = |bold: &str, text: &str| {
        let problem = Some((bold.to_owned(), text.to_owned()));
        Ok(form(StatusCode::UNPROCESSABLE_ENTITY, &headers, &token, &invite, &typed, problem))
    };
    let Some(name) = StaffName::parse(&wanted.name) else {
        return again("Take another name.", "2 to 64 letters, digits and . _ - + @, the first a letter or a digit.");
    };
    if let Some(problem) = password::problem(wanted.password.expose_secret(), name.as_str()) {
        return again("Take another password.", &problem);
    }
    if let Err(throttled) = auth.inner.throttle.take_address(client.address, auth.now()) {
        let text = format!("Wait {} seconds, then try again.", throttled.wait.as_secs() + 1);
        return again("Too many tries.", &text);
    }
    let id = StaffId::new();
    let password_hash = auth.inner.passwords.hash(wanted.password).await?;
    let entry = auth.entry(name.as_str(), &client, AuditAction::SignedUp, invite.role.as_str());
    let sign_up = StaffAct::SignUp { token_hash: invite.token_hash.clone(), id, name, password_hash };
    match auth.act(sign_up, Some(entry)).await? {
        Ok(()) => {}
        Err(Refusal::NameTaken) => return again("Take another name.", "Somebody has this one."),
        Err(_) => return Ok(dead_link(&headers)),
    }
    let person = auth.store().staff(id).await?.ok_or(Failure::Ours("whoever signed up is not there"))?;
    // A second factor is offered at once, and can wait.
    let next = Next::parse("/account/authenticator");
    enter(&auth, &person, &client, &headers, &next, Entering::by(Factor::Password)).await
}
