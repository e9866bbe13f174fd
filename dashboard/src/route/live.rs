//! One stream a page: what changed of it since the browser has it, as server-sent events.
//!
//! A page is made again by its own route, with the same code, role and search, and its regions are gathered. The event `regions`
//! carries those that changed, as a JSON array of `{id, seen, html}`; `ended` says that the sign-in is over, and is the last.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::SessionId;
use futures_util::Stream;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use leptos::prelude::AnyView;
use serde::{Deserialize, Serialize};
use store::AuditAction;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::Data;
use crate::auth::{Client, Failure, Staff, may_read};
use crate::page::session::Reports;
use crate::part::region::{Region, gather};

/// Streams of one sign-in, and of all together. A page has one, and a tab that is hidden has none.
const OF_ONE: usize = 8;
const OF_ALL: usize = 400;

/// How often a stream says that it is there, for proxies that end what is silent.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What sign-ins have looked at, so that going on to look is not written down again.
const REMEMBERED: usize = 4_096;

/// The longest path and query that is taken.
const PATH_BYTES: usize = 2_048;

/// The streams that are open.
pub(crate) struct Live {
    every: Duration,
    closing: CancellationToken,
    seats: Mutex<HashMap<String, usize>>,
    looks: Mutex<VecDeque<(String, AuditAction, String)>>,
}

impl Live {
    /// None yet. Pages are looked at again after `every` at the latest; streams end when `closing` is cancelled.
    pub(crate) fn new(every: Duration, closing: CancellationToken) -> Self {
        Self { every, closing, seats: Mutex::default(), looks: Mutex::default() }
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one stream more, if there is one.
    fn sit(self: &Arc<Self>, sign_in: &str) -> Option<Seat> {
        let mut seats = self.seats();
        let taken = seats.get(sign_in).copied().unwrap_or(0);
        if taken >= OF_ONE || seats.values().sum::<usize>() >= OF_ALL {
            return None;
        }
        seats.insert(sign_in.to_owned(), taken + 1);
        Some(Seat { live: Arc::clone(self), sign_in: sign_in.to_owned() })
    }

    /// Whether this sign-in looks at this for the first time, as far as is remembered.
    pub(super) fn looks(&self, sign_in: &str, action: AuditAction, subject: &str) -> bool {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.iter().any(|(by, did, what)| by == sign_in && *did == action && what == subject) {
            return false;
        }
        looks.push_back((sign_in.to_owned(), action, subject.to_owned()));
        if looks.len() > REMEMBERED {
            looks.pop_front();
        }
        true
    }
}

/// The place of a stream, given back when it ends.
struct Seat {
    live: Arc<Live>,
    sign_in: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.live.seats();
        if let Some(taken) = seats.get_mut(&self.sign_in) {
            *taken -= 1;
            if *taken == 0 {
                seats.remove(&self.sign_in);
            }
        }
    }
}

/// With a request that makes a page again for a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again;

/// The regions of a page, with the answer to such a request.
#[derive(Clone, Debug)]
struct Regions(Vec<Region>);

impl Again {
    /// What a page answers: nothing but its regions, and those to whoever asked.
    pub(super) fn answer(self, body: impl FnOnce() -> AnyView) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        response.extensions_mut().insert(Regions(gather(body)));
        response
    }
}

/// The streams' own route, over the pages that are looked at.
pub(super) fn routes(data: Data, pages: Router) -> Router {
    Router::new().route("/live", get(stream)).with_state(Pages { data, pages })
}

#[derive(Clone)]
struct Pages {
    data: Data,
    pages: Router,
}

/// What a stream is of.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// The page's path and query.
    path: String,
    /// The regions that the browser has, each with its fingerprint: `counts.0123456789abcdef,nodes.…`.
    have: String,
}

