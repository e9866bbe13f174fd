//! Staff: who there is, where they are signed in, and what an admin does about it.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Deserialize;
use store::{AuditAction, NewAudit, Refusal, Role, SignIn, StaffAct, StaffId, StaffRecord};

use super::account::toast;
use super::answer::framed;
use super::{Auth, Client, Failure, Staff};
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

fn factors(person: &StaffRecord) -> &'static str {
    if person.totp_secret.is_some() { "Password and codes" } else { "Password" }
}

async fn show(
    auth: &Auth,
    staff: &Staff,
    headers: &HeaderMap,
    new_link: Option<String>,
    toast: Option<Toast>,
) -> Result<Response, Failure> {
    let may_manage = staff.role >= Role::Admin;
    let (people, now) = (auth.store().all_staff().await?, auth.now());
    let name_of = |id: StaffId| people.iter().find(|person| person.id == id).map_or("", |person| person.name.as_str());
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
                factors: factors(person).to_owned(),
                since: person.created_at,
                disabled_at: person.disabled_at,
                is_me: person.id == staff.id,
            })
            .collect(),
        new_link,
        may_manage,
        csrf: staff.csrf.clone(),
    };
    let frame = auth.frame(Section::Staff, "Staff", staff, headers, "/staff");
    Ok(framed(frame, toast, || page.view()))
}

pub(super) async fn page(State(auth): State<Auth>, staff: Staff, headers: HeaderMap) -> Result<Response, Failure> {
    show(&auth, &staff, &headers, None, None).await
}

/// Makes a link, and shows it once.
pub(super) async fn invite(
    State(auth): State<Auth>,
    staff: Staff,
    client: Client,
    headers: HeaderMap,
    Form(form): Form<Invitation>,
) -> Result<Response, Failure> {
    staff.require(Role::Admin)?;
    let role = Role::parse(&form.role).ok_or(Failure::Malformed)?;
    let path = Auth::invite(auth.store(), auth.now(), role, &staff.name, Some(client.address.to_string())).await?;
    show(&auth, &staff, &headers, Some(format!("{}{path}", client.base)), None).await
}

async fn find(auth: &Auth, id: &str) -> Result<StaffRecord, Failure> {
    let id = StaffId::parse(id).ok_or(Failure::Missing)?;
    auth.store().staff(id).await?.ok_or(Failure::Missing)
}

async fn show_person(
    auth: &Auth,
    staff: &Staff,
    headers: &HeaderMap,
    id: StaffId,
    toast: Option<Toast>,
) -> Result<Response, Failure> {
    let person = auth.store().staff(id).await?.ok_or(Failure::Missing)?;
    let sign_ins = auth.store().sign_ins().await?.into_iter().filter(|sign_in| sign_in.staff == id).count();
    let page = person_view::Person {
        now: auth.now(),
        id: person.id.to_string(),
        name: person.name.clone(),
        role: person.role.as_str(),
        roles: Role::ALL.iter().map(|role| role.as_str()).collect(),
        factors: factors(&person),
        has_authenticator: person.totp_secret.is_some(),
        since: person.created_at,
        disabled_at: person.disabled_at,
        sign_ins,
        csrf: staff.csrf.clone(),
    };
    let path = format!("/staff/{}", person.id);
    let frame = auth.frame(Section::Staff, &person.name, staff, headers, &path);
    Ok(framed(frame, toast, || page.view()))
}

pub(super) async fn person(
    State(auth): State<Auth>,
    Path(id): Path<String>,
    staff: Staff,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    staff.require(Role::Admin)?;
    let person = find(&auth, &id).await?;
    show_person(&auth, &staff, &headers, person.id, None).await
}

/// What an admin does to somebody, and what it is called in the audit.
struct Act {
    act: StaffAct,
    action: AuditAction,
    subject: String,
    done: &'static str,
}

async fn act(
    auth: &Auth,
    staff: &Staff,
    client: &Client,
    headers: &HeaderMap,
    id: StaffId,
    what: Act,
    reason: Option<String>,
) -> Result<Response, Failure> {
    let reason = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    let entry = NewAudit { reason, ..auth.entry(&staff.name, client, what.action, what.subject) };
    let toast = match auth.act(what.act, Some(entry)).await? {
        Ok(()) => toast(Mark::Ok, what.done),
        Err(Refusal::LastAdmin) => toast(Mark::Fault, "Nothing was changed: nobody would be left who is an admin."),
        Err(Refusal::Unknown) => toast(Mark::Fault, "Nothing was changed: it was so already."),
        Err(refusal) => toast(Mark::Fault, format!("Nothing was changed: {refusal}.")),
    };
    show_person(auth, staff, headers, id, toast).await
}

