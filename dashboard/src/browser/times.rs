//! Times in the reader's zone: the server writes UTC. The exact one is in the title; those that are relative are counted on.

use std::time::Duration;

use js_sys::{Date, Object, Reflect};
use leptos::prelude::{document, set_interval};
use web_sys::Element;

use super::dom::{all, everywhere};

/// How often relative times are counted on.
const EVERY: Duration = Duration::from_secs(1);

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

pub(super) fn begin() {
    everywhere("time[datetime]").iter().for_each(show);
    set_interval(
        || {
            if !document().hidden() {
                everywhere("time[data-counts]").iter().for_each(count);
            }
        },
        EVERY,
    );
}

/// Shows the times of what has just been put below an element.
pub(super) fn refresh(root: &Element) {
    all(root, "time[datetime]").iter().for_each(show);
}

fn show(time: &Element) {
    let Some(at) = at(time) else { return };
    // The server's own words are the shape: how exact it is, and whether a day stands beside it.
    if !time.has_attribute("data-exact") {
        let utc = time.get_attribute("title").unwrap_or_default();
        let _ = time.set_attribute("data-exact", &time.text_content().unwrap_or_default());
        let _ = time.set_attribute("title", &format!("{} ({utc})", local(&at)));
    }
    if time.has_attribute("data-counts") {
        count(time);
    } else if let Some(shape) = time.get_attribute("data-exact") {
        say(time, &clock(&at, &shape, time.closest(".time").ok().flatten().is_some()));
    }
}

fn at(time: &Element) -> Option<Date> {
    let at = Date::new(&time.get_attribute("datetime")?.into());
    at.get_time().is_finite().then_some(at)
}

fn say(time: &Element, text: &str) {
    if time.text_content().as_deref() != Some(text) {
        time.set_text_content(Some(text));
    }
}

fn count(time: &Element) {
    if let Some(at) = at(time) {
        let seconds = (Date::now() - at.get_time()) / 1_000.0;
        say(time, &if seconds >= 0.0 { ago(seconds) } else { format!("in {}", span(-seconds)) });
    }
}

fn ago(seconds: f64) -> String {
    if seconds < 1.0 { "now".to_owned() } else { format!("{} ago", span(seconds)) }
}

/// `31 s`, `14 min`, `3 h`, `2 days`: as the server says it.
fn span(seconds: f64) -> String {
    let seconds = seconds.max(1.0);
    match seconds {
        ..100.0 => format!("{seconds:.0} s"),
        ..6_000.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.0} h", seconds / 3_600.0),
        _ => format!("{:.0} days", seconds / 86_400.0),
    }
}

/// A time of the server's own shape, in the reader's zone. In a timeline, which goes by days of UTC, another day is named.
fn clock(at: &Date, shape: &str, in_timeline: bool) -> String {
    let exact = shape.matches(':').count() == 2;
    let (hour, minute, second) = (at.get_hours(), at.get_minutes(), at.get_seconds());
    let clock = if exact { format!("{hour:02}:{minute:02}:{second:02}") } else { format!("{hour:02}:{minute:02}") };
    let day = || format!("{} {}", at.get_date(), MONTHS.get(at.get_month() as usize).unwrap_or(&""));
    let now = Date::new_0();
    let same = |other: &Date| {
        (at.get_date(), at.get_month(), at.get_full_year())
            == (other.get_date(), other.get_month(), other.get_full_year())
    };
    let of_utc = (at.get_utc_date(), at.get_utc_month()) == (at.get_date(), at.get_month());
    match () {
        () if in_timeline && of_utc => clock,
        () if in_timeline => format!("{} {clock}", day()),
        () if same(&now) => clock,
        () if at.get_full_year() != now.get_full_year() => format!("{} {}", day(), at.get_full_year()),
        () => format!("{} {hour:02}:{minute:02}", day()),
    }
}

/// `20 November 2026 at 10:42:14 CET`
fn local(at: &Date) -> String {
    let options = Object::new();
    for (name, value) in [("dateStyle", "long"), ("timeStyle", "long")] {
        let _ = Reflect::set(&options, &name.into(), &value.into());
    }
    at.to_locale_string("en-GB", &options).into()
}
