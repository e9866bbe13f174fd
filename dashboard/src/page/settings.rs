//! Settings: what this installation is. Nothing is changed here; the configuration file is the truth.

use domain::Timestamp;
use leptos::prelude::*;

use crate::part::card::{Card, soft};
use crate::part::format::{Time, count, moment};
use crate::part::mark::{Mark, StateWord};
use crate::part::table::{Col, Table, labelled, row, td};
use crate::shell::Head;

/// What the page shows.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) now: Timestamp,
    pub(crate) nodes: Vec<crate::page::overview::Node>,
    pub(crate) keys: Vec<SealingKey>,
    /// What is kept for how long, and other rules: a name and a value.
    pub(crate) rules: Vec<(&'static str, String)>,
}

/// A key that devices seal their credentials for.
#[derive(Clone, Debug)]
pub(crate) struct SealingKey {
    pub(crate) id: String,
    pub(crate) created: Option<Timestamp>,
    /// New credentials are sealed for it.
    pub(crate) is_current: bool,
    /// How many stored credentials need it, where it is known.
    pub(crate) sessions: Option<u64>,
}

impl Settings {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let now = self.now;
        let keys: Vec<AnyView> = self
            .keys
            .into_iter()
            .map(|key| {
                let state = if key.is_current {
                    view! { <StateWord mark=Mark::Ok text="Current"/> }
                } else {
                    view! { <StateWord mark=Mark::Waiting text="Opens older ones"/> }
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
        let key_cols = vec![Col::text("Key"), Col::text("State"), Col::text("Made"), Col::num("Credentials")];
        let keys = (!keys.is_empty()).then(|| {
            view! {
                <Card id="keys" title="Sealing keys" remark=soft("Devices seal their credentials for the current one")>
                    <Table caption="Sealing keys" cols=key_cols rows=keys/>
                </Card>
            }
        });
        let nodes = self
            .nodes
            .into_iter()
            .map(|node| {
                row(vec![
                    td("lead", view! { <span class="mono">{node.name}</span> }),
                    td("trail", view! { <StateWord mark=node.mark text=node.state/> }),
                    labelled("num half", "Sessions", count(node.sessions)),
                    labelled("num half", "Version", node.version.unwrap_or_else(|| "—".to_owned())),
                ])
            })
            .collect();
        let rules =
            self.rules.into_iter().map(|(name, value)| view! { <dt>{name}</dt><dd>{value}</dd> }).collect_view();
        view! {
            <Head title="Settings" text="What this installation is. It is changed in the configuration file and with the commands that are named here."/>
            <div class="cols side">
                <div class="stack">
                    {keys}
                    <Card id="nodes" title="Nodes">
                        <Table caption="Nodes" cols=vec![Col::text("Node"), Col::text("State"), Col::num("Sessions"), Col::num("Version")] rows=nodes/>
                    </Card>
                </div>
                <div class="stack">
                    <Card id="rules" title="Rules"><div class="pad"><dl class="facts wide">{rules}</dl></div></Card>
                    <Card id="apps" title="App keys">
                        <div class="pad stack">
                            <p class="note">"An app shows its key when it registers a device. Keys are in the gateway’s configuration, as hashes; the backend and this dashboard do not have them."</p>
                            <p class="note">"To make one: "<code>"pinger keys app NAME"</code></p>
                        </div>
                    </Card>
                </div>
            </div>
        }
        .into_any()
    }
}
