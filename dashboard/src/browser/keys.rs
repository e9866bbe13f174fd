//! Single keys, as the help says them. Never while somebody types, and not at all if they turned it off.

use std::cell::Cell;

use leptos::prelude::{GetUntracked as _, Set as _, document, window};
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlDialogElement, HtmlElement, HtmlFormElement, KeyboardEvent, Storage};

use super::dom::{everywhere, find, go, on_document, target};
use super::{copy, live, toast};
use crate::island::signals;

/// Where the switch is kept, in this browser.
const KEPT: &str = "pinger-keys";

/// How long `g` waits for what follows it, in milliseconds.
const FOLLOWS: f64 = 1_500.0;

thread_local! {
    /// When `g` was pressed.
    static GO: Cell<f64> = const { Cell::new(f64::MIN) };
}

fn storage() -> Option<Storage> {
    window().local_storage().ok()?
}

pub(super) fn begin() {
    let off = storage().and_then(|kept| kept.get_item(KEPT).ok()?).is_some_and(|kept| kept == "off");
    signals().keys.set(!off);
    on_document("keydown", |event| {
        let Some(key) = event.dyn_ref::<KeyboardEvent>() else { return };
        if key.ctrl_key() || key.meta_key() || key.alt_key() || key.is_composing() || key.default_prevented() {
            return;
        }
        if done(&key.key(), event) {
            event.prevent_default();
        }
    });
    // A ping is shown as it comes; without scripts its form waits for it.
    on_document("submit", |event| {
        if let Some(form) = target(event, "form[action$='/ping']")
            && let Some(action) = form.get_attribute("action")
        {
            let _ = form.set_attribute("action", &format!("{action}?live=true"));
        }
    });
}

/// Turns them off, or on.
pub(crate) fn switch() {
    let keys = signals().keys;
    let on = !keys.get_untracked();
    keys.set(on);
    if let Some(storage) = storage() {
        let _ = if on { storage.remove_item(KEPT) } else { storage.set_item(KEPT, "off") };
    }
}

/// Shows what keys there are.
pub(crate) fn help() {
    if let Some(dialog) = find::<HtmlDialogElement>("#keyboard")
        && !dialog.open()
    {
        let _ = dialog.show_modal();
    }
}

/// Does what a key stands for; whether it stands for anything here.
fn done(key: &str, event: &Event) -> bool {
    if target(event, "input, textarea, select, [contenteditable]").is_some() {
        // Out of the field, so that other keys do something again.
        return key == "Escape" && blur(event);
    }
    // A dialog closes by itself.
    if find::<HtmlDialogElement>("dialog[open]").is_some() {
        return false;
    }
    if key == "Escape" {
        return toast::dismiss();
    }
    if !signals().keys.get_untracked() {
        return false;
    }
    let now = js_sys::Date::now();
    let goes = now - GO.replace(f64::MIN) < FOLLOWS;
    let place = match (goes, key) {
        (true, "o") => Some("/"),
        (true, "s") => Some("/sessions"),
        (true, "p") => Some("/pushes"),
        (true, "a") => Some("/audit"),
        _ => None,
    };
    if let Some(place) = place {
        go(place);
        return true;
    }
    match key {
        "g" => {
            GO.set(now);
            true
        }
        "?" => {
            help();
            true
        }
        "/" => focus(find("form.searching input[name=q]").or_else(|| find("#find"))),
        "j" => walk(1),
        "k" => walk(-1),
        "x" => select(),
        "[" => click("a[rel=prev][href]"),
        "]" => click("a[rel=next][href]"),
        "l" => {
            live::toggle();
            true
        }
        "p" => submit("form[action$='/ping']"),
        "t" => submit("form[action$='/trace']"),
        "c" => match find::<Element>("main [data-copy]") {
            Some(id) => {
                if let Some(id) = id.dyn_ref::<HtmlElement>() {
                    id.click();
                } else {
                    copy::copy(&id.get_attribute("data-copy").unwrap_or_default());
                }
                true
            }
            None => false,
        },
        _ => false,
    }
}

fn blur(event: &Event) -> bool {
    let field = event.target().and_then(|field| field.dyn_into::<HtmlElement>().ok());
    field.is_some_and(|field| field.blur().is_ok())
}

fn focus(element: Option<HtmlElement>) -> bool {
    element.is_some_and(|element| element.focus().is_ok())
}

fn click(selector: &str) -> bool {
    find::<HtmlElement>(selector).inspect(HtmlElement::click).is_some()
}

/// As if its button was pressed: so that the form's own listeners hear of it.
fn submit(selector: &str) -> bool {
    find::<HtmlFormElement>(selector).is_some_and(|form| form.request_submit().is_ok())
}

/// The links of the rows of the page's first list, and which of them is focused.
fn rows() -> (Vec<HtmlElement>, Option<usize>) {
    let links: Vec<HtmlElement> =
        everywhere("main table.cards a.row").into_iter().filter_map(|row| row.dyn_into().ok()).collect();
    let active = document().active_element();
    let row = |element: &Element| element.closest("tr").ok().flatten();
    let here = active.as_ref().and_then(row);
    let at = here.and_then(|here| links.iter().position(|link| row(link).as_ref() == Some(&here)));
    (links, at)
}

/// To the next row, or back.
fn walk(by: isize) -> bool {
    let (links, at) = rows();
    let next = match at {
        Some(at) => at.checked_add_signed(by),
        None => Some(0),
    };
    focus(next.and_then(|next| links.get(next).cloned()))
}

/// Selects the focused row, where rows can be selected.
fn select() -> bool {
    let (links, at) = rows();
    let row = at.and_then(|at| links.get(at)).and_then(|link| link.closest("tr").ok().flatten());
    let tick = row.and_then(|row| row.query_selector("input[type=checkbox]").ok().flatten());
    tick.and_then(|tick| tick.dyn_into::<HtmlElement>().ok()).inspect(HtmlElement::click).is_some()
}
