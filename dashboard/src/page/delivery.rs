//! One push, as a line of a table; several pages have such tables.

use domain::{PushKind, Timestamp};
use leptos::prelude::*;

use crate::part::card::out;
use crate::part::format::{Time, moment, short_id, took};
use crate::part::mark::{Mark, StateWord};
use crate::part::table::{Col, labelled, row, td};
use crate::why::Fate;
use crate::words;

/// A push.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) at: Timestamp,
    pub(crate) kind: PushKind,
    pub(crate) fate: Fate,
    /// How often it was tried.
    pub(crate) tries: u32,
    pub(crate) session: String,
    /// The user, while the session is known.
    pub(crate) user: Option<String>,
    /// `APNs, production`
    pub(crate) channel: String,
    pub(crate) provider_id: Option<String>,
    pub(crate) trace: Option<String>,
}

/// What became of a push, in a cell.
pub(crate) fn fate(fate: &Fate, tries: u32, now: Timestamp) -> (Mark, String) {
    match fate {
        Fate::Queued => (Mark::Running, "On its way".to_owned()),
        Fate::Retrying { next, .. } => match next {
            Some(next) => (Mark::Retrying, format!("Try {} at {}", tries + 1, moment(*next, now))),
            None => (Mark::Retrying, "Tried again".to_owned()),
        },
        Fate::Waits { .. } => (Mark::Waits, "Waits for the breaker".to_owned()),
        Fate::Accepted { .. } if tries > 1 => (Mark::Ok, format!("Accepted, try {tries}")),
        Fate::Accepted { .. } => (Mark::Ok, "Accepted".to_owned()),
        Fate::Refused { reason } => (Mark::Fault, format!("Refused, {reason}")),
        Fate::Gone { reason } => (Mark::Revoked, format!("Gone, {reason}")),
        Fate::Expired => (Mark::Retrying, "Given up, too late".to_owned()),
    }
}

impl Delivery {
    fn state(&self, now: Timestamp) -> AnyView {
        let (mark, text) = fate(&self.fate, self.tries, now);
        view! { <StateWord mark=mark text=text/> }.into_any()
    }

    fn took(&self) -> String {
        match self.fate {
            Fate::Accepted { millis: Some(millis) } => took(millis),
            _ => "—".to_owned(),
        }
    }

    /// The heads of [`Self::of_session`].
    pub(crate) fn session_cols() -> Vec<Col> {
        vec![
            Col::text("When"),
            Col::text("What"),
            Col::text("Outcome"),
            Col::num("Mail to push"),
            Col::text("APNs id"),
            Col::spoken("Trace"),
        ]
    }

    /// A line of the deliveries of one session.
    pub(crate) fn of_session(self, now: Timestamp) -> AnyView {
        let provider = self.provider_id.clone().map_or_else(
            || view! { <span class="soft">"None"</span> }.into_any(),
            |id| view! { <span class="mono" title=id.clone()>{short_id(&id)}</span> }.into_any(),
        );
        row(vec![
            td("lead", view! { <Time at=self.at text=moment(self.at, now)/> }),
            labelled("third", "What", words::push_kind(self.kind)),
            td("trail", self.state(now)),
            labelled("num third", "Mail to push", self.took()),
            labelled("third", "APNs id", provider),
            td("nolab hide", self.trace.map(|href| out("Trace", href))),
        ])
    }

    /// The heads of [`Self::of_all`].
    pub(crate) fn all_cols() -> Vec<Col> {
        vec![
            Col::text("When"),
            Col::text("Outcome"),
            Col::text("What"),
            Col::text("Channel"),
            Col::text("Session"),
            Col::text("User"),
            Col::num("Mail to push"),
        ]
    }

    /// A line of the deliveries of everybody.
    pub(crate) fn of_all(self, now: Timestamp) -> AnyView {
        let href = format!("/sessions/{}", self.session);
        let user = self.user.clone().unwrap_or_else(|| "—".to_owned());
        row(vec![
            td("lead", view! { <Time at=self.at text=moment(self.at, now)/> }),
            td("trail", self.state(now)),
            labelled("third", "What", words::push_kind(self.kind)),
            labelled("third", "Channel", self.channel.clone()),
            labelled("half", "Session", view! { <a class="mono" href=href>{short_id(&self.session)}</a> }),
            labelled("hide", "User", user),
            labelled("num third", "Mail to push", self.took()),
        ])
    }
}
