//! Makes what is shown into what should be shown, in place: what stays the same is not touched, so focus, selection, open details
//! and where the reader is stay as they are.

use std::collections::{HashMap, HashSet};

use leptos::prelude::document;
use wasm_bindgen::JsCast;
use web_sys::{CharacterData, Element, HtmlTemplateElement, Node};

/// What the browser or the reader sets, and the server does not know.
const OURS: [&str; 2] = ["open", "data-scripts"];

/// Whether new rows may push a list that the reader has scrolled into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    Insert,
    Hold,
}

/// Gives an element new content, and says how many rows were held back.
pub(super) fn morph(element: &Element, html: &str, rows: Rows) -> u32 {
    let template =
        document().create_element("template").ok().and_then(|made| made.dyn_into::<HtmlTemplateElement>().ok());
    let Some(template) = template else { return 0 };
    template.set_inner_html(html);
    let mut held = 0;
    children(element, &template.content(), rows, &mut held);
    held
}

fn children(old: &Node, new: &Node, rows: Rows, held: &mut u32) {
    let is_list = old.dyn_ref::<Element>().is_some_and(|element| element.tag_name() == "TBODY");
    let hold = is_list && rows == Rows::Hold && is_above(old);
    let wanted = list(new);
    let wanted_keys: HashSet<String> = wanted.iter().filter_map(key).collect();
    let mut by_key: HashMap<String, Node> = HashMap::new();
    for child in list(old) {
        match key(&child) {
            // What goes is taken first, so that what stays need not be moved.
            Some(key) if wanted_keys.contains(&key) => {
                by_key.insert(key, child);
            }
            Some(_) if !hold => {
                let _ = old.remove_child(&child);
            }
            _ => {}
        }
    }
    let mut cursor = old.first_child();
    for child in wanted {
        let key = key(&child);
        if let Some(found) = key.as_ref().and_then(|key| by_key.remove(key)) {
            if hold {
                node(&found, &child, rows, held);
                continue;
            }
            if cursor.as_ref() != Some(&found) {
                let _ = old.insert_before(&found, cursor.as_ref());
            }
            node(&found, &child, rows, held);
            cursor = found.next_sibling();
        } else if hold {
            *held += u32::from(key.is_some());
        } else {
            match &cursor {
                Some(here) if key.is_none() && is_alike(here, &child) => {
                    let next = here.next_sibling();
                    node(here, &child, rows, held);
                    cursor = next;
                }
                _ => {
                    let _ = old.insert_before(&child, cursor.as_ref());
                }
            }
        }
    }
    if hold {
        return;
    }
    while let Some(rest) = cursor {
        cursor = rest.next_sibling();
        let _ = old.remove_child(&rest);
    }
}

fn node(old: &Node, new: &Node, rows: Rows, held: &mut u32) {
    if old.is_equal_node(Some(new)) {
        return;
    }
    if let (Some(old), Some(new)) = (old.dyn_ref::<CharacterData>(), new.dyn_ref::<CharacterData>()) {
        if old.data() != new.data() {
            old.set_data(&new.data());
        }
        return;
    }
    let (Some(from), Some(to)) = (old.dyn_ref::<Element>(), new.dyn_ref::<Element>()) else { return };
    // A time that is the same is counted on here, and an island lives by itself.
    let is_time = from.tag_name() == "TIME" && from.get_attribute("datetime") == to.get_attribute("datetime");
    if is_time || from.tag_name() == "LEPTOS-ISLAND" {
        return;
    }
    attributes(from, to);
    children(old, new, rows, held);
}

fn attributes(old: &Element, new: &Element) {
    let names = |element: &Element| -> Vec<String> {
        element.get_attribute_names().iter().filter_map(|name| name.as_string()).collect()
    };
    for name in names(old) {
        if !new.has_attribute(&name) && !OURS.contains(&name.as_str()) {
            let _ = old.remove_attribute(&name);
        }
    }
    for name in names(new) {
        let value = new.get_attribute(&name).unwrap_or_default();
        if !OURS.contains(&name.as_str()) && old.get_attribute(&name).as_deref() != Some(&value) {
            let _ = old.set_attribute(&name, &value);
        }
    }
}

/// What a child is about, where that can be told: its id, a row's link, or when a line of a timeline happened.
fn key(node: &Node) -> Option<String> {
    let element = node.dyn_ref::<Element>()?;
    if !element.id().is_empty() {
        return Some(element.id());
    }
    let within = |selector: &str, name: &str| element.query_selector(selector).ok().flatten()?.get_attribute(name);
    match element.tag_name().as_str() {
        "TR" => within("a[href]", "href"),
        "LI" => {
            let at = within(":scope > time", "datetime")?;
            let what = element.query_selector("b").ok().flatten()?.text_content()?;
            Some(format!("{at} {what}"))
        }
        _ => None,
    }
}

fn is_alike(old: &Node, new: &Node) -> bool {
    old.node_type() == new.node_type() && old.node_name() == new.node_name() && key(old).is_none()
}

/// Whether a list begins above what is seen: then rows that are put before it would move what is read.
fn is_above(list: &Node) -> bool {
    list.dyn_ref::<Element>().is_some_and(|list| list.get_bounding_client_rect().top() < 0.0)
}

fn list(node: &Node) -> Vec<Node> {
    let mut children = Vec::new();
    let mut next = node.first_child();
    while let Some(child) = next {
        next = child.next_sibling();
        children.push(child);
    }
    children
}
