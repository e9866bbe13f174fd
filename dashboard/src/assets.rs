//! What pages load: the stylesheet, the icon and the browser bundle, in the binary. Their URLs carry a hash of what they hold,
//! so that they are cached for ever and never stale.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};

/// The parts of the stylesheet, in the order of their layers.
const STYLE: &str = concat!(
    include_str!("../../style/tokens.css"),
    include_str!("../../style/base.css"),
    include_str!("../../style/shell.css"),
    include_str!("../../style/controls.css"),
    include_str!("../../style/story.css"),
    include_str!("../../style/data.css"),
    include_str!("../../style/notice.css"),
    include_str!("../../style/live.css"),
    include_str!("../../style/small.css"),
    include_str!("../../style/media.css"),
);

const FAVICON: &str = include_str!("../../style/favicon.svg");

/// What asks the browser for a passkey.
const PASSKEY: &str = include_str!("../../style/passkey.js");
// What build.rs found: EMBEDDED, the bundle or none.
include!(concat!(env!("OUT_DIR"), "/bundle.rs"));

/// What may be cached for a year: the URL changes with the content.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// The browser bundle, as scripts/bundle made it.
pub(crate) struct Embedded {
    script: Compressed,
    wasm: Compressed,
}

/// A file, in each way that browsers take it.
struct Compressed {
    plain: &'static [u8],
    brotli: &'static [u8],
    gzip: &'static [u8],
}

/// How an answer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Plain,
    Brotli,
    Gzip,
}

impl Encoding {
    /// The best of those that a browser takes. It weighs none against another, but may refuse one by `q=0` (RFC 9110 §12.5.3).
    fn accepted(headers: &HeaderMap) -> Self {
        let takes = |name: &str| {
            let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
            lines.flat_map(|line| line.split(',')).any(|offer| {
                let (coding, weight) = offer.split_once(';').unwrap_or((offer, ""));
                let weight = weight.trim().trim_start_matches("q=").trim();
                let refused = !weight.is_empty() && weight.chars().all(|char| char == '0' || char == '.');
                coding.trim().eq_ignore_ascii_case(name) && !refused
            })
        };
        if takes("br") {
            Self::Brotli
        } else if takes("gzip") {
            Self::Gzip
        } else {
            Self::Plain
        }
    }
}

/// A file that pages link to.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its path on the server, with the hash.
    path: String,
    media_type: &'static str,
    /// What it holds.
    pub(crate) plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Vec<u8>,
}

impl Asset {
    fn new(extension: &str, media_type: &'static str, plain: &'static [u8]) -> Self {
        let mut path = "/assets/".to_owned();
        for byte in &Sha256::digest(plain)[..8] {
            // Writing to a String can't fail.
            let _ = write!(path, "{byte:02x}");
        }
        path.push('.');
        path.push_str(extension);
        Self { path, media_type, plain, brotli: None, gzip: Vec::new() }
    }

    /// One of ours, which is small: compressed here, once.
    fn text(extension: &str, media_type: &'static str, text: &'static str) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to memory can't fail; if it did, the plain text would be sent.
        let gzip = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
        Self { gzip, ..Self::new(extension, media_type, text.as_bytes()) }
    }

    fn embedded(extension: &str, media_type: &'static str, file: &'static Compressed) -> Self {
        Self { brotli: Some(file.brotli), gzip: file.gzip.to_vec(), ..Self::new(extension, media_type, file.plain) }
    }

    fn body(&'static self, encoding: Encoding) -> (&'static [u8], Option<&'static str>) {
        match (encoding, self.brotli) {
            (Encoding::Brotli, Some(brotli)) => (brotli, Some("br")),
            // Whatever takes brotli takes gzip.
            (Encoding::Brotli | Encoding::Gzip, _) if !self.gzip.is_empty() => (&self.gzip, Some("gzip")),
            _ => (self.plain, None),
        }
    }

    /// The file, as the browser that sent `headers` takes it.
    pub(crate) fn answer(&'static self, headers: &HeaderMap) -> Response {
        let (body, encoding) = self.body(Encoding::accepted(headers));
        let fixed = [
            (header::CONTENT_TYPE, self.media_type),
            (header::CACHE_CONTROL, FOREVER),
            (header::VARY, "accept-encoding"),
        ];
        let encoding = encoding.map(|encoding| [(header::CONTENT_ENCODING, encoding)]);
        match encoding {
            Some(encoding) => (fixed, encoding, body).into_response(),
            None => (fixed, body).into_response(),
        }
    }
}

