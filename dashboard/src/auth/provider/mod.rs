//! Signing in by a provider (OpenID Connect): the authorization code flow with PKCE, state and nonce. The provider asks for
//! whatever it asks for; a second factor of ours does not come on top.
//!
//! It is a small client of our own on what is in the tree already: tokens are checked by `jsonwebtoken` on the one crypto
//! provider that there is. The crate `openidconnect` brings its own RSA and curves, some forty further crates.

mod client;
mod id_token;
mod standing;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use http::{HeaderMap, StatusCode, header};
use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use store::{AuditAction, Factor, Identity, NewAudit, Refusal, StaffAct, StaffId, StaffRecord};

pub use self::client::OidcSettingError;
use self::client::{CallError, Calls};
use self::id_token::{Expected, TokenError};
use self::standing::{Person, Standing, names, standing};
use super::answer::{Fields, redirect};
use super::cookie::Cookie;
use super::desk::{Desk, toast};
use super::next::Next;
use super::secret::{Token, same};
use super::sign_in::{Entering, enter, first_form, slowed};
use super::{Auth, Client, Failure, account};
use crate::oidc_config::OidcConfig;
use crate::part::mark::Mark;

/// How long somebody may be away at the provider.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How many may be away at once.
const MOST: usize = 4_096;

/// Where the provider sends people back to.
const BACK: &str = "/sign-in/provider/back";

/// Why somebody went to the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    /// To sign in.
    SignIn,
    /// To connect the account that they are signed in to.
    Connect { staff: StaffId, sign_in: String },
}

/// Somebody who is away at the provider.
#[derive(Clone)]
struct Away {
    state: String,
    nonce: String,
    verifier: String,
    next: Next,
    purpose: Purpose,
    until: Timestamp,
}

/// The provider, and who is away there.
pub(super) struct Provider {
    config: OidcConfig,
    calls: Calls,
    away: Mutex<HashMap<String, Away>>,
}

impl Provider {
    pub(super) fn new(config: &OidcConfig) -> Result<Self, OidcSettingError> {
        if config.name.trim().is_empty() || config.client_id.is_empty() {
            return Err(OidcSettingError::Setting("name and client_id must not be empty"));
        }
        if config.create && config.role.is_none() && config.groups.is_empty() {
            return Err(OidcSettingError::Setting("create needs role or groups: whoever is new must get a role"));
        }
        Ok(Self { config: config.clone(), calls: Calls::new(config)?, away: Mutex::default() })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Away>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False if too many are away.
    fn leave(&self, ticket: String, away: Away, now: Timestamp) -> bool {
        let mut all = self.lock();
        if all.len() >= MOST {
            all.retain(|_, away| now < away.until);
        }
        if all.len() >= MOST {
            return false;
        }
        all.insert(ticket, away);
        true
    }

    /// Whoever comes back does so once.
    fn back(&self, ticket: &str, now: Timestamp) -> Option<Away> {
        self.lock().remove(ticket).filter(|away| now < away.until)
    }
}

impl Auth {
    /// The name of the provider by which one can sign in, if there is one.
    pub(super) fn provider_name(&self) -> Option<&str> {
        self.inner.provider.as_ref().map(|provider| provider.config.name.as_str())
    }

    fn provider(&self) -> Result<&Provider, Failure> {
        self.inner.provider.as_ref().ok_or(Failure::Missing)
    }

    /// Sends somebody to the provider.
    async fn leave(
        &self,
        client: &Client,
        headers: &HeaderMap,
        next: Next,
        purpose: Purpose,
    ) -> Result<Response, Failure> {
        let (provider, now) = (self.provider()?, self.now());
        let known = match provider.calls.known(now).await {
            Ok(known) => known,
            Err(error) => return Ok(self.provider_fails(&error, client, headers, &next)),
        };
        let (ticket, state, nonce, verifier) =
            (Token::random(), Token::random().text(), Token::random().text(), Token::random().text());
        let mut url = known.authorize;
        let mut scope = "openid".to_owned();
        for more in &provider.config.scopes {
            scope.push(' ');
            scope.push_str(more);
        }
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.config.client_id)
            .append_pair("redirect_uri", &format!("{}{BACK}", client.base))
            .append_pair("scope", &scope)
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())))
            .append_pair("code_challenge_method", "S256");
        let away = Away { state, nonce, verifier, next, purpose, until: now.after(PATIENCE) };
        if !provider.leave(ticket.hash(), away, now) {
            return Err(Failure::Busy);
        }
        let mut response = redirect(url.as_str());
        response.headers_mut().append(header::SET_COOKIE, self.inner.cookies.set(Cookie::Provider, &ticket));
        Ok(response)
    }

    fn provider_fails(&self, error: &CallError, client: &Client, headers: &HeaderMap, next: &Next) -> Response {
        tracing::warn!(error = error as &dyn std::error::Error, "nobody can sign in by the provider");
        let name = self.provider_name().unwrap_or_default();
        let problem = (
            &*format!("{name} does not answer as it should."),
            "Try again in a moment, or sign in with name and password.",
        );
        first_form(self, StatusCode::BAD_GATEWAY, headers, client, next, problem)
    }

    /// Somebody came back and is not let in. What is wrong is in the audit; the page says what can be done.
    async fn turned_away(
        &self,
        person: Option<&StaffRecord>,
        client: &Client,
        headers: &HeaderMap,
        why: &str,
        problem: (&str, &str),
    ) -> Result<Response, Failure> {
        self.refused(person, client, format!("provider: {why}")).await?;
        Ok(first_form(self, StatusCode::FORBIDDEN, headers, client, &Next::default(), problem))
    }
}

