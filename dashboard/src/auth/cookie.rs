//! Our cookies. With TLS their names begin with `__Host-`, so that browsers take them from this host alone, over TLS alone, and no
//! neighbour can plant one.

use http::{HeaderMap, HeaderValue, header};

use super::secret::Token;

/// Which cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// A sign-in.
    SignIn,
    /// A sign-in that waits for its second factor.
    Pending,
    /// A browser that is asked for a passkey.
    Passkey,
    /// A browser that was sent to a provider.
    Provider,
}

/// How cookies are named and what is set on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cookies {
    pub(crate) secure: bool,
}

impl Cookies {
    const fn name(self, cookie: Cookie) -> &'static str {
        match (cookie, self.secure) {
            (Cookie::SignIn, true) => "__Host-pinger",
            (Cookie::SignIn, false) => "pinger",
            (Cookie::Pending, true) => "__Host-pinger-code",
            (Cookie::Pending, false) => "pinger-code",
            (Cookie::Passkey, true) => "__Host-pinger-passkey",
            (Cookie::Passkey, false) => "pinger-passkey",
            (Cookie::Provider, true) => "__Host-pinger-provider",
            (Cookie::Provider, false) => "pinger-provider",
        }
    }

    /// Reads a cookie. If there are two of one name, somebody may have planted one: then there is none.
    pub(crate) fn read(self, headers: &HeaderMap, cookie: Cookie) -> Option<Token> {
        let name = self.name(cookie);
        let mut values = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) => Token::parse(value),
            _ => None,
        }
    }

    /// A header that sets a cookie until the browser is closed. The server knows when it runs out.
    pub(crate) fn set(self, cookie: Cookie, token: &Token) -> HeaderValue {
        self.header(cookie, &token.text(), "")
    }

    /// A header that deletes a cookie.
    pub(crate) fn delete(self, cookie: Cookie) -> HeaderValue {
        self.header(cookie, "", "; Max-Age=0")
    }

    fn header(self, cookie: Cookie, value: &str, more: &str) -> HeaderValue {
        let (name, secure) = (self.name(cookie), if self.secure { "; Secure" } else { "" });
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}");
        // All of it is ours, and ASCII.
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let lines = lines.iter().map(|line| (header::COOKIE, HeaderValue::from_str(line).unwrap()));
        lines.collect()
    }

    #[test]
    fn cookies_are_set_and_read_again() {
        let (token, cookies) = (Token::random(), Cookies { secure: true });
        let set = cookies.set(Cookie::SignIn, &token);
        let text = token.text();
        assert_eq!(set.to_str().unwrap(), format!("__Host-pinger={text}; Path=/; HttpOnly; SameSite=Lax; Secure"));
        let sent = headers(&[&format!("theme=dark; __Host-pinger={text}; __Host-pinger-code=x")]);
        assert_eq!(cookies.read(&sent, Cookie::SignIn).unwrap().hash(), token.hash());
        assert!(cookies.read(&sent, Cookie::Pending).is_none());
        let plain = Cookies { secure: false };
        assert!(plain.read(&sent, Cookie::SignIn).is_none(), "another name");
        assert!(!plain.set(Cookie::SignIn, &token).to_str().unwrap().contains("Secure"));
    }

    #[test]
    fn a_planted_twin_counts_for_nothing() {
        let (one, two) = (Token::random().text(), Token::random().text());
        let cookies = Cookies { secure: false };
        assert!(cookies.read(&headers(&[&format!("pinger={one}; pinger={two}")]), Cookie::SignIn).is_none());
        assert!(
            cookies.read(&headers(&[&format!("pinger={one}"), &format!("pinger={two}")]), Cookie::SignIn).is_none()
        );
        assert!(cookies.read(&headers(&[&format!("pinger={one}")]), Cookie::SignIn).is_some());
        assert!(cookies.read(&headers(&["pinger=; x", "=", ";"]), Cookie::SignIn).is_none());
    }
}
