//! The page's stream: regions that changed come as events and are put in their places.
//!
//! There is none while the tab is hidden or somebody paused it. A stream that breaks is opened again after a while, each time a
//! longer one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use js_sys::{Array, JSON, Reflect};
use leptos::prelude::{Set as _, TimeoutHandle, document, set_timeout_with_handle, window};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, Event, EventSource, MessageEvent};

use super::dom::{encode, everywhere, find, on, on_document, path};
use super::morph::{Rows, morph};
use super::times;
use crate::island::{Standing, signals};

/// How long we wait before the first, second, … try, and at the most.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// From how far down the reader is not at the list's beginning, in CSS pixels.
const TOP: f64 = 40.0;

thread_local! {
    static STREAM: RefCell<Option<Stream>> = const { RefCell::new(None) };
}

/// The page's stream, as far as it is open.
struct Stream {
    source: Option<EventSource>,
    retry: Option<TimeoutHandle>,
    failures: u32,
    /// The page that is looked at.
    path: String,
    /// Somebody paused it.
    paused: bool,
    /// The sign-in has ended; nothing more comes.
    ended: bool,
    /// Regions whose new rows wait, with all that they should show.
    held: HashMap<String, String>,
    /// The next event answers a new search: nothing of it is held back.
    fresh: bool,
    handlers: Handlers,
}

/// One set of listeners for all sources that come and go.
struct Handlers {
    open: Closure<dyn FnMut(Event)>,
    error: Closure<dyn FnMut(Event)>,
    regions: Closure<dyn FnMut(Event)>,
    ended: Closure<dyn FnMut(Event)>,
}

/// What an event says of a region.
struct Changed {
    id: String,
    seen: String,
    html: String,
}

pub(super) fn begin() {
    if everywhere("[data-live]").is_empty() {
        return;
    }
    let handlers = Handlers {
        open: Closure::new(|_| opened()),
        error: Closure::new(|_| broken()),
        regions: Closure::new(|event: Event| arrived(&event)),
        ended: Closure::new(|_| ended()),
    };
    let stream = Stream {
        source: None,
        retry: None,
        failures: 0,
        path: path(),
        paused: false,
        ended: false,
        held: HashMap::new(),
        fresh: false,
        handlers,
    };
    STREAM.set(Some(stream));
    on_document("visibilitychange", |_| {
        with(Stream::look);
    });
    // A page that is kept for the way back keeps no stream.
    on(&window(), "pagehide", |_| {
        with(Stream::close);
    });
    on(&window(), "pageshow", |_| {
        with(Stream::look);
    });
    on(&window(), "scroll", |_| {
        if window().scroll_y().is_ok_and(|down| down < TOP) && with(|stream| !stream.held.is_empty()).unwrap_or(false) {
            show_held();
        }
    });
    with(Stream::look);
}

fn with<R>(run: impl FnOnce(&mut Stream) -> R) -> Option<R> {
    STREAM.with_borrow_mut(|stream| stream.as_mut().map(run))
}

/// Stops it, or goes on.
pub(crate) fn toggle() {
    with(|stream| {
        stream.paused = !stream.paused;
        stream.look();
    });
}

/// Shows what was held back, from its beginning.
pub(crate) fn show_held() {
    let held = with(|stream| std::mem::take(&mut stream.held)).unwrap_or_default();
    for (id, html) in held {
        if let Some(region) = region(&id) {
            morph(&region, &html, Rows::Insert);
            times::refresh(&region);
            if region.get_bounding_client_rect().top() < 0.0
                && let Ok(Some(list)) = region.query_selector("table")
            {
                list.scroll_into_view();
            }
        }
    }
    signals().held.set(0);
}

/// The page is another now: the same, for another search.
pub(super) fn look_at(path: String) {
    with(|stream| {
        stream.path = path;
        stream.fresh = true;
        stream.paused = false;
        stream.held.clear();
        stream.close();
        stream.look();
    });
    signals().held.set(0);
}

impl Stream {
    /// Opens it if somebody looks, and closes it if nobody does.
    fn look(&mut self) {
        if self.ended {
            return;
        }
        if self.paused || document().hidden() {
            self.close();
            signals().standing.set(Standing::Paused);
        } else if self.source.is_none() && self.retry.is_none() {
            self.open();
        }
    }

    fn open(&mut self) {
        self.retry = None;
        let have: Vec<String> = everywhere("[data-live]")
            .iter()
            .filter_map(|region| {
                Some(format!("{}.{}", region.get_attribute("data-live")?, region.get_attribute("data-seen")?))
            })
            .collect();
        let url = format!("/live?path={}&have={}", encode(&self.path), encode(&have.join(",")));
        let Ok(source) = EventSource::new(&url) else { return };
        let Handlers { open, error, regions, ended } = &self.handlers;
        for (kind, handler) in [("open", open), ("error", error), ("regions", regions), ("ended", ended)] {
            let _ = source.add_event_listener_with_callback(kind, handler.as_ref().unchecked_ref());
        }
        self.source = Some(source);
    }

    fn close(&mut self) {
        if let Some(source) = self.source.take() {
            source.close();
        }
        if let Some(retry) = self.retry.take() {
            retry.clear();
        }
    }

    /// Tries again after a while: up to twice as long each time, and not all pages of a server at once.
    fn retry(&mut self) {
        self.close();
        let longest = FIRST.saturating_mul(1 << self.failures.min(6)).min(LONGEST);
        self.failures += 1;
        let wait = longest.mul_f64(0.5 + js_sys::Math::random() / 2.0);
        self.retry = set_timeout_with_handle(
            || {
                with(Stream::open);
            },
            wait,
        )
        .ok();
    }
}

fn opened() {
    with(|stream| stream.failures = 0);
    signals().standing.set(Standing::Live);
}

fn broken() {
    with(Stream::retry);
    signals().standing.set(Standing::Reconnecting);
}

fn ended() {
    with(|stream| {
        stream.ended = true;
        stream.close();
    });
    signals().standing.set(Standing::SignedOut);
}

fn arrived(event: &Event) {
    let Some(data) = event.dyn_ref::<MessageEvent>().and_then(|message| message.data().as_string()) else { return };
    let fresh = with(|stream| std::mem::take(&mut stream.fresh)).unwrap_or(false);
    let rows = if fresh { Rows::Insert } else { Rows::Hold };
    let mut waiting = 0;
    for Changed { id, seen, html } in changed(&data) {
        // The page is made of other parts by now, such as when the first session has come.
        let Some(region) = region(&id) else { return drop(window().location().reload()) };
        let held = morph(&region, &html, rows);
        times::refresh(&region);
        let _ = region.set_attribute("data-seen", &seen);
        with(|stream| {
            if held > 0 {
                stream.held.insert(id, html);
            } else {
                stream.held.remove(&id);
            }
        });
        waiting += held;
    }
    if with(|stream| stream.held.is_empty()).unwrap_or(true) || waiting > 0 {
        signals().held.set(waiting);
    }
}

fn changed(data: &str) -> Vec<Changed> {
    let Ok(parsed) = JSON::parse(data) else { return Vec::new() };
    let text = |of: &JsValue, name: &str| Reflect::get(of, &name.into()).ok()?.as_string();
    Array::from(&parsed)
        .iter()
        .filter_map(|of| Some(Changed { id: text(&of, "id")?, seen: text(&of, "seen")?, html: text(&of, "html")? }))
        .collect()
}

fn region(id: &str) -> Option<Element> {
    find(&format!("[data-live='{id}']"))
}
