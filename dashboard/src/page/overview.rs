//! Overview: what needs attention first, then counts, pushes, mail servers and nodes.

use domain::{FailureClass, FailureCode, State, Timestamp};
use leptos::prelude::*;

use crate::page::node::{self, Node};
use crate::page::search::{Key, Search};
use crate::part::card::{Card, go, soft};
use crate::part::chart::{Latency, MailToPush, PerMinute, PushesPerMinute, hatch};
use crate::part::format::{count, counted, moment_short, share, spelled};
use crate::part::icon::Icon;
use crate::part::mark::{Mark, StateWord};
use crate::part::notice::{Empty, link_button};
use crate::part::region::region;
use crate::part::spark::spark;
use crate::part::table::{Col, Table, labelled, row, td, two};
use crate::shell::Head;
use crate::words;

/// What the page shows.
#[derive(Clone, Debug)]
pub(crate) struct Overview {
    pub(crate) now: Timestamp,
    /// The worst first.
    pub(crate) attention: Vec<Attention>,
    pub(crate) counts: Vec<StateCount>,
    /// Sessions that live and do not fail.
    pub(crate) fine: u64,
    /// Pushes on their way.
    pub(crate) queued: u64,
    pub(crate) per_minute: PerMinute,
    pub(crate) latency: Latency,
    pub(crate) hosts: Vec<Host>,
    pub(crate) host_count: u64,
    pub(crate) nodes: Vec<Node>,
}

/// One thing that needs attention.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    pub(crate) mark: Mark,
    pub(crate) title: String,
    pub(crate) text: String,
    /// Where the matter is: a word and a link.
    pub(crate) link: (String, String),
}

/// How many sessions are in a state.
#[derive(Clone, Debug)]
pub(crate) struct StateCount {
    pub(crate) state: State,
    pub(crate) sessions: u64,
    /// The last hours, oldest first; may be empty.
    pub(crate) trend: Vec<u64>,
    pub(crate) remark: String,
}

/// A mail server.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) live: u64,
    pub(crate) retrying: u64,
    /// What fails most there, and for how many.
    pub(crate) worst: Option<(FailureCode, u64)>,
    pub(crate) trend: Vec<u64>,
}

impl Attention {
    /// Sessions that fail alike at one host.
    pub(crate) fn of_failure(host: &str, code: FailureCode, sessions: u64, since: Timestamp, now: Timestamp) -> Self {
        let mark = match code.class() {
            FailureClass::Transport | FailureClass::Throttled | FailureClass::Unresolved => Mark::Retrying,
            FailureClass::Misconfigured
            | FailureClass::CredentialRefused
            | FailureClass::CredentialUnusable
            | FailureClass::RequestRefused => Mark::Fault,
        };
        let since = moment_short(since, now);
        let title = match code {
            FailureCode::LoginRefused if sessions == 1 => format!("{host} refused a password at {since}"),
            FailureCode::LoginRefused => format!("{} passwords refused by {host} since {since}", count(sessions)),
            FailureCode::Throttled => format!("{host} throttles us"),
            FailureCode::CertificateInvalid => format!("The certificate of {host} is not valid"),
            FailureCode::HostNotFound => format!("{host} is not found"),
            FailureCode::Internal => format!("Pinger itself has a fault, with {host}"),
            _ => format!("{host}: {}", words::cell(code).to_lowercase()),
        };
        let them = counted(sessions, "session");
        let (verb, it) = if sessions == 1 { ("retries", "It is") } else { ("retry", "All are") };
        let text = match code.class() {
            FailureClass::CredentialRefused if sessions == 1 => {
                "It is tried once more and then ends, so that the account is not locked. The customer signs in again in the \
                 app."
                .to_owned()
            }
            FailureClass::CredentialRefused => {
                "Each is tried once more and then ends, so that no account is locked. The customers sign in again in the \
                 app; many at once look like a change at the provider."
                    .to_owned()
            }
            FailureClass::Throttled => {
                format!("{them} {} since {since}. {it} back without any help.", if sessions == 1 { "waits its turn" } else { "wait their turn" })
            }
            FailureClass::Misconfigured => {
                format!("{them} {verb} slowly since {since}. {}", code.remedy())
            }
            FailureClass::Unresolved => {
                format!("{them} {verb} since {since}, and after a day that is given up. If the name is right, its DNS has a fault.")
            }
            FailureClass::Transport => format!("{them} {verb} since {since}. {it} back as soon as the server is."),
            FailureClass::CredentialUnusable | FailureClass::RequestRefused => format!("{them} since {since}. Their devices were told to register again."),
        };
        let search = Search::default().with(Key::Host, host).with(Key::Reason, code.as_str());
        Self { mark, title, text, link: (them, search.href()) }
    }
}

