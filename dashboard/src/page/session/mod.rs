//! One session: what is so and why, what happened, what can be done.

mod ping;
mod revoke;

use domain::Timestamp;
use leptos::prelude::*;

pub(crate) use ping::{PingPage, Progress, Reports};
pub(crate) use revoke::{Reason, RevokePage};

use crate::page::delivery::Delivery;
use crate::part::card::{Card, fact, go, id, out, soft};
use crate::part::chain::WhyNoPush;
use crate::part::crumbs::Crumbs;
use crate::part::filter::{Chip, chips};
use crate::part::format::{Time, count, moment, short_id, until};
use crate::part::icon::Icon;
use crate::part::notice::Empty;
use crate::part::region::region;
use crate::part::sentence::Sentence;
use crate::part::table::Table;
use crate::part::timeline::{Entry, Timeline};
use crate::why::{Facts, chain, sentence};
use crate::words;

/// What every page about a session shows of it.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) id: String,
    pub(crate) facts: Facts,
    pub(crate) user: String,
    pub(crate) device: String,
    /// “iOS 19.1, app 8.4.1”
    pub(crate) device_is: String,
    pub(crate) context: String,
}

/// What whoever looks may do, and the form field that proves that they meant it.
#[derive(Clone, Debug)]
pub(crate) struct Acts {
    pub(crate) allowed: bool,
    pub(crate) csrf: String,
}

/// Which part of the timeline is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Show {
    #[default]
    All,
    Faults,
    Pushes,
}

impl Show {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "faults" => Self::Faults,
            "pushes" => Self::Pushes,
            _ => Self::All,
        }
    }
}

/// What the page shows.
#[derive(Clone, Debug)]
pub(crate) struct SessionPage {
    pub(crate) subject: Subject,
    pub(crate) acts: Acts,
    pub(crate) show: Show,
    pub(crate) timeline: Vec<Entry>,
    /// A link to what is older.
    pub(crate) older: Option<String>,
    pub(crate) handshake: Option<Handshake>,
    pub(crate) deliveries: Vec<Delivery>,
    /// “APNs, production, token ends 9c41”
    pub(crate) target: String,
    pub(crate) details: Details,
    /// Until when each of its episodes is traced.
    pub(crate) trace_until: Option<Timestamp>,
    /// The trace of what broke last.
    pub(crate) fault_trace: Option<String>,
    /// Traces: a word and a link.
    pub(crate) traces: Vec<(String, String)>,
}

/// The rest of what is known.
#[derive(Clone, Debug)]
pub(crate) struct Details {
    pub(crate) security: &'static str,
    pub(crate) port: u16,
    pub(crate) generation: u64,
    pub(crate) app: String,
    pub(crate) node: Option<String>,
    pub(crate) topic: String,
}

/// The last conversation with the mail server until it was ready, secrets masked.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    pub(crate) at: Option<Timestamp>,
    pub(crate) lines: Vec<Line>,
    /// The capabilities, as the server listed them.
    pub(crate) capabilities: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) tls: Option<String>,
}

/// One line of a handshake.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Milliseconds from the first.
    pub(crate) millis: u64,
    pub(crate) from_server: bool,
    pub(crate) text: String,
    /// The server refused something with it.
    pub(crate) is_bad: bool,
}

impl Subject {
    /// The way here.
    fn crumbs(&self, last: Option<&'static str>) -> AnyView {
        let own = short_id(&self.id);
        let mut way = vec![("Sessions".to_owned(), "/sessions".to_owned())];
        match last {
            None => view! { <Crumbs way=way here=own mono=true/> }.into_any(),
            Some(last) => {
                way.push((own, format!("/sessions/{}", self.id)));
                view! { <Crumbs way=way here=last/> }.into_any()
            }
        }
    }

    /// The line of facts under the sentence.
    fn meta(&self) -> AnyView {
        let device = format!(
            "/devices/{}/{}",
            crate::page::search::encode(&self.user),
            crate::page::search::encode(&self.device)
        );
        let user = crate::page::search::Search::default().with(crate::page::search::Key::User, &self.user).href();
        view! {
            <span>{id(self.id.clone())}</span>
            <span>{Icon::Phone.view()}<a href=device>{self.device_is.clone()}</a></span>
            <span>{Icon::Mail.view()}{format!("{} at {}", self.facts.mailbox, self.facts.host)}</span>
            <span>{Icon::User.view()}<a href=user>{self.user.clone()}</a></span>
        }
        .into_any()
    }
}

