//! Devices, and one device: its sessions and what was pushed to it.

use domain::Timestamp;
use leptos::prelude::*;

use crate::page::delivery::Delivery;
use crate::page::search::{Key, Search, encode};
use crate::part::card::{Card, id, soft};
use crate::part::crumbs::Crumbs;
use crate::part::filter::Pager;
use crate::part::format::{Time, count, counted, moment, moment_short, short_id, until};
use crate::part::icon::Icon;
use crate::part::mark::{Mark, StateWord};
use crate::part::notice::Empty;
use crate::part::region::region;
use crate::part::table::{Col, Table, labelled, row, td, two};
use crate::shell::Head;

/// The list.
#[derive(Clone, Debug)]
pub(crate) struct Devices {
    pub(crate) now: Timestamp,
    /// What the ids begin with.
    pub(crate) prefix: String,
    pub(crate) rows: Vec<DeviceRow>,
    pub(crate) first: Option<String>,
    pub(crate) next: Option<String>,
}

/// A device in the list.
#[derive(Clone, Debug)]
pub(crate) struct DeviceRow {
    pub(crate) device: String,
    pub(crate) user: String,
    /// “iOS 19.1, app 8.4.1”
    pub(crate) is: String,
    pub(crate) sessions: u64,
    pub(crate) live: u64,
    /// The newest session's state.
    pub(crate) mark: Mark,
    pub(crate) state: String,
    pub(crate) last_push: Option<Timestamp>,
}

fn href(user: &str, device: &str) -> String {
    format!("/devices/{}/{}", encode(user), encode(device))
}

impl Devices {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let now = self.now;
        let text = "Each installed app, by the id that it chose. A device has a session for each mail account.";
        let prefix = self.prefix.clone();
        let results = if self.rows.is_empty() {
            let (title, text) = if self.prefix.is_empty() {
                (
                    "No device has registered yet".to_owned(),
                    "Point an app at this server. The first one shows up here by itself.".to_owned(),
                )
            } else {
                (
                    format!("No device’s id begins with {}", self.prefix),
                    "Ids are compared as they are, large and small letters too.".to_owned(),
                )
            };
            let acts = (!self.prefix.is_empty()).then(|| {
                let sessions = Search::default().with(Key::User, &self.prefix).href();
                view! {
                    <a class="b" href=sessions>"Search it as a user"</a>
                    <a class="b quiet" href="/devices">"All devices"</a>
                }
                .into_any()
            });
            view! { <div class="card"><Empty icon=Icon::Phone title=title text=text acts=acts.unwrap_or_else(|| ().into_any())/></div> }
                .into_any()
        } else {
            let rows = self.rows.into_iter().map(|of| line(of, now)).collect();
            let cols = vec![
                Col::text("Device and user"),
                Col::text("What it is"),
                Col::text("Newest session"),
                Col::num("Live sessions"),
                Col::num("Last push"),
            ];
            view! {
                <section class="card" aria-label="Results">
                    <Table caption="Devices" cols=cols rows=rows/>
                    <Pager note="By id" names=("From the start", "Next") back=self.first on=self.next/>
                </section>
            }
            .into_any()
        };
        view! {
            <Head title="Devices" text=text/>
            <form class="stack searching" role="search" aria-label="Find a device" action="/devices">
                <div class="q big">
                    {Icon::Search.view()}
                    <label class="sr" for="qq">"Device id begins with"</label>
                    <input class="in" id="qq" name="id" type="search" value=prefix placeholder="Device id, or how it begins" spellcheck="false" autocomplete="off" autocapitalize="none" maxlength="64"/>
                </div>
            </form>
            <div class="stack">{region("results", results)}</div>
        }
        .into_any()
    }
}

fn line(of: DeviceRow, now: Timestamp) -> AnyView {
    let DeviceRow { device, user, is, sessions, live, mark, state, last_push } = of;
    let link = href(&user, &device);
    let last =
        last_push.map_or_else(|| "None".into_any(), |at| view! { <Time at=at text=moment_short(at, now)/> }.into_any());
    let sessions = if live == sessions { count(live) } else { format!("{} of {}", count(live), count(sessions)) };
    row(vec![
        td("lead", view! { <span class="two"><a class="row mono" href=link>{device}</a><span>{user}</span></span> }),
        td("nolab", is),
        td("nolab", view! { <StateWord mark=mark text=state/> }),
        labelled("num half", "Live sessions", sessions),
        labelled("num half", "Last push", last),
    ])
}

