//! Passkeys: registered under “Your account”, used after the password or in its place.
//!
//! A script of ours asks for a challenge, has the browser ask the authenticator, and puts the answer into a form. What is in the
//! form is checked here.

mod challenges;
mod webauthn;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::{AuditAction, Factor, Passkey, Refusal, Spend, StaffAct, StaffRecord};

pub(super) use self::challenges::Challenges;
use self::challenges::{Asked, PATIENCE};
pub(super) use self::webauthn::RelyingParty;
use self::webauthn::{Problem, Signed};
use super::answer::{Fields, bare};
use super::cookie::Cookie;
use super::desk::{Desk, toast};
use super::next::Next;
use super::secret::{Token, hex};
use super::sign_in::{Entering, code_form, enter, first_form, slowed};
use super::totp::recovery_codes;
use super::{Auth, Client, Failure, account};
use crate::page::sign_in::recovery as recovery_page;
use crate::part::mark::Mark;

/// What is said where a passkey can't be had.
const NO_NAME: &str =
    "Passkeys need a host name. Open the dashboard by its name, such as localhost, and not by an address.";

/// The longest name of a passkey, in bytes.
const NAME_MAX: usize = 64;

fn hash(credential_id: &[u8]) -> String {
    hex(&Sha256::digest(credential_id))
}

fn descriptors(passkeys: &[Passkey]) -> Vec<serde_json::Value> {
    let one = |passkey: &Passkey| json!({ "type": "public-key", "id": URL_SAFE_NO_PAD.encode(&passkey.credential_id) });
    passkeys.iter().map(one).collect()
}

/// Says to the script what to show.
fn problem(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "problem": text }))).into_response()
}

/// What the authenticator is asked to sign, for one who is to be let in (WebAuthn, section 5.5).
fn question(party: &RelyingParty, challenge: &str, passkeys: &[Passkey]) -> Response {
    Json(json!({
        "challenge": challenge,
        "rpId": party.id,
        "allowCredentials": descriptors(passkeys),
        "userVerification": "required",
        "timeout": PATIENCE.as_millis(),
    }))
    .into_response()
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    current: SecretString,
}

/// The first half of a registration: the password, and what the authenticator is asked for (WebAuthn, section 5.4).
pub(super) async fn registration(desk: Desk, Fields(form): Fields<Wanted>) -> Result<Response, Failure> {
    let auth = &desk.auth;
    let Some(party) = RelyingParty::of(&desk.client.base) else {
        return Ok(problem(StatusCode::UNPROCESSABLE_ENTITY, NO_NAME));
    };
    let me = desk.me().await?;
    if !desk.proves(&me, form.current).await? {
        return Ok(problem(StatusCode::UNPROCESSABLE_ENTITY, account::WRONG));
    }
    let passkeys = auth.store().passkeys_of(me.id).await?;
    let asked = Asked::Register(desk.staff.sign_in.clone());
    let challenge = auth.inner.challenges.begin(asked, auth.now()).ok_or(Failure::Busy)?;
    let parameters: Vec<_> = [-7, -8, -257].map(|alg| json!({ "type": "public-key", "alg": alg })).into();
    Ok(Json(json!({
        "challenge": challenge,
        "rp": { "id": party.id, "name": "Pinger" },
        "user": { "id": URL_SAFE_NO_PAD.encode(me.id.as_bytes()), "name": me.name, "displayName": me.name },
        "pubKeyCredParams": parameters,
        "excludeCredentials": descriptors(&passkeys),
        "authenticatorSelection":
            { "residentKey": "required", "requireResidentKey": true, "userVerification": "required" },
        "attestation": "none",
        "timeout": PATIENCE.as_millis(),
    }))
    .into_response())
}

#[derive(Deserialize)]
pub(super) struct NewPasskey {
    #[serde(default)]
    name: String,
    #[serde(default)]
    credential: String,
}

/// What a passkey is called: what its owner wrote, as far as it fits.
fn name(typed: &str) -> String {
    let mut name: String = typed.trim().chars().filter(|character| !character.is_control()).collect();
    while name.len() > NAME_MAX {
        name.pop();
    }
    if name.is_empty() { "Passkey".to_owned() } else { name }
}