/// The buttons.
fn bar(subject: &Subject, acts: &Acts, again: bool) -> AnyView {
    let live = subject.facts.life.is_live();
    if !acts.allowed {
        let text = "You may look. Support and admins can ping, push and revoke.";
        return view! { <p class="bar soft note">{text}</p> }.into_any();
    }
    if !live {
        let text =
            "The session has ended, so there is nothing to ping or revoke. A new registration makes a new session.";
        return view! { <p class="bar soft note">{text}</p> }.into_any();
    }
    let post = |act: &str, class: &'static str, icon: Icon, text: &'static str| {
        view! {
            <form method="post" action=format!("/sessions/{}/{act}", subject.id)>
                <input type="hidden" name="csrf" value=acts.csrf.clone()/>
                <button class=class>{icon.view()}{text}</button>
            </form>
        }
        .into_any()
    };
    let last_login = subject.facts.life.refusals > 0 && subject.facts.life.refusals + 1 >= subject.facts.max_refusals;
    view! {
        <div class="bar" role="group" aria-label="Actions on this session">
            {post("ping", "b primary", Icon::Ping, if again { "Force ping again" } else { "Force ping" })}
            {post("test-push", "b", Icon::Bell, "Send test push")}
            {post("trace", "b", Icon::Trace, "Trace this session")}
            <a class="b danger" href=format!("/sessions/{}/revoke", subject.id)>{Icon::Revoked.view()}"Revoke…"</a>
            {last_login.then(|| view! { <span class="note">"A forced ping uses the last login."</span> })}
        </div>
    }
    .into_any()
}

impl SessionPage {
    /// The page's title in the browser.
    pub(crate) fn title(&self) -> String {
        let sentence = sentence(&self.subject.facts);
        format!("{} {}, {}", sentence.lead.trim_end_matches(':'), self.subject.user, short_id(&self.subject.id))
    }

    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let now = self.subject.facts.now;
        let crumbs = self.subject.crumbs(None);
        let head = sentence(&self.subject.facts);
        let meta = self.subject.meta();
        let bar = bar(&self.subject, &self.acts, false);
        let chain = chain(&self.subject.facts);
        let trace = self.fault_trace.clone();
        let timeline = timeline_card(self.timeline, self.show, &self.subject.id, self.older, now);
        let deliveries = deliveries_card(self.deliveries, self.target.clone(), &self.subject, now);
        let handshake = handshake_card(self.handshake, now);
        let facts = facts_card(&self.subject, &self.details, self.target, self.trace_until, now);
        let traces = (!self.traces.is_empty()).then(|| {
            let list = self.traces.into_iter().map(|(text, href)| view! { <li>{out(text, href)}</li> }).collect_view();
            view! { <Card id="traces" title="Traces"><div class="pad"><ul class="list">{list}</ul></div></Card> }
        });
        view! {
            {crumbs}
            {region("sentence", view! { <Sentence sentence=head>{meta}</Sentence> })}
            {region("bar", bar)}
            <div class="stack">
                {region("why", view! { <WhyNoPush chain=chain now=now trace=trace/> })}
                <div class="cols side">
                    <div class="stack">{region("timeline", timeline)}{region("deliveries", deliveries)}</div>
                    <div class="stack">{region("facts", view! { {handshake}{facts}{traces} })}</div>
                </div>
            </div>
        }
        .into_any()
    }
}

fn timeline_card(entries: Vec<Entry>, show: Show, session: &str, older: Option<String>, now: Timestamp) -> AnyView {
    let choice = |of: Show, text: &str, query: &str| Chip::Choice {
        text: text.to_owned(),
        href: format!("/sessions/{session}{query}"),
        chosen: show == of,
    };
    let choices = chips(
        vec![
            choice(Show::All, "All", ""),
            choice(Show::Faults, "Faults", "?show=faults"),
            choice(Show::Pushes, "Pushes", "?show=pushes"),
        ],
        "Show",
    );
    let body = if entries.is_empty() {
        view! { <p class="pad soft note">"Nothing of this kind has happened."</p> }.into_any()
    } else {
        view! { <Timeline entries=entries now=now/> }.into_any()
    };
    let foot = older.map_or_else(|| soft("Nothing older is known"), |href| go("Older", href));
    view! { <Card id="timeline" title="Timeline" remark=choices.unwrap_or_else(|| ().into_any()) foot=foot>{body}</Card> }
        .into_any()
}

