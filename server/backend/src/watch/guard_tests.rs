use proptest::prelude::*;

use super::*;

fn guard(allow: &[&str]) -> Guard {
    Guard::new(allow.iter().map(|range| range.parse().unwrap()).collect(), vec![993, 143])
}

fn host(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}

#[track_caller]
fn check(allow: &[&str], address: &str, fine: bool) {
    let verdict = guard(allow).check_literal(&host(address), 993);
    assert_eq!(verdict.is_ok(), fine, "{address}: {verdict:?}");
}

#[test]
fn public_addresses_pass() {
    for address in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "128.0.0.1",
        "168.63.129.15",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450:4001::6d",
        "2001:200::1",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
    ] {
        check(&[], address, true);
    }
}

#[test]
fn special_addresses_are_blocked() {
    for address in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::1.1.1.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "64:ff9b:1:ffff::101:101",
        "64:ff9b:2::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:2::1",
        "2001:10::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:101:101::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fdff::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "localhost",
        "imap.localhost",
        "metadata.google.internal",
    ] {
        check(&[], address, false);
    }
}

#[test]
fn ranges_can_be_allowed() {
    check(&["127.0.0.0/8"], "127.0.0.1", true);
    check(&["127.0.0.0/8"], "::ffff:127.0.0.1", true);
    check(&["127.0.0.0/8"], "localhost", true);
    check(&["127.0.0.0/8"], "::1", false);
    check(&["127.0.0.0/8"], "10.0.0.1", false);
    check(&["::1/128"], "localhost", true);
    check(&["10.0.0.0/8"], "64:ff9b::a00:1", true);
    check(&["fd00::/8"], "fd12::1", true);
}

#[test]
fn ports_are_limited() {
    assert_eq!(guard(&[]).check_literal(&host("imap.example.org"), 993), Ok(()));
    assert_eq!(guard(&[]).check_literal(&host("imap.example.org"), 25), Err(Blocked::Port));
    assert_eq!(guard(&["0.0.0.0/0"]).check_literal(&host("127.0.0.1"), 22), Err(Blocked::Port));
}

#[test]
fn one_blocked_address_condemns_the_host() {
    let (good, bad): (IpAddr, IpAddr) = ("1.1.1.1".parse().unwrap(), "10.0.0.1".parse().unwrap());
    let code = |addresses: &[IpAddr]| guard(&[]).admit(addresses, 993).map_err(|failure| failure.code);
    assert_eq!(code(&[good]), Ok(vec![SocketAddr::new(good, 993)]));
    assert_eq!(code(&[good, bad]), Err(FailureCode::AddressBlocked));
    assert_eq!(code(&[bad, good]), Err(FailureCode::AddressBlocked));
    assert_eq!(code(&[]), Err(FailureCode::HostNotFound));
    let mapped = "::ffff:1.1.1.1".parse().unwrap();
    assert_eq!(code(&[mapped]), Ok(vec![SocketAddr::new(good, 993)]), "in its plain form");
}

#[tokio::test]
async fn resolving_sorts_its_failures() {
    let code =
        async |guard: &Guard, name: &str, port| guard.resolve(&host(name), port).await.map_err(|failure| failure.code);
    assert_eq!(code(&guard(&[]), "absent.invalid", 993).await, Err(FailureCode::HostNotFound));
    assert_eq!(code(&guard(&[]), "localhost", 993).await, Err(FailureCode::AddressBlocked));
    assert_eq!(code(&guard(&[]), "127.0.0.1", 993).await, Err(FailureCode::AddressBlocked));
    assert_eq!(code(&guard(&[]), "1.1.1.1", 25).await, Err(FailureCode::AddressBlocked));
    let here = guard(&["127.0.0.0/8", "::1/128"]);
    assert!(code(&here, "localhost", 143).await.unwrap().iter().all(|address| address.ip().is_loopback()));
    assert_eq!(code(&here, "127.0.0.1", 993).await, Ok(vec!["127.0.0.1:993".parse().unwrap()]));
}

#[test]
fn failing_name_servers_are_not_a_missing_host() {
    let code = |text: &str| lookup_failure(&std::io::Error::other(text.to_owned())).code;
    assert_eq!(
        code("failed to lookup address information: Temporary failure in name resolution"),
        FailureCode::ConnectTimeout
    );
    assert_eq!(code("failed to lookup address information: Name or service not known"), FailureCode::HostNotFound);
}

proptest! {
    /// The standard library's own idea of special addresses is never more careful than ours.
    #[test]
    fn nothing_special_passes_v4(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        let special_to_std = address.is_private() || address.is_loopback() || address.is_link_local()
            || address.is_broadcast() || address.is_documentation() || address.is_multicast() || address.is_unspecified();
        if special_to_std {
            prop_assert!(special(IpAddr::V4(address)).is_some());
        }
        // All disguises are as good as the plain address, or worse.
        let plain = special(IpAddr::V4(address)).is_some();
        prop_assert_eq!(special(IpAddr::V6(address.to_ipv6_mapped())).is_some(), plain);
        let nat64 = Ipv6Addr::from_bits((0x64_ff9b_u128 << 96) | u128::from(bits));
        prop_assert_eq!(special(IpAddr::V6(nat64)).is_some(), plain);
        prop_assert!(special(IpAddr::V6(Ipv6Addr::from_bits(u128::from(bits)))).is_some());
        prop_assert!(special(IpAddr::V6(Ipv6Addr::from_bits((0x2002_u128 << 112) | (u128::from(bits) << 80)))).is_some());
    }

    #[test]
    fn nothing_special_passes_v6(bits: u128) {
        let address = Ipv6Addr::from_bits(bits);
        let global = bits >> 125 == 1;
        if special(IpAddr::V6(address)).is_none() {
            prop_assert!(global && !address.is_loopback() && !address.is_multicast() && !address.is_unique_local());
        }
    }

    /// Whatever an operator allows, nothing else is let through by it.
    #[test]
    fn allowing_a_range_allows_that_range(bits: u32, prefix in 8_u8..=32, other: u32) {
        let range = ipnet::Ipv4Net::new(Ipv4Addr::from_bits(bits), prefix).unwrap();
        let guard = Guard::new(vec![IpNet::V4(range)], vec![993]);
        let other = Ipv4Addr::from_bits(other);
        let verdict = guard.check(IpAddr::V4(other)).is_ok();
        prop_assert_eq!(verdict, range.contains(&other) || special_v4(other).is_none());
    }
}