/// The second half: what the authenticator made.
pub(super) async fn register(desk: Desk, Fields(form): Fields<NewPasskey>) -> Result<Response, Failure> {
    let auth = &desk.auth;
    let refuse = async |text: &str| account::show(&desk, toast(Mark::Fault, text)).await;
    if form.credential.is_empty() {
        return refuse("Nothing was changed: a passkey needs scripts in the browser.").await;
    }
    let Some(party) = RelyingParty::of(&desk.client.base) else { return refuse(NO_NAME).await };
    let Some(challenge) = auth.inner.challenges.take(&Asked::Register(desk.staff.sign_in.clone()), auth.now()) else {
        return refuse("Nothing was changed: it took too long, or was done already. Try once more.").await;
    };
    let made = match party.registered(&challenge, &form.credential) {
        Ok(made) => made,
        Err(why) => return refuse(&format!("Nothing was changed: the passkey can’t be used ({why}).")).await,
    };
    let me = desk.me().await?;
    let (codes, hashes) = recovery_codes(me.id);
    let has_codes = !me.recovery_codes.is_empty();
    let name = name(&form.name);
    let passkey = Passkey {
        id_hash: hash(&made.credential_id),
        credential_id: made.credential_id,
        staff: me.id,
        public_key: made.public_key,
        sign_count: made.sign_count,
        name: name.clone(),
        created_at: auth.now(),
        last_used_at: None,
    };
    let add = StaffAct::AddPasskey { passkey, recovery: (!has_codes).then_some(hashes) };
    match desk.act(add, AuditAction::PasskeyAdded, name, None).await? {
        Ok(()) if has_codes => account::show(&desk, toast(Mark::Ok, "The passkey is registered.")).await,
        Ok(()) => Ok(bare(StatusCode::OK, "Recovery codes", &desk.headers, || recovery_page(codes))),
        Err(Refusal::PasskeyTaken) => refuse("Nothing was changed: this passkey is registered already.").await,
        Err(_) => refuse("Nothing was changed: you have as many passkeys as there may be. Remove one first.").await,
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    id: String,
    current: SecretString,
}

pub(super) async fn remove(desk: Desk, Fields(form): Fields<Which>) -> Result<Response, Failure> {
    let me = desk.me().await?;
    let found = desk.auth.store().passkey(&form.id).await?.filter(|passkey| passkey.staff == me.id);
    let Some(passkey) = found else { return Err(Failure::Missing) };
    if !desk.proves(&me, form.current).await? {
        return account::show(&desk, toast(Mark::Fault, account::WRONG)).await;
    }
    let remove = StaffAct::RemovePasskey { id: me.id, passkey: passkey.id_hash };
    let toast = match desk.act(remove, AuditAction::PasskeyRemoved, passkey.name, None).await? {
        Ok(()) => toast(Mark::Ok, "The passkey lets nobody in any more. Delete it in your browser or phone, too."),
        Err(_) => toast(Mark::Ok, "The passkey was removed already."),
    };
    account::show(&desk, toast).await
}

/// What is signed to sign in without a password. The question is bound to this browser by a cookie.
pub(super) async fn alone_question(State(auth): State<Auth>, client: Client) -> Result<Response, Failure> {
    let Some(party) = RelyingParty::of(&client.base) else {
        return Ok(problem(StatusCode::UNPROCESSABLE_ENTITY, NO_NAME));
    };
    if let Err(throttled) = auth.inner.throttle.take_address(client.address, auth.now()) {
        let text = format!("Too many tries. Wait {} seconds, then try again.", throttled.wait.as_secs() + 1);
        return Ok(problem(StatusCode::TOO_MANY_REQUESTS, &text));
    }
    let ticket = Token::random();
    let challenge = auth.inner.challenges.begin(Asked::Alone(ticket.hash()), auth.now()).ok_or(Failure::Busy)?;
    let mut response = question(&party, &challenge, &[]);
    response.headers_mut().append(header::SET_COOKIE, auth.inner.cookies.set(Cookie::Passkey, &ticket));
    Ok(response)
}

/// What is signed as a second factor, by one of the passkeys of whoever's password was right.
pub(super) async fn second_question(
    State(auth): State<Auth>,
    client: Client,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let Some(party) = RelyingParty::of(&client.base) else {
        return Ok(problem(StatusCode::UNPROCESSABLE_ENTITY, NO_NAME));
    };
    let again = || problem(StatusCode::UNPROCESSABLE_ENTITY, "It took too long. Start again.");
    let Some(ticket) = auth.inner.cookies.read(&headers, Cookie::Pending) else { return Ok(again()) };
    let Some(id) = auth.inner.pending.who(&ticket.hash(), auth.now()) else { return Ok(again()) };
    let passkeys = auth.store().passkeys_of(id).await?;
    let challenge = auth.inner.challenges.begin(Asked::Second(ticket.hash()), auth.now()).ok_or(Failure::Busy)?;
    Ok(question(&party, &challenge, &passkeys))
}

#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    credential: String,
    next: Option<String>,
}

/// Why an answer lets nobody in, for the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unproven {
    #[error("passkey: {0}")]
    Problem(#[from] Problem),
    #[error("passkey: no question was asked")]
    NotAsked,
    #[error("passkey: unknown")]
    Unknown,
    #[error("passkey: somebody else's")]
    Foreign,
}

