//! Staff: who may sign in, with which role, and where they are signed in.

use domain::Timestamp;
use leptos::prelude::*;

use crate::part::card::{Card, soft};
use crate::part::format::{Time, moment, spelled, until};
use crate::part::icon::Icon;
use crate::part::mark::{Mark, StateWord};
use crate::part::table::{Col, Table, labelled, row, td, two};
use crate::shell::Head;

/// What the page shows.
#[derive(Clone, Debug)]
pub(crate) struct StaffPage {
    pub(crate) now: Timestamp,
    pub(crate) people: Vec<Person>,
    pub(crate) sign_ins: Vec<SignIn>,
    pub(crate) invites: Vec<Invite>,
    /// A link that was just made: it is shown once.
    pub(crate) new_link: Option<NewLink>,
    pub(crate) may_manage: bool,
    pub(crate) csrf: String,
}

/// A member of staff.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The role's word in forms: viewer, support, admin.
    pub(crate) role: String,
    /// “Password and codes”
    pub(crate) factors: String,
    pub(crate) since: Timestamp,
    pub(crate) disabled_at: Option<Timestamp>,
    /// Whoever looks.
    pub(crate) is_me: bool,
}

/// Where somebody is signed in.
#[derive(Clone, Debug)]
pub(crate) struct SignIn {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) since: Timestamp,
    pub(crate) seen: Timestamp,
    pub(crate) address: String,
    pub(crate) browser: String,
    pub(crate) is_this: bool,
}

/// A link that was just made. It lets whoever has it in.
#[derive(Clone)]
pub(crate) struct NewLink {
    pub(crate) url: String,
    /// Whose password it sets anew; if nobody's, it is for signing up.
    pub(crate) reset_of: Option<String>,
}

impl std::fmt::Debug for NewLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewLink").field("reset_of", &self.reset_of).finish_non_exhaustive()
    }
}

/// A link that has not been used.
#[derive(Clone, Debug)]
pub(crate) struct Invite {
    /// Its hash, which lets nobody in.
    pub(crate) id: String,
    pub(crate) role: String,
    pub(crate) by: String,
    pub(crate) expires: Timestamp,
}

const ROLES: [(&str, &str); 3] = [
    ("viewer", "Viewer: looks"),
    ("support", "Support: looks, pings, revokes"),
    ("admin", "Admin: everything, staff too"),
];

fn role_name(role: &str) -> &'static str {
    match role {
        "admin" => "Admin",
        "support" => "Support",
        _ => "Viewer",
    }
}

impl StaffPage {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let now = self.now;
        let active = self.people.iter().filter(|person| person.disabled_at.is_none()).count();
        let admins = self.people.iter().filter(|person| person.role == "admin" && person.disabled_at.is_none()).count();
        let number = |number: usize| spelled(u64::try_from(number).unwrap_or(0));
        let text = format!(
            "{} {} sign in, {} as {}.",
            number(active),
            if active == 1 { "person may" } else { "people may" },
            number(admins).to_lowercase(),
            if admins == 1 { "an admin" } else { "admins" }
        );
        let link = self.new_link.map(|link| {
            let text = match link.reset_of {
                Some(name) => format!(
                    "Send it to {name}, on a way that only they read. It sets a new password once, within a day, and ends all \
                     their sign-ins. Links that were made for them before don’t work any more."
                ),
                None => "Send it to whoever is invited, on a way that only they read. It works once, and for a day.".to_owned(),
            };
            view! {
                <div class="card">
                    <div class="empty ok">
                        {Icon::Ok.view()}
                        <h2>"The link is made, and is shown this once"</h2>
                        <p>{text}</p>
                        <p class="ev id">{link.url}</p>
                    </div>
                </div>
            }
        });
        let people = people(self.people, self.may_manage, now);
        let invite = self.may_manage.then(|| invite_card(&self.csrf));
        let invites = (!self.invites.is_empty()).then(|| invites_card(self.invites, &self.csrf, now));
        let end_all = self.may_manage.then(|| end_all_card(&self.csrf));
        let sign_ins = sign_ins(self.sign_ins, self.may_manage, &self.csrf, now);
        view! {
            <Head title="Staff" text=text/>
            <div class="stack">
                {link}
                <div class="cols side">
                    <div class="stack">{people}{sign_ins}</div>
                    <div class="stack">{invite}{invites}{roles_card()}{end_all}</div>
                </div>
            </div>
        }
        .into_any()
    }
}

