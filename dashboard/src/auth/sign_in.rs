//! Signing in: name and password, then the second factor if there is one. And out.

use axum::extract::{Query, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use store::{AuditAction, Factor, Refusal, Spend, StaffAct, StaffName, StaffRecord};

use super::answer::{Fields, bare, redirect};
use super::cookie::Cookie;
use super::next::Next;
use super::passkey::{self, RelyingParty};
use super::password::{LONGEST, Verdict};
use super::secret::Token;
use super::throttle::Throttled;
use super::totp::{Purpose, Totp, recovery_hash};
use super::{Auth, Client, Failure, Staff, UNKNOWN};
use crate::page::sign_in as view;

/// What the sign-in page is asked with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    next: Option<String>,
    ended: Option<String>,
    out: Option<String>,
    reset: Option<String>,
}

/// The first step's form.
#[derive(Deserialize)]
pub(super) struct First {
    #[serde(default)]
    name: String,
    password: SecretString,
    next: Option<String>,
}

/// The second step's form.
#[derive(Deserialize)]
pub(super) struct Second {
    code: SecretString,
    next: Option<String>,
}

fn next_of(next: Option<&str>) -> Next {
    next.map(Next::parse).unwrap_or_default()
}

fn said(bold: &str, text: impl Into<String>) -> Option<(String, String)> {
    Some((bold.to_owned(), text.into()))
}

pub(super) async fn page(
    State(auth): State<Auth>,
    Query(asked): Query<Asked>,
    client: Client,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let next = next_of(asked.next.as_deref());
    if auth.signed_in(&headers).await?.is_some() {
        return Ok(redirect(next.as_str()));
    }
    let notice = if asked.ended.is_some() {
        said("You are signed out.", "The sign-in was ended, or was not used for a while.")
    } else if asked.out.is_some() {
        said("You are signed out.", "")
    } else if asked.reset.is_some() {
        said("The password is set.", "Sign in with it.")
    } else {
        None
    };
    Ok(form(StatusCode::OK, &headers, view::SignIn { notice, ..fields(&auth, &client, &next, "") }))
}

fn fields(auth: &Auth, client: &Client, next: &Next, name: &str) -> view::SignIn {
    let host = client.base.split_once("://").map(|(_, host)| host.to_owned()).unwrap_or_default();
    view::SignIn {
        host,
        next: (!next.is_home()).then(|| next.as_str().to_owned()),
        name: name.to_owned(),
        problem: None,
        notice: None,
        passkeys: RelyingParty::of(&client.base).is_some(),
        provider: auth.provider_name().map(str::to_owned),
    }
}

/// The first step's page, with what was wrong: a short sentence and what to do.
pub(super) fn first_form(
    auth: &Auth,
    status: StatusCode,
    headers: &HeaderMap,
    client: &Client,
    next: &Next,
    problem: (&str, &str),
) -> Response {
    let problem = said(problem.0, problem.1);
    form(status, headers, view::SignIn { problem, ..fields(auth, client, next, "") })
}

fn form(status: StatusCode, headers: &HeaderMap, form: view::SignIn) -> Response {
    bare(status, "Sign in", headers, || form.view())
}

