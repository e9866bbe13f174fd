//! The theme changes at once; the form is sent behind it, so that the next page has it.

use leptos::prelude::{document, window};
use wasm_bindgen::JsCast;
use web_sys::{Event, FormData, HtmlFormElement, RequestInit, RequestRedirect, SubmitEvent, UrlSearchParams};

use super::dom::{all, on_document, target};

pub(super) fn begin() {
    on_document("submit", |event| {
        if change(event).is_some() {
            event.prevent_default();
        }
    });
}

fn change(event: &Event) -> Option<()> {
    let form = target(event, "form[action='/theme']")?.dyn_into::<HtmlFormElement>().ok()?;
    let button = event.dyn_ref::<SubmitEvent>()?.submitter()?;
    let theme = button.get_attribute("value")?;
    let root = document().document_element()?;
    match theme.as_str() {
        "light" | "dark" => root.set_attribute("data-theme", &theme).ok()?,
        _ => root.remove_attribute("data-theme").ok()?,
    }
    for other in all(&form, "button[name=theme]") {
        let pressed = other.get_attribute("value").as_deref() == Some(&theme);
        let _ = other.set_attribute("aria-pressed", if pressed { "true" } else { "false" });
    }
    let body = UrlSearchParams::new().ok()?;
    body.append("csrf", &FormData::new_with_form(&form).ok()?.get("csrf").as_string()?);
    body.append("theme", &theme);
    let request = RequestInit::new();
    request.set_method("POST");
    request.set_redirect(RequestRedirect::Manual);
    request.set_body(&body);
    let _ = window().fetch_with_str_and_init("/theme", &request);
    Some(())
}