fn people(people: Vec<Person>, may_manage: bool, now: Timestamp) -> AnyView {
    let rows = people
        .into_iter()
        .map(|person| {
            let state = match person.disabled_at {
                Some(at) => two(
                    view! { <StateWord mark=Mark::Revoked text="Disabled"/> },
                    view! { "since "<Time at=at text=moment(at, now)/> },
                ),
                None => view! { <StateWord mark=Mark::Ok text="May sign in"/> }.into_any(),
            };
            let acts = (may_manage && !person.is_me).then(|| {
                view! { <a class="b" href=format!("/staff/{}", person.id)>"Change"</a> }
            });
            let me = if person.is_me { " (you)" } else { "" };
            row(vec![
                td(
                    "lead",
                    two(
                        view! { <b class="plain">{format!("{}{me}", person.name)}</b> },
                        view! { "since "<Time at=person.since text=moment(person.since, now)/> },
                    ),
                ),
                td("trail", state),
                labelled("half", "Role", role_name(&person.role)),
                labelled("half", "Signs in with", person.factors),
                td("nolab num", acts),
            ])
        })
        .collect();
    let cols = vec![
        Col::text("Name"),
        Col::text("State"),
        Col::text("Role"),
        Col::text("Signs in with"),
        Col::spoken("Actions"),
    ];
    view! { <Card id="people" title="People"><Table caption="Members of staff" cols=cols rows=rows/></Card> }.into_any()
}

fn sign_ins(sign_ins: Vec<SignIn>, may_manage: bool, csrf: &str, now: Timestamp) -> AnyView {
    let csrf = csrf.to_owned();
    let rows = sign_ins
        .into_iter()
        .map(|of| {
            let act = if of.is_this {
                view! { <span class="soft">"This one"</span> }.into_any()
            } else if may_manage {
                view! {
                    <form method="post" action="/staff/sign-ins/end">
                        <input type="hidden" name="csrf" value=csrf.clone()/>
                        <input type="hidden" name="id" value=of.id/>
                        <button class="b" aria-label=format!("End this sign-in of {}", of.name)>"End"</button>
                    </form>
                }
                .into_any()
            } else {
                ().into_any()
            };
            row(vec![
                td(
                    "lead",
                    two(
                        view! { <b class="plain">{of.name}</b> },
                        view! { "since "<Time at=of.since text=moment(of.since, now)/> },
                    ),
                ),
                labelled("half", "Last seen", view! { <Time at=of.seen text=moment(of.seen, now)/> }),
                labelled("half", "From", view! { <span class="mono">{of.address}</span> }),
                td("nolab", of.browser),
                td("nolab num", act),
            ])
        })
        .collect();
    let cols =
        vec![Col::text("Name"), Col::text("Last seen"), Col::text("From"), Col::text("With"), Col::spoken("End")];
    view! {
        <Card id="sign-ins" title="Signed in now" remark=soft("Ends after 30 minutes without a click")>
            <Table caption="Where staff are signed in" cols=cols rows=rows/>
        </Card>
    }
    .into_any()
}

fn invite_card(csrf: &str) -> AnyView {
    let csrf = csrf.to_owned();
    let options = ROLES.map(|(word, text)| view! { <option value=word>{text}</option> }).collect_view();
    view! {
        <Card id="invite" title="Invite somebody">
            <form class="pad stack" method="post" action="/staff/invite">
                <input type="hidden" name="csrf" value=csrf/>
                <div class="field">
                    <label for="role">"Role"</label>
                    <select class="in" id="role" name="role">{options}</select>
                </div>
                <button class="b primary">"Make a sign-up link"</button>
            </form>
        </Card>
    }
    .into_any()
}

fn invites_card(invites: Vec<Invite>, csrf: &str, now: Timestamp) -> AnyView {
    let lines = invites
        .into_iter()
        .map(|of| {
            let text = format!("{}, made by {}, ends {}", role_name(&of.role), of.by, until(of.expires, now));
            let label = format!("Withdraw the link for the role {}, made by {}", role_name(&of.role), of.by);
            view! {
                <li>
                    <form class="acts" method="post" action="/staff/invite/withdraw">
                        <input type="hidden" name="csrf" value=csrf.to_owned()/>
                        <input type="hidden" name="id" value=of.id/>
                        <span>{text}</span>
                        <button class="b" aria-label=label>"Withdraw"</button>
                    </form>
                </li>
            }
        })
        .collect_view();
    view! { <Card id="invites" title="Links not used yet"><div class="pad"><ul class="list">{lines}</ul></div></Card> }
        .into_any()
}

fn end_all_card(csrf: &str) -> AnyView {
    let csrf = csrf.to_owned();
    view! {
        <Card id="end-all" title="End all sign-ins">
            <form class="pad stack" method="post" action="/staff/sign-ins/end-all">
                <input type="hidden" name="csrf" value=csrf/>
                <p>"Everybody but you has to sign in again."</p>
                <div class="field">
                    <label for="why-all">"Reason, for the audit"</label>
                    <input class="in" id="why-all" name="reason" maxlength="512"/>
                </div>
                <button class="b danger">"End everybody’s sign-ins"</button>
            </form>
        </Card>
    }
    .into_any()
}

fn roles_card() -> AnyView {
    view! {
        <Card id="roles" title="What roles may do">
            <div class="pad">
                <dl class="facts">
                    <dt>"Viewer"</dt><dd>"Finds sessions and sees why. Changes nothing."</dd>
                    <dt>"Support"</dt><dd>"Also forces pings, sends test pushes, traces and revokes."</dd>
                    <dt>"Admin"</dt><dd>"Also invites, changes roles and ends sign-ins."</dd>
                </dl>
            </div>
        </Card>
    }
    .into_any()
}
