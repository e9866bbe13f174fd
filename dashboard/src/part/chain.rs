//! Why no push? Eight links; the first broken one opens into its verdict.

use domain::Timestamp;
use leptos::prelude::*;

use super::card::{Card, go, out, soft};
use super::format::{Time, moment};
use super::icon::Icon;
use super::mark::{Mark, Tone};
use crate::why::{Chain, Link, Standing, Verdict};

/// The chain as a card.
#[component]
pub(crate) fn WhyNoPush(chain: Chain, now: Timestamp, #[prop(into)] trace: Option<String>) -> impl IntoView {
    let Chain { links, mut verdict, summary } = chain;
    let links = links
        .into_iter()
        .map(|link| match link.standing {
            Standing::Broken(mark) => {
                let verdict = verdict.take().map(|verdict| verdict_view(verdict, mark.tone(), now, trace.clone()));
                link_view(link, format!("link broken {}", mark.class()), mark, "broken here", verdict)
            }
            Standing::Holds => link_view(link, "link ok".to_owned(), Mark::Ok, "holds", None),
            Standing::NotReached => link_view(link, "link none".to_owned(), Mark::NotReached, "not reached", None),
        })
        .collect_view();
    view! {
        <Card id="why" title="Why no push?" remark=soft(summary)>
            <ol class="chain" role="list">{links}</ol>
        </Card>
    }
}

fn link_view(link: Link, class: String, mark: Mark, standing: &'static str, verdict: Option<AnyView>) -> AnyView {
    view! {
        <li role="listitem">
            <div class=class>
                {mark.icon().view()}
                <b>{link.name}<span class="sr">{format!(": {standing}. ")}</span></b>
                <span>{link.note}</span>
            </div>
            {verdict}
        </li>
    }
    .into_any()
}

fn verdict_view(verdict: Verdict, tone: Tone, now: Timestamp, trace: Option<String>) -> AnyView {
    let Verdict { heading, quote, at, code, note, tell, helps, by_itself, alike } = verdict;
    let told = tell.map(|tell| view! { <li><b>"Tell them"</b><span class="quote">{format!("“{tell}”")}</span></li> });
    let helps = helps.map(|helps| view! { <li><b>"What helps"</b><span>{helps}</span></li> });
    let by_itself = by_itself.map(|text| view! { <li><b>"By itself"</b><span>{text}</span></li> });
    let alike = alike.map(|query| {
        let href = format!("/sessions?q={}", crate::page::search::encode(&query));
        view! { <li><b>"See also"</b><span>{go("All sessions with this fault at this host", href)}</span></li> }
    });
    view! {
        <div class=format!("verdict {}", tone.class())>
            <section aria-labelledby="said">
                <h3 id="said">{heading}</h3>
                {quote.map(|quote| view! { <p class="ev">{quote}</p> })}
                <p class="evmeta">
                    {at.map(|at| view! { <span><Time at=at text=moment(at, now)/></span> })}
                    {code.map(|code| view! { <span>"Code "<code>{code}</code></span> })}
                    {trace.map(|href| out("Trace", href))}
                </p>
                <p class="evnote">{note}</p>
            </section>
            <section aria-labelledby="todo">
                <h3 id="todo">"What to do"</h3>
                <ul class="do">{told}{helps}{by_itself}{alike}</ul>
            </section>
        </div>
    }
    .into_any()
}

/// A list of what follows, each with an icon.
pub(crate) fn ticks(lines: Vec<(Icon, &'static str)>) -> AnyView {
    view! {
        <ul class="ticks">
            {lines
                .into_iter()
                .map(|(icon, text)| view! { <li>{icon.view()}<span>{text}</span></li> })
                .collect_view()}
        </ul>
    }
    .into_any()
}
