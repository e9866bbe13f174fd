//! Who is at the other end, for the rates. Addresses go no further than that.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of the connection that a request came on.
#[derive(Clone, Copy)]
pub(crate) struct SocketPeer(pub(crate) SocketAddr);

/// What a rate is counted on: an IPv4 address, or the network of an IPv6 one (a /64 is one customer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer(u64);

impl Peer {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No IPv6 network begins with 32 zero bits but those that to_canonical has taken care of.
            IpAddr::V4(address) => Self(address.to_bits().into()),
            IpAddr::V6(address) => Self(network(address)),
        }
    }
}

/// The first 64 bits.
fn network(address: Ipv6Addr) -> u64 {
    let [a, b, c, d, ..] = address.segments().map(u64::from);
    a << 48 | b << 32 | c << 16 | d
}

/// Finds the peer: who is at the socket or, if that is a proxy of ours, the address that the proxy saw. A proxy adds
/// what it saw at the right end; whatever stands left of that the caller may have made up.
pub(crate) fn peer(socket: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Peer {
    let address = socket.ip().to_canonical();
    if !trusted.iter().any(|network| network.contains(&address)) {
        return Peer::of(address);
    }
    let last = headers.get_all(FORWARDED_FOR).iter().next_back();
    let last = last.and_then(|value| value.to_str().ok()).and_then(|value| value.rsplit(',').next());
    Peer::of(last.and_then(parse).unwrap_or(address))
}

/// An address, with or without a port, as proxies write it.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(socket: &str, forwarded: &[&str]) -> Peer {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        peer(socket.parse().unwrap(), &headers, &trusted)
    }

    #[track_caller]
    fn check(socket: &str, forwarded: &[&str], expect: &str) {
        assert_eq!(found(socket, forwarded), Peer::of(expect.parse().unwrap()));
    }

    #[test]
    fn the_last_hop_of_a_trusted_proxy_counts() {
        check("192.0.2.1:5", &[], "192.0.2.1");
        check("192.0.2.1:5", &["198.51.100.7"], "192.0.2.1");
        check("10.0.0.1:5", &["198.51.100.7"], "198.51.100.7");
        check("10.0.0.1:5", &["203.0.113.9, 198.51.100.7"], "198.51.100.7");
        check("10.0.0.1:5", &["203.0.113.9", "1.1.1.1,198.51.100.7 "], "198.51.100.7");
        // Another proxy of ours further left is not looked behind.
        check("10.0.0.1:5", &["203.0.113.9, 10.0.0.2"], "10.0.0.2");
        check("10.0.0.1:5", &["198.51.100.7:4711"], "198.51.100.7");
        check("[fd00::1]:5", &["[2001:db8::7]:4711"], "2001:db8::7");
        check("[fd00::1]:5", &["[2001:db8::7]"], "2001:db8::7");
        check("[::ffff:10.0.0.1]:5", &["2001:db8::7"], "2001:db8::7");
    }

    #[test]
    fn what_is_no_address_is_the_proxy() {
        for value in ["", "unknown", "198.51.100.7, ", "_hidden", "[", "[]", "1.2.3"] {
            check("10.0.0.1:5", &[value], "10.0.0.1");
        }
    }

    #[test]
    fn ipv6_counts_by_network() {
        let of = |text: &str| Peer::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    proptest! {
        #[test]
        fn no_header_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                headers.insert(FORWARDED_FOR, value);
                peer("10.0.0.1:5".parse().unwrap(), &headers, &["10.0.0.0/8".parse().unwrap()]);
            }
        }

        #[test]
        fn the_left_end_never_counts(left in "[0-9a-f.:, ]{0,40}") {
            assert_eq!(found("10.0.0.1:5", &[&format!("{left},198.51.100.7")]), Peer::of("198.51.100.7".parse().unwrap()));
        }
    }
}