/// One device.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) now: Timestamp,
    pub(crate) device: String,
    pub(crate) user: String,
    pub(crate) is: String,
    pub(crate) sessions: Vec<DeviceSession>,
    pub(crate) deliveries: Vec<Delivery>,
}

/// A session of a device.
#[derive(Clone, Debug)]
pub(crate) struct DeviceSession {
    pub(crate) id: String,
    pub(crate) mark: Mark,
    pub(crate) state: String,
    pub(crate) since: Timestamp,
    pub(crate) context: String,
    pub(crate) mailbox: String,
    pub(crate) host: String,
    pub(crate) last_push: Option<Timestamp>,
    pub(crate) next: Option<Timestamp>,
    pub(crate) live: bool,
}

impl Device {
    fn headline(&self) -> (Mark, &'static str, String, String) {
        let live = self.sessions.iter().filter(|session| session.live).count();
        let bad = self
            .sessions
            .iter()
            .filter(|session| session.live && matches!(session.mark, Mark::Fault | Mark::Retrying))
            .count();
        let number = |number: usize| counted(u64::try_from(number).unwrap_or(0), "session");
        match (live, bad) {
            (0, _) => (
                Mark::Ended,
                "Not watched:",
                "this device has no live session".to_owned(),
                "Nothing is pushed to it until its app registers again.".to_owned(),
            ),
            (_, 0) => (
                Mark::Watching,
                "Watched:",
                format!("{}{}", number(live), if live == 1 { ", without a fault" } else { ", none with a fault" }),
                "What each of them does is below.".to_owned(),
            ),
            (_, bad) => (
                Mark::Retrying,
                "Partly watched:",
                format!("{bad} of {} {} a fault", number(live), if bad == 1 { "has" } else { "have" }),
                "Open the one with the fault to see why, and what helps.".to_owned(),
            ),
        }
    }

    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let now = self.now;
        let (mark, lead, rest, why) = self.headline();
        let way = vec![("Devices".to_owned(), "/devices".to_owned())];
        let crumb = short_id(&self.device);
        let user = Search::default().with(Key::User, &self.user).href();
        let rows = self
            .sessions
            .into_iter()
            .map(|of| {
                let href = format!("/sessions/{}", of.id);
                let last = of.last_push.map_or_else(|| "None".into_any(), |at| view! { <Time at=at text=moment_short(at, now)/> }.into_any());
                let next = of.next.map_or_else(|| "—".into_any(), |at| view! { <Time at=at text=until(at, now)/> }.into_any());
                row(vec![
                    td("lead", two(view! { <StateWord mark=of.mark text=of.state/> }, view! { "since "<Time at=of.since text=moment(of.since, now)/> })),
                    td("nolab pair", view! { <span class="two"><a class="row mono" href=href>{short_id(&of.id)}</a><span class="mono">{of.context}</span></span> }),
                    labelled("third wide", "Mailbox", two(of.mailbox, of.host)),
                    labelled("num third", "Last push", last),
                    labelled("num third", "Next", next),
                ])
            })
            .collect();
        let cols = vec![
            Col::text("State"),
            Col::text("Session and account"),
            Col::text("Mailbox"),
            Col::num("Last push"),
            Col::num("Next"),
        ];
        let deliveries = if self.deliveries.is_empty() {
            view! { <Empty icon=Icon::Bell title="No push has been sent to this device" text="A test push on one of its sessions shows whether it can be reached."/> }.into_any()
        } else {
            let rows = self.deliveries.into_iter().map(|delivery| delivery.of_all(now)).collect();
            view! { <Table caption="Deliveries to this device" cols=Delivery::all_cols() rows=rows/> }.into_any()
        };
        let sentence = view! {
            <div class=format!("sentence {}", mark.class())>
                {mark.icon().view()}
                <div>
                    <h1><b>{lead}</b>{format!(" {rest}")}</h1>
                    <p class="why">{why}</p>
                    <div class="meta">
                        <span>{id(self.device)}</span>
                        <span>{Icon::Phone.view()}{self.is}</span>
                        <span>{Icon::User.view()}<a href=user>{self.user}</a></span>
                    </div>
                </div>
            </div>
        };
        view! {
            <Crumbs way=way here=crumb mono=true/>
            {region("sentence", sentence)}
            <div class="stack">
                {region("sessions", view! {
                    <Card id="sessions" title="Sessions" remark=soft("Newest first")>
                        <Table caption="Sessions of this device" cols=cols rows=rows/>
                    </Card>
                })}
                {region("deliveries", view! { <Card id="deliveries" title="Deliveries" remark=soft("Newest first")>{deliveries}</Card> })}
            </div>
        }
        .into_any()
    }
}
