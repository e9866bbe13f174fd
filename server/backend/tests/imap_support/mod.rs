//! What the IMAP tests share.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::net::SocketAddr;
use std::time::Duration;

use backend::vault::{Credential, Secret};
use backend::watch::guard::Guard;
use backend::watch::imap::{Connection, Deadlines, Dialer, DialerSettings};
use domain::{Failure, HostName, ImapTarget, Mailbox, Mechanism, Security};
use peers::certificate::{Authority, install_crypto_provider};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than any test.
pub(crate) const RENEW: Duration = Duration::from_secs(600);

/// Deadlines for servers that answer at once or never.
pub(crate) fn short_deadlines() -> Deadlines {
    let short = Duration::from_millis(1500);
    Deadlines { connect: short, tls: short, greeting: short, command: short, whole: 8 * short }
}

/// A dialer that may connect to this machine, and trusts this authority.
pub(crate) fn dialer(authority: &Authority, port: u16, deadlines: Deadlines, poll_every: Duration) -> Dialer {
    install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let extra_ca = Some(authority.write(folder.path()).unwrap());
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()], vec![port]);
    Dialer::new(DialerSettings { extra_ca, guard, deadlines, poll_every, quirks: Vec::new(), contact: None }).unwrap()
}

/// The INBOX at an address.
pub(crate) fn target(address: SocketAddr, security: Security, mechanism: Mechanism) -> ImapTarget {
    let host = HostName::parse(&address.ip().to_string()).unwrap();
    ImapTarget { host, port: address.port(), security, mailbox: "INBOX".to_owned(), mechanism }
}

/// A name and its password.
pub(crate) fn password(username: &str, password: &str) -> Credential {
    Credential { username: username.into(), secret: Secret::Password(password.into()) }
}

/// A name and its access token.
pub(crate) fn token(username: &str, token: &str) -> Credential {
    Credential { username: username.into(), secret: Secret::AccessToken(token.into()) }
}

/// The next news, which must come.
pub(crate) async fn next(connection: &mut Connection) -> Result<Mailbox, Failure> {
    tokio::time::timeout(PATIENCE, next_or_renew(connection, RENEW)).await.unwrap()
}

/// The next news, where IDLE is renewed after `renew`.
pub(crate) async fn next_or_renew(connection: &mut Connection, renew: Duration) -> Result<Mailbox, Failure> {
    let before = connection.mailbox();
    loop {
        connection.changed(renew).await?;
        let mailbox = connection.news().await?;
        if mailbox.uid_next != before.uid_next {
            return Ok(mailbox);
        }
    }
}

/// UIDNEXT, as a number.
pub(crate) fn uid_next(mailbox: Mailbox) -> u32 {
    mailbox.uid_next.get()
}
