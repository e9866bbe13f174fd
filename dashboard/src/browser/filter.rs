//! Filter as you type, on the list of sessions.

use std::cell::RefCell;
use std::time::Duration;

use leptos::prelude::{TimeoutHandle, set_timeout_with_handle, window};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{FormData, HtmlFormElement, HtmlInputElement};

use super::dom::{encode, on_document, path, target};
use super::live;

/// How long a pause ends a word.
const PAUSE: Duration = Duration::from_millis(300);

thread_local! {
    static WAITING: RefCell<Option<TimeoutHandle>> = const { RefCell::new(None) };
}

pub(super) fn begin() {
    on_document("input", |event| {
        let field = target(event, "form.searching input[name=q]");
        let Some(field) = field.and_then(|field| field.dyn_into::<HtmlInputElement>().ok()) else { return };
        WAITING.with_borrow_mut(|waiting| {
            if let Some(waiting) = waiting.take() {
                waiting.clear();
            }
            *waiting = set_timeout_with_handle(move || filter(&field), PAUSE).ok();
        });
    });
}

fn filter(field: &HtmlInputElement) {
    let text = field.value();
    // A search by address is written down, so only a whole one is searched for: by Enter.
    if text.contains('@') || text.to_lowercase().contains("address:") {
        return;
    }
    let Some(form) = field.form() else { return };
    let next = page(&form);
    if next == path() {
        return;
    }
    let history = window().history();
    if history.is_ok_and(|history| history.replace_state_with_url(&JsValue::NULL, "", Some(&next)).is_ok()) {
        live::look_at(next);
    }
}

/// Where the form leads.
fn page(form: &HtmlFormElement) -> String {
    let action = form.get_attribute("action").unwrap_or_default();
    let mut pairs = Vec::new();
    let entries = FormData::new_with_form(form).ok().and_then(|data| js_sys::try_iter(&data).ok().flatten());
    for entry in entries.into_iter().flatten().flatten() {
        let pair: js_sys::Array = entry.unchecked_into();
        if let (Some(name), Some(value)) = (pair.get(0).as_string(), pair.get(1).as_string())
            && !value.trim().is_empty()
        {
            pairs.push(format!("{}={}", encode(&name), encode(value.trim())));
        }
    }
    if pairs.is_empty() { action } else { format!("{action}?{}", pairs.join("&")) }
}
