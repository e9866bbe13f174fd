//! Dialogs that are pages of their own open in place.

use leptos::prelude::{document, window};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{HtmlAnchorElement, HtmlDialogElement, HtmlElement, Response};

use super::dom::{go, is_plain_click, on_document, parse, path, target};

pub(super) fn begin() {
    on_document("click", |event| {
        if !is_plain_click(event) {
            return;
        }
        // The way back of a dialog that is open only closes it.
        if let Some(link) = target(event, "dialog a[href]").and_then(|link| link.dyn_into::<HtmlAnchorElement>().ok())
            && link.pathname() == path().split('?').next().unwrap_or_default()
            && let Ok(Some(open)) = link.closest("dialog")
        {
            event.prevent_default();
            close(&open);
            return;
        }
        let Some(link) = target(event, "a[href$='/revoke'], a[data-dialog]") else { return };
        let Some(href) = link.get_attribute("href") else { return };
        event.prevent_default();
        spawn_local(async move {
            // Whatever can't be shown in place is a page as well.
            if open(&href).await.is_err() {
                go(&href);
            }
        });
    });
}

fn close(open: &web_sys::Element) {
    if let Some(dialog) = open.dyn_ref::<HtmlDialogElement>() {
        dialog.close();
    }
    open.remove();
}

async fn open(href: &str) -> Result<(), JsValue> {
    let response: Response = JsFuture::from(window().fetch_with_str(href)).await?.dyn_into()?;
    let text = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    let form =
        parse(&text).and_then(|page| page.query_selector("form.dialog").ok().flatten()).filter(|_| response.ok());
    let form = form.ok_or(JsValue::NULL)?;
    let dialog: HtmlDialogElement = document().create_element("dialog")?.dyn_into()?;
    dialog.set_class_name("in-place");
    form.class_list().remove_1("page-dialog")?;
    if let Some(title) = form.query_selector("h1")? {
        title.set_id("in-place-title");
        dialog.set_attribute("aria-labelledby", "in-place-title")?;
    }
    dialog.append_child(&form)?;
    document().body().ok_or(JsValue::NULL)?.append_child(&dialog)?;
    let gone = dialog.clone();
    super::dom::on(&dialog, "close", move |_| gone.remove());
    dialog.show_modal()?;
    // The safe button comes first.
    if let Some(safe) = dialog.query_selector(".dfoot .b")?.and_then(|safe| safe.dyn_into::<HtmlElement>().ok()) {
        safe.focus()?;
    }
    Ok(())
}
