//! Settings: what this installation is. Nothing is changed here; the configuration file is the truth.

use domain::Timestamp;
use leptos::prelude::*;

use super::node::{self, Node, Width};
use crate::part::card::{Card, soft};
use crate::part::format::{Time, count, moment};
use crate::part::mark::{Mark, StateWord};
use crate::part::region::region;
use crate::part::table::{Col, Table, labelled, row, td, two};
use crate::shell::Head;

/// What the page shows.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) now: Timestamp,
    pub(crate) nodes: Vec<Node>,
    pub(crate) keys: Vec<SealingKey>,
    /// The app keys; none where this process does not know the gateway's configuration.
    pub(crate) apps: Option<Vec<App>>,
    /// What is done otherwise at some mail servers.
    pub(crate) quirks: Vec<Quirk>,
    /// What is kept for how long: a name and a value.
    pub(crate) kept: Vec<(&'static str, String)>,
    /// Other rules: a name and a value.
    pub(crate) rules: Vec<(&'static str, String)>,
}

/// A key that devices seal their credentials for.
#[derive(Clone, Debug)]
pub(crate) struct SealingKey {
    pub(crate) id: String,
    pub(crate) created: Option<Timestamp>,
    /// New credentials are sealed for it.
    pub(crate) is_current: bool,
    /// Whether this node has it.
    pub(crate) is_here: bool,
    /// How many stored credentials need it, where it is known.
    pub(crate) sessions: Option<u64>,
}

/// What is done otherwise at some mail servers.
#[derive(Clone, Debug)]
pub(crate) struct Quirk {
    /// The ends of their names.
    pub(crate) hosts: Vec<String>,
    /// After how long IDLE is renewed.
    pub(crate) renewed: Option<String>,
    /// What is done about IDLE.
    pub(crate) idle: Option<&'static str>,
    /// How long the pauses between polls are.
    pub(crate) polls: Option<String>,
    /// Whether it opens no mailbox to whoever has not said who it is.
    pub(crate) asks_for_id: bool,
    /// From where this is known.
    pub(crate) source: &'static str,
}

/// An app that may register devices.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) id: String,
    /// How the hash of its key begins.
    pub(crate) fingerprint: String,
}

impl Settings {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let Self { now, nodes, keys, apps, quirks, kept, rules } = self;
        view! {
            <Head title="Settings" text="What this installation is. It is changed in the configuration file and with the commands that are named here."/>
            <div class="cols side">
                <div class="stack">
                    {region("nodes", view! { <Card id="nodes" title="Nodes">{node::table(nodes, now, Width::Wide)}</Card> })}
                    {region("keys", sealing_keys(keys, now))}
                    {app_keys(apps)}
                    {mail_servers(quirks)}
                </div>
                <div class="stack">
                    <Card id="kept" title="What is kept"><div class="pad stack">
                        {facts(kept)}
                        <p class="note">"What is older is deleted once an hour, a few hundred rows at a time. The audit is never deleted."</p>
                    </div></Card>
                    <Card id="rules" title="Rules"><div class="pad">{facts(rules)}</div></Card>
                </div>
            </div>
        }
        .into_any()
    }
}

fn facts(pairs: Vec<(&'static str, String)>) -> AnyView {
    let pairs = pairs.into_iter().map(|(name, value)| view! { <dt>{name}</dt><dd>{value}</dd> }).collect_view();
    view! { <dl class="facts wide">{pairs}</dl> }.into_any()
}

fn sealing_keys(keys: Vec<SealingKey>, now: Timestamp) -> AnyView {
    if keys.is_empty() {
        return ().into_any();
    }
    let rows: Vec<AnyView> = keys
        .into_iter()
        .map(|key| {
            let state = match (key.is_here, key.is_current) {
                (true, true) => view! { <StateWord mark=Mark::Ok text="Current"/> },
                (true, false) => view! { <StateWord mark=Mark::Waiting text="Opens older ones"/> },
                (false, _) => view! { <StateWord mark=Mark::NotReached text="Not here"/> },
            };
            let created = key
                .created
                .map_or_else(|| "—".into_any(), |at| view! { <Time at=at text=moment(at, now)/> }.into_any());
            row(vec![
                td("lead", view! { <span class="mono">{key.id}</span> }),
                td("trail", state),
                labelled("half", "Made", created),
                labelled("num half", "Credentials", key.sessions.map_or_else(|| "—".to_owned(), count)),
            ])
        })
        .collect();
    let cols = vec![Col::text("Key"), Col::text("State"), Col::text("Made"), Col::num("Credentials")];
    view! {
        <Card id="keys" title="Sealing keys" remark=soft("Devices seal their credentials for the current one")>
            <Table caption="Sealing keys" cols=cols rows=rows/>
            <div class="pad stack">
                <p class="note">"The keys are in the file keys.json of the data folder, and are made on the first start. Without that file no stored credential opens: keep a copy of it apart from the copies of the database."</p>
                <p class="note">"To see their ids on the server: "<code>"pinger keys show"</code>". There is no command yet that puts a new key in the place of the current one."</p>
            </div>
        </Card>
    }
    .into_any()
}

fn mail_servers(quirks: Vec<Quirk>) -> AnyView {
    let or_usual = |value: Option<String>| value.unwrap_or_else(|| "As usual".to_owned());
    let rows = quirks
        .into_iter()
        .map(|Quirk { hosts, renewed, idle, polls, asks_for_id, source }| {
            let idle = idle.map(|idle| if asks_for_id { format!("{idle}, after ID") } else { idle.to_owned() });
            row(vec![
                td("lead", two(hosts.join(", "), source)),
                labelled("third", "IDLE", or_usual(idle)),
                labelled("num third", "Renewed after", or_usual(renewed)),
                labelled("num third", "Polls", or_usual(polls)),
            ])
        })
        .collect();
    let cols =
        vec![Col::text("Hosts that end like this"), Col::text("IDLE"), Col::num("Renewed after"), Col::num("Polls")];
    view! {
        <Card id="quirks" title="Mail servers" remark=soft("What Pinger does otherwise at some of them")>
            <Table caption="What is done otherwise at some mail servers" cols=cols rows=rows/>
            <div class="pad stack">
                <p class="note">"More of them, and other figures, go into the configuration: "<code>"[[backend.quirk]]"</code>". What a node learns of a server it keeps in mind until it stops."</p>
            </div>
        </Card>
    }
    .into_any()
}

fn app_keys(apps: Option<Vec<App>>) -> AnyView {
    let table = apps.map(|apps| {
        let rows = apps
            .into_iter()
            .map(|app| {
                row(vec![
                    td("lead", app.id),
                    labelled("trail", "Key’s fingerprint", view! { <span class="mono">{app.fingerprint}</span> }),
                ])
            })
            .collect();
        view! { <Table caption="App keys" cols=vec![Col::text("App"), Col::text("Key’s fingerprint")] rows=rows/> }
    });
    view! {
        <Card id="apps" title="App keys">
            {table}
            <div class="pad stack">
                <p class="note">"An app shows its key when it registers a device. The gateway’s configuration has the keys as hashes (SHA-256), of which a fingerprint is the beginning; the keys themselves are in the apps alone."</p>
            </div>
        </Card>
    }
    .into_any()
}
