//! What can go wrong while a mailbox is watched, sorted before anything is decided.

use std::fmt;
use std::time::Duration;

/// What a failure means for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The way to the server is broken: try again, with full jitter.
    Transport,
    /// The server asks to be left alone for a while.
    Throttled,
    /// Trying again soon can't help, but somebody may mend it: try again slowly.
    Misconfigured,
    /// The server refused the log-in: at most twice, then the session ends.
    CredentialRefused,
    /// The credential can't be used at all: the session ends.
    CredentialUnusable,
    /// The host's name does not resolve: after a day the session ends.
    Unresolved,
}

macro_rules! failure_codes {
    ($($variant:ident, $code:literal, $class:ident, $message:literal, $remedy:literal;)*) => {
        /// A failure's stable name. The same words go to the device, to staff and to the log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum FailureCode {
            $(#[doc = $message] $variant,)*
        }

        impl FailureCode {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// Finds a failure by its stable name.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($code => Some(Self::$variant),)* _ => None }
            }

            /// What it means for the session.
            pub const fn class(self) -> FailureClass {
                match self { $(Self::$variant => FailureClass::$class,)* }
            }

            /// What happened, as a sentence.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }

            /// What helps, as a sentence.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

failure_codes! {
    HostNotFound, "HOST_NOT_FOUND", Unresolved,
        "The mail server's name does not resolve.",
        "Check the spelling of the host; if it is right, the provider's DNS has a fault and we go on trying.";
    AddressBlocked, "ADDRESS_BLOCKED", Misconfigured,
        "The mail server's name leads to an address that Pinger does not connect to.",
        "Use a mail server with a public address, or ask the operator to allow this one.";
    ConnectRefused, "CONNECT_REFUSED", Transport,
        "The mail server refused the connection.",
        "Check host and port; if they are right, the server is down and we go on trying.";
    ConnectTimeout, "CONNECT_TIMEOUT", Transport,
        "The mail server did not answer in time.",
        "Check host and port; if they are right, the server is out of reach and we go on trying.";
    ConnectionLost, "CONNECTION_LOST", Transport,
        "The connection to the mail server broke.",
        "Nothing needs to be done; we connect again.";
    TlsFailed, "TLS_FAILED", Transport,
        "The mail server does not speak TLS on this port, or the handshake failed.",
        "Check the port and the kind of encryption: 993 has TLS from the start, 143 has STARTTLS.";
    CertificateInvalid, "CERTIFICATE_INVALID", Misconfigured,
        "The mail server's certificate is not valid for its name.",
        "Use the host name that the certificate was issued for, or have the certificate renewed.";
    StartTlsMissing, "STARTTLS_MISSING", Misconfigured,
        "The mail server does not offer STARTTLS.",
        "Use TLS on port 993, or have STARTTLS switched on.";
    GreetingTimeout, "GREETING_TIMEOUT", Transport,
        "The mail server took the connection and then said nothing.",
        "Check the port; if it is right, the server is overloaded and we go on trying.";
    CommandTimeout, "COMMAND_TIMEOUT", Transport,
        "The mail server stopped answering.",
        "Nothing needs to be done; we connect again.";
    ProtocolError, "PROTOCOL_ERROR", Transport,
        "The mail server said something that is not IMAP.",
        "Check the port; if it is right, the server has a fault and we go on trying.";
    FloodRefused, "FLOOD_REFUSED", Transport,
        "The mail server sent more than any mail server needs to send.",
        "Nothing needs to be done; we closed the connection and try again later.";
    ServerBye, "SERVER_BYE", Transport,
        "The mail server ended the connection.",
        "Nothing needs to be done; we connect again.";
    Throttled, "THROTTLED", Throttled,
        "The mail server is overloaded or limits this account, and asks us to come back later.",
        "Close other mail clients of this account if it stays so; we come back later.";
    LoginRefused, "LOGIN_REFUSED", CredentialRefused,
        "The mail server refused the user name or password.",
        "Sign in to the account in the app again, and register again.";
    LoginDisabled, "LOGIN_DISABLED", Misconfigured,
        "The mail server does not allow this way of logging in.",
        "Choose another mechanism, or have it allowed at the server.";
    MailboxMissing, "MAILBOX_MISSING", Misconfigured,
        "The mail server has no such mailbox, or does not let us open it.",
        "Check the mailbox's name, and register again.";
    CredentialUnreadable, "CREDENTIAL_UNREADABLE", CredentialUnusable,
        "The stored credential can no longer be opened.",
        "Register again; the app seals the credential for a current key.";
    CredentialMismatch, "CREDENTIAL_MISMATCH", CredentialUnusable,
        "The credential is of a kind that the mechanism can't use.",
        "Use a password for PLAIN, LOGIN and SCRAM, an access token for XOAUTH2 and OAUTHBEARER.";
    Internal, "INTERNAL", Transport,
        "Pinger itself had a fault.",
        "Nothing needs to be done; we try again. If it stays, tell the operator.";
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What shows that a failure is what we say it is: usually the server's last line. It is bounded and redacted, so that it
/// can be shown to staff and written to a log.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Evidence(String);

impl Evidence {
    /// The most characters that are kept.
    pub const MAX: usize = 200;

    /// Takes what a server said, without its control characters, its mail addresses and the account's own name, cut
    /// to [`Self::MAX`] characters.
    pub fn redact(text: &str, account: Option<&str>) -> Self {
        let mut text = text.to_owned();
        if let Some(account) = account.filter(|account| account.len() > 2) {
            text = replace_ignoring_case(&text, account);
        }
        let words: Vec<String> = text
            .split(|char: char| char.is_whitespace() || char.is_control())
            .filter(|word| !word.is_empty())
            .map(|word| if word.contains('@') { "[address]".to_owned() } else { word.to_owned() })
            .collect();
        Self(words.join(" ").chars().take(Self::MAX).collect())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn replace_ignoring_case(text: &str, secret: &str) -> String {
    let (haystack, needle) = (text.to_ascii_lowercase(), secret.to_ascii_lowercase());
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = haystack[from..].find(&needle) {
        out.push_str(&text[from..from + at]);
        out.push_str("[account]");
        from += at + needle.len();
    }
    out.push_str(&text[from..]);
    out
}

/// A failure of one episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it is.
    pub code: FailureCode,
    /// What shows it.
    pub evidence: Evidence,
    /// How long the server asks to be left alone, where it says so.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure with what shows it, already redacted.
    pub const fn new(code: FailureCode, evidence: Evidence) -> Self {
        Self { code, evidence, retry_after: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.evidence.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, account: Option<&str>, expect: &str) {
        assert_eq!(Evidence::redact(text, account).as_str(), expect);
    }

    #[test]
    fn evidence_is_redacted_and_bounded() {
        check("NO [AUTHENTICATIONFAILED] no\r\n", None, "NO [AUTHENTICATIONFAILED] no");
        check("NO user anna@example.org unknown", None, "NO user [address] unknown");
        check("NO Anna.Smith is locked", Some("anna.smith"), "NO [account] is locked");
        check(&"x".repeat(1000), None, &"x".repeat(Evidence::MAX));
        check("\u{1b}[31mred\0", None, "[31mred");
    }

    #[test]
    fn codes_round_trip() {
        for code in FailureCode::ALL {
            assert_eq!(FailureCode::parse(code.as_str()), Some(*code));
        }
    }
}
