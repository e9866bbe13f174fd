//! One's own account: password, authenticator, recovery codes, where one is signed in.

use axum::Form;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use store::{AuditAction, StaffAct, StaffRecord};

use super::answer::{bare, framed, redirect};
use super::password::{self, Verdict};
use super::totp::{Purpose, Totp, recovery_codes};
use super::{Auth, Client, Failure, Staff, staff};
use crate::page::account as view;
use crate::page::sign_in::recovery as recovery_page;
use crate::part::mark::Mark;
use crate::part::notice::Toast;
use crate::shell::Section;

#[derive(Deserialize)]
pub(super) struct NewPassword {
    current: SecretString,
    password: SecretString,
}

#[derive(Deserialize)]
pub(super) struct Current {
    current: SecretString,
}

#[derive(Deserialize)]
pub(super) struct NewTotp {
    current: SecretString,
    /// The secret that was offered, sealed for this sign-in.
    offer: String,
    code: SecretString,
}

#[derive(Deserialize)]
pub(super) struct Which {
    id: String,
}

/// The result of one's own act.
pub(super) fn toast(mark: Mark, text: impl Into<String>) -> Option<Toast> {
    Some(Toast { mark, text: text.into(), link: None })
}

impl Auth {
    async fn me(&self, staff: &Staff) -> Result<StaffRecord, Failure> {
        self.store().staff(staff.id).await?.ok_or(Failure::SignedOut)
    }

    /// Asks for the password again before what it guards is changed; as slowly as at a sign-in.
    async fn proves(&self, me: &StaffRecord, client: &Client, password: SecretString) -> Result<bool, Failure> {
        if self.inner.throttle.take(&me.name, client.address, self.now()).is_err() {
            return Ok(false);
        }
        let verdict = self.inner.passwords.verify(password, me.password_hash.clone()).await?;
        if verdict == Verdict::Wrong {
            let entry = self.entry(&me.name, client, AuditAction::SignInRefused, "wrong password, signed in");
            self.store().audit(entry).await?;
            return Ok(false);
        }
        self.inner.throttle.succeeded(&me.name, client.address, self.now());
        Ok(true)
    }
}

async fn show(auth: &Auth, staff: &Staff, headers: &HeaderMap, toast: Option<Toast>) -> Result<Response, Failure> {
    let me = auth.me(staff).await?;
    let sign_ins = auth.store().sign_ins().await?;
    let page = view::Account {
        now: auth.now(),
        name: me.name.clone(),
        role: me.role.as_str(),
        password_since: me.password_changed_at,
        has_authenticator: me.totp_secret.is_some(),
        recovery_left: me.recovery_codes.len(),
        sign_ins: sign_ins
            .into_iter()
            .filter(|sign_in| sign_in.staff == me.id)
            .map(|sign_in| staff::shown(sign_in, &me.name, staff))
            .collect(),
        csrf: staff.csrf.clone(),
    };
    let frame = auth.frame(Section::Nowhere, "Your account", staff, headers, "/account");
    Ok(framed(frame, toast, || page.view()))
}

fn wrong() -> Option<Toast> {
    toast(Mark::Fault, "Nothing was changed: your present password is not right, or was tried too often.")
}

pub(super) async fn page(State(auth): State<Auth>, staff: Staff, headers: HeaderMap) -> Result<Response, Failure> {
    show(&auth, &staff, &headers, None).await
}

pub(super) async fn password(
    State(auth): State<Auth>,
    staff: Staff,
    client: Client,
    headers: HeaderMap,
    Form(form): Form<NewPassword>,
) -> Result<Response, Failure> {
    if let Some(problem) = password::problem(form.password.expose_secret(), &staff.name) {
        return show(&auth, &staff, &headers, toast(Mark::Fault, problem)).await;
    }
    let me = auth.me(&staff).await?;
    if !auth.proves(&me, &client, form.current).await? {
        return show(&auth, &staff, &headers, wrong()).await;
    }
    let hash = auth.inner.passwords.hash(form.password).await?;
    let entry = auth.entry(&me.name, &client, AuditAction::PasswordChanged, "");
    let set = StaffAct::SetPassword { id: me.id, hash, keep: staff.sign_in.clone() };
    let toast = match auth.act(set, Some(entry)).await? {
        Ok(()) => toast(Mark::Ok, "The password is changed. Your other sign-ins are ended."),
        Err(refusal) => toast(Mark::Fault, format!("Nothing was changed: {refusal}.")),
    };
    show(&auth, &staff, &headers, toast).await
}

/// Offers an authenticator's secret. It is stored when a code has shown that the app has it.
pub(super) async fn authenticator(
    State(auth): State<Auth>,
    staff: Staff,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    offer(&auth, &staff, &headers, Totp::random(), None).await
}