/// One answer for whoever tries too often, be there somebody of that name or not.
pub(super) fn slowed(auth: &Auth, throttled: Throttled, client: &Client, headers: &HeaderMap, next: &Next) -> Response {
    let seconds = throttled.wait.as_secs() + 1;
    let problem = ("Too many tries.", &*format!("Wait {seconds} seconds, then try again."));
    let mut response = first_form(auth, StatusCode::TOO_MANY_REQUESTS, headers, client, next, problem);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

pub(super) async fn submit(
    State(auth): State<Auth>,
    client: Client,
    headers: HeaderMap,
    Fields(first): Fields<First>,
) -> Result<Response, Failure> {
    let next = next_of(first.next.as_deref());
    let typed: String = first.name.trim().chars().take(64).collect();
    if let Err(throttled) = auth.inner.throttle.take(&typed, client.address, auth.now()) {
        if throttled.first {
            let entry = auth.entry(UNKNOWN, &client, AuditAction::SignInThrottled, "sign-in");
            auth.store().audit(entry).await?;
        }
        return Ok(slowed(&auth, throttled, &client, &headers, &next));
    }
    let person = match StaffName::parse(&typed) {
        Some(name) => auth.store().staff_by_name(&name).await?,
        None => None,
    };
    let known = person.as_ref().map(|person| person.name.clone());
    let hash = person.as_ref().and_then(|person| person.password_hash.clone());
    // A longer one is nobody's, and takes the same work.
    let password = if first.password.expose_secret().len() > LONGEST { String::new().into() } else { first.password };
    let verdict = auth.inner.passwords.verify(password.clone(), hash).await?;
    let let_in = person.filter(|person| person.disabled_at.is_none());
    let (person, outdated) = match (verdict, let_in) {
        (Verdict::Right { outdated }, Some(person)) => (person, outdated),
        (verdict, _) => {
            let why = match (verdict, &known) {
                (Verdict::Right { .. }, _) => "shut out",
                (Verdict::Wrong, Some(_)) => "wrong password",
                (Verdict::Wrong, None) => "unknown name",
            };
            let who = known.as_deref().unwrap_or(UNKNOWN);
            auth.store().audit(auth.entry(who, &client, AuditAction::SignInRefused, why)).await?;
            let problem = said("That is not right.", "Check name and password. Nothing tells which of them is wrong.");
            let fields = view::SignIn { problem, ..fields(&auth, &client, &next, &typed) };
            return Ok(form(StatusCode::UNPROCESSABLE_ENTITY, &headers, fields));
        }
    };
    if outdated {
        rehash(&auth, &person, password).await;
    }
    if person.totp_secret.is_some() || !auth.store().passkeys_of(person.id).await?.is_empty() {
        return Ok(ask_for_more(&auth, &person, &next));
    }
    enter(&auth, &person, &client, &headers, &next, Entering::by(Factor::Password)).await
}

/// Hashes a password as it is done now. If that fails, it is done the next time.
async fn rehash(auth: &Auth, person: &StaffRecord, password: SecretString) {
    let (Ok(hash), Some(was)) = (auth.inner.passwords.hash(password).await, person.password_hash.clone()) else {
        return;
    };
    match auth.act(StaffAct::Rehash { id: person.id, was, hash }, None).await {
        Ok(Ok(())) => tracing::info!(staff = person.name, "a password was hashed anew, as argon2 is set now"),
        Ok(Err(_)) => {}
        Err(error) => tracing::warn!(%error, "a password could not be hashed anew"),
    }
}

/// Asks for the second factor.
fn ask_for_more(auth: &Auth, person: &StaffRecord, next: &Next) -> Response {
    let ticket = Token::random();
    if !auth.inner.pending.begin(ticket.hash(), person.id, auth.now()) {
        return axum::response::IntoResponse::into_response(Failure::Busy);
    }
    let mut response = redirect(&match next.is_home() {
        true => "/sign-in/code".to_owned(),
        false => format!("/sign-in/code?next={}", next.encoded()),
    });
    response.headers_mut().append(header::SET_COOKIE, auth.inner.cookies.set(Cookie::Pending, &ticket));
    response
}

/// With what somebody comes in.
#[derive(Clone, Debug)]
pub(super) struct Entering {
    pub(super) factor: Factor,
    /// What is used up by it.
    pub(super) spend: Option<Spend>,
}

impl Entering {
    /// With what is not used up.
    pub(super) const fn by(factor: Factor) -> Self {
        Self { factor, spend: None }
    }
}

/// Signs in, under a new id.
pub(super) async fn enter(
    auth: &Auth,
    person: &StaffRecord,
    client: &Client,
    headers: &HeaderMap,
    next: &Next,
    entering: Entering,
) -> Result<Response, Failure> {
    let Entering { factor, spend } = entering;
    let token = match auth.begin(person, client, headers, factor, spend).await? {
        Ok(token) => token,
        Err(Refusal::CodeSpent) => {
            let twin = "passkey: its count went back".to_owned();
            return match factor {
                Factor::PasskeyAlone => passkey::refuse_alone(auth, Some(person), client, headers, next, twin).await,
                Factor::Passkey => passkey::refuse_second(auth, person, client, headers, next, twin).await,
                _ => refuse_code(auth, person, client, headers, next).await,
            };
        }
        Err(_) => return Ok(redirect("/sign-in")),
    };
    auth.inner.throttle.succeeded(&person.name, client.address, auth.now());
    let mut response = redirect(next.as_str());
    let cookies = &auth.inner.cookies;
    response.headers_mut().append(header::SET_COOKIE, cookies.set(Cookie::SignIn, &token));
    if let Some(ticket) = cookies.read(headers, Cookie::Pending) {
        auth.inner.pending.end(&ticket.hash());
        response.headers_mut().append(header::SET_COOKIE, cookies.delete(Cookie::Pending));
    }
    Ok(response)
}

/// Why somebody can't go on with the second step.
pub(super) enum Halt {
    /// There was no first step, or it was too long ago.
    Restart,
    /// They try too often.
    Slowed(Throttled),
}

impl Auth {
    /// Who is in the second step, and the hash of their ticket; takes one of their tries.
    pub(super) async fn second_step(
        &self,
        client: &Client,
        headers: &HeaderMap,
    ) -> Result<Result<(StaffRecord, String), Halt>, Failure> {
        let ticket = self.inner.cookies.read(headers, Cookie::Pending).map(|ticket| ticket.hash());
        let Some(ticket) = ticket else { return Ok(Err(Halt::Restart)) };
        let Some(id) = self.inner.pending.attempt(&ticket, self.now()) else { return Ok(Err(Halt::Restart)) };
        let Some(person) = self.store().staff(id).await?.filter(|person| person.disabled_at.is_none()) else {
            return Ok(Err(Halt::Restart));
        };
        if let Err(throttled) = self.inner.throttle.take(&person.name, client.address, self.now()) {
            if throttled.first {
                let entry = self.entry(&person.name, client, AuditAction::SignInThrottled, "codes");
                self.store().audit(entry).await?;
            }
            return Ok(Err(Halt::Slowed(throttled)));
        }
        Ok(Ok((person, ticket)))
    }
}

pub(super) async fn code_page(
    State(auth): State<Auth>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let next = next_of(asked.next.as_deref());
    let ticket = auth.inner.cookies.read(&headers, Cookie::Pending);
    let Some(id) = ticket.and_then(|ticket| auth.inner.pending.who(&ticket.hash(), auth.now())) else {
        return Ok(redirect("/sign-in"));
    };
    let Some(person) = auth.store().staff(id).await? else { return Ok(redirect("/sign-in")) };
    code_form(&auth, &person, StatusCode::OK, &headers, &next, None).await
}

/// The second step's page, with what was wrong.
pub(super) async fn code_form(
    auth: &Auth,
    person: &StaffRecord,
    status: StatusCode,
    headers: &HeaderMap,
    next: &Next,
    problem: Option<(&str, &str)>,
) -> Result<Response, Failure> {
    // The ticket is in a cookie, so that no other browser can go on with it.
    let page = view::Code {
        next: (!next.is_home()).then(|| next.as_str().to_owned()),
        problem: problem.and_then(|(bold, text)| said(bold, text)),
        codes: person.totp_secret.is_some(),
        passkeys: !auth.store().passkeys_of(person.id).await?.is_empty(),
    };
    Ok(bare(status, "One thing more", headers, || page.view()))
}

pub(super) async fn code_submit(
    State(auth): State<Auth>,
    client: Client,
    headers: HeaderMap,
    Fields(second): Fields<Second>,
) -> Result<Response, Failure> {
    let (next, now) = (next_of(second.next.as_deref()), auth.now());
    let person = match auth.second_step(&client, &headers).await? {
        Ok((person, _)) => person,
        Err(Halt::Restart) => return Ok(redirect("/sign-in")),
        Err(Halt::Slowed(throttled)) => return Ok(slowed(&auth, throttled, &client, &headers, &next)),
    };
    let code = second.code.expose_secret();
    let sealed = person.totp_secret.as_deref();
    let totp = sealed.and_then(|sealed| Totp::open(&auth.inner.secrets, Purpose::Stored(person.id), sealed));
    let step = totp.and_then(|totp| totp.step_of(code, now, person.totp_step));
    let recovery = recovery_hash(person.id, code).filter(|hash| person.recovery_codes.contains(hash));
    let entering = match (step, recovery) {
        (Some(step), _) => Entering { factor: Factor::Totp, spend: Some(Spend::Step(step)) },
        (None, Some(hash)) => Entering { factor: Factor::Recovery, spend: Some(Spend::Recovery(hash)) },
        (None, None) => return refuse_code(&auth, &person, &client, &headers, &next).await,
    };
    enter(&auth, &person, &client, &headers, &next, entering).await
}

async fn refuse_code(
    auth: &Auth,
    person: &StaffRecord,
    client: &Client,
    headers: &HeaderMap,
    next: &Next,
) -> Result<Response, Failure> {
    auth.refused(Some(person), client, "wrong code").await?;
    let problem = ("This code is not right.", "It may be too old, or was used before. Take the next one.");
    code_form(auth, person, StatusCode::UNPROCESSABLE_ENTITY, headers, next, Some(problem)).await
}

pub(super) async fn sign_out(State(auth): State<Auth>, staff: Staff, client: Client) -> Result<Response, Failure> {
    let entry = auth.entry(&staff.name, &client, AuditAction::SignedOut, "");
    // If it was ended meanwhile, it is ended.
    let _ = auth.act(StaffAct::EndSignIn(staff.sign_in), Some(entry)).await?;
    let mut response = redirect("/sign-in?out=1");
    response.headers_mut().append(header::SET_COOKIE, auth.inner.cookies.delete(Cookie::SignIn));
    Ok(response)
}