fn deliveries_card(deliveries: Vec<Delivery>, target: String, subject: &Subject, now: Timestamp) -> AnyView {
    if deliveries.is_empty() {
        let text = if subject.facts.life.is_live() {
            "No mail has come yet. A test push shows whether the device can be reached."
        } else {
            "It ended before any mail came."
        };
        return view! {
            <Card id="deliveries" title="Deliveries" remark=soft(target)>
                <Empty icon=Icon::Bell title="No push has been sent for this session" text=text/>
            </Card>
        }
        .into_any();
    }
    let rows = deliveries.into_iter().map(|delivery| delivery.of_session(now)).collect();
    let href = format!(
        "/devices/{}/{}",
        crate::page::search::encode(&subject.user),
        crate::page::search::encode(&subject.device)
    );
    view! {
        <Card id="deliveries" title="Deliveries" remark=soft(target) foot=go("All deliveries of this device", href)>
            <Table caption="Deliveries of this session" cols=Delivery::session_cols() rows=rows/>
        </Card>
    }
    .into_any()
}

fn handshake_card(handshake: Option<Handshake>, now: Timestamp) -> AnyView {
    let Some(Handshake { at, lines, capabilities, address, tls }) = handshake else {
        return view! {
            <Card id="handshake" title="Last handshake">
                <p class="pad soft note">"No handshake is kept of this session."</p>
            </Card>
        }
        .into_any();
    };
    let took = lines.last().map(|line| line.millis);
    let remark = match (at, took) {
        (Some(at), Some(took)) => format!("{}, {}", moment(at, now), crate::part::format::took(took)),
        (Some(at), None) => moment(at, now),
        _ => String::new(),
    };
    let lines = lines
        .into_iter()
        .map(|line| {
            let (spoken, letter) = if line.from_server { ("Server: ", "S") } else { ("Client: ", "C") };
            view! {
                <li>
                    <span>{count(line.millis)}</span>
                    <span><span class="sr">{spoken}</span><span aria-hidden="true">{letter}</span></span>
                    <span class=if line.is_bad { "bad" } else { "" }>{line.text}</span>
                </li>
            }
        })
        .collect_view();
    view! {
        <Card id="handshake" title="Last handshake" remark=soft(remark)>
            <ol class="wire" role="list" tabindex="0" aria-label="Lines between Pinger and the mail server, secrets masked">{lines}</ol>
            <div class="pad">
                <dl class="facts">
                    {address.map(|address| fact("Address", address))}
                    {tls.map(|tls| fact("Security", tls))}
                    {capabilities.map(|list| fact("Server can", view! { <span class="mono">{list}</span> }))}
                </dl>
            </div>
        </Card>
    }
    .into_any()
}

fn facts_card(
    subject: &Subject,
    details: &Details,
    target: String,
    trace_until: Option<Timestamp>,
    now: Timestamp,
) -> AnyView {
    let facts = &subject.facts;
    let time = move |at: Timestamp| view! { <Time at=at text=moment(at, now)/> };
    let baseline = facts.life.baseline.map_or_else(
        || "Not read yet".to_owned(),
        |baseline| format!("UIDVALIDITY {}, UIDNEXT {}", baseline.uid_validity, count(baseline.uid_next.get().into())),
    );
    let credential = match &facts.key {
        Some(key) => {
            format!("Sealed, key {key}. {}, {}", words::credential(facts.mechanism), words::mechanism(facts.mechanism))
        }
        None => "Destroyed".to_owned(),
    };
    let expires = facts.life.expires_at;
    let live = facts.life.is_live();
    let device = format!(
        "/devices/{}/{}",
        crate::page::search::encode(&subject.user),
        crate::page::search::encode(&subject.device)
    );
    let rows = vec![
        Some(fact("Registered", time(facts.registered_at))),
        live.then(|| {
            fact("Expires", view! { {time(expires)}", "<Time at=expires text=until(expires, now) counts=true/> })
        }),
        Some(fact("Context", id(subject.context.clone()))),
        Some(fact("Device", view! { <a class="mono" href=device>{subject.device.clone()}</a> })),
        Some(fact("Mail server", format!("{}, port {}, {}", facts.host, details.port, details.security))),
        Some(fact("Baseline", baseline)),
        Some(fact("Credential", credential)),
        Some(fact("Push target", target)),
        Some(fact("Topic", view! { <span class="mono">{details.topic.clone()}</span> })),
        Some(fact("App key", details.app.clone())),
        Some(fact("Generation", details.generation.to_string())),
        details.node.clone().map(|node| fact("Node", view! { <span class="mono">{short_id(&node)}</span> })),
        trace_until.filter(|at| *at > now).map(|at| fact("Traced until", time(at))),
    ];
    view! { <Card id="facts" title="Session"><div class="pad"><dl class="facts">{rows}</dl></div></Card> }.into_any()
}