impl Overview {
    /// The page's title: the answer first.
    pub(crate) fn headline(&self) -> String {
        let fine = count(self.fine);
        match self.attention.len() {
            0 if self.fine == 0 => "No device has registered yet".to_owned(),
            0 => format!("Nothing needs attention; {fine} sessions are fine"),
            1 => format!("One thing needs attention; {fine} sessions are fine"),
            things => {
                format!(
                    "{} things need attention; {fine} sessions are fine",
                    spelled(u64::try_from(things).unwrap_or(0))
                )
            }
        }
    }

    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let headline = self.headline();
        let text = match self.queued {
            0 => "No push waits.".to_owned(),
            1 => "1 push is on its way.".to_owned(),
            queued => format!("{} pushes are on their way. Nothing is lost.", count(queued)),
        };
        let nothing = self.fine == 0 && self.attention.is_empty() && self.counts.iter().all(|of| of.sessions == 0);
        if nothing {
            return first_start();
        }
        let attention = attention(self.attention, self.fine);
        let counts = view! {
            <section class="card" aria-labelledby="ct">
                <h2 class="sr" id="ct">"Sessions by state"</h2>
                <ul class="counts">{self.counts.into_iter().map(state_count).collect_view()}</ul>
            </section>
        };
        view! {
            {region("head", view! { <Head title=headline text=text/> })}
            {hatch()}
            <div class="stack">
                {region("attention", attention)}
                {region("counts", counts)}
                <div class="cols two">
                    {region("pushes", view! { <PushesPerMinute data=self.per_minute/> })}
                    {region("latency", view! { <MailToPush data=self.latency/> })}
                </div>
                <div class="cols wide">
                    {region("hosts", hosts(self.hosts, self.host_count))}
                    {region("nodes", nodes(self.nodes, self.now))}
                </div>
            </div>
        }
        .into_any()
    }
}

fn first_start() -> AnyView {
    let first = view! {
        <Head title="Overview" text="This is what staff see first, once there is something to see."/>
        <div class="card">
            <Empty
                icon=Icon::Phone
                title="No device has registered yet"
                text="Point an app at this server, or try it from a terminal. The first session shows up here by itself."
                quote="pinger device register --help".to_owned()
                acts=link_button("Settings", "/settings")
            />
        </div>
    };
    region("first", first)
}

fn attention(lines: Vec<Attention>, fine: u64) -> AnyView {
    if lines.is_empty() {
        return view! {
            <section class="card">
                <Empty icon=Icon::Ok title="Nothing needs attention" text=format!("{} are fine.", counted(fine, "session")) class="ok"/>
            </section>
        }
        .into_any();
    }
    let lines = lines
        .into_iter()
        .map(|Attention { mark, title, text, link: (word, href) }| {
            let name = if mark == Mark::Fault { "Needs a person" } else { "Goes on by itself" };
            view! {
                <li class=mark.class()>
                    {mark.icon().named(name)}
                    <div><b>{title}</b><p>{text}</p></div>
                    <a class="b" href=href>{word}</a>
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="card" aria-labelledby="at">
            <h2 class="sr" id="at">"Needs attention"</h2>
            <ul class="lines">{lines}</ul>
        </section>
    }
    .into_any()
}

fn state_count(of: StateCount) -> AnyView {
    let StateCount { state, sessions, trend, remark } = of;
    let mark = Mark::of(state);
    let search = Search::default().with(Key::State, state.as_str());
    // Of those that have ended, the last day's are counted.
    let search = if state == State::Ended { search.with(Key::Changed, "24h") } else { search };
    let href = search.href();
    let name = words::state(state);
    let tone = (state == State::Retrying).then(|| mark.tone());
    let trend = (trend.len() > 1).then(|| spark(&trend, format!("{name}, last 6 hours: {remark}"), tone));
    view! {
        <li class=mark.class()>
            <a href=href>{mark.icon().view()}{name}</a>
            <div class="n"><strong>{count(sessions)}</strong>{trend}</div>
            <span class="soft">{remark}</span>
        </li>
    }
    .into_any()
}

fn hosts(hosts: Vec<Host>, of: u64) -> AnyView {
    let shown = u64::try_from(hosts.len()).unwrap_or(0);
    let remark = if shown < of { format!("Worst first, {shown} of {}", count(of)) } else { "Worst first".to_owned() };
    let rows = hosts
        .into_iter()
        .map(|Host { name, live, retrying, worst, trend }| {
            // What has ended is not counted.
            let href = Search::default().with(Key::Host, &name).with(Key::State, "live").href();
            let fails = Search::default().with(Key::Host, &name).with(Key::State, State::Retrying.as_str()).href();
            let health = match worst {
                // A handful among thousands is every server's normal day.
                Some((code, sessions)) if retrying * 200 > live => two(
                    view! { <StateWord mark=if live == retrying { Mark::Fault } else { Mark::Retrying } text=words::cell(code)/> },
                    counted(sessions, "session"),
                ),
                _ => view! { <StateWord mark=Mark::Ok text="Healthy"/> }.into_any(),
            };
            let line = (trend.len() > 1).then(|| spark(&trend, format!("Retrying, last 6 hours, now {}", count(retrying)), None));
            row(vec![
                td("lead", view! { <span class="two"><a class="row" href=href>{name}</a><span>{counted(live, "session")}</span></span> }),
                td("nolab", health),
                labelled("num half", "Connected", share(live - retrying.min(live), live)),
                labelled("num half", "Retrying", view! { <span class="sp">{line}<span>{(retrying > 0).then(|| view! { <a href=fails>{count(retrying)}</a> })}{(retrying == 0).then_some("0")}</span></span> }),
            ])
        })
        .collect();
    let cols = vec![Col::text("Server"), Col::text("Health"), Col::num("Connected"), Col::num("Retrying")];
    view! {
        <Card id="hosts" title="Mail servers" remark=soft(remark)>
            <Table caption="Health by mail server" cols=cols rows=rows/>
        </Card>
    }
    .into_any()
}

fn nodes(nodes: Vec<Node>, now: Timestamp) -> AnyView {
    view! {
        <Card id="nodes" title="Nodes" foot=go("Keys and retention", "/settings")>{node::table(nodes, now, node::Width::Narrow)}</Card>
    }
    .into_any()
}