#[derive(Deserialize)]
pub(super) struct Asked {
    next: Option<String>,
}

/// Leaves for the provider, to sign in.
pub(super) async fn leave(
    State(auth): State<Auth>,
    client: Client,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    auth.provider()?;
    let next = asked.next.as_deref().map(Next::parse).unwrap_or_default();
    if let Err(throttled) = auth.inner.throttle.take_address(client.address, auth.now()) {
        return Ok(slowed(&auth, throttled, &client, &headers, &next));
    }
    auth.leave(&client, &headers, next, Purpose::SignIn).await
}

/// Leaves for the provider, to connect one's account. Nothing is changed by it until the provider has said who it is.
pub(super) async fn connect(desk: Desk) -> Result<Response, Failure> {
    let purpose = Purpose::Connect { staff: desk.staff.id, sign_in: desk.staff.sign_in.clone() };
    desk.auth.leave(&desk.client, &desk.headers, Next::default(), purpose).await
}

#[derive(Deserialize)]
pub(super) struct Current {
    current: SecretString,
}

pub(super) async fn disconnect(desk: Desk, Fields(form): Fields<Current>) -> Result<Response, Failure> {
    let name = desk.auth.provider_name().unwrap_or_default().to_owned();
    let me = desk.me().await?;
    if !desk.proves(&me, form.current).await? {
        return account::show(&desk, toast(Mark::Fault, account::WRONG)).await;
    }
    let toast = match desk.act(StaffAct::Unlink(me.id), AuditAction::IdentityUnlinked, name.clone(), None).await? {
        Ok(()) => toast(Mark::Ok, format!("Your account is not connected with {name} any more.")),
        Err(_) => toast(Mark::Ok, "It was not connected."),
    };
    account::show(&desk, toast).await
}

/// With what the provider sends people back (RFC 6749, section 4.1.2; RFC 9207).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Back {
    state: String,
    code: String,
    error: String,
    iss: Option<String>,
}

