//! A forced ping: one line a step, with its bar on the common time line.

use leptos::prelude::*;

use super::card::{Card, out, soft};
use super::format::took;
use super::mark::Mark;

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) mark: Mark,
    pub(crate) name: String,
    pub(crate) text: String,
    /// From when to when, in milliseconds from the click; none if it has not happened.
    pub(crate) span: Option<(u64, u64)>,
    /// The mail server's own words, where it failed.
    pub(crate) quote: Option<String>,
}

/// A forced ping.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) steps: Vec<Step>,
    /// Whether it is over.
    pub(crate) done: bool,
    /// What the sum is of: “from click to accepted”.
    pub(crate) summary: String,
    /// Who asked, and when.
    pub(crate) asked: String,
    /// What it brought to light.
    pub(crate) finding: Option<(Mark, String, String)>,
    pub(crate) trace: Option<String>,
}

/// The card of a forced ping.
#[component]
pub(crate) fn ForcedPing(run: Run) -> impl IntoView {
    let total = run.steps.iter().filter_map(|step| step.span).map(|(_, to)| to).max().unwrap_or(0);
    let done = run.done;
    let steps = run.steps.into_iter().map(|step| line(step, total.max(1))).collect_view();
    let (number, unit) = match took(total) {
        text if text.ends_with(" ms") => (text.trim_end_matches(" ms").to_owned(), "ms"),
        text => (text.trim_end_matches(" s").to_owned(), "s"),
    };
    let sum = done.then(|| {
        view! {
            <div class="sum">
                <strong>{number}" "<small>{unit}</small></strong>
                <span class="soft">{run.summary}</span>
                {run.trace.map(|href| out("Open this trace", href))}
            </div>
        }
    });
    let finding = run.finding.map(|(mark, bold, text)| {
        view! {
            <div class=format!("finding {}", mark.class())>
                {mark.icon().view()}
                <p><b>{bold}</b>{format!(" {text}")}</p>
            </div>
        }
    });
    view! {
        <Card id="run" title="Forced ping" remark=soft(run.asked)>
            <div class="run" role="status"><ol>{steps}</ol>{sum}</div>
            {finding}
        </Card>
    }
}

fn line(step: Step, total: u64) -> AnyView {
    let Step { mark, name, text, span, quote } = step;
    let class = if mark == Mark::NotReached { "idle" } else { mark.class() };
    let icon = if mark == Mark::Running { mark.icon().turning() } else { mark.icon().view() };
    let bar = match span {
        Some((from, to)) => format!(
            r#"<rect class="t" width="1000" height="8"/><rect x="{}" width="{}" height="8"/>"#,
            from * 1_000 / total,
            ((to - from) * 1_000 / total).max(6)
        ),
        None => r#"<rect class="t" width="1000" height="8"/>"#.to_owned(),
    };
    let time = span.map_or_else(
        || if mark == Mark::Running { "…".to_owned() } else { String::new() },
        |(from, to)| took(to - from),
    );
    view! {
        <li class=class>
            {icon}
            <b>{name}</b>
            <svg viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true" inner_html=bar></svg>
            <span>{text}</span>
            <span class="num">{time}</span>
        </li>
        {quote.map(|quote| view! { <li class="said"><p class="ev">{quote}</p></li> })}
    }
    .into_any()
}
