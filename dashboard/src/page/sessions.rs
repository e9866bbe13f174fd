//! Sessions: the list, with its search in the URL.

use domain::Timestamp;
use leptos::prelude::*;
use store::{Direction, Sort, SortBy};

use crate::bulk::Act;
use crate::page::search::{Key, Search};
use crate::part::filter::{Chip, Pager, SearchField, chips};
use crate::part::format::{Time, count, moment, moment_short, short_id, until};
use crate::part::icon::Icon;
use crate::part::mark::{Mark, StateWord};
use crate::part::notice::{Empty, Strip};
use crate::part::region::region;
use crate::part::table::{Col, SortLink, Table, Way, labelled, row, td, two};
use crate::shell::Head;

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Exactly(u64),
    MoreThan(u64),
}

impl Found {
    pub(crate) fn text(self) -> String {
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
    /// Views: those that are always there, and those that were saved.
    pub(crate) tabs: Vec<Tab>,
    /// The orders that the list can be had in.
    pub(crate) orders: Vec<SortBy>,
    /// The one that it is in.
    pub(crate) sort: Sort,
    /// What whoever looks may do to many at once.
    pub(crate) acts: Vec<Act>,
    /// How many nodes run sessions. Of one, nobody needs to be told.
    pub(crate) nodes: usize,
}

/// A view of the list.
#[derive(Clone, Debug)]
pub(crate) struct Tab {
    pub(crate) name: String,
    pub(crate) href: String,
    /// How many it shows, where that is known without counting.
    pub(crate) count: Option<u64>,
    pub(crate) mark: Option<Mark>,
    pub(crate) chosen: bool,
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
    /// Where it runs.
    pub(crate) node: Option<String>,
}

/// An order, for the foot of the list: “Newest registration first”.
const fn in_words(sort: Sort) -> &'static str {
    match (sort.by, sort.direction) {
        (SortBy::Registered, Direction::Descending) => "Newest registration first",
        (SortBy::Registered, Direction::Ascending) => "Oldest registration first",
        (SortBy::Changed, Direction::Descending) => "Newest change of state first",
        (SortBy::Changed, Direction::Ascending) => "Longest in its state first",
        (SortBy::Next, Direction::Ascending) => "By what happens next",
        (SortBy::Next, Direction::Descending) => "By what happens last",
        (SortBy::Host, Direction::Ascending) => "By mail server",
        (SortBy::Host, Direction::Descending) => "By mail server, backwards",
    }
}

/// The names of the two ways in which a list is walked.
const fn ways(sort: Sort) -> (&'static str, &'static str) {
    match (sort.by, sort.direction) {
        (SortBy::Registered | SortBy::Changed, Direction::Descending) => ("Newer", "Older"),
        (SortBy::Registered | SortBy::Changed, Direction::Ascending) => ("Older", "Newer"),
        (SortBy::Next, Direction::Ascending) => ("Sooner", "Later"),
        (SortBy::Next, Direction::Descending) => ("Later", "Sooner"),
        (SortBy::Host, _) => ("Back", "On"),
    }
}