static STYLESHEET: LazyLock<Asset> = LazyLock::new(|| Asset::text("css", "text/css; charset=utf-8", STYLE));
static PASSKEY_SCRIPT: LazyLock<Asset> = LazyLock::new(|| Asset::text("js", "text/javascript; charset=utf-8", PASSKEY));
static ICON: LazyLock<Asset> = LazyLock::new(|| Asset::text("svg", "image/svg+xml", FAVICON));
static BUNDLE: LazyLock<Option<[Asset; 2]>> = LazyLock::new(|| {
    let Embedded { script, wasm } = const { &EMBEDDED }.as_ref()?;
    Some([
        Asset::embedded("js", "text/javascript; charset=utf-8", script),
        Asset::embedded("wasm", "application/wasm", wasm),
    ])
});

/// The stylesheet's URL.
pub(crate) fn stylesheet() -> &'static str {
    &STYLESHEET.path
}

/// The icon's URL.
pub(crate) fn favicon() -> &'static str {
    &ICON.path
}

/// The URLs of the bundle's script and of the module that it loads; none if this server was built without it.
pub(crate) fn script() -> Option<(&'static str, &'static str)> {
    BUNDLE.as_ref().map(|[script, wasm]| (script.path.as_str(), wasm.path.as_str()))
}

/// The URL of the script behind forms of passkeys.
pub(crate) fn passkey_script() -> &'static str {
    &PASSKEY_SCRIPT.path
}

/// The asset at a path such as `/assets/0123456789abcdef.css`.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    let bundle = BUNDLE.as_ref().into_iter().flatten();
    [&*STYLESHEET, &*ICON, &*PASSKEY_SCRIPT].into_iter().chain(bundle).find(|asset| asset.path == path)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn assets_are_found_by_their_hash_alone() {
        assert_eq!(find(stylesheet()).map(|asset| asset.media_type), Some("text/css; charset=utf-8"));
        assert_eq!(find(favicon()).map(|asset| asset.media_type), Some("image/svg+xml"));
        assert!(find("/assets/pinger.css").is_none());
        if let Some((script, wasm)) = script() {
            assert!(find(script).is_some_and(|asset| asset.body(Encoding::Brotli).1 == Some("br")));
            assert_eq!(find(wasm).map(|asset| asset.media_type), Some("application/wasm"));
        }
    }

    #[test]
    fn the_stylesheet_loads_nothing() {
        let foreign = STYLE.split("url(").skip(1).find(|rest| !rest.starts_with('#'));
        assert_eq!(foreign, None, "a strict content policy would block it");
        assert!(!STYLE.contains("@import"));
        assert_eq!(STYLE.matches('{').count(), STYLE.matches('}').count());
    }

    #[track_caller]
    fn check(accepts: &'static str, expect: Encoding) {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepts))]);
        assert_eq!(Encoding::accepted(&headers), expect, "{accepts}");
    }

    #[test]
    fn the_best_encoding_is_chosen() {
        check("gzip, deflate, br, zstd", Encoding::Brotli);
        check("gzip;q=0.5, BR;q=0.1", Encoding::Brotli);
        check("br;q=0, gzip", Encoding::Gzip);
        check("br;q=0.0,gzip; q=0", Encoding::Plain);
        check("identity", Encoding::Plain);
        assert_eq!(Encoding::accepted(&HeaderMap::new()), Encoding::Plain);
    }
}
