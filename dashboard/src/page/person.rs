//! A member of staff, as admins change them.

use domain::Timestamp;
use leptos::prelude::*;

use crate::part::card::{Card, fact};
use crate::part::crumbs::Crumbs;
use crate::part::format::{Time, counted, moment};
use crate::part::mark::{Mark, StateWord};
use crate::shell::Head;

/// What the page shows.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) now: Timestamp,
    pub(crate) id: String,
    pub(crate) name: String,
    /// The role's word in forms.
    pub(crate) role: &'static str,
    /// All of them.
    pub(crate) roles: Vec<&'static str>,
    pub(crate) factors: String,
    pub(crate) has_second_factor: bool,
    pub(crate) since: Timestamp,
    pub(crate) disabled_at: Option<Timestamp>,
    pub(crate) sign_ins: usize,
    pub(crate) csrf: String,
}

impl Person {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let Self { now, id, name, role, roles, factors, has_second_factor, since, disabled_at, sign_ins, csrf } = self;
        let act = |what: &str, button: String, field: &'static str| {
            view! {
                <form class="pad stack" method="post" action=format!("/staff/{id}/{what}")>
                    <input type="hidden" name="csrf" value=csrf.clone()/>
                    {reason(field)}
                    <button class="b">{button}</button>
                </form>
            }
            .into_any()
        };
        let state = match disabled_at {
            Some(at) => {
                view! { <StateWord mark=Mark::Revoked text="Disabled"/>" since "<Time at=at text=moment(at, now)/> }
                    .into_any()
            }
            None => view! { <StateWord mark=Mark::Ok text="May sign in"/> }.into_any(),
        };
        let options =
            roles.into_iter().map(|of| view! { <option value=of selected=of == role>{of}</option> }).collect_view();
        let shut = match disabled_at {
            None => act("disable", format!("Shut {name} out"), "why-d"),
            Some(_) => act("enable", format!("Let {name} in again"), "why-e"),
        };
        let end = (sign_ins > 0).then(|| act("end-sign-ins", "End all sign-ins".to_owned(), "why-s"));
        let codes = has_second_factor.then(|| act("remove-factors", "Switch second factors off".to_owned(), "why-c"));
        let reset = disabled_at.is_none().then(|| {
            view! {
                <form class="pad stack" method="post" action=format!("/staff/{id}/reset")>
                    <input type="hidden" name="csrf" value=csrf.clone()/>
                    <p>"For a forgotten password: a link that sets a new one, once, within a day."</p>
                    <button class="b">"Make a link for a new password"</button>
                </form>
            }
        });
        view! {
            <Crumbs way=vec![("Staff".to_owned(), "/staff".to_owned())] here=name.clone()/>
            <Head title=name.clone() text="What is changed here holds from their next click on."/>
            <div class="cols side">
                <div class="stack">
                    <Card id="facts" title="Account">
                        <div class="pad">
                            <dl class="facts">
                                {fact("State", state)}
                                {fact("Role", role)}
                                {fact("Signs in with", factors)}
                                {fact("Signed up", view! { <Time at=since text=moment(since, now)/> })}
                                {fact("Signed in", counted(u64::try_from(sign_ins).unwrap_or(0), "place"))}
                            </dl>
                        </div>
                    </Card>
                    <Card id="role-card" title="Role">
                        <form class="pad stack" method="post" action=format!("/staff/{id}/role")>
                            <input type="hidden" name="csrf" value=csrf.clone()/>
                            <div class="field">
                                <label for="role">"Role"</label>
                                <select class="in" id="role" name="role">{options}</select>
                            </div>
                            {reason("why-r")}
                            <button class="b">"Change the role"</button>
                        </form>
                    </Card>
                </div>
                <div class="stack">
                    <Card id="access" title="Access">{reset}{end}{codes}{shut}</Card>
                </div>
            </div>
        }
        .into_any()
    }
}

fn reason(id: &'static str) -> AnyView {
    view! {
        <div class="field">
            <label for=id>"Reason, for the audit"</label>
            <input class="in" id=id name="reason" maxlength="512"/>
        </div>
    }
    .into_any()
}
