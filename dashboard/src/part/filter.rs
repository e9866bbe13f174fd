//! Search fields, chips and pagers. The field is the truth, and chips mirror it; a pager is keyset, so it has no numbers.

use leptos::prelude::*;

use super::icon::Icon;

/// A chip.
#[derive(Clone, Debug)]
pub(crate) enum Chip {
    /// A filter that is set; the link takes it away.
    Set { key: String, value: String, href: String },
    /// One that could be set, with how many it would leave where that is known.
    Offer { text: String, count: Option<u64>, href: String },
    /// One of a few views of which one is chosen.
    Choice { text: String, href: String, chosen: bool },
}

impl Chip {
    fn view(self) -> AnyView {
        match self {
            Self::Set { key, value, href } => view! {
                <a class="chip on" href=href>
                    <span class="sr">"Remove filter "</span>
                    <span class="k">{key}</span>
                    {format!(" {value}")}
                    {Icon::Cross.view()}
                </a>
            }
            .into_any(),
            Self::Offer { text, count, href } => {
                let count = count.map(|count| view! { <span class="count">{super::format::count(count)}</span> });
                view! { <a class="chip" href=href>{text}" "{count}</a> }.into_any()
            }
            Self::Choice { text, href, chosen } => {
                let class = if chosen { "chip on only" } else { "chip" };
                view! { <a class=class href=href aria-current=chosen.then_some("true")>{text}</a> }.into_any()
            }
        }
    }
}

/// Chips in a row; those that are set come first, behind them a line.
pub(crate) fn chips(chips: Vec<Chip>, label: &'static str) -> Option<AnyView> {
    let (set, offered): (Vec<_>, Vec<_>) = chips.into_iter().partition(|chip| matches!(chip, Chip::Set { .. }));
    if set.is_empty() && offered.is_empty() {
        return None;
    }
    let line = (!set.is_empty() && !offered.is_empty()).then(|| view! { <span class="sep"></span> });
    Some(
        view! {
            <div class="chips" role="group" aria-label=label>
                {set.into_iter().map(Chip::view).collect_view()}
                {line}
                {offered.into_iter().map(Chip::view).collect_view()}
            </div>
        }
        .into_any(),
    )
}

/// The big search field of a list.
#[component]
pub(crate) fn SearchField(
    action: &'static str,
    label: &'static str,
    #[prop(into)] value: String,
    placeholder: &'static str,
    chips: Option<AnyView>,
    /// Fields that the form keeps: name and value.
    #[prop(optional)]
    keeps: Vec<(&'static str, String)>,
) -> impl IntoView {
    let keeps =
        keeps.into_iter().map(|(name, value)| view! { <input type="hidden" name=name value=value/> }).collect_view();
    view! {
        <form class="stack searching" role="search" aria-label=label action=action>
            <div class="q big">
                {Icon::Search.view()}
                <label class="sr" for="qq">{label}</label>
                <input class="in" id="qq" name="q" type="search" value=value placeholder=placeholder spellcheck="false" autocomplete="off" autocapitalize="none" maxlength="400"/>
            </div>
            {keeps}
            {chips}
        </form>
    }
}

/// The foot of a list.
#[component]
pub(crate) fn Pager(
    #[prop(into)] note: String,
    /// The names of the two ways, such as Newer and Older.
    names: (&'static str, &'static str),
    back: Option<String>,
    on: Option<String>,
) -> impl IntoView {
    let step = |href: Option<String>,
                rel: &'static str,
                before: Option<AnyView>,
                name: &'static str,
                after: Option<AnyView>| match href {
        Some(href) => view! { <a class="b" href=href rel=rel>{before}{name}{after}</a> }.into_any(),
        None => view! { <a class="b" role="link" aria-disabled="true">{before}{name}{after}</a> }.into_any(),
    };
    view! {
        <footer class="pager">
            <span class="soft">{note}</span>
            {step(back, "prev", Some(Icon::Left.view()), names.0, None)}
            {step(on, "next", None, names.1, Some(Icon::Right.view()))}
        </footer>
    }
}
