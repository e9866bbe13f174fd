//! Whether the page is kept up to date, and rows that wait to be shown.

use leptos::prelude::*;

use super::{Signals, signals};

/// What the page's stream says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "hydrate"), expect(dead_code, reason = "a server has pages at their beginning only"))]
pub(crate) enum Standing {
    /// The page has nothing that lives, or scripts do not run.
    Off,
    /// What changes shows up by itself.
    Live,
    /// Somebody stopped it, or the tab is hidden.
    Paused,
    /// The server can't be reached; it is tried again.
    Reconnecting,
    /// The sign-in has ended.
    SignedOut,
}

impl Standing {
    const fn text(self) -> &'static str {
        match self {
            Self::Off => "",
            Self::Live => "Live",
            Self::Paused => "Paused",
            Self::Reconnecting => "Reconnecting",
            Self::SignedOut => "Signed out: reload the page to sign in",
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Live => "standing ok",
            Self::Reconnecting => "standing warn",
            Self::SignedOut => "standing bad",
            Self::Off | Self::Paused => "standing calm",
        }
    }
}

/// The state in words, as a button that pauses it; and above it, what waits to be shown.
#[island]
pub fn StreamStanding() -> impl IntoView {
    let Signals { standing, held, .. } = signals();
    let (shown, class, pressed, hidden) = (standing.clone(), standing.clone(), standing.clone(), standing);
    let (count, none) = (held.clone(), held);
    view! {
        <span class="scripted" hidden=move || hidden.get() == Standing::Off>
            <button
                type="button"
                class=move || class.get().class()
                aria-pressed=move || if pressed.get() == Standing::Live { "true" } else { "false" }
                title="Whether this page is kept up to date (l)"
                on:click=move |_| toggle()
            >
                <span class="dot" aria-hidden="true"></span>
                <span>{move || shown.get().text()}</span>
            </button>
        </span>
        <div class="held" role="status">
            <button type="button" class="b" hidden=move || none.get() == 0 on:click=move |_| show()>
                {move || format!("{} new, show", count.get())}
            </button>
        </div>
    }
}

fn toggle() {
    #[cfg(feature = "hydrate")]
    crate::browser::live::toggle();
}

fn show() {
    #[cfg(feature = "hydrate")]
    crate::browser::live::show_held();
}
