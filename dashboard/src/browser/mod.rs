//! What runs in the browser. It works on what the server wrote, which works without it: links and forms that are done faster
//! here, and regions that are kept up to date.
//!
//! Listeners are on the document and look for what they act on when something happens, so that what is replaced needs none.

mod copy;
mod dialog;
mod dom;
mod filter;
pub(crate) mod keys;
pub(crate) mod live;
mod morph;
mod theme;
mod times;
mod toast;

/// Makes ready for the islands, which are taken over next, as the server wrote them.
pub fn hydrate() {
    leptos::mount::hydrate_islands();
}

/// Begins, once a page, when the islands have been taken over.
pub fn begin() {
    // What is of use with scripts only is shown from now on.
    if let Some(root) = leptos::prelude::document().document_element() {
        let _ = root.set_attribute("data-scripts", "");
    }
    times::begin();
    copy::begin();
    dialog::begin();
    theme::begin();
    toast::begin();
    keys::begin();
    filter::begin();
    live::begin();
}
