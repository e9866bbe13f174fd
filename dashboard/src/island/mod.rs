//! What lives in a page: rendered on the server as everything else, and taken over in the browser, if scripts run there.
//!
//! Islands are few: what the page's stream says of itself, and the keyboard's help and switch. All else that runs in the browser
//! works on what the server wrote (`browser`).

#![expect(unreachable_pub, reason = "the island macro makes the component's function pub")]
#![expect(
    clippy::disallowed_methods,
    reason = "the island macro keeps an island for as long as its page; no secret is in it"
)]

mod keys;
mod standing;

use leptos::prelude::*;

#[cfg(feature = "ssr")]
pub(crate) use keys::{KeysHelp, KeysSwitch};
pub(crate) use standing::Standing;
#[cfg(feature = "ssr")]
pub(crate) use standing::StreamStanding;

/// What islands show and browser modules set. On the server it is always the beginning.
#[derive(Clone)]
pub(crate) struct Signals {
    pub(crate) standing: ArcRwSignal<Standing>,
    /// New rows that are held back, because the reader is further down.
    pub(crate) held: ArcRwSignal<u32>,
    /// Whether single keys do something.
    pub(crate) keys: ArcRwSignal<bool>,
}

impl Signals {
    pub(crate) fn new() -> Self {
        Self { standing: ArcRwSignal::new(Standing::Off), held: ArcRwSignal::new(0), keys: ArcRwSignal::new(true) }
    }
}

#[cfg(feature = "hydrate")]
thread_local! {
    static SIGNALS: Signals = Signals::new();
}

/// The page's own. A server has many pages at once, and each of them begins.
pub(crate) fn signals() -> Signals {
    #[cfg(feature = "hydrate")]
    return SIGNALS.with(Clone::clone);
    #[cfg(not(feature = "hydrate"))]
    Signals::new()
}
