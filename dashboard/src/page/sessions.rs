//! Sessions: the list, with its search in the URL.

use domain::Timestamp;
use leptos::prelude::*;

use crate::page::search::{Key, Search};
use crate::part::filter::{Chip, Pager, SearchField, chips};
use crate::part::format::{Time, count, moment, moment_short, short_id, until};
use crate::part::icon::Icon;
use crate::part::mark::{Mark, StateWord};
use crate::part::notice::{Empty, Strip};
use crate::part::region::region;
use crate::part::table::{Col, Table, labelled, row, td, two};
use crate::shell::Head;

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Exactly(u64),
    MoreThan(u64),
}

impl Found {
    fn text(self) -> String {
        match self {
            Self::Exactly(number) => count(number),
            Self::MoreThan(number) => format!("more than {}", count(number)),
        }
    }
}

/// What the page shows.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    pub(crate) now: Timestamp,
    pub(crate) search: Search,
    pub(crate) found: Found,
    /// How many sessions live, where it is known.
    pub(crate) of: Option<u64>,
    pub(crate) rows: Vec<Row>,
    /// Links to the neighbouring pages.
    pub(crate) newer: Option<String>,
    pub(crate) older: Option<String>,
    /// Filters that would narrow it: key, value, word, how many.
    pub(crate) offers: Vec<Offer>,
    /// Whether whoever looks may export.
    pub(crate) may_export: bool,
}

/// A filter that would narrow the list.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) key: Key,
    pub(crate) value: String,
    pub(crate) word: String,
    pub(crate) count: Option<u64>,
}

/// A session in the list.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) mark: Mark,
    pub(crate) state: String,
    pub(crate) since: Timestamp,
    pub(crate) user: String,
    /// What the device is: “iOS 19.1, app 8.4.1”.
    pub(crate) device: String,
    pub(crate) device_id: String,
    pub(crate) mailbox: String,
    pub(crate) host: String,
    pub(crate) last_push: Option<Timestamp>,
    /// When something happens by itself.
    pub(crate) next: Option<Timestamp>,
}

impl Sessions {
    fn summary(&self) -> String {
        let found = self.found.text();
        match (self.search.is_empty(), self.of) {
            (true, Some(live)) => {
                format!("{found} sessions, {} of them live, the newest registration first.", count(live))
            }
            (true, None) => format!("{found} sessions, the newest registration first."),
            // What ended may match too, and is not counted: the number of those that live measures a live state only.
            (false, Some(live)) if self.search.state().is_some_and(|state| state != domain::State::Ended) => {
                format!("{found} of {} live sessions match.", count(live))
            }
            (false, _) => format!("{found} match."),
        }
    }

    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let summary = self.summary();
        let now = self.now;
        let csv = format!("/sessions.csv{}", self.search.href().trim_start_matches("/sessions"));
        let acts = (self.may_export && !self.rows.is_empty()).then(|| {
            let rows = match self.found {
                Found::Exactly(1) => "CSV, 1 row".to_owned(),
                found => format!("CSV, {} rows", found.text()),
            };
            view! { <a class="b" href=csv download="sessions.csv">{Icon::Download.view()}{rows}</a> }.into_any()
        });
        let set = self.search.terms.iter().map(|term| Chip::Set {
            key: term.key.as_str(),
            value: match term.key {
                Key::Reason => term.value.to_lowercase().replace('_', " "),
                _ => term.value.clone(),
            },
            href: self.search.without(term.key).href(),
        });
        let offered = self.offers.iter().map(|offer| Chip::Offer {
            text: offer.word.clone(),
            count: offer.count,
            href: self.search.with(offer.key, &offer.value).href(),
        });
        let chips = Some(region("chips", chips(set.chain(offered).collect(), "Filters")));
        let problems = self
            .search
            .problems
            .iter()
            .map(|problem| view! { <Strip mark=Mark::Retrying bold="Not used:" text=problem.clone() alert=true/> })
            .collect_view();
        let text = self.search.to_string();
        let results = if self.rows.is_empty() { nothing(&self.search) } else { self.results(now) };
        view! {
            {region("head", view! { <Head title="Sessions" text=summary acts=acts.unwrap_or_else(|| ().into_any())/> })}
            <SearchField action="/sessions" label="Search sessions" value=text placeholder="state:retrying host:imap.example.com, or an address, user or id" chips=chips/>
            {what_can_i_type()}
            <div class="stack">{region("results", view! { {problems}{results} })}</div>
        }
        .into_any()
    }

    fn results(self, now: Timestamp) -> AnyView {
        let rows = self.rows.into_iter().map(|row| line(row, now)).collect();
        let cols = vec![
            Col::text("State"),
            Col::text("Session and user"),
            Col::text("Device"),
            Col::text("Mailbox"),
            Col::num("Last push"),
            Col::num("Next"),
        ];
        view! {
            <section class="card" aria-label="Results">
                <Table caption="Sessions that match" cols=cols rows=rows/>
                <Pager note="Newest registration first" names=("Newer", "Older") back=self.newer on=self.older/>
            </section>
        }
        .into_any()
    }
}

