//! Staff: who there is, where they are signed in, and what an admin does about it.

use std::collections::HashSet;

use axum::extract::Path;
use axum::response::Response;
use serde::Deserialize;
use store::{AuditAction, Refusal, Role, SignIn, StaffAct, StaffId, StaffRecord};

use super::answer::Fields;
use super::desk::{AdminDesk, Desk, toast};
use super::{Auth, Failure, Staff};
use crate::page::person as person_view;
use crate::page::staff as view;
use crate::part::mark::Mark;
use crate::part::notice::Toast;
use crate::shell::Section;

#[derive(Deserialize)]
pub(super) struct Invitation {
    role: String,
}

#[derive(Deserialize)]
pub(super) struct NewRole {
    role: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Why {
    reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Which {
    id: String,
}

/// A sign-in as it is shown. Its id is the hash of the cookie, which lets nobody in.
pub(super) fn shown(sign_in: SignIn, name: &str, looks: &Staff) -> view::SignIn {
    view::SignIn {
        is_this: sign_in.id_hash == looks.sign_in,
        id: sign_in.id_hash,
        name: name.to_owned(),
        since: sign_in.created_at,
        seen: sign_in.last_seen_at,
        address: sign_in.address,
        browser: browser(&sign_in.user_agent),
    }
}

/// “Firefox, Linux”: what a browser says of itself, as far as people want to know it.
fn browser(agent: &str) -> String {
    let first = |of: &[(&str, &'static str)]| of.iter().find(|(word, _)| agent.contains(word)).map(|(_, name)| *name);
    let program = first(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (program, system) {
        (Some(program), Some(system)) => format!("{program}, {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => agent.chars().take(40).collect(),
    }
}

/// What somebody signs in with: “Password, codes and passkeys”.
fn factors(person: &StaffRecord, has_passkeys: bool) -> String {
    let with = match (person.password_hash.is_some(), person.totp_secret.is_some(), has_passkeys) {
        (false, _, _) => "Provider",
        (true, false, false) => "Password",
        (true, true, false) => "Password and codes",
        (true, false, true) => "Password and passkeys",
        (true, true, true) => "Password, codes and passkeys",
    };
    with.to_owned()
}

async fn show(desk: &Desk, new_link: Option<view::NewLink>, toast: Option<Toast>) -> Result<Response, Failure> {
    let (auth, staff) = (&desk.auth, &desk.staff);
    let may_manage = staff.role >= Role::Admin;
    let (people, now) = (auth.store().all_staff().await?, auth.now());
    let name_of = |id: StaffId| people.iter().find(|person| person.id == id).map_or("", |person| person.name.as_str());
    let owners: HashSet<StaffId> = auth.store().passkey_owners().await?.into_iter().collect();
    let sign_ins = auth.store().sign_ins().await?;
    let page = view::StaffPage {
        now,
        // Where colleagues are is for admins.
        sign_ins: sign_ins
            .into_iter()
            .filter(|sign_in| may_manage || sign_in.staff == staff.id)
            .map(|sign_in| {
                let name = name_of(sign_in.staff).to_owned();
                shown(sign_in, &name, staff)
            })
            .collect(),
        invites: if may_manage {
            let open = auth.store().open_invites(now).await?;
            let shown = |invite: store::Invite| view::Invite {
                id: invite.token_hash,
                role: invite.role.to_string(),
                by: invite.created_by,
                expires: invite.expires_at,
            };
            open.into_iter().map(shown).collect()
        } else {
            Vec::new()
        },
        people: people
            .iter()
            .map(|person| view::Person {
                id: person.id.to_string(),
                name: person.name.clone(),
                role: person.role.to_string(),
                factors: factors(person, owners.contains(&person.id)),
                since: person.created_at,
                disabled_at: person.disabled_at,
                is_me: person.id == staff.id,
            })
            .collect(),
        new_link,
        may_manage,
        csrf: staff.csrf.clone(),
    };
    Ok(desk.show(Section::Staff, "Staff", "/staff", toast, || page.view()))
}

pub(super) async fn page(desk: Desk) -> Result<Response, Failure> {
    show(&desk, None, None).await
}

/// Makes a link, and shows it once.
pub(super) async fn invite(AdminDesk(desk): AdminDesk, Fields(form): Fields<Invitation>) -> Result<Response, Failure> {
    let role = Role::parse(&form.role).ok_or(Failure::Malformed)?;
    let (auth, address) = (&desk.auth, desk.client.address.to_string());
    let path = Auth::invite(auth.store(), auth.now(), role, &desk.staff.name, Some(address)).await?;
    let link = view::NewLink { url: format!("{}{path}", desk.client.base), reset_of: None };
    show(&desk, Some(link), None).await
}

/// Withdraws a link that was not used yet.
pub(super) async fn withdraw_invite(
    AdminDesk(desk): AdminDesk,
    Fields(form): Fields<Which>,
) -> Result<Response, Failure> {
    let role = desk.auth.store().invite(&form.id).await?.map(|invite| invite.role.to_string()).unwrap_or_default();
    let withdraw = StaffAct::WithdrawInvite(form.id);
    let toast = match desk.act(withdraw, AuditAction::InviteWithdrawn, role, None).await? {
        Ok(()) => toast(Mark::Ok, "The link is withdrawn: nobody can sign up with it."),
        Err(_) => toast(Mark::Fault, "Nothing was changed: the link was used or withdrawn already."),
    };
    show(&desk, None, toast).await
}

async fn find(desk: &Desk, id: &str) -> Result<StaffRecord, Failure> {
    let id = StaffId::parse(id).ok_or(Failure::Missing)?;
    desk.auth.store().staff(id).await?.ok_or(Failure::Missing)
}

async fn show_person(desk: &Desk, id: StaffId, toast: Option<Toast>) -> Result<Response, Failure> {
    let store = desk.auth.store();
    let person = store.staff(id).await?.ok_or(Failure::Missing)?;
    let sign_ins = store.sign_ins().await?.into_iter().filter(|sign_in| sign_in.staff == id).count();
    let has_passkeys = !store.passkeys_of(id).await?.is_empty();
    let page = person_view::Person {
        now: desk.auth.now(),
        id: person.id.to_string(),
        name: person.name.clone(),
        role: person.role.as_str(),
        roles: Role::ALL.iter().map(|role| role.as_str()).collect(),
        factors: factors(&person, has_passkeys),
        has_second_factor: person.totp_secret.is_some() || has_passkeys,
        since: person.created_at,
        disabled_at: person.disabled_at,
        sign_ins,
        csrf: desk.staff.csrf.clone(),
    };
    let path = format!("/staff/{}", person.id);
    Ok(desk.show(Section::Staff, &person.name, &path, toast, || page.view()))
}

pub(super) async fn person(AdminDesk(desk): AdminDesk, Path(id): Path<String>) -> Result<Response, Failure> {
    let person = find(&desk, &id).await?;
    show_person(&desk, person.id, None).await
}

/// What an admin does to somebody, and what it is called in the audit.
struct Act {
    act: StaffAct,
    action: AuditAction,
    subject: String,
    done: &'static str,
}

async fn act(desk: &Desk, id: StaffId, what: Act, reason: Option<String>) -> Result<Response, Failure> {
    let toast = match desk.act(what.act, what.action, what.subject, reason).await? {
        Ok(()) => toast(Mark::Ok, what.done),
        Err(Refusal::LastAdmin) => toast(Mark::Fault, "Nothing was changed: nobody would be left who is an admin."),
        Err(Refusal::Unknown) => toast(Mark::Fault, "Nothing was changed: it was so already."),
        Err(refusal) => toast(Mark::Fault, format!("Nothing was changed: {refusal}.")),
    };
    show_person(desk, id, toast).await
}

pub(super) async fn role(
    AdminDesk(desk): AdminDesk,
    Path(id): Path<String>,
    Fields(form): Fields<NewRole>,
) -> Result<Response, Failure> {
    let role = Role::parse(&form.role).ok_or(Failure::Malformed)?;
    let person = find(&desk, &id).await?;
    let what = Act {
        act: StaffAct::SetRole { id: person.id, role },
        action: AuditAction::RoleChanged,
        subject: format!("{}: {} to {role}", person.name, person.role),
        done: "The role is changed, from the next click on.",
    };
    act(&desk, person.id, what, form.reason).await
}

pub(super) async fn disable(
    AdminDesk(desk): AdminDesk,
    Path(id): Path<String>,
    Fields(form): Fields<Why>,
) -> Result<Response, Failure> {
    let person = find(&desk, &id).await?;
    let what = Act {
        act: StaffAct::Disable(person.id),
        action: AuditAction::StaffDisabled,
        subject: person.name,
        done: "They are shut out, and their sign-ins are ended.",
    };
    act(&desk, person.id, what, form.reason).await
}

pub(super) async fn enable(
    AdminDesk(desk): AdminDesk,
    Path(id): Path<String>,
    Fields(form): Fields<Why>,
) -> Result<Response, Failure> {
    let person = find(&desk, &id).await?;
    let what = Act {
        act: StaffAct::Enable(person.id),
        action: AuditAction::StaffEnabled,
        subject: person.name,
        done: "They may sign in again.",
    };
    act(&desk, person.id, what, form.reason).await
}

pub(super) async fn end_sign_ins(
    AdminDesk(desk): AdminDesk,
    Path(id): Path<String>,
    Fields(form): Fields<Why>,
) -> Result<Response, Failure> {
    let person = find(&desk, &id).await?;
    let keep = (person.id == desk.staff.id).then(|| desk.staff.sign_in.clone());
    let what = Act {
        act: StaffAct::EndSignIns { id: person.id, keep },
        action: AuditAction::SignInsEnded,
        subject: person.name,
        done: "All their sign-ins are ended.",
    };
    act(&desk, person.id, what, form.reason).await
}

/// For whoever lost their phone and their recovery codes.
pub(super) async fn remove_factors(
    AdminDesk(desk): AdminDesk,
    Path(id): Path<String>,
    Fields(form): Fields<Why>,
) -> Result<Response, Failure> {
    let person = find(&desk, &id).await?;
    if person.id == desk.staff.id {
        // One's own is guarded by the password, under “Your account”.
        return Err(Failure::Denied(Box::new(desk.staff)));
    }
    let what = Act {
        act: StaffAct::RemoveFactors(person.id),
        action: AuditAction::FactorsRemoved,
        subject: person.name,
        done: "They sign in with the password alone until they set something up again.",
    };
    act(&desk, person.id, what, form.reason).await
}

/// For whoever forgot their password: makes a link, and shows it once.
pub(super) async fn reset(AdminDesk(desk): AdminDesk, Path(id): Path<String>) -> Result<Response, Failure> {
    let person = find(&desk, &id).await?;
    let (auth, address) = (&desk.auth, desk.client.address.to_string());
    let offered = Auth::offer_reset(auth.store(), auth.now(), &person, &desk.staff.name, Some(address)).await?;
    match offered {
        Ok(path) => {
            let link = view::NewLink { url: format!("{}{path}", desk.client.base), reset_of: Some(person.name) };
            show(&desk, Some(link), None).await
        }
        Err(_) => show_person(&desk, person.id, toast(Mark::Fault, "No link was made: they are shut out.")).await,
    }
}

/// Ends one sign-in of anybody.
pub(super) async fn end_sign_in(AdminDesk(desk): AdminDesk, Fields(form): Fields<Which>) -> Result<Response, Failure> {
    let found = desk.auth.store().sign_in(&form.id).await?;
    let name = found.map(|(_, person)| person.name).unwrap_or_default();
    let toast = match desk.act(StaffAct::EndSignIn(form.id), AuditAction::SignInsEnded, name, None).await? {
        Ok(()) => toast(Mark::Ok, "The sign-in is ended."),
        Err(_) => toast(Mark::Ok, "The sign-in was ended already."),
    };
    show(&desk, None, toast).await
}

/// Ends the sign-ins of everybody, but this one.
pub(super) async fn end_all_sign_ins(
    AdminDesk(desk): AdminDesk,
    Fields(form): Fields<Why>,
) -> Result<Response, Failure> {
    let end = StaffAct::EndAllSignIns { keep: desk.staff.sign_in.clone() };
    // It is refused by nothing.
    let _ = desk.act(end, AuditAction::SignInsEnded, "everybody", form.reason).await?;
    show(&desk, None, toast(Mark::Ok, "All sign-ins are ended, but this one.")).await
}

#[cfg(test)]
mod tests {
    use super::browser;

    #[test]
    fn browsers_are_named_in_two_words() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(browser(firefox), "Firefox, Linux");
        let safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605 Version/19 Safari/604";
        assert_eq!(browser(safari), "Safari, iPhone");
        assert_eq!(browser("<b>x</b>"), "<b>x</b>");
        assert_eq!(browser(""), "");
    }
}
