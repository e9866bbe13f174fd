//! Where to go after a sign-in: a page of ours, whatever the link says.

/// The longest place that is remembered, in bytes.
const LONGEST: usize = 2_000;

/// A path of ours with its query, safe to redirect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Next(String);

impl Default for Next {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl Next {
    /// Takes a path of ours; anything else becomes the first page.
    pub(crate) fn parse(text: &str) -> Self {
        if is_ours(text) { Self(text.to_owned()) } else { Self::default() }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_home(&self) -> bool {
        self.0 == "/"
    }

    /// As the value in a query.
    pub(crate) fn encoded(&self) -> String {
        use std::fmt::Write as _;
        self.0.bytes().fold(String::new(), |mut text, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                text.push(char::from(byte));
            } else {
                // Writing to a String can't fail.
                let _ = write!(text, "%{byte:02X}");
            }
            text
        })
    }
}

/// Browsers take `//host`, `/\host` and what is like them once tabs are left out for other hosts. Visible ASCII without
/// backslashes whose second character is no slash is none of that.
fn is_ours(text: &str) -> bool {
    let mut bytes = text.bytes();
    let begins = bytes.next() == Some(b'/') && bytes.next() != Some(b'/');
    let fine = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let leads_on = !["/sign-in", "/sign-out", "/sign-up"].iter().any(|ours| path.starts_with(ours));
    begins && fine && leads_on && text.len() <= LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_are_gone_to() {
        for fine in ["/", "/sessions", "/sessions?q=host%3Aimap.example.org&x=1", "/sessions/0193#time", "/a//b"] {
            assert_eq!(Next::parse(fine).as_str(), fine);
        }
        for bad in [
            "",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "evil.example",
            "\\/evil.example",
            " /sessions",
            "/sign-out",
            "/sign-in?next=/",
            "/sessions\r\nSet-Cookie: a=b",
            "/ü",
        ] {
            assert!(Next::parse(bad).is_home(), "{bad:?}");
        }
        assert!(Next::parse(&format!("/{}", "a".repeat(3_000))).is_home());
    }

    #[test]
    fn it_travels_in_a_query() {
        assert_eq!(Next::parse("/sessions?q=a&b=c").encoded(), "/sessions%3Fq%3Da%26b%3Dc");
    }
}
