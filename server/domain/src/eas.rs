//! What is watched over Exchange ActiveSync: a request of the device's own that the server holds until something is new.

use crate::{HostName, ImapTarget, TargetError};

/// Which command a long poll is (MS-ASCMD).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EasCommand {
    /// Ping, 2.2.1.13.
    Ping,
    /// Sync with a wait, 2.2.1.21.
    Sync,
}

impl EasCommand {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Ping, Self::Sync];

    /// The name, as `Cmd` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "Ping",
            Self::Sync => "Sync",
        }
    }

    /// Finds a command by its name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|command| command.as_str() == text)
    }
}

/// How an account proves itself to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EasAuthentication {
    /// HTTP Basic (RFC 7617), with a password.
    Basic,
    /// HTTP Bearer (RFC 6750), with an access token.
    Bearer,
}

impl EasAuthentication {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Basic, Self::Bearer];

    /// The stable name, as the store has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Bearer => "bearer",
        }
    }

    /// Finds a way by its stable name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|way| way.as_str() == text)
    }
}

/// Where the long polls go: `https://HOST[:PORT]/PATH[?QUERY]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EasUrl {
    host: HostName,
    port: u16,
    path: String,
}

impl EasUrl {
    /// The most bytes of a URL.
    pub const MAX: usize = 2048;

    /// Takes printable ASCII without a fragment and without anybody's name or password before the host.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let printable = text.len() <= Self::MAX && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        let (scheme, rest) = text.split_at_checked(8).ok_or(TargetError::EasUrl)?;
        if !printable || !scheme.eq_ignore_ascii_case("https://") || rest.contains(['#', '\\', '"', '<', '>']) {
            return Err(TargetError::EasUrl);
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((address, port))) if address.contains(':') => (address, port),
            Some(_) => return Err(TargetError::EasUrl),
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => 443,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                ImapTarget::parse_port(port.parse().map_err(|_| TargetError::EasUrl)?)?
            }
            _ => return Err(TargetError::EasUrl),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { host: HostName::parse(host)?, port, path })
    }

    /// Puts a URL together again that was taken apart, as by the store.
    pub fn from_parts(host: HostName, port: u16, path: &str) -> Result<Self, TargetError> {
        let url = Self { host, port, path: path.to_owned() };
        Self::parse(&url.to_string()).ok().filter(|parsed| *parsed == url).ok_or(TargetError::EasUrl)
    }

    /// The server.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, as a request's first line has them.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same request at the server that `location` names.
    #[must_use]
    pub fn moved_to(&self, location: &Self) -> Self {
        let path = location.path.split('?').next().unwrap_or("/");
        let query = self.path.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
        Self { host: location.host.clone(), port: location.port, path: format!("{path}{query}") }
    }

    /// `HOST[:PORT]`, as the header `Host` has it.
    pub fn authority(&self) -> String {
        let host = match self.host.address() {
            Some(std::net::IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.to_string(),
        };
        if self.port == 443 { host } else { format!("{host}:{}", self.port) }
    }

    /// The values of a parameter of the query, as they stand there.
    fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        query.split('&').filter_map(move |pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Whether the query names this command, and nobody's account.
    fn is_for(&self, command: EasCommand) -> bool {
        // An escaped name would be read as another one by the server than by us.
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let plain = !query.split('&').any(|pair| pair.split('=').next().is_some_and(|key| key.contains('%')))
            && !self.path.contains('@')
            && !self.path.contains("%40");
        let mut commands = self.parameters("Cmd");
        let named = commands.next() == Some(command.as_str()) && commands.next().is_none();
        plain && named && self.parameters("User").next().is_none()
    }
}

impl std::fmt::Display for EasUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.path)
    }
}

/// A header of the device's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EasHeader {
    name: String,
    value: String,
}

/// What Pinger says itself, and what would change where a message ends.
const OURS: [&str; 16] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

impl EasHeader {
    /// Takes a token of 1 to 64 bytes and a value of at most 512 printable ones.
    pub fn parse(name: &str, value: &str) -> Result<Self, TargetError> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let fine = (1..=64).contains(&name.len())
            && name.bytes().all(token)
            && value.len() <= 512
            && value.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
            && value.trim() == value;
        let ours = OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours));
        if fine && !ours {
            Ok(Self { name: name.to_owned(), value: value.to_owned() })
        } else {
            Err(TargetError::EasHeader)
        }
    }

    /// The name, as the device spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// The part of a long poll that a device changes as it syncs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EasRequest {
    headers: Vec<EasHeader>,
    body: Vec<u8>,
    no_change_body: Vec<u8>,
}

impl EasRequest {
    /// The most headers, and the most bytes of the two bodies.
    pub const HEADERS: usize = 16;
    /// The most bytes of a request's body.
    pub const BODY: usize = 8192;
    /// The most bytes of an answer that says that nothing is new.
    pub const NO_CHANGE_BODY: usize = 1024;

