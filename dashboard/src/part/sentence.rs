//! The head of a page about one thing: what is so, since when, and why.

use leptos::prelude::*;

use super::mark::Badge;
use crate::why;

/// The sentence, and under it one line of facts, which begins with the badge.
#[component]
pub(crate) fn Sentence(sentence: why::Sentence, children: Children) -> impl IntoView {
    let why::Sentence { mark, lead, rest, why, badge } = sentence;
    view! {
        <div class=format!("sentence {}", mark.class())>
            {mark.icon().view()}
            <div>
                <h1><b>{lead}</b>{format!(" {rest}")}</h1>
                <p class="why">{why}</p>
                <div class="meta"><Badge mark=badge.0 text=badge.1/>{children()}</div>
            </div>
        </div>
    }
}
