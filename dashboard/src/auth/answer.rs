//! What is answered: pages with what is around them, and pages for what went wrong.

use axum::extract::{Form, FromRequest, Request};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use leptos::prelude::AnyView;
use serde::de::DeserializeOwned;
use store::StoreError;

use super::password::PasswordError;
use super::{Auth, Staff};
use crate::page::trouble::Trouble;
use crate::part::notice::Toast;
use crate::shell::{Frame, Section, Theme, bare_page, page};

/// What kept a request from being answered.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Whoever asks is not signed in.
    SignedOut,
    /// Their role may not do it.
    Denied(Box<Staff>),
    /// There is no such thing.
    Missing,
    /// The form can't be read.
    Malformed,
    /// Too much at once.
    Busy,
    /// The store failed.
    Store(StoreError),
    /// Something of ours broke; it says what.
    Ours(&'static str),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<PasswordError> for Failure {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Hash => Self::Ours("a password could not be hashed"),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, trouble) = match self {
            Self::SignedOut => return redirect("/sign-in"),
            Self::Denied(staff) => {
                let act = "do this";
                (StatusCode::FORBIDDEN, Trouble::NotAllowed { role: staff.role.as_str(), act })
            }
            Self::Missing => (StatusCode::NOT_FOUND, Trouble::NoPage),
            Self::Malformed => (StatusCode::UNPROCESSABLE_ENTITY, Trouble::Stale),
            Self::Busy => {
                let text = "Too many people sign in at once. Go back, and try again in a moment.\n";
                return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "2")], text).into_response();
            }
            Self::Store(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the dashboard can't use the store");
                (StatusCode::SERVICE_UNAVAILABLE, Trouble::NoStore { evidence: error.to_string() })
            }
            Self::Ours(what) => {
                tracing::error!(what, "a page of the dashboard broke");
                (StatusCode::INTERNAL_SERVER_ERROR, Trouble::Ours { trace: None })
            }
        };
        trouble_page(status, trouble)
    }
}

/// A page for what went wrong, with nothing around it: there may be nobody whose menu to show. If there is somebody, the layer
/// puts it into a frame.
pub(super) fn trouble_page(status: StatusCode, trouble: Trouble) -> Response {
    let body = trouble.clone();
    let mut response = (status, Html(bare_page(trouble.title(), Theme::System, || body.view()))).into_response();
    response.extensions_mut().insert(trouble);
    response
}

/// A form, read. One that can't be read is answered with a page.
pub(super) struct Fields<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Fields<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let Form(fields) = Form::from_request(request, state).await.map_err(|_| Failure::Malformed)?;
        Ok(Self(fields))
    }
}

/// Leads on, after a form.
pub(super) fn redirect(to: &str) -> Response {
    // Where we lead is ours or was checked to be.
    let to = HeaderValue::try_from(to).unwrap_or_else(|_| HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

/// The theme that a browser asks for.
fn theme(headers: &HeaderMap) -> Theme {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == "theme").map(|(_, value)| Theme::parse(value)).unwrap_or_default()
}

/// A page for whoever is not signed in.
pub(super) fn bare(status: StatusCode, title: &str, headers: &HeaderMap, body: impl FnOnce() -> AnyView) -> Response {
    (status, Html(bare_page(title, theme(headers), body))).into_response()
}

impl Auth {
    /// Puts the page for what went wrong, if this is one, into the frame of whoever asked.
    pub(super) fn in_frame(&self, response: Response, staff: &Staff, headers: &HeaderMap, path: &str) -> Response {
        let (mut parts, body) = response.into_parts();
        let Some(trouble) = parts.extensions.remove::<Trouble>() else { return Response::from_parts(parts, body) };
        let frame = self.frame(Section::Nowhere, trouble.title(), staff, headers, path);
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, page(frame, || trouble.view()).into())
    }

    /// What is around a page of ours.
    pub(crate) fn frame(&self, section: Section, title: &str, staff: &Staff, headers: &HeaderMap, path: &str) -> Frame {
        Frame {
            section,
            title: title.to_owned(),
            who: staff.who(),
            theme: theme(headers),
            path: path.to_owned(),
            now: self.now(),
            breaker_open: (self.inner.breaker_open)(),
            node: self.store().node().to_string().chars().take(8).collect(),
            toast: None,
        }
    }
}

/// A page with all around it.
pub(super) fn framed(frame: Frame, toast: Option<Toast>, body: impl FnOnce() -> AnyView) -> Response {
    Html(page(Frame { toast, ..frame }, body)).into_response()
}
