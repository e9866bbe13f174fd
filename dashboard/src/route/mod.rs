//! The routes of the pages about sessions, devices and pushes: each loads what its page shows, and shows it.

mod act;
mod bulk;
mod delivery;
mod devices;
mod glance;
mod listing;
mod live;
mod node;
mod overview;
mod pings;
mod pushes;
mod session;
mod sessions;
mod settings;
mod suggest;
mod timeline;
mod traces;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, FromRef, Path, State};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use backend::Handle;
use domain::Timestamp;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use leptos::prelude::AnyView;
use serde::Deserialize;
use store::{AuditAction, Store, StoreError};

pub(crate) use glance::Glance;
pub(crate) use live::Live;
pub(crate) use pings::Pings;
pub(crate) use traces::Traces;

use crate::AppKey;
use crate::assets;
use crate::auth::{Auth, Client, Failure, Staff};
use crate::bulk::Bulks;
use crate::page::trouble::Trouble;
use crate::shell::{Frame, Section, Theme, page};

/// Makes the keyed hash of a mail address, by which sessions are found.
pub(crate) type AddressHash = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// What pages are made from. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Data {
    pub(crate) auth: Auth,
    pub(crate) glance: Arc<Glance>,
    /// None where this process has no key for it: then nothing can be searched by address.
    pub(crate) address_hash: Option<AddressHash>,
    /// None where this process runs no backend: then nothing can be done to a session.
    pub(crate) handle: Option<Handle>,
    pub(crate) pings: Arc<Pings>,
    pub(crate) traces: Traces,
    pub(crate) bulks: Arc<Bulks>,
    pub(crate) live: Arc<Live>,
    /// None where this process does not know the gateway's configuration.
    pub(crate) app_keys: Option<Arc<[AppKey]>>,
}

impl FromRef<Data> for Auth {
    fn from_ref(data: &Data) -> Self {
        data.auth.clone()
    }
}

impl Data {
    fn store(&self) -> &Store {
        self.auth.store()
    }

    fn now(&self) -> Timestamp {
        self.auth.now()
    }
}

/// Whoever asks, and what their browser said: what a page needs to be put into its frame.
struct Asker {
    staff: Staff,
    headers: HeaderMap,
    path: String,
    /// Set where a page is made again for whoever looks at it already.
    again: Option<live::Again>,
}

impl axum::extract::FromRequestParts<Data> for Asker {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut http::request::Parts, data: &Data) -> Result<Self, Failure> {
        let staff = Staff::from_request_parts(parts, data).await?;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let again = parts.extensions.get::<live::Again>().copied();
        Ok(Self { staff, headers: parts.headers.clone(), path, again })
    }
}

impl Asker {
    fn frame(&self, data: &Data, section: Section, title: &str) -> Frame {
        data.auth.frame(section, title, &self.staff, &self.headers, &self.path)
    }

    /// A page for whoever asks.
    fn show(&self, data: &Data, section: Section, title: &str, body: impl FnOnce() -> AnyView) -> Response {
        if let Some(again) = self.again {
            return again.answer(body);
        }
        Html(page(self.frame(data, section, title), body)).into_response()
    }

    /// Writes down that somebody looks at something: once, and not again while they go on looking.
    async fn looks(
        &self,
        data: &Data,
        client: &Client,
        action: AuditAction,
        subject: String,
    ) -> Result<(), StoreError> {
        let is_new = data.live.looks(&self.staff.sign_in, action, &subject);
        if is_new || self.again.is_none() {
            data.auth.audit(&self.staff, client, action, subject, None).await?;
        }
        Ok(())
    }

    /// A page for what went wrong, with the bar and the menu around it.
    fn trouble(&self, data: &Data, status: StatusCode, trouble: Trouble) -> Response {
        let frame = self.frame(data, Section::Nowhere, trouble.title());
        (status, Html(page(frame, || trouble.view()))).into_response()
    }
}

/// The routes; whoever builds the server puts the layer of `auth` over them.
pub(crate) fn routes(data: Data) -> Router {
    let pages = pages(data.clone());
    live::routes(data, pages.clone()).merge(pages)
}

fn pages(data: Data) -> Router {
    Router::new()
        .route("/", get(overview::page))
        .route("/sessions", get(sessions::page))
        .route("/sessions.csv", get(sessions::csv))
        .route("/sessions/suggest", get(suggest::suggest))
        .route("/sessions/{id}", get(session::page))
        .route("/sessions/{id}/revoke", get(session::revoke).post(act::revoke))
        .route("/sessions/{id}/ping", get(act::pinged).post(act::ping))
        .route("/sessions/{id}/test-push", post(act::test_push))
        .route("/sessions/{id}/trace", post(act::trace))
        .route("/bulk", get(bulk::ask).post(bulk::order))
        .route("/bulk/{id}", get(bulk::progress))
        .route("/bulk/{id}/stop", post(bulk::stop))
        .route("/views", get(views::page).post(views::save))
        .route("/views/{id}/rename", post(views::rename))
        .route("/views/{id}/remove", post(views::remove))
        .route("/devices", get(devices::list))
        .route("/devices/{user}/{device}", get(devices::page))
        .route("/pushes", get(pushes::page))
        .route("/settings", get(settings::page))
        .route("/theme", post(theme))
        .route("/assets/{name}", get(asset))
        .fallback(nowhere)
        .with_state(data)
}

async fn nowhere(State(data): State<Data>, asker: Asker) -> Response {
    asker.trouble(&data, StatusCode::NOT_FOUND, Trouble::NoPage)
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = assets::find(&format!("/assets/{name}")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    asset.answer(&headers)
}

#[derive(Deserialize)]
struct ThemeForm {
    theme: String,
    #[serde(default)]
    back: String,
}

/// Keeps the theme in a cookie for a year, and leads back. The cookie says nothing about anybody.
async fn theme(Form(form): Form<ThemeForm>) -> Response {
    let theme = Theme::parse(&form.theme).as_str();
    let cookie = format!("theme={theme}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly");
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        headers.insert(header::SET_COOKIE, cookie);
    }
    headers.insert(header::LOCATION, HeaderValue::try_from(back(&form.back)).unwrap_or(HeaderValue::from_static("/")));
    response
}

/// A path of ours, whatever the form said: `//elsewhere` and `/\elsewhere` lead away.
fn back(path: &str) -> &str {
    let ours = path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if ours { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::back;

    #[track_caller]
    fn check(path: &str, expect: &str) {
        assert_eq!(back(path), expect);
    }

    #[test]
    fn back_stays_here() {
        check("/sessions?q=state:retrying+host:a.example", "/sessions?q=state:retrying+host:a.example");
        check("", "/");
        check("//elsewhere.example", "/");
        check("/\\elsewhere.example", "/");
        check("https://elsewhere.example", "/");
        check("/a\r\nSet-Cookie: b", "/");
    }
}