/// Whose answer it is, with which passkey. `challenge` is what was asked, if anything was.
async fn proven(
    auth: &Auth,
    client: &Client,
    challenge: Option<String>,
    credential: &str,
) -> Result<Result<(Signed, Passkey), Unproven>, Failure> {
    let Some(challenge) = challenge else { return Ok(Err(Unproven::NotAsked)) };
    let party = RelyingParty::of(&client.base).ok_or(Failure::Malformed)?;
    let signed = match party.signed(&challenge, credential) {
        Ok(signed) => signed,
        Err(problem) => return Ok(Err(problem.into())),
    };
    let Some(passkey) = auth.store().passkey(&hash(&signed.credential_id)).await? else {
        return Ok(Err(Unproven::Unknown));
    };
    Ok(match signed.by(&passkey.public_key) {
        Ok(()) => Ok((signed, passkey)),
        Err(problem) => Err(problem.into()),
    })
}

fn spend(signed: &Signed, passkey: Passkey) -> Spend {
    Spend::Passkey { id_hash: passkey.id_hash, count: signed.sign_count }
}

/// Signs in by a passkey alone: it is discoverable, and has verified who uses it.
pub(super) async fn alone(
    State(auth): State<Auth>,
    client: Client,
    headers: HeaderMap,
    Fields(answer): Fields<Answer>,
) -> Result<Response, Failure> {
    let next = answer.next.as_deref().map(Next::parse).unwrap_or_default();
    let ticket = auth.inner.cookies.read(&headers, Cookie::Passkey);
    let challenge = ticket.and_then(|ticket| auth.inner.challenges.take(&Asked::Alone(ticket.hash()), auth.now()));
    let (signed, passkey) = match proven(&auth, &client, challenge, &answer.credential).await? {
        Ok(proven) => proven,
        Err(why) => return refuse_alone(&auth, None, &client, &headers, &next, why.to_string()).await,
    };
    if signed.user_handle.as_deref() != Some(passkey.staff.as_bytes().as_slice()) {
        return refuse_alone(&auth, None, &client, &headers, &next, Unproven::Foreign.to_string()).await;
    }
    let Some(person) = auth.store().staff(passkey.staff).await? else {
        return refuse_alone(&auth, None, &client, &headers, &next, Unproven::Unknown.to_string()).await;
    };
    if person.disabled_at.is_some() {
        return refuse_alone(&auth, Some(&person), &client, &headers, &next, "shut out".to_owned()).await;
    }
    let entering = Entering { factor: Factor::PasskeyAlone, spend: Some(spend(&signed, passkey)) };
    let mut response = enter(&auth, &person, &client, &headers, &next, entering).await?;
    response.headers_mut().append(header::SET_COOKIE, auth.inner.cookies.delete(Cookie::Passkey));
    Ok(response)
}

/// Answers whom a passkey alone does not let in.
pub(super) async fn refuse_alone(
    auth: &Auth,
    person: Option<&StaffRecord>,
    client: &Client,
    headers: &HeaderMap,
    next: &Next,
    why: String,
) -> Result<Response, Failure> {
    auth.refused(person, client, why).await?;
    let problem = ("This passkey did not let you in.", "Try once more, or sign in with name and password.");
    Ok(first_form(auth, StatusCode::UNPROCESSABLE_ENTITY, headers, client, next, problem))
}

/// Goes on where a password was right.
pub(super) async fn second(
    State(auth): State<Auth>,
    client: Client,
    headers: HeaderMap,
    Fields(answer): Fields<Answer>,
) -> Result<Response, Failure> {
    let (next, now) = (answer.next.as_deref().map(Next::parse).unwrap_or_default(), auth.now());
    let (person, ticket) = match auth.second_step(&client, &headers).await? {
        Ok(going_on) => going_on,
        Err(super::sign_in::Halt::Restart) => return Ok(super::answer::redirect("/sign-in")),
        Err(super::sign_in::Halt::Slowed(throttled)) => {
            return Ok(slowed(&auth, throttled, &client, &headers, &next));
        }
    };
    let challenge = auth.inner.challenges.take(&Asked::Second(ticket), now);
    let why = match proven(&auth, &client, challenge, &answer.credential).await? {
        Ok((signed, passkey)) if passkey.staff == person.id => {
            let entering = Entering { factor: Factor::Passkey, spend: Some(spend(&signed, passkey)) };
            return enter(&auth, &person, &client, &headers, &next, entering).await;
        }
        Ok(_) => Unproven::Foreign.to_string(),
        Err(why) => why.to_string(),
    };
    refuse_second(&auth, &person, &client, &headers, &next, why).await
}

/// Answers whom a passkey does not let in after the password.
pub(super) async fn refuse_second(
    auth: &Auth,
    person: &StaffRecord,
    client: &Client,
    headers: &HeaderMap,
    next: &Next,
    why: String,
) -> Result<Response, Failure> {
    auth.refused(Some(person), client, why).await?;
    let problem = ("This passkey did not let you in.", "Try once more, or take a code.");
    code_form(auth, person, StatusCode::UNPROCESSABLE_ENTITY, headers, next, Some(problem)).await
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn names_fit() {
        assert_eq!(name("  Phone\n"), "Phone");
        assert_eq!(name("\u{7}"), "Passkey");
        assert_eq!(name(&"ü".repeat(100)).len(), 64);
    }
}