    /// A request within its limits.
    pub fn new(headers: Vec<EasHeader>, body: Vec<u8>, no_change_body: Vec<u8>) -> Result<Self, TargetError> {
        if headers.len() > Self::HEADERS {
            return Err(TargetError::EasHeaders);
        }
        if body.len() > Self::BODY || no_change_body.len() > Self::NO_CHANGE_BODY {
            return Err(TargetError::EasBody);
        }
        Ok(Self { headers, body, no_change_body })
    }

    /// The device's own headers.
    pub fn headers(&self) -> &[EasHeader] {
        &self.headers
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// What the server answers if nothing is new.
    pub fn no_change_body(&self) -> &[u8] {
        &self.no_change_body
    }
}

/// A mailbox on an Exchange ActiveSync server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EasTarget {
    /// Where the polls go.
    pub url: EasUrl,
    /// Which command they are.
    pub command: EasCommand,
    /// How the account proves itself.
    pub authentication: EasAuthentication,
    /// What they say.
    pub request: EasRequest,
}

impl EasTarget {
    /// Checks that the URL is for this command: it names it once, and names no account.
    pub fn check_url(url: EasUrl, command: EasCommand) -> Result<EasUrl, TargetError> {
        if url.is_for(command) { Ok(url) } else { Err(TargetError::EasCommand) }
    }
}

/// What a long poll came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// The server waited, and nothing is new.
    Unchanged,
    /// There is something that the device has not synced.
    Changed,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(&str, u16, &str)>) {
        let url = EasUrl::parse(text);
        let parts = url.as_ref().ok().map(|url| (url.host().as_str(), url.port(), url.path()));
        assert_eq!(parts, expect, "{text}");
    }

    #[test]
    fn urls() {
        check("https://eas.example.org/x?Cmd=Ping", Some(("eas.example.org", 443, "/x?Cmd=Ping")));
        check("HTTPS://EAS.example.org:8443", Some(("eas.example.org", 8443, "/")));
        check("https://eas.example.org?Cmd=Ping", Some(("eas.example.org", 443, "/?Cmd=Ping")));
        check("https://[2001:db8::1]:444/x", Some(("2001:db8::1", 444, "/x")));
        for wrong in [
            "",
            "https://",
            "http://eas.example.org/",
            "https://anna:secret@eas.example.org/",
            "https://eas.example.org:0/",
            "https://eas.example.org:+1/",
            "https://eas.example.org:65536/",
            "https://eas.example.org:/",
            "https://[eas.example.org]/",
            "https://eas.example.org/a b",
            "https://eas.example.org/a\r\nHost: b",
            "https://eas.example.org/#x",
            "https://127.1/",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_url_names_its_command_and_nobody() {
        let fine = |text: &str, command| EasTarget::check_url(EasUrl::parse(text).unwrap(), command).is_ok();
        assert!(fine("https://a.example/M?Cmd=Ping&DeviceId=1", EasCommand::Ping));
        assert!(!fine("https://a.example/M?Cmd=Ping&DeviceId=1", EasCommand::Sync));
        assert!(!fine("https://a.example/M?DeviceId=1", EasCommand::Ping));
        assert!(!fine("https://a.example/M?Cmd=Ping&cmd=Sync", EasCommand::Ping));
        assert!(!fine("https://a.example/M?Cmd=Ping&User=anna", EasCommand::Ping));
        assert!(!fine("https://a.example/M?Cmd=Ping&%55ser=anna", EasCommand::Ping));
        assert!(!fine("https://a.example/M?Cmd=Ping&DeviceId=anna%40example.org", EasCommand::Ping));
    }

    #[test]
    fn headers_are_the_devices_own() {
        assert!(EasHeader::parse("X-MS-PolicyKey", "1234567890").is_ok());
        assert!(EasHeader::parse("User-Agent", "").is_ok());
        for (name, value) in [
            ("", "x"),
            ("a b", "x"),
            ("X", "a\r\nb: c"),
            ("X", " a"),
            ("X", "\u{e9}"),
            ("Authorization", "Basic x"),
            ("cookie", "x"),
            ("HOST", "x"),
            ("Content-Length", "5"),
            ("Transfer-Encoding", "chunked"),
        ] {
            assert_eq!(EasHeader::parse(name, value), Err(TargetError::EasHeader), "{name}: {value}");
        }
    }

    proptest! {
        /// Whatever is taken is the same again when it is written down and read, and can't break out of its line.
        #[test]
        fn urls_round_trip(text in "https://[a-z0-9.:\\[\\]@-]{0,20}[ -~]{0,20}") {
            if let Ok(url) = EasUrl::parse(&text) {
                prop_assert_eq!(EasUrl::parse(&url.to_string()), Ok(url.clone()));
                prop_assert_eq!(EasUrl::from_parts(url.host().clone(), url.port(), url.path()), Ok(url.clone()));
                prop_assert!(url.path().starts_with('/') && !url.path().contains([' ', '\r', '\n']));
            }
        }
    }
}
