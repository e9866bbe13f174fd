//! The layer over all routes: who asks, from where, and whether they may. What it doesn't know it doesn't let pass, so a page
//! that forgets to look is closed to whoever may not act.

use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next as Rest;
use axum::response::{IntoResponse as _, Response};
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use store::{AuditAction, Role};

use super::answer::{redirect, trouble_page};
use super::cookie::Cookie;
use super::mask::same;
use super::next::Next;
use super::{Auth, Client, Failure, Staff, origin};
use crate::page::trouble::Trouble;

/// Where pages are kept up to date from.
const LIVE: &str = "/live";

/// The most bytes of a form.
const FORM_BYTES: usize = 64 * 1024;

/// What may stand in for the form's field, for scripts of ours.
const CSRF_HEADER: HeaderName = HeaderName::from_static("x-pinger-csrf");

/// Nothing is loaded from elsewhere, no script runs but our files and the bundle's (which compiles WebAssembly), no page of
/// another site shows or receives ours.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; \
                              font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Who needs to be signed in for a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Nobody.
    Open,
    /// Somebody with this role at least.
    Staff(Role),
}

/// The one table of what roles may reach.
fn access(method: &Method, path: &str) -> Access {
    let below = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let reads = method.is_safe();
    match () {
        () if below("/sign-in") || below("/sign-up") => Access::Open,
        () if below("/assets") && reads => Access::Open,
        () if below("/account") || path == "/sign-out" || path == "/theme" => Access::Staff(Role::Viewer),
        () if path == "/staff" && reads => Access::Staff(Role::Viewer),
        () if path == "/audit/check" => Access::Staff(Role::Admin),
        () if below("/staff") || below("/settings") && !reads => Access::Staff(Role::Admin),
        () if below("/views") => Access::Staff(Role::Viewer),
        () if below("/bulk") || below("/audit") || path.ends_with(".csv") => Access::Staff(Role::Support),
        () if reads => Access::Staff(Role::Viewer),
        () => Access::Staff(Role::Support),
    }
}

/// Whether this role may look at the page with this path.
pub(crate) fn may_read(role: Role, path: &str) -> bool {
    matches!(access(&Method::GET, path), Access::Staff(least) if role >= least)
}

