//! One's own account: password, authenticator, passkeys, recovery codes, the provider, where one is signed in.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use store::{AuditAction, StaffAct};

use super::answer::{Fields, bare, redirect};
use super::desk::{Desk, toast};
use super::passkey::RelyingParty;
use super::password;
use super::totp::{Purpose, Totp, recovery_codes};
use super::{Failure, staff};
use crate::page::account as view;
use crate::page::sign_in::recovery as recovery_page;
use crate::part::mark::Mark;
use crate::part::notice::Toast;
use crate::shell::Section;

/// What is said when the present password is asked for and is not it.
pub(super) const WRONG: &str = "Nothing was changed: your present password is not right, or was tried too often.";

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

/// The page, with what came of an act.
pub(super) async fn show(desk: &Desk, toast: Option<Toast>) -> Result<Response, Failure> {
    let (auth, staff) = (&desk.auth, &desk.staff);
    let me = desk.me().await?;
    let sign_ins = auth.store().sign_ins().await?;
    let passkey = |passkey: store::Passkey| view::Passkey {
        id: passkey.id_hash,
        name: passkey.name,
        since: passkey.created_at,
        used: passkey.last_used_at,
    };
    let provider = match auth.provider_name() {
        Some(name) => Some(view::Provider {
            name: name.to_owned(),
            connected: !auth.store().identities_of(me.id).await?.is_empty(),
        }),
        None => None,
    };
    let page = view::Account {
        now: auth.now(),
        name: me.name.clone(),
        role: me.role.as_str(),
        password_since: me.password_hash.is_some().then_some(me.password_changed_at),
        has_authenticator: me.totp_secret.is_some(),
        recovery_left: me.recovery_codes.len(),
        passkeys: auth.store().passkeys_of(me.id).await?.into_iter().map(passkey).collect(),
        passkeys_work: RelyingParty::of(&desk.client.base).is_some(),
        provider,
        sign_ins: sign_ins
            .into_iter()
            .filter(|sign_in| sign_in.staff == me.id)
            .map(|sign_in| staff::shown(sign_in, &me.name, staff))
            .collect(),
        csrf: staff.csrf.clone(),
    };
    Ok(desk.show(Section::Nowhere, "Your account", "/account", toast, || page.view()))
}

fn wrong() -> Option<Toast> {
    toast(Mark::Fault, WRONG)
}

pub(super) async fn page(desk: Desk) -> Result<Response, Failure> {
    show(&desk, None).await
}

pub(super) async fn password(desk: Desk, Fields(form): Fields<NewPassword>) -> Result<Response, Failure> {
    if let Some(problem) = password::problem(form.password.expose_secret(), &desk.staff.name) {
        return show(&desk, toast(Mark::Fault, problem)).await;
    }
    let me = desk.me().await?;
    if !desk.proves(&me, form.current).await? {
        return show(&desk, wrong()).await;
    }
    let hash = desk.auth.inner.passwords.hash(form.password).await?;
    let set = StaffAct::SetPassword { id: me.id, hash, keep: desk.staff.sign_in.clone() };
    let toast = match desk.act(set, AuditAction::PasswordChanged, "", None).await? {
        Ok(()) => toast(Mark::Ok, "The password is changed. Your other sign-ins are ended."),
        Err(refusal) => toast(Mark::Fault, format!("Nothing was changed: {refusal}.")),
    };
    show(&desk, toast).await
}

/// Offers an authenticator's secret. It is stored when a code has shown that the app has it.
pub(super) async fn authenticator(desk: Desk) -> Result<Response, Failure> {
    offer(&desk, Totp::random(), None).await
}

async fn offer(desk: &Desk, totp: Totp, toast: Option<Toast>) -> Result<Response, Failure> {
    let staff = &desk.staff;
    let sealed = totp
        .seal(&desk.auth.inner.secrets, Purpose::Offered(staff.id, &staff.sign_in))
        .map_err(|_| Failure::Ours("a secret could not be sealed"))?;
    let page = view::Authenticator {
        secret: totp.text(),
        qr: totp.qr(&staff.name).map(|qr| (qr.size, qr.path)),
        offer: URL_SAFE_NO_PAD.encode(sealed),
        replaces: desk.me().await?.totp_secret.is_some(),
        csrf: staff.csrf.clone(),
    };
    let title = "Codes from an authenticator";
    Ok(desk.show(Section::Nowhere, title, "/account/authenticator", toast, || page.view()))
}