async fn stream(
    State(pages): State<Pages>,
    staff: Staff,
    client: Client,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let Some(uri) = page_of(&asked.path) else { return Err(Failure::Missing) };
    if !may_read(staff.role, uri.path()) {
        return Err(Failure::Denied(Box::new(staff)));
    }
    let live = Arc::clone(&pages.data.live);
    let Some(seat) = live.sit(&staff.sign_in) else {
        let text = "Too many pages are kept up to date for this sign-in.\n";
        return Ok((StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "10")], text).into_response());
    };
    let have = asked.have.split(',').filter_map(|pair| pair.split_once('.'));
    let seen = have.map(|(id, fingerprint)| (id.to_owned(), fingerprint.to_owned())).collect();
    let mut viewer = Viewer { pages, client, headers, uri, seen, ping: None, _seat: seat };
    let Some(first) = viewer.changes(staff).await else {
        // Nothing on it lives: browsers do not ask again.
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let events = viewer.events(first);
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// A page of ours whose regions may be asked for.
fn page_of(path: &str) -> Option<Uri> {
    if path.len() > PATH_BYTES || super::back(path) != path {
        return None;
    }
    let uri: Uri = path.parse().ok()?;
    let section = uri.path().split('/').nth(1)?;
    // The question before an act on many is asked once; how far one has come lives.
    let lives = match section {
        "" | "sessions" | "devices" | "pushes" | "settings" => !uri.path().ends_with(".csv"),
        "bulk" => uri.path() != "/bulk",
        _ => false,
    };
    lives.then_some(uri)
}

/// Somebody who looks at a page.
struct Viewer {
    pages: Pages,
    client: Client,
    headers: HeaderMap,
    uri: Uri,
    /// The fingerprints of what the browser has.
    seen: HashMap<String, String>,
    /// The forced ping that the page is about.
    ping: Option<watch::Receiver<Reports>>,
    _seat: Seat,
}

/// A region, as it is sent.
#[derive(Serialize)]
struct Sent {
    id: &'static str,
    seen: String,
    html: String,
}

impl Viewer {
    /// What changed since the last time; none if the page has no regions, or is no more.
    async fn changes(&mut self, staff: Staff) -> Option<Vec<Sent>> {
        // Taken before the page is made, so that a step in between wakes us again.
        self.ping = self.ping_of_page();
        if let Some(ping) = &mut self.ping {
            ping.mark_unchanged();
        }
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.uri.clone();
        let extensions = request.extensions_mut();
        extensions.insert(staff);
        extensions.insert(self.client.clone());
        extensions.insert(Again);
        let Ok(mut response) = self.pages.pages.clone().oneshot(request).await;
        let Regions(regions) = response.extensions_mut().remove::<Regions>()?;
        if regions.is_empty() {
            return None;
        }
        let changed = regions.into_iter().filter_map(|Region { id, html, fingerprint }| {
            if self.seen.get(id) == Some(&fingerprint) {
                return None;
            }
            self.seen.insert(id.to_owned(), fingerprint.clone());
            Some(Sent { id, seen: fingerprint, html })
        });
        Some(changed.collect())
    }

    fn ping_of_page(&self) -> Option<watch::Receiver<Reports>> {
        let id = self.uri.path().strip_prefix("/sessions/")?.strip_suffix("/ping")?;
        self.pages.data.pings.watch(SessionId::parse(id).ok()?)
    }

    /// Waits for a reason to look again; false if there will be none.
    async fn wait(&mut self) -> bool {
        let live = &self.pages.data.live;
        let step = async {
            // Once a ping is over, nothing more is reported of it.
            let reported = match &mut self.ping {
                Some(ping) => ping.changed().await.is_ok(),
                None => false,
            };
            if !reported {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = live.closing.cancelled() => false,
            () = tokio::time::sleep(live.every) => true,
            () = step => true,
        }
    }

    /// The events, until the sign-in ends, the page is no more, or the server stops.
    fn events(self, first: Vec<Sent>) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        let state = (Some(self), Some(first));
        stream::unfold(state, |(viewer, first)| async move {
            let mut viewer = viewer?;
            if let Some(event) = first.and_then(regions) {
                return Some((Ok(event), (Some(viewer), None)));
            }
            loop {
                if !viewer.wait().await {
                    return None;
                }
                let staff = match viewer.pages.data.auth.still_signed_in(&viewer.headers).await {
                    Ok(Some(staff)) if may_read(staff.role, viewer.uri.path()) => staff,
                    Ok(_) => return Some((Ok(Event::default().event("ended").data("signed out")), (None, None))),
                    // The page itself says so when it is asked for; the browser comes again.
                    Err(_) => return None,
                };
                if let Some(event) = regions(viewer.changes(staff).await?) {
                    return Some((Ok(event), (Some(viewer), None)));
                }
            }
        })
    }
}

/// The event that says what changed, if anything did.
fn regions(changed: Vec<Sent>) -> Option<Event> {
    if changed.is_empty() {
        return None;
    }
    // What cannot be written cannot be sent; it is made of text alone.
    Event::default().event("regions").json_data(changed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expect: bool) {
        assert_eq!(page_of(path).is_some(), expect, "{path}");
    }

    #[test]
    fn only_pages_with_regions_are_made_again() {
        check("/", true);
        check("/sessions?q=state:retrying&older=1", true);
        check("/sessions/019aa3c1-8f2c-7d41-b5c0-77f3c90a71c4/ping", true);
        check("/pushes?show=gone", true);
        check("/settings", true);
        check("/devices/u-1/phone", true);
        check("/bulk/0123456789abcdef", true);
        check("/bulk?act=ping&all=1", false);
        check("/sessions.csv", false);
        check("/sessions/all.csv", false);
        check("/live?path=/live", false);
        check("/staff", false);
        check("/audit", false);
        check("", false);
        check("//elsewhere.example/sessions", false);
        check(&format!("/sessions?q={}", "a".repeat(PATH_BYTES)), false);
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let live = Arc::new(Live::new(Duration::from_secs(2), CancellationToken::new()));
        let seats: Vec<_> = (0..OF_ONE).filter_map(|_| live.sit("kim")).collect();
        assert_eq!(seats.len(), OF_ONE);
        assert!(live.sit("kim").is_none());
        assert!(live.sit("tomas").is_some(), "each has their own");
        drop(seats);
        assert!(live.sit("kim").is_some());
        assert!(live.seats().is_empty());
    }

    #[test]
    fn a_look_is_new_once() {
        let live = Live::new(Duration::from_secs(2), CancellationToken::new());
        assert!(live.looks("kim", AuditAction::SessionViewed, "1"));
        assert!(!live.looks("kim", AuditAction::SessionViewed, "1"));
        assert!(live.looks("kim", AuditAction::SessionViewed, "2"));
        assert!(live.looks("tomas", AuditAction::SessionViewed, "1"));
    }
}
