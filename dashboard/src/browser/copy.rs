//! Buttons that copy an id.

use std::time::Duration;

use leptos::prelude::{set_timeout, window};

use super::dom::{on_document, target};

/// How long a button says that it did.
const TOLD: Duration = Duration::from_secs(2);

pub(super) fn begin() {
    on_document("click", |event| {
        let Some(button) = target(event, "[data-copy]") else { return };
        copy(&button.get_attribute("data-copy").unwrap_or_default());
        let _ = button.set_attribute("data-copied", "");
        set_timeout(
            move || {
                let _ = button.remove_attribute("data-copied");
            },
            TOLD,
        );
    });
}

/// Browsers let a page write there after a click or a key, over TLS or on this machine. If not, the id can be selected.
pub(super) fn copy(text: &str) {
    let _ = window().navigator().clipboard().write_text(text);
}
