//! A card: heading, a quiet remark, a body, and at the foot where to go next. Never a card in a card.

use leptos::prelude::*;

use super::icon::Icon;

/// A card with a heading.
#[component]
pub(crate) fn Card(
    /// The heading's id; once a page.
    id: &'static str,
    #[prop(into)] title: String,
    /// What stands at the heading's end.
    #[prop(optional, into)]
    remark: Option<AnyView>,
    #[prop(optional, into)] foot: Option<AnyView>,
    children: Children,
) -> impl IntoView {
    view! {
        <section class="card" aria-labelledby=id>
            <header><h2 id=id>{title}</h2>{remark}</header>
            {children()}
            {foot.map(|foot| view! { <footer>{foot}</footer> })}
        </section>
    }
}

/// A quiet remark for a card's heading.
pub(crate) fn soft(text: impl Into<String>) -> AnyView {
    view! { <span class="soft">{text.into()}</span> }.into_any()
}

/// A link to go on with.
pub(crate) fn go(text: impl Into<String>, href: impl Into<String>) -> AnyView {
    view! { <a class="go" href=href.into()>{text.into()}" "{Icon::Right.view()}</a> }.into_any()
}

/// A link out of the dashboard, to a trace.
pub(crate) fn out(text: impl Into<String>, href: impl Into<String>) -> AnyView {
    view! { <a class="go" href=href.into() rel="noreferrer">{text.into()}" "{Icon::Out.view()}</a> }.into_any()
}

/// One row of facts; rows without a value are left out.
pub(crate) fn fact(name: &'static str, value: impl IntoView + 'static) -> AnyView {
    view! { <dt>{name}</dt><dd>{value}</dd> }.into_any()
}

/// An id that a click selects as a whole, so that it can be copied without scripts; with them, a button does it.
pub(crate) fn id(text: impl Into<String>) -> AnyView {
    let text = text.into();
    view! {
        <span class="mono id">{text.clone()}</span>
        <button type="button" class="copy scripted" data-copy=text aria-label="Copy" title="Copy">{Icon::Copy.view()}</button>
    }
    .into_any()
}
