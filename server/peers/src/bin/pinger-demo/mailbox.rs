//! The demo's mailbox: on a real Dovecot where there is one, else on the small IMAP server of `peers`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use peers::certificate::Authority;
use peers::dovecot::{Dovecot, DovecotOptions, User};
use peers::imap_server::{ImapOptions, ImapServer};

use crate::wire::Wire;

/// The account's name at the mail server.
pub(crate) const USER: &str = "demo";

/// Its password.
pub(crate) const PASSWORD: &str = "demo-password";

enum Server {
    Dovecot(Box<Dovecot>),
    Small(ImapServer),
}

/// A mailbox that mail can be delivered to, with the wire that leads to it.
pub(crate) struct Mailbox {
    server: Server,
    /// Why it isn't on Dovecot.
    why_small: Option<String>,
    wire: Wire,
}

impl Mailbox {
    /// Starts a mail server.
    pub(crate) async fn start(authority: &Arc<Authority>) -> Result<Self> {
        let mut why_small = Some("Dovecot is not installed".to_owned());
        if Dovecot::available() {
            let users = vec![User::new(USER, PASSWORD)];
            let authority = Some(Arc::clone(authority));
            match Dovecot::start(DovecotOptions { users, authority, ..Default::default() }).await {
                Ok(dovecot) => {
                    let wire = Wire::open(dovecot.imaps_address()).await?;
                    return Ok(Self { server: Server::Dovecot(Box::new(dovecot)), why_small: None, wire });
                }
                Err(error) => why_small = Some(format!("Dovecot is here, but does not start: {}", last_line(&error))),
            }
        }
        let users = vec![(USER.to_owned(), PASSWORD.to_owned())];
        let authority = Some(Arc::clone(authority));
        let server = ImapServer::start(ImapOptions { users, authority, ..Default::default() }).await?;
        let wire = Wire::open(server.address()).await?;
        Ok(Self { server: Server::Small(server), why_small, wire })
    }

    /// Which server it is, in words.
    pub(crate) fn name(&self) -> &'static str {
        match self.server {
            Server::Dovecot(_) => "Dovecot",
            Server::Small(_) => "the project's own small IMAP server",
        }
    }

    /// Whether it is on Dovecot, which is in no hurry to tell its clients.
    pub(crate) fn is_dovecot(&self) -> bool {
        matches!(self.server, Server::Dovecot(_))
    }

    /// Why it isn't on Dovecot, if it isn't.
    pub(crate) fn why_small(&self) -> Option<&str> {
        self.why_small.as_deref()
    }

    /// Where Pinger connects: IMAP over TLS, with a certificate of the demo's authority.
    pub(crate) fn address(&self) -> SocketAddr {
        self.wire.address()
    }

    /// The wire between it and Pinger.
    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Delivers one mail.
    pub(crate) async fn deliver(&self) -> Result<()> {
        match &self.server {
            Server::Dovecot(dovecot) => dovecot.deliver(USER, "A mail for the demo").await,
            Server::Small(server) => server.deliver(USER).await.map(drop),
        }
    }
}

/// What went wrong, in a line: where a log is part of the error, its last.
fn last_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim_end_matches(':').to_owned()
}
