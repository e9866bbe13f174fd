//! Where a request comes from: by which host name, from which page, from which address.

use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;
use http::{HeaderMap, HeaderName, Uri, header};
use ipnet::IpNet;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// By which names we may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// By this one alone: scheme, host and port, as browsers write it (RFC 6454).
    Fixed { scheme: &'static str, authority: String },
    /// With TLS: by each name that the certificate is for, which browsers check.
    AnyHost,
    /// Without TLS: by names of this machine alone, so that a name that was pointed at it from outside leads nowhere.
    Loopback,
}

impl Origin {
    /// From the configuration; says what is wrong with it.
    pub(crate) fn new(origin: Option<&str>, tls: bool) -> Result<Self, &'static str> {
        let Some(origin) = origin else { return Ok(if tls { Self::AnyHost } else { Self::Loopback }) };
        let (scheme, authority) = match origin.split_once("://") {
            Some(("https", authority)) => ("https", authority),
            Some(("http", authority)) if !tls => ("http", authority),
            _ => return Err("must begin with https://, or, without TLS, with http://"),
        };
        match authority.parse::<Authority>() {
            Ok(parsed) if parsed.as_str() == authority && !authority.contains('@') => {
                Ok(Self::Fixed { scheme, authority: authority.to_ascii_lowercase() })
            }
            _ => Err("must be scheme, host and port with nothing behind, as https://pinger.example.org"),
        }
    }

    /// Whether browsers see us over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        match self {
            Self::Fixed { scheme, .. } => *scheme == "https",
            Self::AnyHost => true,
            Self::Loopback => false,
        }
    }

    /// The host that the request is for, if it is one of ours.
    fn host(&self, headers: &HeaderMap, uri: &Uri) -> Option<String> {
        // HTTP/2 has it in the URI.
        let authority = match uri.authority() {
            Some(authority) => authority.as_str(),
            None => headers.get(header::HOST)?.to_str().ok()?,
        };
        let authority = authority.to_ascii_lowercase();
        let fine = match self {
            Self::Fixed { authority: ours, .. } => authority == *ours,
            Self::AnyHost => true,
            Self::Loopback => is_loopback(&authority),
        };
        fine.then_some(authority)
    }

    /// Whether we are called by a name of ours.
    pub(crate) fn knows_host(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        self.host(headers, uri).is_some()
    }

    /// Whether the request was made by a page of ours. Browsers say so with everything that is no plain link; who says
    /// nothing is no browser of today.
    pub(crate) fn is_same(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let Some(host) = self.host(headers, uri) else { return false };
        let site = headers.get(SEC_FETCH_SITE).map(|value| value.as_bytes());
        if site.is_some_and(|site| site != b"same-origin") {
            return false;
        }
        match headers.get(header::ORIGIN) {
            Some(origin) => {
                let scheme = if self.is_secure() { "https" } else { "http" };
                origin.to_str().is_ok_and(|origin| origin.eq_ignore_ascii_case(&format!("{scheme}://{host}")))
            }
            None => site.is_some(),
        }
    }
}

fn is_loopback(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The address that a request comes from: the socket's, or, behind proxies that we trust, the last one in
/// `x-forwarded-for` that is none of them.
pub(crate) fn client_address(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut address = peer.ip().to_canonical();
    let lines: Vec<&str> = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok()).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !is_trusted(&address) {
            break;
        }
        let Ok(before) = hop.trim().parse::<IpAddr>() else { break };
        address = before.to_canonical();
    }
    address
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[track_caller]
    fn check(origin: &Origin, of: &[(&'static str, &str)], expect: bool) {
        assert_eq!(origin.is_same(&headers(of), &Uri::from_static("/x")), expect, "{of:?}");
    }

    #[test]
    fn only_our_own_pages_count() {
        let fixed = Origin::new(Some("https://Pinger.example.org"), false).unwrap();
        let host = ("host", "pinger.example.org");
        check(&fixed, &[host, ("origin", "https://pinger.example.org")], true);
        check(&fixed, &[host, ("sec-fetch-site", "same-origin")], true);
        check(&fixed, &[host, ("origin", "https://pinger.example.org"), ("sec-fetch-site", "same-origin")], true);
        check(&fixed, &[host], false);
        check(&fixed, &[host, ("origin", "null")], false);
        check(&fixed, &[host, ("origin", "http://pinger.example.org")], false);
        check(&fixed, &[host, ("origin", "https://pinger.example.org.evil.example")], false);
        check(&fixed, &[host, ("origin", "https://evil.example")], false);
        check(&fixed, &[host, ("sec-fetch-site", "cross-site")], false);
        check(&fixed, &[host, ("sec-fetch-site", "same-site")], false);
        check(&fixed, &[host, ("origin", "https://pinger.example.org"), ("sec-fetch-site", "same-site")], false);
        check(&fixed, &[("host", "evil.example"), ("origin", "https://evil.example")], false);
    }

    #[test]
    fn without_tls_we_answer_to_loopback_alone() {
        let loopback = Origin::new(None, false).unwrap();
        for host in ["localhost:8480", "127.0.0.1:8480", "127.9.9.9", "[::1]:8480", "LOCALHOST"] {
            assert!(loopback.knows_host(&headers(&[("host", host)]), &Uri::from_static("/")), "{host}");
        }
        for host in ["evil.example:8480", "192.0.2.1:8480", "localhost.evil.example", "", "127.0.0.1.evil.example"] {
            assert!(!loopback.knows_host(&headers(&[("host", host)]), &Uri::from_static("/")), "{host}");
        }
        check(&loopback, &[("host", "localhost:8480"), ("origin", "http://localhost:8480")], true);
        check(&loopback, &[("host", "localhost:8480"), ("origin", "http://localhost:9999")], false);
    }

    #[test]
    fn the_configuration_is_checked() {
        assert!(Origin::new(Some("https://pinger.example.org:8443"), true).is_ok());
        assert!(Origin::new(Some("http://localhost:8480"), false).is_ok());
        for (bad, tls) in [
            ("http://pinger.example.org", true),
            ("pinger.example.org", false),
            ("https://pinger.example.org/", false),
            ("https://a@b", false),
            ("https://", false),
        ] {
            assert!(Origin::new(Some(bad), tls).is_err(), "{bad}");
        }
    }

    #[test]
    fn proxies_are_believed_if_they_are_ours() {
        let trusted: Vec<IpNet> = vec!["127.0.0.0/8".parse().unwrap(), "192.0.2.0/24".parse().unwrap()];
        let check = |peer: &str, forwarded: &str, expect: &str| {
            let address = client_address(
                SocketAddr::new(peer.parse().unwrap(), 1),
                &headers(&[("x-forwarded-for", forwarded)]),
                &trusted,
            );
            assert_eq!(address.to_string(), expect, "{peer} {forwarded}");
        };
        check("127.0.0.1", "203.0.113.9", "203.0.113.9");
        check("127.0.0.1", "198.51.100.1, 203.0.113.9, 192.0.2.7", "203.0.113.9");
        check("203.0.113.1", "198.51.100.1", "203.0.113.1");
        check("127.0.0.1", "nonsense", "127.0.0.1");
        check("127.0.0.1", "203.0.113.9, nonsense", "127.0.0.1");
        check("::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9");
    }
}