fn line(of: Row, now: Timestamp) -> AnyView {
    let Row { id, mark, state, since, user, device, device_id, mailbox, host, last_push, next } = of;
    let href = format!("/sessions/{id}");
    let last_push = last_push.map_or_else(
        || "None".into_any(),
        |at| view! { <Time at=at text=moment_short(at, now) counts=true/> }.into_any(),
    );
    let next =
        next.map_or_else(|| "—".into_any(), |at| view! { <Time at=at text=until(at, now) counts=true/> }.into_any());
    row(vec![
        td(
            "lead",
            two(
                view! { <StateWord mark=mark text=state/> },
                view! { "since "<Time at=since text=moment(since, now)/> },
            ),
        ),
        td(
            "nolab pair",
            view! { <span class="two"><a class="row mono" href=href>{short_id(&id)}</a><span>{user}</span></span> },
        ),
        td("nolab", two(device, view! { <span class="mono">{short_id(&device_id)}</span> })),
        labelled("third wide", "Mailbox", two(mailbox, host)),
        labelled("num third", "Last push", last_push),
        labelled("num third", "Next", next),
    ])
}

fn nothing(search: &Search) -> AnyView {
    if search.is_empty() {
        return view! {
            <div class="card">
                <Empty icon=Icon::Phone title="No device has registered yet" text="Point an app at this server, or try it from a terminal. The first session shows up here by itself." quote="pinger device register --help".to_owned()/>
            </div>
        }
        .into_any();
    }
    let ended = search.state().is_some_and(|state| state != domain::State::Ended);
    let text = if search.get(Key::Address).is_some() {
        "Either no session was registered for this address, or it was written in another way. The device or the user finds it \
         too."
    } else {
        "No session that is still known has all of it. Take away the filter that says too much."
    };
    let acts = view! {
        {ended.then(|| view! { <a class="b" href=search.without(Key::State).href()>"Search all states"</a> })}
        <a class="b quiet" href="/sessions">"Clear the search"</a>
    }
    .into_any();
    view! {
        <div class="card">
            <Empty icon=Icon::Search title=format!("Nothing matches {search}") text=text acts=acts/>
        </div>
    }
    .into_any()
}

fn what_can_i_type() -> AnyView {
    let lines = [
        ("user:u-48213", "one customer"),
        ("device:dev_9KQ2…", "one installed app"),
        ("context:ctx_…", "one account, as the app names it"),
        ("host:imap.example.com", "a mail server"),
        ("state:retrying", "or watching, waiting, holding, ended"),
        ("reason:refused", "or throttled, certificate, timeout, revoked"),
        ("since:2h", "registered then or later; also today, 3d"),
        ("session:019aa3c1-…", "one session"),
        ("name@example.com", "an address finds its sessions; it is not stored"),
    ]
    .map(|(code, text)| view! { <dt><code>{code}</code></dt><dd>{text}</dd> })
    .collect_view();
    view! {
        <details class="quals">
            <summary>{Icon::Right.view()}"What can I type?"</summary>
            <dl>{lines}</dl>
        </details>
    }
    .into_any()
}
