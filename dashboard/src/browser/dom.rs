//! The few ways in which we touch a document.

use leptos::prelude::document;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{Document, Element, Event, EventTarget, MouseEvent};

/// Listens for as long as the page is there.
pub(super) fn on(target: &EventTarget, kind: &str, mut run: impl FnMut(&Event) + 'static) {
    let closure = Closure::<dyn FnMut(Event)>::new(move |event: Event| run(&event));
    let _ = target.add_event_listener_with_callback(kind, closure.as_ref().unchecked_ref());
    closure.forget();
}

/// The same, anywhere in the document.
pub(super) fn on_document(kind: &str, run: impl FnMut(&Event) + 'static) {
    on(&document(), kind, run);
}

/// The element that an event is about, or the nearest around it, that matches.
pub(super) fn target(event: &Event, selector: &str) -> Option<Element> {
    event.target()?.dyn_into::<Element>().ok()?.closest(selector).ok()?
}

/// The first that matches.
pub(super) fn find<T: JsCast>(selector: &str) -> Option<T> {
    document().query_selector(selector).ok()??.dyn_into().ok()
}

/// All that match below an element.
pub(super) fn all(root: &Element, selector: &str) -> Vec<Element> {
    let Ok(list) = root.query_selector_all(selector) else { return Vec::new() };
    (0..list.length()).filter_map(|at| list.get(at)?.dyn_into().ok()).collect()
}

/// All that match in the document.
pub(super) fn everywhere(selector: &str) -> Vec<Element> {
    document().document_element().map(|root| all(&root, selector)).unwrap_or_default()
}

/// The path and query of the page.
pub(super) fn path() -> String {
    let location = leptos::prelude::window().location();
    location.pathname().unwrap_or_default() + &location.search().unwrap_or_default()
}

/// Goes to a page of ours.
pub(super) fn go(path: &str) {
    let _ = leptos::prelude::window().location().assign(path);
}

/// Whether a click means this page, and not a new tab or a download.
pub(super) fn is_plain_click(event: &Event) -> bool {
    event.dyn_ref::<MouseEvent>().is_some_and(|click| {
        click.button() == 0 && !click.ctrl_key() && !click.meta_key() && !click.shift_key() && !click.alt_key()
    })
}

/// A document from HTML, of which nothing runs or is loaded.
pub(super) fn parse(html: &str) -> Option<Document> {
    web_sys::DomParser::new().ok()?.parse_from_string(html, web_sys::SupportedType::TextHtml).ok()
}

/// For `query=` in a URL.
pub(super) fn encode(text: &str) -> String {
    js_sys::encode_uri_component(text).into()
}