pub(super) async fn role(
    State(auth): State<Auth>,
    Path(id): Path<String>,
    staff: Staff,
    client: Client,
    headers: HeaderMap,
    Form(form): Form<NewRole>,
) -> Result<Response, Failure> {
    staff.require(Role::Admin)?;
    let role = Role::parse(&form.role).ok_or(Failure::Malformed)?;
    let person = find(&auth, &id).await?;
    let what = Act {
        act: StaffAct::SetRole { id: person.id, role },
        action: AuditAction::RoleChanged,
        subject: format!("{}: {} to {role}", person.name, person.role),
        done: "The role is changed, from the next click on.",
    };
    act(&auth, &staff, &client, &headers, person.id, what, form.reason).await
}

pub(super) async fn disable(
    State(auth): State<Auth>,
    Path(id): Path<String>,
    staff: Staff,
    client: Client,
    headers: HeaderMap,
    Form(form): Form<Why>,
) -> Result<Response, Failure> {
    staff.require(Role::Admin)?;
    let person = find(&auth, &id).await?;
    let what = Act {
        act: StaffAct::Disable(person.id),
        action: AuditAction::StaffDisabled,
        subject: person.name,
        done: "They are shut out, and their sign-ins are ended.",
    };
    act(&auth, &staff, &client, &headers, person.id, what, form.reason).await
}

pub(super) async fn enable(
    State(auth): State<Auth>,
    Path(id): Path<String>,
    staff: Staff,
    client: Client,
    headers: HeaderMap,
    Form(form): Form<Why>,
) -> Result<Response, Failure> {
    staff.require(Role::Admin)?;
    let person = find(&auth, &id).await?;
    let what = Act {
        act: StaffAct::Enable(person.id),
        action: AuditAction::StaffEnabled,
        subject: person.name,
        done: "They may sign in again.",
    };
    act(&auth, &staff, &client, &headers, person.id, what, form.reason).await
}

pub(super) async fn end_sign_ins(
    State(auth): State<Auth>,
    Path(id): Path<String>,
    staff: Staff,
    client: Client,
    headers: HeaderMap,
    Form(form): Form<Why>,
) -> Result<Response, Failure> {
    staff.require(Role::Admin)?;
    let person = find(&auth, &id).await?;
    let keep = (person.id == staff.id).then(|| staff.sign_in.clone());
    let what = Act {
        act: StaffAct::EndSignIns { id: person.id, keep },
        action: AuditAction::SignInsEnded,
        subject: person.name,
        done: "All their sign-ins are ended.",
    };
    act(&auth, &staff, &client, &headers, person.id, what, form.reason).await
}

/// For whoever lost their phone and their recovery codes.
pub(super) async fn remove_authenticator(
    State(auth): State<Auth>,
    Path(id): Path<String>,
    staff: Staff,
    client: Client,
    headers: HeaderMap,
    Form(form): Form<Why>,
) -> Result<Response, Failure> {
    staff.require(Role::Admin)?;
    let person = find(&auth, &id).await?;
    if person.id == staff.id {
        // One's own is guarded by the password, under “Your account”.
        return Err(Failure::Denied(Box::new(staff)));
    }
    let what = Act {
        act: StaffAct::RemoveTotp(person.id),
        action: AuditAction::TotpRemoved,
        subject: person.name,
        done: "They sign in with the password alone until they set codes up again.",
    };
    act(&auth, &staff, &client, &headers, person.id, what, form.reason).await
}

/// Ends one sign-in of anybody.
pub(super) async fn end_sign_in(
    State(auth): State<Auth>,
    staff: Staff,
    client: Client,
    headers: HeaderMap,
    Form(form): Form<Which>,
) -> Result<Response, Failure> {
    staff.require(Role::Admin)?;
    let found = auth.store().sign_in(&form.id).await?;
    let name = found.map(|(_, person)| person.name).unwrap_or_default();
    let entry = auth.entry(&staff.name, &client, AuditAction::SignInsEnded, name);
    let toast = match auth.act(StaffAct::EndSignIn(form.id), Some(entry)).await? {
        Ok(()) => toast(Mark::Ok, "The sign-in is ended."),
        Err(_) => toast(Mark::Ok, "The sign-in was ended already."),
    };
    show(&auth, &staff, &headers, None, toast).await
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