pub(super) async fn set_authenticator(desk: Desk, Fields(form): Fields<NewTotp>) -> Result<Response, Failure> {
    let secrets = &desk.auth.inner.secrets;
    let sealed = URL_SAFE_NO_PAD.decode(&form.offer).map_err(|_| Failure::Malformed)?;
    let purpose = Purpose::Offered(desk.staff.id, &desk.staff.sign_in);
    let totp = Totp::open(secrets, purpose, &sealed).ok_or(Failure::Malformed)?;
    let me = desk.me().await?;
    if !desk.proves(&me, form.current).await? {
        return offer(&desk, totp, wrong()).await;
    }
    let Some(step) = totp.step_of(form.code.expose_secret(), desk.auth.now(), None) else {
        let toast =
            toast(Mark::Fault, "This code is not right. Check the clock of your phone, and take the next code.");
        return offer(&desk, totp, toast).await;
    };
    let sealed =
        totp.seal(secrets, Purpose::Stored(me.id)).map_err(|_| Failure::Ours("a secret could not be sealed"))?;
    let (codes, recovery) = recovery_codes(me.id);
    let set = StaffAct::SetTotp { id: me.id, secret: sealed, step, recovery };
    match desk.act(set, AuditAction::TotpSet, "", None).await? {
        Ok(()) => Ok(bare(StatusCode::OK, "Recovery codes", &desk.headers, || recovery_page(codes))),
        Err(_) => Err(Failure::SignedOut),
    }
}

pub(super) async fn remove_authenticator(desk: Desk, Fields(form): Fields<Current>) -> Result<Response, Failure> {
    let me = desk.me().await?;
    if !desk.proves(&me, form.current).await? {
        return show(&desk, wrong()).await;
    }
    // If it was off already, it is off.
    let _ = desk.act(StaffAct::RemoveTotp(me.id), AuditAction::TotpRemoved, me.name, None).await?;
    let text = if desk.auth.store().passkeys_of(me.id).await?.is_empty() {
        "Codes are switched off. You sign in with the password alone."
    } else {
        "Codes are switched off. You sign in with a passkey."
    };
    show(&desk, toast(Mark::Ok, text)).await
}

pub(super) async fn recovery(desk: Desk, Fields(form): Fields<Current>) -> Result<Response, Failure> {
    let me = desk.me().await?;
    if !desk.proves(&me, form.current).await? {
        return show(&desk, wrong()).await;
    }
    let (codes, recovery) = recovery_codes(me.id);
    let set = StaffAct::SetRecovery { id: me.id, recovery };
    match desk.act(set, AuditAction::RecoveryRenewed, "", None).await? {
        Ok(()) => Ok(bare(StatusCode::OK, "Recovery codes", &desk.headers, || recovery_page(codes))),
        Err(_) => show(&desk, toast(Mark::Fault, "Set up an authenticator or a passkey first.")).await,
    }
}

/// Ends one of one's own sign-ins.
pub(super) async fn end_sign_in(desk: Desk, Fields(form): Fields<Which>) -> Result<Response, Failure> {
    let found = desk.auth.store().sign_in(&form.id).await?;
    if found.is_none_or(|(sign_in, _)| sign_in.staff != desk.staff.id) {
        return Err(Failure::Missing);
    }
    let end = StaffAct::EndSignIn(form.id.clone());
    // If it was ended meanwhile, it is ended.
    let _ = desk.act(end, AuditAction::SignInsEnded, desk.staff.name.clone(), None).await?;
    if form.id == desk.staff.sign_in {
        return Ok(redirect("/sign-in?ended=1"));
    }
    show(&desk, toast(Mark::Ok, "The sign-in is ended.")).await
}
