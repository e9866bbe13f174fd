//! Pushes: whether the push service takes them, how fast, and what became of each.

use domain::Timestamp;
use leptos::prelude::*;

use crate::page::delivery::Delivery;
use crate::part::breaker::{Breaker, BreakerCard};
use crate::part::card::{Card, soft};
use crate::part::chart::{Latency, MailToPush, PerMinute, PushesPerMinute, hatch};
use crate::part::filter::{Chip, Pager, chips};
use crate::part::format::{count, share, took};
use crate::part::icon::Icon;
use crate::part::mark::{Mark, StateWord};
use crate::part::notice::{Empty, link_button};
use crate::part::region::region;
use crate::part::spark::spark;
use crate::part::table::{Col, Table, labelled, row, td};
use crate::shell::Head;

/// Which pushes are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Show {
    #[default]
    All,
    Waiting,
    Refused,
    Gone,
    Expired,
}

impl Show {
    pub(crate) const ALL: [Self; 5] = [Self::All, Self::Waiting, Self::Refused, Self::Gone, Self::Expired];

    /// The word in the URL.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
            Self::Gone => "gone",
            Self::Expired => "expired",
        }
    }

    /// Finds a choice by its word; anything else is all of them.
    pub(crate) fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|show| show.as_str() == text).unwrap_or_default()
    }

    const fn name(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Waiting => "On their way",
            Self::Refused => "Refused",
            Self::Gone => "Gone",
            Self::Expired => "Given up",
        }
    }
}

/// What the page shows.
#[derive(Clone, Debug)]
pub(crate) struct Pushes {
    pub(crate) now: Timestamp,
    pub(crate) breaker: Breaker,
    pub(crate) channel: Channel,
    pub(crate) per_minute: PerMinute,
    pub(crate) latency: Latency,
    pub(crate) show: Show,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) newer: Option<String>,
    pub(crate) older: Option<String>,
}

/// How a push service does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Channel {
    /// Of the last hour.
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) gone: u64,
    pub(crate) waiting: u64,
    pub(crate) p95: Option<u64>,
    /// Pushes a minute over the last hour.
    pub(crate) trend: Vec<u64>,
    pub(crate) last_refusal: Option<String>,
}

impl Pushes {
    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let now = self.now;
        let newest = self.channel.trend.iter().rev().nth(1).copied().unwrap_or(0);
        let text = match (self.breaker.open.is_some(), self.channel.waiting) {
            (true, waiting) => format!(
                "{} a minute accepted, {} wait for the breaker. Nothing is lost.",
                count(newest),
                count(waiting)
            ),
            (false, 0) => format!("{} a minute accepted, none waits.", count(newest)),
            (false, waiting) => format!("{} a minute accepted, {} on their way.", count(newest), count(waiting)),
        };
        let breaker_open = self.breaker.open.is_some();
        let breaker = self.breaker.open.map(|open| view! { <BreakerCard open=open now=now/> });
        let choices = chips(
            Show::ALL
                .map(|of| Chip::Choice {
                    text: of.name().to_owned(),
                    href: if of == Show::All { "/pushes".to_owned() } else { format!("/pushes?show={}", of.as_str()) },
                    chosen: of == self.show,
                })
                .to_vec(),
            "Show",
        );
        let list = if self.deliveries.is_empty() {
            let (title, text) = match self.show {
                Show::All => ("No push has been sent yet", "The first mail that a watched mailbox gets shows up here."),
                Show::Waiting => ("No push waits", "All that were written have been sent."),
                Show::Refused | Show::Gone | Show::Expired => {
                    ("There is none", "No push that is still known ended this way.")
                }
            };
            let acts = match self.show {
                Show::All => ("Sessions", "/sessions"),
                Show::Waiting | Show::Refused | Show::Gone | Show::Expired => ("Show all pushes", "/pushes"),
            };
            view! { <Empty icon=Icon::Bell title=title text=text acts=link_button(acts.0, acts.1)/> }.into_any()
        } else {
            let rows = self.deliveries.into_iter().map(|delivery| delivery.of_all(now)).collect();
            view! {
                <Table caption="Deliveries" cols=Delivery::all_cols() rows=rows/>
                <Pager note="Newest first" names=("Newer", "Older") back=self.newer on=self.older/>
            }
            .into_any()
        };
        view! {
            {region("head", view! { <Head title="Pushes" text=text/> })}
            {hatch()}
            <div class="stack">
                {region("breaker", breaker)}
                {region("channels", channels(self.channel, breaker_open))}
                <div class="cols two">
                    {region("per-minute", view! { <PushesPerMinute data=self.per_minute/> })}
                    {region("latency", view! { <MailToPush data=self.latency/> })}
                </div>
                <Card id="deliveries" title="Deliveries" remark=choices.unwrap_or_else(|| ().into_any())>{region("list", list)}</Card>
            </div>
        }
        .into_any()
    }
}

fn channels(channel: Channel, breaker_open: bool) -> AnyView {
    let Channel { accepted, refused, gone, waiting, p95, trend, last_refusal } = channel;
    let health = if breaker_open {
        view! { <StateWord mark=Mark::Fault text="Breaker open"/> }
    } else if accepted + refused + gone == 0 {
        view! { <StateWord mark=Mark::NotReached text="Nothing sent"/> }
    } else if refused * 20 > accepted {
        view! { <StateWord mark=Mark::Retrying text="Refuses some"/> }
    } else {
        view! { <StateWord mark=Mark::Ok text="Healthy"/> }
    };
    let newest = trend.last().copied().unwrap_or(0);
    let line = spark(&trend, format!("Pushes a minute, last hour, now {}", count(newest)), None);
    let refusal = last_refusal.map_or_else(
        || view! { <span class="soft">"None"</span> }.into_any(),
        |reason| view! { <span class="mono">{reason}</span> }.into_any(),
    );
    let rows = vec![row(vec![
        td("lead", view! { <b class="plain">"APNs"</b> }),
        td("trail", health),
        labelled("num", "A minute", view! { <span class="sp">{line}<span>{count(newest)}</span></span> }),
        labelled("num third", "Accepted", share(accepted, accepted + refused + gone)),
        labelled("num third", "p95", p95.map_or_else(|| "—".to_owned(), took)),
        labelled("num third", "Waiting", count(waiting)),
        labelled("", "Last refusal", refusal),
    ])];
    let cols = vec![
        Col::text("Channel"),
        Col::text("Health"),
        Col::num("A minute"),
        Col::num("Accepted"),
        Col::num("p95"),
        Col::num("Waiting"),
        Col::text("Last refusal"),
    ];
    view! {
        <Card id="channels" title="Channels" remark=soft("Last hour")>
            <Table caption="Health by channel" cols=cols rows=rows/>
        </Card>
    }
    .into_any()
}