pub(super) async fn guard(State(auth): State<Auth>, request: Request, rest: Rest) -> Response {
    let path = request.uri().path().to_owned();
    let (is_asset, asked) = (path.starts_with("/assets/"), request.headers().clone());
    let (response, staff) = match admit(&auth, request).await {
        Ok(request) => {
            let (staff, client) = (request.extensions().get::<Staff>().cloned(), client(&auth, &request));
            let subject = format!("{} {path}", request.method());
            let mut response = rest.run(request).await;
            // A page looked at the role once more, and knew better than the path.
            let denied = matches!(response.extensions().get(), Some(Trouble::NotAllowed { .. }));
            if let (true, Some(staff)) = (denied, &staff)
                && let Err(error) = auth.audit(staff, &client, AuditAction::Forbidden, subject, None).await
            {
                response = Failure::from(error).into_response();
            }
            (response, staff)
        }
        Err(refused) => (refused.response, refused.staff),
    };
    let mut response = match &staff {
        Some(staff) => auth.in_frame(response, staff, &asked, &path),
        None => response,
    };
    let headers = response.headers_mut();
    let mut default = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(header::X_FRAME_OPTIONS, "DENY");
    // Not "no-referrer": browsers then say of forms that they come from nowhere.
    default(header::REFERRER_POLICY, "same-origin");
    default(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    default(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if !is_asset {
        default(header::CACHE_CONTROL, "no-store");
    }
    if auth.inner.origin.is_secure() {
        default(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}

/// The answer to a request that does not pass, and who asked, if that is known.
struct Refused {
    response: Response,
    staff: Option<Staff>,
}

impl From<Response> for Box<Refused> {
    fn from(response: Response) -> Self {
        Self::new(Refused { response, staff: None })
    }
}

/// Lets a request pass, with who asks in it; or answers it.
async fn admit(auth: &Auth, mut request: Request) -> Result<Request, Box<Refused>> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let origin = &auth.inner.origin;
    if !origin.knows_host(request.headers(), request.uri()) {
        return Err((StatusCode::MISDIRECTED_REQUEST, "Pinger's dashboard is not here.\n").into_response().into());
    }
    let client = client(auth, &request);
    request.extensions_mut().insert(client.clone());
    if !method.is_safe() && !origin.is_same(request.headers(), request.uri()) {
        tracing::warn!(address = %client.address, path, "a form of another site was refused");
        return Err(trouble_page(StatusCode::FORBIDDEN, Trouble::Stale).into());
    }
    let Access::Staff(role) = access(&method, &path) else { return bounded(request).await };
    let fail = |failure: Failure| Box::<Refused>::from(failure.into_response());
    // A page that keeps itself up to date is no use of a sign-in: nobody may be sitting there.
    let signed_in = match path.as_str() {
        LIVE => auth.still_signed_in(request.headers()).await,
        _ => auth.signed_in(request.headers()).await,
    };
    let signed_in = signed_in.map_err(|error| fail(error.into()))?;
    let Some(staff) = signed_in else { return Err(to_sign_in(auth, &request).into()) };
    if !method.is_safe() {
        request = with_token(request, &staff).await?;
    }
    if staff.role < role {
        let subject = format!("{method} {path}");
        let written = auth.audit(&staff, &client, AuditAction::Forbidden, subject, None).await;
        written.map_err(|error| fail(error.into()))?;
        let response = Failure::Denied(Box::new(staff.clone())).into_response();
        return Err(Box::new(Refused { response, staff: Some(staff) }));
    }
    request.extensions_mut().insert(staff);
    Ok(request)
}

fn client(auth: &Auth, request: &Request) -> Client {
    let headers = request.headers();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let peer = peer.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scheme = if auth.inner.origin.is_secure() { "https" } else { "http" };
    let host = request.uri().authority().map_or_else(|| text(header::HOST), |authority| authority.as_str());
    Client {
        address: origin::client_address(peer, headers, &auth.inner.trusted_proxies),
        agent: text(header::USER_AGENT).chars().take(255).collect(),
        base: format!("{scheme}://{host}"),
    }
}

/// Where somebody goes who is not signed in. They come back to a page, and not to a form's target.
fn to_sign_in(auth: &Auth, request: &Request) -> Response {
    let headers = request.headers();
    let ended = auth.inner.cookies.read(headers, Cookie::SignIn).is_some();
    let wants_page = accepts_html(headers);
    if !wants_page {
        return (StatusCode::UNAUTHORIZED, "Signed out.\n").into_response();
    }
    let next = if request.method() == Method::GET {
        Next::parse(request.uri().path_and_query().map_or("/", |path| path.as_str()))
    } else {
        Next::default()
    };
    let ended = if ended { "ended=1&" } else { "" };
    let mut response = redirect(&match next.is_home() {
        true if ended.is_empty() => "/sign-in".to_owned(),
        true => "/sign-in?ended=1".to_owned(),
        false => format!("/sign-in?{ended}next={}", next.encoded()),
    });
    if !ended.is_empty() {
        response.headers_mut().append(header::SET_COOKIE, auth.inner.cookies.delete(Cookie::SignIn));
    }
    response
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("*/*");
    accepts.contains("text/html") || accepts.contains("*/*")
}

/// Reads a form, so that nobody sends more than a form has.
async fn bounded(request: Request) -> Result<Request, Box<Refused>> {
    if request.method().is_safe() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let too_large = || (StatusCode::PAYLOAD_TOO_LARGE, "This is more than a form has.\n").into_response();
    let bytes = to_bytes(body, FORM_BYTES).await.map_err(|_| Box::<Refused>::from(too_large()))?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// The same, if it carries the token of the sign-in: in the field `csrf`, or in a header.
async fn with_token(request: Request, staff: &Staff) -> Result<Request, Box<Refused>> {
    let stale = || {
        let response = trouble_page(StatusCode::FORBIDDEN, Trouble::Stale);
        Box::new(Refused { response, staff: Some(staff.clone()) })
    };
    if let Some(token) = request.headers().get(CSRF_HEADER) {
        let fine = token.to_str().is_ok_and(|token| same(token, &staff.csrf));
        return if fine { bounded(request).await } else { Err(stale()) };
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(stale());
    }
    let (parts, body) = bounded(request).await?.into_parts();
    let bytes = to_bytes(body, FORM_BYTES).await.map_err(|_| stale())?;
    let mut tokens = form_urlencoded::parse(&bytes).filter(|(name, _)| name == "csrf");
    match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) if same(&token, &staff.csrf) => {}
        _ => return Err(stale()),
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &Method, path: &str, expect: Access) {
        assert_eq!(access(method, path), expect, "{method} {path}");
    }

    #[test]
    fn what_is_not_known_is_closed() {
        check(&Method::GET, "/sign-in", Access::Open);
        check(&Method::POST, "/sign-in/code", Access::Open);
        check(&Method::POST, "/sign-up/abc", Access::Open);
        check(&Method::GET, "/assets/0123.css", Access::Open);
        check(&Method::POST, "/assets/0123.css", Access::Staff(Role::Support));
        check(&Method::GET, "/sign-innn", Access::Staff(Role::Viewer));
        check(&Method::GET, "/", Access::Staff(Role::Viewer));
        check(&Method::GET, "/sessions", Access::Staff(Role::Viewer));
        check(&Method::GET, "/sessions.csv", Access::Staff(Role::Support));
        check(&Method::POST, "/sessions/1/revoke", Access::Staff(Role::Support));
        check(&Method::DELETE, "/whatever", Access::Staff(Role::Support));
        check(&Method::GET, "/staff", Access::Staff(Role::Viewer));
        check(&Method::GET, "/staff/1", Access::Staff(Role::Admin));
        check(&Method::POST, "/staff", Access::Staff(Role::Admin));
        check(&Method::POST, "/staff/invite", Access::Staff(Role::Admin));
        check(&Method::GET, "/audit", Access::Staff(Role::Support));
        check(&Method::POST, "/audit/check", Access::Staff(Role::Admin));
        check(&Method::GET, "/audit.csv", Access::Staff(Role::Support));
        check(&Method::GET, "/sessions/suggest", Access::Staff(Role::Viewer));
        check(&Method::POST, "/views", Access::Staff(Role::Viewer));
        check(&Method::GET, "/bulk", Access::Staff(Role::Support));
        check(&Method::POST, "/bulk/1/stop", Access::Staff(Role::Support));
        check(&Method::GET, "/settings", Access::Staff(Role::Viewer));
        check(&Method::POST, "/settings/keys", Access::Staff(Role::Admin));
        check(&Method::POST, "/account/password", Access::Staff(Role::Viewer));
        check(&Method::POST, "/sign-out", Access::Staff(Role::Viewer));
    }
}
