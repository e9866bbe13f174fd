//! What is watched: a mailbox, and what has been seen of it.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

/// Why a mail target was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The host is neither a name nor an address.
    #[error("must be a host name or an IP address of at most 253 characters")]
    Host,
    /// The port is 0 or above 65,535.
    #[error("must be a port from 1 to 65535")]
    Port,
    /// The mailbox's name is too long or has control characters.
    #[error("must have at most 255 bytes and no control characters")]
    Mailbox,
}

/// A host name (RFC 1123) or an IP address, in lower case as the wire had it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(String);

impl HostName {
    /// Takes 1 to 253 bytes. A trailing dot is refused, so that one host has one spelling.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let text = text.to_ascii_lowercase();
        if text.parse::<IpAddr>().is_ok() {
            return Ok(Self(text));
        }
        // All-numeric names are addresses in a disguise that resolvers honour (0x7f.1, 2130706433).
        let numeric_tail = text.rsplit('.').next().is_some_and(|label| {
            label.bytes().all(|byte| byte.is_ascii_digit())
                || label.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
        });
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() > 253 || numeric_tail || !text.split('.').all(label_ok) {
            return Err(TargetError::Host);
        }
        Ok(Self(text))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, where the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a connection is encrypted. Without is no choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// STARTTLS before the login.
    StartTls,
}

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// AUTHENTICATE PLAIN (RFC 4616).
    Plain,
    /// The LOGIN command.
    Login,
    /// AUTHENTICATE XOAUTH2.
    XOAuth2,
    /// AUTHENTICATE SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// AUTHENTICATE OAUTHBEARER (RFC 7628).
    OAuthBearer,
    /// The best that the server offers and the credential fits.
    Auto,
}

impl Mechanism {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Plain, Self::Login, Self::XOAuth2, Self::ScramSha256, Self::OAuthBearer, Self::Auto];

    /// The stable name, as the store has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Login => "login",
            Self::XOAuth2 => "xoauth2",
            Self::ScramSha256 => "scram_sha_256",
            Self::OAuthBearer => "oauthbearer",
            Self::Auto => "auto",
        }
    }

    /// Finds a mechanism by its stable name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mechanism| mechanism.as_str() == text)
    }
}

/// A mailbox on an IMAP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImapTarget {
    /// The server.
    pub host: HostName,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: Security,
    /// The mailbox, in UTF-8; never empty.
    pub mailbox: String,
    /// How to log in.
    pub mechanism: Mechanism,
}

impl ImapTarget {
    /// Checks a mailbox's name: at most 255 bytes without control characters; empty means INBOX.
    pub fn parse_mailbox(text: &str) -> Result<String, TargetError> {
        if text.len() > 255 || text.chars().any(char::is_control) {
            return Err(TargetError::Mailbox);
        }
        Ok(if text.is_empty() { "INBOX".to_owned() } else { text.to_owned() })
    }

    /// Checks a port.
    pub fn parse_port(port: u32) -> Result<u16, TargetError> {
        u16::try_from(port).ok().filter(|port| *port != 0).ok_or(TargetError::Port)
    }
}

/// What is watched, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailTarget {
    /// A mailbox on an IMAP server.
    Imap(ImapTarget),
}

impl MailTarget {
    /// The mail server's host.
    pub fn host(&self) -> &HostName {
        match self {
            Self::Imap(imap) => &imap.host,
        }
    }

    /// The mail server's port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Imap(imap) => imap.port,
        }
    }
}

/// What a mail server says of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// UIDVALIDITY (RFC 3501 §2.3.1.1).
    pub uid_validity: NonZeroU32,
    /// UIDNEXT: greater than every UID that was ever given out.
    pub uid_next: NonZeroU32,
    /// HIGHESTMODSEQ (RFC 7162), where the server has it.
    pub highest_modseq: Option<u64>,
}

/// What has been seen of a mailbox. What the server has beyond it is new mail.
pub type Baseline = Mailbox;

/// What a mailbox is, beside a baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing new.
    Nothing,
    /// There are UIDs beyond the baseline's.
    NewMail,
    /// All UIDs changed their meaning: whatever is there may be new.
    Renumbered,
    /// UIDNEXT went backwards, which no server may do: the baseline was wrong.
    WentBack,
}

impl Mailbox {
    /// Compares what the server says with what was seen before.
    pub fn beside(&self, baseline: &Baseline) -> News {
        if self.uid_validity != baseline.uid_validity {
            News::Renumbered
        } else if self.uid_next > baseline.uid_next {
            News::NewMail
        } else if self.uid_next < baseline.uid_next {
            News::WentBack
        } else {
            News::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_host(text: &str, fine: bool) {
        assert_eq!(HostName::parse(text).is_ok(), fine, "{text:?}");
    }

    #[test]
    fn hosts() {
        check_host("imap.example.org", true);
        check_host("192.0.2.1", true);
        check_host("2001:db8::1", true);
        check_host("localhost", true);
        check_host("xn--bcher-kva.example", true);
        check_host("", false);
        check_host("a..b", false);
        check_host("example.org.", false);
        check_host("-a.example", false);
        check_host("2130706433", false);
        check_host("0x7f.1", false);
        check_host("127.1", false);
        check_host("0x7f000001", false);
        check_host("a b", false);
        check_host("a/b", false);
        check_host("user@host", false);
        check_host(&"a.".repeat(200), false);
        assert_eq!(HostName::parse("IMAP.Example.ORG").map(|host| host.to_string()), Ok("imap.example.org".to_owned()));
    }

    #[test]
    fn mailboxes_and_ports() {
        assert_eq!(ImapTarget::parse_mailbox(""), Ok("INBOX".to_owned()));
        assert_eq!(ImapTarget::parse_mailbox("a\r\nb"), Err(TargetError::Mailbox));
        assert_eq!(ImapTarget::parse_port(0), Err(TargetError::Port));
        assert_eq!(ImapTarget::parse_port(65_536), Err(TargetError::Port));
        assert_eq!(ImapTarget::parse_port(993), Ok(993));
    }
}
