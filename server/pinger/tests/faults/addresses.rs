//! Mail servers that are none: addresses and ports within our own walls.

use std::net::IpAddr;

use proto::v1::SessionState;

use super::harness::{Account, fields};
use super::{Scene, documented, refused};

/// All of 127.0.0.0/8 is allowed by the harness; here, the healthy mail server alone is.
async fn scene() -> Scene {
    Scene::changed(&[], "mail_deadline_seconds = 2", |configuration| {
        let all = "allow_addresses = [\"127.0.0.0/8\"]";
        assert!(configuration.contains(all));
        configuration.replace(all, "allow_addresses = [\"127.0.0.2/32\"]")
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_public_is_refused_at_once() {
    let scene = scene().await;
    let at = |host: &str, port: u16| {
        let account = Account { host: host.to_owned(), port, ..scene.healthy.account.clone() };
        scene.healthy.another(&account)
    };
    let port = scene.healthy.account.port;
    for host in [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.1.1",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:a9fe:a9fe",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "localhost",
        "LOCALHOST",
        "imap.localhost",
        "metadata.google.internal",
    ] {
        let status = refused(at(host, port).register().await, "ADDRESS_BLOCKED");
        assert_eq!(fields(&status), ["mail_target.imap.host"], "{host}");
    }
    for wrong in [22, 25, 80, 443, 5432, 6379, scene.world.device_port] {
        let status = refused(at("127.0.0.2", wrong).register().await, "PORT_BLOCKED");
        assert_eq!(fields(&status), ["mail_target.imap.port"], "{wrong}");
    }
    // The same guard stands before the phone's own wish to be elsewhere; what is allowed is so in every spelling.
    at("::ffff:127.0.0.2", port).register().await.unwrap();
    scene.ends_well(&[]).await;
}

/// Names of this machine that the guard doesn't know: they have to be resolved to be found out.
fn names_of_this_machine() -> Vec<String> {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let entries = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        Some((address, words.map(str::to_owned).collect::<Vec<_>>()))
    });
    entries
        .filter(|(address, _)| address.is_loopback())
        .flat_map(|(_, names)| names)
        .filter(|name| name != "localhost" && !name.ends_with(".localhost") && !name.contains('_'))
        .take(2)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_judged_by_where_it_leads() {
    let scene = scene().await;
    let port = scene.healthy.account.port;
    let mut cases: Vec<_> = names_of_this_machine().into_iter().map(|name| (name, "ADDRESS_BLOCKED")).collect();
    if cases.is_empty() {
        println!("/etc/hosts has no further name for this machine: nothing to try");
    }
    cases.push(("absent.invalid".to_owned(), "HOST_NOT_FOUND"));
    for (host, code) in cases {
        documented(code);
        let account = Account { host: host.clone(), port, ..scene.healthy.account.clone() };
        let mut phone = scene.healthy.another(&account);
        phone.register().await.unwrap();
        let failed = phone.becomes(|session| session.last_error.is_some()).await;
        let error = failed.last_error.clone().unwrap();
        assert_eq!((error.code.as_str(), failed.state()), (code, SessionState::Retrying), "{host}: {failed:?}");
        assert!(!error.message.is_empty() && !error.remedy.is_empty());
    }
    assert_eq!(scene.mail.logins(), 1, "nobody but the healthy session got there");
    scene.ends_well(&[]).await;
}
