//! Pages are sent compressed.
//!
//! What is secret on a page and what its URL says are compressed together, which BREACH makes use of. Two things stand
//! against that: the one secret that pages carry again and again, the form token, looks different each time
//! (`auth::mask`); and a page that another site asked for is not compressed, so that what it says of customers can't be
//! guessed at from outside, either. Our cookie doesn't come with such requests unless a person follows a link.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::header::{self, HeaderName};
use tower_http::compression::CompressionLayer;

/// What a browser says of who asked: `same-origin`, `same-site`, `cross-site`, or `none` for a person.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Puts the compression over `routes`. Streams of events and what is compressed already are left as they are.
pub(crate) fn compressed(routes: Router) -> Router {
    routes.layer(CompressionLayer::new().gzip(true)).layer(from_fn(for_us_alone))
}

async fn for_us_alone(mut request: Request, rest: Next) -> Response {
    let ours = |site: &[u8]| site == b"same-origin" || site == b"none";
    // Browsers that don't say who asked are older than the cookie's rules, and other clients have no sites.
    if !request.headers().get(SEC_FETCH_SITE).is_none_or(|site| ours(site.as_bytes())) {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    rest.run(request).await
}
