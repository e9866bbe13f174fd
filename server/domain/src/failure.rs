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
    LoginHeld, "LOGIN_HELD", Misconfigured,
        "The mail provider holds back log-ins to this account until its owner does something there.",
        "Sign in on the provider's web page and follow what it says, or ask its support; then it goes on by itself.";
    LoginPaused, "LOGIN_PAUSED", Throttled,
        "Pinger logs in no more for now, because too many log-ins were refused.",
        "Sign in to the account in the app again, and register again; else it is tried again later.";
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

impl FailureClass {
    /// What is done about it without anybody's help, as sentences.
    pub const fn by_itself(self) -> &'static str {
        match self {
            Self::Transport => "Pinger connects again, first soon, then up to every 10 minutes. Mail is not lost.",
            Self::Throttled => "Pinger comes back when the server said it may. Mail is not lost.",
            Self::Misconfigured => "Pinger looks again about once an hour, in case somebody mended it.",
            Self::CredentialRefused => {
                "Pinger tries once more and then ends the session, so that no account is locked. A new password registers a new \
                 session, which replaces this one."
            }
            Self::CredentialUnusable => {
                "Pinger ends the session and tells the device to register again; that makes a new session."
            }
            Self::Unresolved => "Pinger goes on asking for a day, then ends the session and tells the device.",
        }
    }
}

impl FailureCode {
    /// What is done about it without anybody's help, as sentences.
    pub const fn by_itself(self) -> &'static str {
        match self {
            Self::LoginPaused => {
                "Pinger logs in again when the refusals are an hour old, or as soon as a new password is registered. Mail is \
                 not lost."
            }
            code => code.class().by_itself(),
        }
    }

    /// What is kept to show it. All of it is redacted, and at most [`Evidence::MAX`] characters.
    pub const fn evidence_kept(self) -> &'static str {
        match self {
            Self::HostNotFound => "the resolver's error",
            Self::AddressBlocked => "what is special about the address",
            Self::ConnectRefused | Self::ConnectionLost => "the connection's error",
            Self::ConnectTimeout | Self::GreetingTimeout | Self::CommandTimeout => {
                "what was waited for, and for how long"
            }
            Self::TlsFailed | Self::CertificateInvalid => "the TLS error",
            Self::StartTlsMissing | Self::LoginDisabled => "what is not among the capabilities, or the server's line",
            Self::FloodRefused => "which bound was passed",
            Self::CredentialUnreadable | Self::CredentialMismatch => "which step of opening it failed; nothing of it",
            Self::LoginPaused => "whether too much was refused for the account or by the host",
            Self::Internal => "the error",
            _ => "the server's last line",
        }
    }
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
        Self(Self::mask(text, account).chars().take(Self::MAX).collect())
    }

    /// What a server said, as [`redact`](Self::redact) takes it, and not cut.
    pub fn mask(text: &str, account: Option<&str>) -> String {
        let mut text = text.to_owned();
        if let Some(account) = account {
            // Servers know people by what stands before the @, too.
            for name in [account, account.split('@').next().unwrap_or_default()] {
                if name.len() > 2 {
                    text = replace_ignoring_case(&text, name);
                }
            }
        }
        let words: Vec<&str> = text
            .split(|char: char| char.is_whitespace() || char.is_control())
            .filter(|word| !word.is_empty())
            .map(|word| if word.contains('@') { "[address]" } else { word })
            .collect();
        words.join(" ")
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Masks a name where it is a word of its own: `no` in `now` is none.
fn replace_ignoring_case(text: &str, secret: &str) -> String {
    let (haystack, needle) = (text.to_ascii_lowercase(), secret.to_ascii_lowercase());
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = haystack[from..].find(&needle) {
        let (begin, end) = (from + at, from + at + needle.len());
        let within = haystack[..begin].chars().next_back().is_some_and(char::is_alphanumeric)
            || haystack[end..].chars().next().is_some_and(char::is_alphanumeric);
        out.push_str(&text[from..begin]);
        out.push_str(if within { &text[begin..end] } else { "[account]" });
        from = end;
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
        check("NO ANNA is not known; announce it", Some("anna@example.org"), "NO [account] is not known; announce it");
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