/// Why somebody who came back is not believed.
#[derive(Debug, thiserror::Error)]
enum Unbelieved {
    #[error("nobody was sent there by this browser")]
    NotAway,
    #[error("wrong state")]
    State,
    #[error("wrong issuer")]
    Issuer,
    #[error("it was cancelled there")]
    Cancelled,
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Token(#[from] TokenError),
}

async fn person(
    auth: &Auth,
    provider: &Provider,
    client: &Client,
    away: &Away,
    back: &Back,
) -> Result<Person, Unbelieved> {
    if !same(&back.state, &away.state) {
        return Err(Unbelieved::State);
    }
    if back.iss.as_ref().is_some_and(|issuer| *issuer != provider.config.issuer) {
        return Err(Unbelieved::Issuer);
    }
    if !back.error.is_empty() || back.code.is_empty() {
        return Err(Unbelieved::Cancelled);
    }
    let (calls, config, now) = (&provider.calls, &provider.config, auth.now());
    let known = calls.known(now).await?;
    let redirect = format!("{}{BACK}", client.base);
    let token = calls.token(&known, &back.code, &redirect, &away.verifier).await?;
    let expected = Expected {
        issuer: &config.issuer,
        client_id: &config.client_id,
        nonce: &away.nonce,
        groups_claim: &config.groups_claim,
        now,
    };
    match id_token::read(&token, &known.keys, &expected) {
        Err(TokenError::UnknownKey) => {
            let known = calls.with_new_keys(now).await?;
            Ok(id_token::read(&token, &known.keys, &expected)?)
        }
        read => Ok(read?),
    }
}

/// Somebody comes back from the provider.
pub(super) async fn back(
    State(auth): State<Auth>,
    client: Client,
    headers: HeaderMap,
    Query(back): Query<Back>,
) -> Result<Response, Failure> {
    let mut response = came_back(&auth, &client, &headers, &back).await?;
    response.headers_mut().append(header::SET_COOKIE, auth.inner.cookies.delete(Cookie::Provider));
    Ok(response)
}

async fn came_back(auth: &Auth, client: &Client, headers: &HeaderMap, back: &Back) -> Result<Response, Failure> {
    let provider = auth.provider()?;
    let name = &provider.config.name;
    let ticket = auth.inner.cookies.read(headers, Cookie::Provider);
    let away = ticket.and_then(|ticket| provider.back(&ticket.hash(), auth.now()));
    let found = match &away {
        Some(away) => person(auth, provider, client, away, back).await,
        None => Err(Unbelieved::NotAway),
    };
    let (person, away) = match (found, away) {
        (Ok(person), Some(away)) => (person, away),
        (
            Err(Unbelieved::Call(error @ (CallError::Unreachable(_) | CallError::Fault(_) | CallError::Answer(_)))),
            away,
        ) => {
            let next = away.map(|away| away.next).unwrap_or_default();
            return Ok(auth.provider_fails(&error, client, headers, &next));
        }
        (Err(why), _) => {
            let bold = format!("The sign-in with {name} did not work.");
            let problem = (bold.as_str(), "Try once more. If it goes on, tell an admin: the audit says why.");
            return auth.turned_away(None, client, headers, &why.to_string(), problem).await;
        }
        (Ok(_), None) => return Err(Failure::Malformed),
    };
    let standing = match standing(&provider.config, &person) {
        Ok(standing) => standing,
        Err(why) => {
            let problem = ("Your account may not sign in here.", "An admin says which accounts may.");
            return auth.turned_away(None, client, headers, &why.to_string(), problem).await;
        }
    };
    let identity = Identity { issuer: provider.config.issuer.clone(), subject: person.subject.clone() };
    match away.purpose {
        Purpose::Connect { staff, sign_in } => connected(auth, client, headers, staff, &sign_in, identity).await,
        Purpose::SignIn => {
            let known = auth.store().staff_by_identity(&identity).await?;
            let known = match (known, standing) {
                (Some(known), _) => known,
                (None, Standing::ByGroup(role) | Standing::Fallback(role)) if provider.config.create => {
                    welcome(auth, client, provider, &person, role, identity).await?
                }
                (None, _) => {
                    let text = format!(
                        "Sign in with name and password, and connect it with {name} under “Your account”. Whoever has none asks an admin."
                    );
                    let problem = ("This account is not known here.", text.as_str());
                    return auth.turned_away(None, client, headers, "unknown person", problem).await;
                }
            };
            if known.disabled_at.is_some() {
                let problem = ("Your account may not sign in here.", "An admin says which accounts may.");
                return auth.turned_away(Some(&known), client, headers, "shut out", problem).await;
            }
            follow_groups(auth, client, name, &known, standing).await?;
            enter(auth, &known, client, headers, &away.next, Entering::by(Factor::Provider)).await
        }
    }
}

/// Connects the account of whoever is still signed in as when they left.
async fn connected(
    auth: &Auth,
    client: &Client,
    headers: &HeaderMap,
    staff: StaffId,
    sign_in: &str,
    identity: Identity,
) -> Result<Response, Failure> {
    let present = auth.signed_in(headers).await?.filter(|who| who.id == staff && who.sign_in == sign_in);
    let Some(present) = present else { return Err(Failure::SignedOut) };
    let desk = Desk { auth: auth.clone(), staff: present, client: client.clone(), headers: headers.clone() };
    let name = auth.provider_name().unwrap_or_default().to_owned();
    let toast = match desk
        .act(StaffAct::Link { id: staff, identity }, AuditAction::IdentityLinked, name.clone(), None)
        .await?
    {
        Ok(()) => toast(Mark::Ok, format!("Your account is connected: you can sign in with {name}.")),
        Err(refusal) => toast(Mark::Fault, format!("Nothing was changed: {refusal}.")),
    };
    account::show(&desk, toast).await
}

/// Makes somebody new a member of staff. Never one that there is, whatever their mail address says.
async fn welcome(
    auth: &Auth,
    client: &Client,
    provider: &Provider,
    person: &Person,
    role: store::Role,
    identity: Identity,
) -> Result<StaffRecord, Failure> {
    for name in names(person) {
        let id = StaffId::new();
        let entry = NewAudit {
            reason: Some(format!("by {}", provider.config.name)),
            ..auth.entry(name.as_str(), client, AuditAction::SignedUp, role.as_str())
        };
        let welcome = StaffAct::Welcome { id, name, role, identity: identity.clone() };
        match auth.act(welcome, Some(entry)).await? {
            Ok(()) => return auth.store().staff(id).await?.ok_or(Failure::Ours("whoever signed up is not there")),
            Err(Refusal::NameTaken) => {}
            // They came by two ways at once.
            Err(_) => break,
        }
    }
    auth.store().staff_by_identity(&identity).await?.ok_or(Failure::Busy)
}

/// The role follows the provider's groups, but never leaves nobody who is an admin.
async fn follow_groups(
    auth: &Auth,
    client: &Client,
    provider: &str,
    known: &StaffRecord,
    standing: Standing,
) -> Result<(), Failure> {
    let Standing::ByGroup(role) = standing else { return Ok(()) };
    if role == known.role {
        return Ok(());
    }
    let entry = NewAudit {
        reason: Some(format!("by a group of {provider}")),
        ..auth.entry(&known.name, client, AuditAction::RoleChanged, format!("{}: {} to {role}", known.name, known.role))
    };
    if let Err(refusal) = auth.act(StaffAct::SetRole { id: known.id, role }, Some(entry)).await? {
        tracing::warn!(staff = known.name, %refusal, "a role does not follow the provider's groups");
    }
    Ok(())
}