async fn offer(
    auth: &Auth,
    staff: &Staff,
    headers: &HeaderMap,
    totp: Totp,
    toast: Option<Toast>,
) -> Result<Response, Failure> {
    let sealed = totp
        .seal(&auth.inner.secrets, Purpose::Offered(staff.id, &staff.sign_in))
        .map_err(|_| Failure::Ours("a secret could not be sealed"))?;
    let page = view::Authenticator {
        secret: totp.text(),
        qr: totp.qr(&staff.name).map(|qr| (qr.size, qr.path)),
        offer: URL_SAFE_NO_PAD.encode(sealed),
        replaces: auth.me(staff).await?.totp_secret.is_some(),
        csrf: staff.csrf.clone(),
    };
    let frame = auth.frame(Section::Nowhere, "Codes from an authenticator", staff, headers, "/account/authenticator");
    Ok(framed(frame, toast, || page.view()))
}

pub(super) async fn set_authenticator(
    State(auth): State<Auth>,
    staff: Staff,
    client: Client,
    headers: HeaderMap,
    Form(form): Form<NewTotp>,
) -> Result<Response, Failure> {
    let secrets = &auth.inner.secrets;
    let sealed = URL_SAFE_NO_PAD.decode(&form.offer).map_err(|_| Failure::Malformed)?;
    let purpose = Purpose::Offered(staff.id, &staff.sign_in);
    let totp = Totp::open(secrets, purpose, &sealed).ok_or(Failure::Malformed)?;
    let me = auth.me(&staff).await?;
    if !auth.proves(&me, &client, form.current).await? {
        return offer(&auth, &staff, &headers, totp, wrong()).await;
    }
    let Some(step) = totp.step_of(form.code.expose_secret(), auth.now(), None) else {
        let toast =
            toast(Mark::Fault, "This code is not right. Check the clock of your phone, and take the next code.");
        return offer(&auth, &staff, &headers, totp, toast).await;
    };
    let sealed =
        totp.seal(secrets, Purpose::Stored(me.id)).map_err(|_| Failure::Ours("a secret could not be sealed"))?;
    let (codes, recovery) = recovery_codes(me.id);
    let entry = auth.entry(&me.name, &client, AuditAction::TotpSet, "");
    let set = StaffAct::SetTotp { id: me.id, secret: sealed, step, recovery };
    if auth.act(set, Some(entry)).await?.is_err() {
        return Err(Failure::SignedOut);
    }
    Ok(bare(StatusCode::OK, "Recovery codes", &headers, || recovery_page(codes)))
}

pub(super) async fn remove_authenticator(
    State(auth): State<Auth>,
    staff: Staff,
    client: Client,
    headers: HeaderMap,
    Form(form): Form<Current>,
) -> Result<Response, Failure> {
    let me = auth.me(&staff).await?;
    if !auth.proves(&me, &client, form.current).await? {
        return show(&auth, &staff, &headers, wrong()).await;
    }
    let entry = auth.entry(&me.name, &client, AuditAction::TotpRemoved, me.name.clone());
    let _ = auth.act(StaffAct::RemoveTotp(me.id), Some(entry)).await?;
    show(&auth, &staff, &headers, toast(Mark::Ok, "Codes are switched off. You sign in with the password alone.")).await
}

pub(super) async fn recovery(
    State(auth): State<Auth>,
    staff: Staff,
    client: Client,
    headers: HeaderMap,
    Form(form): Form<Current>,
) -> Result<Response, Failure> {
    let me = auth.me(&staff).await?;
    if !auth.proves(&me, &client, form.current).await? {
        return show(&auth, &staff, &headers, wrong()).await;
    }
    let (codes, recovery) = recovery_codes(me.id);
    let entry = auth.entry(&me.name, &client, AuditAction::RecoveryRenewed, "");
    match auth.act(StaffAct::SetRecovery { id: me.id, recovery }, Some(entry)).await? {
        Ok(()) => Ok(bare(StatusCode::OK, "Recovery codes", &headers, || recovery_page(codes))),
        Err(_) => show(&auth, &staff, &headers, toast(Mark::Fault, "Set up an authenticator first.")).await,
    }
}

/// Ends one of one's own sign-ins.
pub(super) async fn end_sign_in(
    State(auth): State<Auth>,
    staff: Staff,
    client: Client,
    headers: HeaderMap,
    Form(form): Form<Which>,
) -> Result<Response, Failure> {
    let found = auth.store().sign_in(&form.id).await?;
    if found.is_none_or(|(sign_in, _)| sign_in.staff != staff.id) {
        return Err(Failure::Missing);
    }
    let entry = auth.entry(&staff.name, &client, AuditAction::SignInsEnded, staff.name.clone());
    let _ = auth.act(StaffAct::EndSignIn(form.id.clone()), Some(entry)).await?;
    if form.id == staff.sign_in {
        return Ok(redirect("/sign-in?ended=1"));
    }
    show(&auth, &staff, &headers, toast(Mark::Ok, "The sign-in is ended.")).await
}
