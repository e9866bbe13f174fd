//! What a caller gets when something can't be done: a gRPC status with `google.rpc` details.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The domain of our `ErrorInfo`.
const DOMAIN: &str = "pinger.v1";

macro_rules! reasons {
    ($($variant:ident, $name:literal, $code:ident, $message:literal, $cure:literal;)*) => {
        /// Why a call was refused. The names are part of the API; docs/errors.md is made from this list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = $message] $variant,)*
        }

        impl Reason {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The gRPC code that it comes with.
            pub const fn code(self) -> Code {
                match self { $(Self::$variant => Code::$code,)* }
            }

            /// What is wrong, as a sentence.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }

            /// What the caller can do about it, as a sentence.
            pub const fn cure(self) -> &'static str {
                match self { $(Self::$variant => $cure,)* }
            }
        }
    };
}

reasons! {
    FieldInvalid, "FIELD_INVALID", InvalidArgument,
        "Some fields of the request are not valid.",
        "Correct the fields that `BadRequest` names.";
    RequestTooLarge, "REQUEST_TOO_LARGE", ResourceExhausted,
        "The request has more than 64 KiB.",
        "Send less; no valid request is that large.";
    AppKeyMissing, "APP_KEY_MISSING", Unauthenticated,
        "The call carries no app key.",
        "Send the app's key in the metadata `x-pinger-app-key`.";
    AppKeyUnknown, "APP_KEY_UNKNOWN", Unauthenticated,
        "The app key is not one of this server's.",
        "Use the key that the operator gave for this app.";
    TokenMissing, "TOKEN_MISSING", Unauthenticated,
        "The call carries no session token.",
        "Send the token that Register answered with in the metadata `authorization`, as `Bearer <token>`.";
    TokenInvalid, "TOKEN_INVALID", Unauthenticated,
        "The session token was not issued by this server.",
        "Use the token that Register answered with, or register again.";
    TokenExpired, "TOKEN_EXPIRED", Unauthenticated,
        "The session token has expired, and the session with it.",
        "Register again.";
    TokenDead, "TOKEN_DEAD", Unauthenticated,
        "The session was revoked or replaced, and its token with it.",
        "Register again.";
    TokenForeign, "TOKEN_FOREIGN", PermissionDenied,
        "The session token is for another session.",
        "Use the token of the session that the request names.";
    RateLimited, "RATE_LIMITED", ResourceExhausted,
        "Too many calls in too short a time.",
        "Wait as long as `RetryInfo` says.";
    Overloaded, "OVERLOADED", Unavailable,
        "The server has more to do than it can do at once.",
        "Try again after the time in `RetryInfo`.";
    DeadlineOver, "DEADLINE_OVER", DeadlineExceeded,
        "The call was not over at its deadline.",
        "Give it more time; registering again is safe. A WatchSession that ends so is opened again.";
    MethodUnknown, "METHOD_UNKNOWN", Unimplemented,
        "The server has no such method.",
        "Call one of the services that reflection lists.";
    BackendUnavailable, "BACKEND_UNAVAILABLE", Unavailable,
        "The backend did not answer in time.",
        "Try again after the time in `RetryInfo`; registering again is safe.";
    StoreUnavailable, "STORE_UNAVAILABLE", Unavailable,
        "The session could not be stored.",
        "Try again after the time in `RetryInfo`; registering again is safe.";
    SealingKeyUnknown, "SEALING_KEY_UNKNOWN", FailedPrecondition,
        "The credential is sealed for a key that the server does not have.",
        "Call GetSealingKeys, seal the credential for the first key, and register again.";
    CredentialUnreadable, "CREDENTIAL_UNREADABLE", InvalidArgument,
        "The sealed credential does not open for this registration.",
        "Seal it with the user, device, context, host and port of the very request that carries it.";
    CredentialMismatch, "CREDENTIAL_MISMATCH", InvalidArgument,
        "The sealed credential is of a kind that the mechanism can't use.",
        "Seal a password for PLAIN and LOGIN, an access token for XOAUTH2.";
    AddressBlocked, "ADDRESS_BLOCKED", InvalidArgument,
        "The mail server's address is private, loopback, link-local or otherwise special.",
        "Use a mail server with a public address, or ask the operator to allow this one.";
    PortBlocked, "PORT_BLOCKED", InvalidArgument,
        "The mail server's port is not a mail port.",
        "Use 993 or 143, or ask the operator to allow this one.";
    TopicUnknown, "TOPIC_UNKNOWN", FailedPrecondition,
        "The server is not configured to push for this app.",
        "Use a topic that the operator configured.";
    SessionUnknown, "SESSION_UNKNOWN", NotFound,
        "There is no such session.",
        "Register again.";
    SessionEnded, "SESSION_ENDED", FailedPrecondition,
        "The session has ended.",
        "Call GetSession for the reason; register again.";
    Internal, "INTERNAL", Internal,
        "The server had a fault.",
        "Try again later; tell the operator, with the trace id, if it stays.";
}

/// A field that is wrong, and what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's path, such as `mail_target.imap.port`.
    pub field: String,
    /// What it should be.
    pub description: String,
}

/// Why a call was refused, with everything that the caller is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: Reason,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
    metadata: HashMap<String, String>,
}

impl Refusal {
    /// A refusal for `reason`.
    pub fn new(reason: Reason) -> Self {
        Self { reason, violations: Vec::new(), retry_after: None, metadata: HashMap::new() }
    }

    /// A refusal because of fields.
    pub fn fields(violations: Vec<Violation>) -> Self {
        Self { violations, ..Self::new(Reason::FieldInvalid) }
    }

    /// Names a field to blame.
    #[must_use]
    pub fn field(mut self, field: &str) -> Self {
        self.violations.push(Violation { field: field.to_owned(), description: self.reason.message().to_owned() });
        self
    }

    /// Says when trying again may help.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Adds a word for a program to read.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The reason.
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let Refusal { reason, violations, retry_after, metadata } = refusal;
        let mut details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, metadata);
        for violation in violations {
            details.add_bad_request_violation(violation.field, violation.description);
        }
        if let Some(after) = retry_after {
            details.set_retry_info(Some(after));
        }
        Status::with_error_details(reason.code(), format!("{} {}", reason.message(), reason.cure()), details)
    }
}
