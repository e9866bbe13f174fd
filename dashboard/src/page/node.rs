//! The nodes, as the overview and the settings list them.

use domain::Timestamp;
use leptos::prelude::*;

use crate::part::format::{Time, ago, count, moment_short};
use crate::part::mark::{Mark, StateWord};
use crate::part::table::{Col, Table, labelled, row, td, two};

/// A backend.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// The list of what it runs.
    pub(crate) href: String,
    pub(crate) sessions: u64,
    /// What it runs; none if it never said.
    pub(crate) version: Option<String>,
    pub(crate) remark: String,
    pub(crate) mark: Mark,
    pub(crate) state: String,
    /// When it told of itself last; none if it never did.
    pub(crate) seen: Option<Timestamp>,
    pub(crate) started: Option<Timestamp>,
    /// What happens next, where it is not as it should be.
    pub(crate) next: Option<String>,
}

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// For when it started and what it runs, too.
    Wide,
    /// For what is looked at every day.
    Narrow,
}

/// The table, and below it what happens to the sessions of those that are silent.
pub(crate) fn table(nodes: Vec<Node>, now: Timestamp, width: Width) -> AnyView {
    let notes = nodes
        .iter()
        .filter_map(|node| node.next.clone())
        .map(|next| view! { <p class="note">{next}</p> })
        .collect::<Vec<_>>();
    let notes = (!notes.is_empty()).then(|| view! { <div class="pad stack">{notes}</div> });
    let rows = nodes
        .into_iter()
        .map(|Node { name, href, sessions, version, remark, mark, state, seen, started, .. }| {
            let word = view! { <StateWord mark=mark text=state/> };
            let state = match seen {
                Some(at) => two(word, view! { "seen "<Time at=at text=ago(at, now) counts=true/> }),
                None => word.into_any(),
            };
            let started = started
                .map_or_else(|| "—".into_any(), |at| view! { <Time at=at text=moment_short(at, now)/> }.into_any());
            let mut cells = vec![
                td(
                    "lead",
                    view! { <span class="two"><a class="row nowrap" href=href>{name}</a><span>{remark}</span></span> },
                ),
                td("trail", state),
                labelled("num third", "Sessions", count(sessions)),
            ];
            if width == Width::Wide {
                cells.push(labelled("num third", "Started", started));
                cells.push(labelled("num third", "Version", version.unwrap_or_else(|| "—".to_owned())));
            }
            row(cells)
        })
        .collect();
    let mut cols = vec![Col::text("Node"), Col::text("State"), Col::num("Sessions")];
    if width == Width::Wide {
        cols.extend([Col::num("Started"), Col::num("Version")]);
    }
    view! {
        <Table caption="Nodes" cols=cols rows=rows/>
        {notes}
    }
    .into_any()
}