impl Sessions {
    fn summary(&self) -> String {
        let found = self.found.text();
        match (self.search.is_empty(), self.of) {
            (true, Some(live)) => format!("{found} sessions, {} of them live.", count(live)),
            (true, None) => format!("{found} sessions."),
            // What ended may match too, and is not counted: the number of those that live measures a live state only.
            (false, Some(live))
                if self.search.states().is_some_and(|states| !states.contains(&domain::State::Ended)) =>
            {
                format!("{found} of {} live sessions match.", count(live))
            }
            (false, _) => format!("{found} match."),
        }
    }

    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let summary = self.summary();
        let now = self.now;
        let csv = format!("/sessions.csv{}", self.search.query());
        let acts = (self.may_export && !self.rows.is_empty()).then(|| {
            let rows = match self.found {
                Found::Exactly(1) => "CSV, 1 row".to_owned(),
                found => format!("CSV, {} rows", found.text()),
            };
            view! { <a class="b" href=csv download="sessions.csv">{Icon::Download.view()}{rows}</a> }.into_any()
        });
        let set = self.search.terms.iter().map(|term| Chip::Set {
            key: format!("{}{}", if term.not { "not " } else { "" }, term.key.as_str()),
            value: match term.key {
                Key::Reason => term.values.join(" or ").to_lowercase().replace('_', " "),
                _ => term.values.join(" or "),
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
        let keeps = self.search.sort.map(|sort| ("sort", sort.to_string())).into_iter().collect();
        let tabs = tabs(&self.tabs, &self.search);
        let bulk = (!self.acts.is_empty() && !self.rows.is_empty()).then(|| self.bulk());
        let results = if self.rows.is_empty() { nothing(&self.search) } else { self.results(now) };
        view! {
            {region("head", view! { <Head title="Sessions" text=summary acts=acts.unwrap_or_else(|| ().into_any())/> })}
            {region("views", tabs)}
            <SearchField action="/sessions" label="Search sessions" value=text placeholder="state:retrying host:imap.example.com, or an address, user or id" chips=chips keeps=keeps/>
            {what_can_i_type()}
            <div class="stack">{problems}{bulk}{region("results", results)}</div>
        }
        .into_any()
    }

    /// What can be done to many. The boxes stand in the list, and belong to this form.
    fn bulk(&self) -> AnyView {
        let keeps = [
            ("q", self.search.to_string()),
            ("sort", self.search.sort.map(|sort| sort.to_string()).unwrap_or_default()),
        ]
        .map(|(name, value)| view! { <input type="hidden" name=name value=value/> })
        .collect_view();
        let all = match self.found {
            Found::Exactly(1) => "the one that matches".to_owned(),
            found => format!("all {} that match", found.text()),
        };
        let buttons = self
            .acts
            .iter()
            .enumerate()
            .map(|(index, act)| {
                let class = if index == 0 { "b first" } else { "b" };
                view! { <button class=class name="act" value=act.as_str()>{act.icon().view()}{act.button()}</button> }
            })
            .collect_view();
        view! {
            <form class="bulk" id="bulk" action="/bulk" aria-label="Acts on many sessions">
                {keeps}
                <p>
                    <b>"Tick sessions,"</b>" or take "
                    <label class="all"><input type="checkbox" class="check" name="all" value="1"/>" "{all}</label>
                </p>
                {buttons}
            </form>
        }
        .into_any()
    }

    fn sort_link(&self, by: SortBy) -> Option<SortLink> {
        let usual = self.orders.first().copied().map(Sort::usual);
        if !self.orders.contains(&by) {
            return None;
        }
        let is_now = self.sort.by == by;
        let to = if is_now { self.sort.reversed() } else { Sort::usual(by) };
        let href = self.search.in_order(Some(to).filter(|to| Some(*to) != usual)).href();
        let now = is_now.then_some(match self.sort.direction {
            Direction::Ascending => Way::Up,
            Direction::Descending => Way::Down,
        });
        Some(SortLink { href, now })
    }

    fn results(self, now: Timestamp) -> AnyView {
        let may_pick = !self.acts.is_empty();
        let with_node = self.nodes > 1;
        let mut cols = vec![
            Col::text("State, since").sorted(self.sort_link(SortBy::Changed)),
            Col::text("Session and user").sorted(self.sort_link(SortBy::Registered)),
            Col::text("Device"),
            Col::text("Mailbox, server").sorted(self.sort_link(SortBy::Host)),
            Col::num("Last push"),
            Col::num("Next").sorted(self.sort_link(SortBy::Next)),
        ];
        if may_pick {
            cols.insert(0, Col::ticks("Tick"));
        }
        if with_node {
            cols.push(Col::text("Node"));
        }
        // On a phone a table has no heads.
        let sorts = SortBy::ALL.iter().filter_map(|by| {
            let SortLink { href, now } = self.sort_link(*by)?;
            let text = in_words(if now.is_some() { self.sort } else { Sort::usual(*by) }).to_owned();
            Some(Chip::Choice { text, href, chosen: now.is_some() })
        });
        let sorts = chips(sorts.collect(), "Sort");
        let (note, names) = (in_words(self.sort), ways(self.sort));
        let rows = self.rows.into_iter().map(|row| line(row, now, may_pick, with_node)).collect();
        view! {
            <div class="sorts">{sorts}</div>
            <section class="card" aria-label="Results">
                <Table caption="Sessions that match" cols=cols rows=rows/>
                <Pager note=note names=names back=self.newer on=self.older/>
            </section>
        }
        .into_any()
    }
}

/// The views, and where this one is saved.
fn tabs(tabs: &[Tab], search: &Search) -> AnyView {
    let links = tabs
        .iter()
        .map(|Tab { name, href, count: sessions, mark, chosen }| {
            let sessions = sessions.map(|sessions| view! { " "<span class="count">{count(sessions)}</span> });
            view! {
                <a href=href.clone() aria-current=chosen.then_some("page")>
                    {mark.map(|mark| mark.icon().view())}{name.clone()}{sessions}
                </a>
            }
        })
        .collect_view();
    let known = tabs.iter().any(|tab| tab.chosen);
    let save = format!("/views{}", if known { String::new() } else { search.query() });
    let (icon, text) = if known { (Icon::Pen, "Your views") } else { (Icon::Plus, "Save this view") };
    view! { <nav class="views" aria-label="Views">{links}<a href=save>{icon.view()}{text}</a></nav> }.into_any()
}

fn line(of: Row, now: Timestamp, may_pick: bool, with_node: bool) -> AnyView {
    let Row { id, mark, state, since, user, device, device_id, mailbox, host, last_push, next, node } = of;
    let href = format!("/sessions/{id}");
    let last_push = last_push.map_or_else(
        || "None".into_any(),
        |at| view! { <Time at=at text=moment_short(at, now) counts=true/> }.into_any(),
    );
    let next =
        next.map_or_else(|| "—".into_any(), |at| view! { <Time at=at text=until(at, now) counts=true/> }.into_any());
    let mut cells = vec![
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
    ];
    if may_pick {
        let name = format!("Take {}", short_id(&id));
        let tick = view! {
            <label class="hit"><input type="checkbox" class="check" name="id" value=id form="bulk"/><span class="sr">{name}</span></label>
        };
        cells.insert(0, td("box", tick));
    }
    if with_node {
        cells.push(labelled("hide", "Node", node.unwrap_or_else(|| "—".to_owned())));
    }
    row(cells)
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
    if search.terms.is_empty() {
        // What was typed was not understood, and the notice above says how it could be.
        return view! {
            <div class="card">
                <Empty icon=Icon::Search title="Nothing was searched" text="Change what is named above, or begin anew." acts=view! { <a class="b" href="/sessions">"Clear the search"</a> }.into_any()/>
            </div>
        }
        .into_any();
    }
    let ended = search.states().is_some_and(|states| !states.contains(&domain::State::Ended));
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
        ("state:retrying,holding", "or watching, waiting, ended; live is all but ended, and -state:ended too"),
        (
            "reason:refused",
            "or throttled, certificate, timeout, revoked; person, transport and fault are several at once",
        ),
        ("node:019aa3c1", "what a node runs"),
        ("since:2h", "registered then or later; also today, 3d"),
        ("changed:2h", "in its state since then or later"),
        ("session:019aa3c1-…", "one session"),
        ("name@example.com", "an address finds its sessions; it is not stored"),
    ]
    .map(|(code, text)| view! { <dt><code>{code}</code></dt><dd>{text}</dd> })
    .collect_view();
    view! {
        <details class="quals">
            <summary>{Icon::Right.view()}"What can I type?"</summary>
            <dl>{lines}</dl>
            <p class="soft note">"A column’s head sorts by it. Where it is no link, sorting would take as long as there are sessions: one customer’s few are listed as they were registered, and one mail server’s by that or by what happens next."</p>
        </details>
    }
    .into_any()
}
