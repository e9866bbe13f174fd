//! The one table of messages. Plain and short: what happened, then what to do. What a failure is called stands in
//! `domain::FailureCode`, so that the device, the log and these pages say the same.

use domain::{EndReason, FailureCode, Mechanism, PushKind, Security, State};

/// The push service's name, as its users know it.
pub(crate) const APNS: &str = "APNs";

/// A state's name.
pub(crate) const fn state(state: State) -> &'static str {
    match state {
        State::Waiting => "Waiting",
        State::Watching => "Watching",
        State::Holding => "Holding",
        State::Retrying => "Retrying",
        State::Ended => "Ended",
    }
}

/// What happened, for the middle of a sentence: “the mail server refused the connection”.
pub(crate) fn clause(code: FailureCode) -> String {
    let message = code.message().trim_end_matches('.');
    message.strip_prefix("The ").map_or_else(|| message.to_owned(), |rest| format!("the {rest}"))
}

/// What happened, for a cell of a table.
pub(crate) const fn cell(code: FailureCode) -> &'static str {
    match code {
        FailureCode::HostNotFound => "Host not found",
        FailureCode::AddressBlocked => "Address not allowed",
        FailureCode::ConnectRefused => "Connection refused",
        FailureCode::ConnectTimeout => "No answer",
        FailureCode::ConnectionLost => "Connection lost",
        FailureCode::TlsFailed => "TLS failed",
        FailureCode::CertificateInvalid => "Certificate not valid",
        FailureCode::StartTlsMissing => "No STARTTLS",
        FailureCode::GreetingTimeout => "No greeting",
        FailureCode::CommandTimeout => "Stopped answering",
        FailureCode::ProtocolError => "Not IMAP",
        FailureCode::FloodRefused => "Sent too much",
        FailureCode::ServerBye => "Closed by the server",
        FailureCode::Throttled => "Throttled",
        FailureCode::LoginRefused => "Password refused",
        FailureCode::LoginDisabled => "Login not allowed",
        FailureCode::LoginHeld => "Held by the provider",
        FailureCode::LoginPaused => "Logins paused",
        FailureCode::MailboxMissing => "No such mailbox",
        FailureCode::CredentialUnreadable => "Credential unreadable",
        FailureCode::CredentialMismatch => "Wrong kind of credential",
        FailureCode::Internal => "Fault of Pinger",
    }
}

/// A sentence to say to the customer; none where they can do nothing.
pub(crate) const fn tell(code: FailureCode) -> Option<&'static str> {
    match code {
        FailureCode::LoginRefused => {
            Some("Your mail provider no longer accepts the saved password. Open the app and enter it again.")
        }
        FailureCode::LoginDisabled => Some(
            "Your mail provider does not allow this way of signing in. Open the app and sign in to the account again.",
        ),
        FailureCode::MailboxMissing => {
            Some("The folder that was chosen is no longer there. Open the app and choose one again.")
        }
        FailureCode::HostNotFound | FailureCode::AddressBlocked => Some(
            "The mail server’s name in the app does not lead to a mail server. Check it in the account’s settings.",
        ),
        FailureCode::CertificateInvalid => {
            Some("Your mail server’s certificate is not valid. Whoever runs that server has to renew it.")
        }
        FailureCode::TlsFailed | FailureCode::StartTlsMissing => {
            Some("Your mail server does not encrypt on this port. Check port and encryption in the account’s settings.")
        }
        FailureCode::CredentialUnreadable | FailureCode::CredentialMismatch => {
            Some("The app has to set up notifications again. Open it and sign in to the account.")
        }
        FailureCode::ConnectRefused | FailureCode::ConnectTimeout | FailureCode::GreetingTimeout => {
            Some("Your mail server can’t be reached at the moment. Notifications come back when it can.")
        }
        FailureCode::LoginHeld => Some(
            "Your mail provider wants you to sign in on its web page first. Do that once; then notifications come back.",
        ),
        FailureCode::LoginPaused => {
            Some("Your mail provider no longer accepts the saved password. Open the app and enter it again.")
        }
        FailureCode::Throttled => {
            Some("Your mail provider limits how often we may look. Fewer mail apps on this account help.")
        }
        FailureCode::ConnectionLost
        | FailureCode::CommandTimeout
        | FailureCode::ProtocolError
        | FailureCode::FloodRefused
        | FailureCode::ServerBye
        | FailureCode::Internal => None,
    }
}

/// What happens without anybody's help: the same words as in `docs/failures.md`.
pub(crate) const fn by_itself(code: FailureCode) -> &'static str {
    code.by_itself()
}

/// Why a session ended, for a cell of a table.
pub(crate) const fn end_cell(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Stopped => "Ended, stopped by the device",
        EndReason::Revoked => "Revoked by staff",
        EndReason::Replaced => "Ended, replaced by a newer one",
        EndReason::Expired => "Ended, lifetime over",
        EndReason::CredentialRefused => "Ended, password refused",
        EndReason::MailServerGone => "Ended, mail server not found",
        EndReason::PushTargetGone => "Ended, app gone from the device",
        EndReason::Quota => "Ended, limit reached",
    }
}

/// What follows where a server's IDLE can't be trusted.
pub(crate) const POLLED: &str = "Pinger asks for new mail every few minutes, so a push may come that much later.";

/// How a login is made.
pub(crate) const fn mechanism(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Plain => "PLAIN",
        Mechanism::Login => "LOGIN",
        Mechanism::XOAuth2 => "XOAUTH2",
        Mechanism::ScramSha256 => "SCRAM-SHA-256",
        Mechanism::OAuthBearer => "OAUTHBEARER",
        Mechanism::Auto => "the best way that the server offers",
    }
}

/// What the credential is.
pub(crate) const fn credential(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Plain | Mechanism::Login | Mechanism::ScramSha256 => "Password",
        Mechanism::XOAuth2 | Mechanism::OAuthBearer => "Access token",
        Mechanism::Auto => "Credential",
    }
}

/// How a connection is encrypted.
pub(crate) const fn security(security: Security) -> &'static str {
    match security {
        Security::Tls => "TLS",
        Security::StartTls => "STARTTLS",
    }
}

/// What a push says.
pub(crate) const fn push_kind(kind: PushKind) -> &'static str {
    match kind {
        PushKind::NewMail => "New mail",
        PushKind::Register => "Register again",
        PushKind::Test => "Test push",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_fit_into_sentences() {
        for code in FailureCode::ALL {
            let clause = clause(*code);
            assert!(!clause.ends_with('.'), "{clause}");
            assert!(clause.starts_with("the ") || clause.starts_with("Pinger "), "{clause}");
        }
        assert_eq!(clause(FailureCode::ServerBye), "the mail server ended the connection");
    }

    #[test]
    fn cells_are_short_and_blame_nobody() {
        for code in FailureCode::ALL {
            assert!(cell(*code).chars().count() <= 26, "{}", cell(*code));
            let told = tell(*code).unwrap_or_default();
            assert!(!told.contains('!') && !told.to_lowercase().contains("please"), "{told}");
        }
    }
}
