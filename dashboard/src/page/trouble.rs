//! Pages for what went wrong: each says what is so, why, and what to do next.

use leptos::prelude::*;

use crate::part::icon::Icon;
use crate::part::notice::Empty;

/// What went wrong with a request.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// There is no such page.
    NoPage,
    /// There is no such session; it may have been.
    NoSession { id: String },
    /// The role may not do it.
    NotAllowed { role: &'static str, act: &'static str },
    /// The form is too old, or came from elsewhere.
    Stale,
    /// The session has ended meanwhile.
    Ended { id: String, what: &'static str },
    /// Nothing was chosen that something could be done to.
    NotChosen { back: String, what: &'static str },
    /// An act on many that is not remembered.
    NoBulk,
    /// The store does not answer.
    NoStore { evidence: String },
    /// Something of ours broke.
    Ours { trace: Option<String> },
}

impl Trouble {
    /// The page's title in the browser.
    pub(crate) const fn title(&self) -> &'static str {
        match self {
            Self::NoPage | Self::NoSession { .. } | Self::NoBulk => "Not found",
            Self::NotAllowed { .. } => "Not allowed",
            Self::Stale | Self::NotChosen { .. } => "Nothing was done",
            Self::Ended { .. } => "It has ended",
            Self::NoStore { .. } | Self::Ours { .. } => "A fault",
        }
    }

    /// The page.
    pub(crate) fn view(self) -> AnyView {
        let link = |text: &'static str, href: String| view! { <a class="b" href=href>{text}</a> }.into_any();
        let (icon, class, title, text, quote, acts) = match self {
            Self::NoPage => (
                Icon::Search,
                "",
                "There is no such page".to_owned(),
                "The address is mistyped, or the page has moved. The search at the top finds sessions.",
                None,
                link("Overview", "/".to_owned()),
            ),
            Self::NoSession { id } => (
                Icon::Ended,
                "",
                "This session is not known".to_owned(),
                "It never was, or it ended so long ago that its details are cleared. The audit still has what staff did to it.",
                Some(id.clone()),
                link("Show it in the audit", format!("/audit?subject={}", crate::page::search::encode(&id))),
            ),
            Self::NotAllowed { role, act } => (
                Icon::Shield,
                "",
                format!("Your role can’t {act}"),
                "Nothing has been changed. A colleague with the role can do it; a link to the page is enough.",
                Some(format!("Your role: {role}")),
                link("Overview", "/".to_owned()),
            ),
            Self::Stale => (
                Icon::Shield,
                "",
                "Nothing was done".to_owned(),
                "The form was opened in another sign-in, or was sent by another site. Open the page again and repeat it.",
                None,
                link("Overview", "/".to_owned()),
            ),
            Self::Ended { id, what } => (
                Icon::Ended,
                "",
                "The session has ended meanwhile".to_owned(),
                what,
                None,
                link("Open the session", format!("/sessions/{id}")),
            ),
            Self::NotChosen { back, what } => {
                (Icon::Search, "", "Nothing was chosen".to_owned(), what, None, link("Back to the list", back))
            }
            Self::NoBulk => (
                Icon::Ended,
                "",
                "This act on many sessions is not known".to_owned(),
                "It was long ago, or Pinger was restarted since, which ends what was under way. The audit has what was done.",
                None,
                link("Show the audit", "/audit".to_owned()),
            ),
            Self::NoStore { evidence } => (
                Icon::Fault,
                "bad",
                "Pinger can’t read its store".to_owned(),
                "Watching and pushing go on with what is in memory. Acts are refused until the store is back; nothing that was \
                 answered is lost.",
                Some(evidence),
                link("Try again", "/".to_owned()),
            ),
            Self::Ours { trace } => (
                Icon::Fault,
                "bad",
                "This page has a fault".to_owned(),
                "It is ours, and it is in the log. Watching and pushing go on.",
                trace.map(|trace| format!("trace {trace}")),
                link("Overview", "/".to_owned()),
            ),
        };
        view! {
            <div class="card narrow">
                <Empty icon=icon title=title text=text quote=quote.unwrap_or_default() class=class is_page=true acts=acts/>
            </div>
        }
        .into_any()
    }
}
