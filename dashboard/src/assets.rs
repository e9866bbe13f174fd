//! The stylesheet and the icon, in the binary. Their URLs carry a hash of what they hold, so that they are cached for
//! ever and never stale.

use std::fmt::Write as _;
use std::sync::LazyLock;

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
    include_str!("../../style/small.css"),
    include_str!("../../style/media.css"),
);

const FAVICON: &str = include_str!("../../style/favicon.svg");

/// What asks the browser for a passkey.
const PASSKEY: &str = include_str!("../../style/passkey.js");

/// What may be cached for a year: the URL changes with the content.
pub(crate) const FOREVER: &str = "public, max-age=31536000, immutable";

/// A file that pages link to.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its path on the server, with the hash.
    pub(crate) path: String,
    /// Its media type.
    pub(crate) media_type: &'static str,
    /// What it holds.
    pub(crate) body: &'static str,
}

impl Asset {
    fn new(extension: &str, media_type: &'static str, body: &'static str) -> Self {
        let mut path = "/assets/".to_owned();
        for byte in &Sha256::digest(body.as_bytes())[..8] {
            // Writing to a String can't fail.
            let _ = write!(path, "{byte:02x}");
        }
        path.push('.');
        path.push_str(extension);
        Self { path, media_type, body }
    }
}

static ALL: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        Asset::new("css", "text/css; charset=utf-8", STYLE),
        Asset::new("svg", "image/svg+xml", FAVICON),
        Asset::new("js", "text/javascript; charset=utf-8", PASSKEY),
    ]
});

/// The stylesheet's URL.
pub(crate) fn stylesheet() -> &'static str {
    &ALL[0].path
}

/// The icon's URL.
pub(crate) fn favicon() -> &'static str {
    &ALL[1].path
}

/// The URL of the script behind forms of passkeys.
pub(crate) fn passkey_script() -> &'static str {
    &ALL[2].path
}

/// The asset at a path such as `/assets/0123456789abcdef.css`.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    ALL.iter().find(|asset| asset.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_are_found_by_their_hash_alone() {
        assert_eq!(find(stylesheet()).map(|asset| asset.media_type), Some("text/css; charset=utf-8"));
        assert_eq!(find(favicon()).map(|asset| asset.media_type), Some("image/svg+xml"));
        assert!(find("/assets/pinger.css").is_none());
    }

    #[test]
    fn the_stylesheet_loads_nothing() {
        let foreign = STYLE.split("url(").skip(1).find(|rest| !rest.starts_with('#'));
        assert_eq!(foreign, None, "a strict content policy would block it");
        assert!(!STYLE.contains("@import"));
        assert_eq!(STYLE.matches('{').count(), STYLE.matches('}').count());
    }
}
