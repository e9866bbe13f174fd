//! Where a page stands.

use leptos::prelude::*;

use super::icon::Icon;

/// The way from a section to a page: links, and the page itself at the end.
#[component]
pub(crate) fn Crumbs(
    way: Vec<(String, String)>,
    #[prop(into)] here: String,
    #[prop(optional)] mono: bool,
) -> impl IntoView {
    view! {
        <nav class="crumb" aria-label="Where you are">
            <ol>
                {way
                    .into_iter()
                    .map(|(name, href)| view! { <li><a href=href>{name}</a>{Icon::Right.view()}</li> })
                    .collect_view()}
                <li aria-current="page" class=if mono { "mono" } else { "" }>{here}</li>
            </ol>
        </nav>
    }
}
