//! Toasts are put away by their button; that of a success goes by itself.

use std::time::Duration;

use leptos::prelude::set_timeout;

use super::dom::{everywhere, on_document, target};

/// How long a success is told.
const TOLD: Duration = Duration::from_secs(8);

pub(super) fn begin() {
    on_document("click", |event| {
        if let Some(button) = target(event, "[data-dismiss]")
            && let Ok(Some(toast)) = button.closest(".toast")
        {
            toast.remove();
        }
    });
    if !everywhere(".toast.ok").is_empty() {
        set_timeout(|| everywhere(".toast.ok").iter().for_each(web_sys::Element::remove), TOLD);
    }
}

/// Puts the toasts away; whether there were any.
pub(super) fn dismiss() -> bool {
    let toasts = everywhere(".toast");
    toasts.iter().for_each(web_sys::Element::remove);
    !toasts.is_empty()
}
