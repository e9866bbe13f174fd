//! The address guard: hosts come from strangers, and must not lead into our own network.
//!
//! A name is resolved once, *every* address it has is checked, and the caller connects to the very addresses that were
//! checked, so that a name can't mean one thing when it is checked and another when it is used.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use domain::{Evidence, Failure, FailureCode, HostName};
use ipnet::IpNet;
use tokio::time::timeout;

/// How long the name servers may take.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(10);

/// No provider's name has more; the rest of a longer answer is neither checked nor used.
const MAX_ADDRESSES: usize = 16;

/// Why a host and port may not be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// The host is, or leads to, an address that is not a public one.
    #[error("the address is {0}")]
    Address(&'static str),
    /// The port is not among those of mail servers.
    #[error("the port is not one of those allowed")]
    Port,
}

/// Which hosts and ports may be connected to.
#[derive(Clone, Debug)]
pub struct Guard {
    allow: Vec<IpNet>,
    ports: Vec<u16>,
}

impl Guard {
    /// A guard that lets through public addresses, the ranges `allow`, and the ports `ports` alone.
    pub fn new(allow: Vec<IpNet>, ports: Vec<u16>) -> Self {
        Self { allow, ports }
    }

    /// The same guard with other ports.
    #[must_use]
    pub fn with_ports(&self, ports: Vec<u16>) -> Self {
        Self { allow: self.allow.clone(), ports }
    }

    /// What can be told without asking a name server: ports, literal addresses, and names that mean this machine or its
    /// metadata service. It is for refusing a registration early; [`resolve`](Self::resolve) is what protects.
    pub fn check_literal(&self, host: &HostName, port: u16) -> Result<(), Blocked> {
        if !self.ports.contains(&port) {
            return Err(Blocked::Port);
        }
        if let Some(address) = host.address() {
            return self.check(address);
        }
        let name = host.as_str();
        if name == "localhost" || name.ends_with(".localhost") {
            let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            if !loopback.into_iter().any(|address| self.check(address).is_ok()) {
                return Err(Blocked::Address("this machine"));
            }
        }
        if name == "metadata.google.internal" || name == "instance-data.ec2.internal" {
            return self.check(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)));
        }
        Ok(())
    }

    /// Resolves a host, and answers the addresses to connect to, all of them checked.
    ///
    /// # Errors
    /// `ADDRESS_BLOCKED` when the port, or even one address, is not allowed; `HOST_NOT_FOUND` when there is no such name;
    /// `CONNECT_TIMEOUT` when the name servers don't answer, which says nothing about the host.
    pub async fn resolve(&self, host: &HostName, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        self.check_literal(host, port).map_err(|blocked| blocked_failure(&blocked))?;
        if host.as_str() == "invalid" || host.as_str().ends_with(".invalid") {
            // RFC 6761 §6.4: never asked for.
            return Err(failure(FailureCode::HostNotFound, "names under .invalid don't exist"));
        }
        let addresses: Vec<IpAddr> = match host.address() {
            Some(address) => vec![address],
            None => match timeout(RESOLVE_DEADLINE, tokio::net::lookup_host((host.as_str(), port))).await {
                Ok(Ok(found)) => found.map(|address| address.ip()).take(MAX_ADDRESSES).collect(),
                Ok(Err(error)) => return Err(lookup_failure(&error)),
                Err(_) => return Err(failure(FailureCode::ConnectTimeout, "the name servers don't answer")),
            },
        };
        self.admit(&addresses, port)
    }

    /// Checks all addresses of a host: one that is blocked condemns the host, since its owner chose them together.
    fn admit(&self, addresses: &[IpAddr], port: u16) -> Result<Vec<SocketAddr>, Failure> {
        if addresses.is_empty() {
            return Err(failure(FailureCode::HostNotFound, "the name has no address"));
        }
        for address in addresses {
            self.check(*address).map_err(|blocked| blocked_failure(&blocked))?;
        }
        let mut admitted: Vec<SocketAddr> =
            addresses.iter().map(|address| SocketAddr::new(address.to_canonical(), port)).collect();
        admitted.dedup();
        Ok(admitted)
    }

    fn check(&self, address: IpAddr) -> Result<(), Blocked> {
        let Some(kind) = special(address) else { return Ok(()) };
        // An IPv4 address in IPv6 clothes is allowed by either of its forms.
        let forms = [Some(address), Some(address.to_canonical()), translated(address).map(IpAddr::V4)];
        let allowed = forms.into_iter().flatten().any(|form| self.allow.iter().any(|range| range.contains(&form)));
        if allowed { Ok(()) } else { Err(Blocked::Address(kind)) }
    }
}

fn failure(code: FailureCode, evidence: &str) -> Failure {
    Failure::new(code, Evidence::redact(evidence, None))
}

fn blocked_failure(blocked: &Blocked) -> Failure {
    failure(FailureCode::AddressBlocked, &blocked.to_string())
}

/// A name that doesn't exist is the host's fault; name servers that fail are not, and must not make a session end as
/// “gone”. The resolver's error has no code for it, only the C library's words (EAI_AGAIN, in glibc and musl).
fn lookup_failure(error: &std::io::Error) -> Failure {
    let text = error.to_string();
    let ours = text.contains("Temporary failure") || text.contains("Try again");
    failure(if ours { FailureCode::ConnectTimeout } else { FailureCode::HostNotFound }, &text)
}

/// What is special about an address; `None` for the public ones (IANA's special-purpose registries, RFC 6890).
fn special(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(v4) => special_v4(v4),
        IpAddr::V6(v6) => special_v6(v6),
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [0, ..] => "of “this network”",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "a private one",
        [100, 64..=127, ..] => "a carrier's private one",
        [127, ..] => "a loopback one",
        [169, 254, ..] => "a link-local one",
        [192, 0, 0, _] => "reserved for protocols",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "for documentation",
        [192, 88, 99, _] => "a 6to4 relay",
        [198, 18..=19, ..] => "for benchmarks",
        // Public in form, but the platform's own service in every virtual machine of Azure.
        [168, 63, 129, 16] => "a metadata service",
        [224..=239, ..] => "a multicast one",
        [255, 255, 255, 255] => "the broadcast one",
        [240..=255, ..] => "reserved",
        _ => return None,
    })
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some(v4) = translated(IpAddr::V6(address)) {
        // NAT64 is how a network without IPv4 reaches the whole of it.
        return special_v4(v4);
    }
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "the unspecified one",
        [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback one",
        [0, 0, 0, 0, 0, 0, _, _] => "an IPv4 address in disguise",
        [0x64, 0xff9b, 1, ..] => "of a local translator",
        [0xfe80..=0xfebf, ..] => "a link-local one",
        [0xfec0..=0xfeff, ..] => "a site-local one",
        [0xfc00..=0xfdff, ..] => "a private one",
        [0xff00..=0xffff, ..] => "a multicast one",
        // Teredo, ORCHID, benchmarks, anycast services.
        [0x2001, 0..=0x1ff, ..] => "reserved for protocols",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "for documentation",
        [0x2002, ..] => "a 6to4 one",
        [0x2000..=0x3fff, ..] => return None,
        _ => "not a public one",
    })
}

/// The IPv4 address that a NAT64 translator would connect to (RFC 6052, the well-known prefix 64:ff9b::/96).
fn translated(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    match address.octets() {
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
