//! What speaks up: strips, toasts, empty states, dialogs that are pages.

use leptos::prelude::*;

use super::icon::Icon;
use super::mark::Mark;

/// A condition of the page, above it.
#[component]
pub(crate) fn Strip(
    mark: Mark,
    #[prop(into)] bold: String,
    #[prop(into)] text: String,
    #[prop(optional)] alert: bool,
    #[prop(optional, into)] action: Option<AnyView>,
) -> impl IntoView {
    view! {
        <div class=format!("strip {}", mark.class()) role=if alert { "alert" } else { "note" }>
            {mark.icon().view()}
            <p><b>{bold}</b>{format!(" {text}")}</p>
            {action}
        </div>
    }
}

/// The result of somebody's own act.
#[derive(Clone, Debug)]
pub(crate) struct Toast {
    pub(crate) mark: Mark,
    pub(crate) text: String,
    pub(crate) link: Option<(String, String)>,
}

impl Toast {
    pub(crate) fn view(self) -> AnyView {
        view! {
            <div class="toasts" role="status">
                <div class=format!("toast {}", self.mark.class())>
                    {self.mark.icon().view()}
                    <p>{self.text}</p>
                    {self.link.map(|(text, href)| super::card::go(text, href))}
                    <button type="button" class="b quiet scripted" data-dismiss="" aria-label="Dismiss">{Icon::Cross.view()}</button>
                </div>
            </div>
        }
        .into_any()
    }
}

/// What a place says that has nothing to show: what is so, why, and what to do next.
#[component]
pub(crate) fn Empty(
    icon: Icon,
    #[prop(into)] title: String,
    #[prop(into)] text: String,
    /// Something to type, or what somebody said.
    #[prop(optional, into)]
    quote: Option<String>,
    /// Set where it is a fault.
    #[prop(optional)]
    class: &'static str,
    /// Whether the title is the page's own.
    #[prop(optional)]
    is_page: bool,
    #[prop(optional, into)] acts: Option<AnyView>,
) -> impl IntoView {
    let title = if is_page { view! { <h1>{title}</h1> }.into_any() } else { view! { <h2>{title}</h2> }.into_any() };
    view! {
        <div class=format!("empty {class}")>
            {icon.view()}
            {title}
            <p>{text}</p>
            {quote.filter(|quote| !quote.is_empty()).map(|quote| view! { <p class="ev">{quote}</p> })}
            {acts.map(|acts| view! { <div class="acts">{acts}</div> })}
        </div>
    }
}

/// A link that looks like a button.
pub(crate) fn link_button(text: &'static str, href: impl Into<String>) -> AnyView {
    view! { <a class="b" href=href.into()>{text}</a> }.into_any()
}

/// A question that has to be answered, as a page of its own.
#[component]
pub(crate) fn Dialog(
    /// Where the answer goes.
    action: String,
    #[prop(into)] title: String,
    csrf: String,
    /// The buttons; the safe one first.
    foot: AnyView,
    children: Children,
) -> impl IntoView {
    view! {
        <form method="post" action=action class="dialog page-dialog">
            <input type="hidden" name="csrf" value=csrf/>
            <div class="dhead"><h1>{title}</h1></div>
            <div class="body">{children()}</div>
            <div class="dfoot">{foot}</div>
        </form>
    }
}
