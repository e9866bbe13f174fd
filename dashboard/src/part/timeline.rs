//! What happened, newest first, by day.

use std::time::Duration;

use domain::Timestamp;
use leptos::prelude::*;

use super::card::out;
use super::format::{Time, clock, day_long, same_day, span};
use super::icon::Icon;
use super::mark::Tone;

/// One line of a timeline.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    pub(crate) icon: Icon,
    /// Colour, where it is a state.
    pub(crate) tone: Option<Tone>,
    pub(crate) title: String,
    pub(crate) text: Option<String>,
    /// The other side's own words.
    pub(crate) quote: Option<String>,
    /// It has not happened yet.
    pub(crate) planned: bool,
    /// The latest fault: on tinted ground.
    pub(crate) hot: bool,
    pub(crate) trace: Option<String>,
}

/// A stretch without an entry that is at least this long becomes a line of its own.
const QUIET: Duration = Duration::from_secs(20 * 60);

/// The timeline; entries come newest first.
#[component]
pub(crate) fn Timeline(entries: Vec<Entry>, now: Timestamp) -> impl IntoView {
    let mut days: Vec<(Timestamp, Vec<AnyView>)> = Vec::new();
    let mut newer: Option<(Timestamp, bool)> = None;
    for entry in entries {
        let (at, planned) = (entry.at, entry.planned);
        let quiet = newer.and_then(|(newer, was_planned)| {
            // Between now and the newest thing that happened nothing is missing: it is still going on.
            let gap = newer.since(at);
            (!planned && !was_planned && same_day(newer, at) && gap >= QUIET).then_some(gap)
        });
        match days.last_mut() {
            Some((day, lines)) if same_day(*day, at) => {
                lines.extend(quiet.map(quiet_line));
                lines.push(line(entry));
            }
            _ => days.push((at, vec![line(entry)])),
        }
        newer = Some((at, planned));
    }
    let days =
        days.into_iter().map(|(day, lines)| view! { <h3>{day_long(day, now)}</h3><ol>{lines}</ol> }).collect_view();
    view! { <div class="time">{days}</div> }
}

fn quiet_line(gap: Duration) -> AnyView {
    let dots = Icon::Dots.view();
    view! {
        <li class="calm">
            <span class="at"></span>
            {dots}
            <div class="quiet">{format!("{} quiet", span(gap))}</div>
        </li>
    }
    .into_any()
}

fn line(entry: Entry) -> AnyView {
    let Entry { at, icon, tone, title, text, quote, planned, hot, trace } = entry;
    let mut class = tone.map_or_else(String::new, |tone| tone.class().to_owned());
    if hot {
        class.push_str(" hot");
    }
    if planned {
        class.push_str(" next");
    }
    view! {
        <li class=class>
            <Time at=at text=clock(at)/>
            {icon.view()}
            <div>
                <b>{title}</b>
                {text.map(|text| view! { <p>{text}</p> })}
                {quote.map(|quote| view! { <p class="ev">{quote}</p> })}
                {trace.map(|href| view! { <div class="tlinks">{out("Trace", href)}</div> })}
            </div>
        </li>
    }
    .into_any()
}
