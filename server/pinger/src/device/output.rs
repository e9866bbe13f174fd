//! What is printed: sentences for a person, JSON for a program.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use proto::v1;
use serde_json::{Value, json};

use super::error::{DeviceError, Refused};
use super::print_line;
use super::trace::Trace;

/// Where a command's result goes, and in which words.
#[derive(Clone, Copy)]
pub(super) struct Output {
    json: bool,
    trace: Trace,
}

impl Output {
    pub(super) fn new(json: bool, trace: Trace) -> Self {
        Self { json, trace }
    }

    /// The trace that the command belongs to.
    pub(super) fn trace(self) -> Trace {
        self.trace
    }

    /// The server's identity key was taken as it came.
    pub(super) fn trusted(self, identity_key: &str) -> Result<(), DeviceError> {
        writeln!(
            io::stderr(),
            "Warning: the server's identity key {identity_key} is trusted because it came first. Compare it with what \
             `pinger keys show` prints at the server; from now on no other one is accepted."
        )
        .map_err(|source| DeviceError::Output { source })
    }

    /// A session was registered.
    pub(super) fn registered(self, session: &v1::Session, state: &Path) -> Result<(), DeviceError> {
        let text = format!(
            "Registered session {} for {}. Its token is in {}.",
            session.session_id,
            session.context,
            state.display()
        );
        self.print(session, &text)
    }

    /// A session was deferred.
    pub(super) fn deferred(self, session: &v1::Session, wait: u32) -> Result<(), DeviceError> {
        let text = match wait {
            0 => "Acknowledged: the watch goes on.".to_owned(),
            wait => format!("Deferred for {wait} s."),
        };
        self.print(session, &text)
    }

    /// A session was stopped.
    pub(super) fn stopped(self, session_id: &str) -> Result<(), DeviceError> {
        if self.json {
            return print_line(&json!({ "session_id": session_id, "trace_id": self.trace.id() }).to_string());
        }
        print_line(&format!("Stopped session {session_id}: its credential is destroyed. Trace: {}", self.trace.id()))
    }

    /// A session as it is.
    pub(super) fn session(self, session: &v1::Session) -> Result<(), DeviceError> {
        self.print(session, &format!("Session {} for {}.", session.session_id, session.context))
    }

    /// A session as it has become.
    pub(super) fn watched(self, session: &v1::Session) -> Result<(), DeviceError> {
        if self.json {
            return print_line(&self.object(session).to_string());
        }
        print_line(&format!("{}  {}", time(session.state_time.as_ref()), sentence(session)))
    }

    /// A command failed.
    pub(super) fn error(self, error: &DeviceError) -> io::Result<()> {
        let refused = match error {
            DeviceError::Refused(refused) => Some(refused.as_ref()),
            _ => None,
        };
        if !self.json {
            return writeln!(io::stderr(), "{}", self.failure(error, refused));
        }
        let fields = refused.into_iter().flat_map(|refused| &refused.fields);
        let fields: Vec<Value> =
            fields.map(|(field, description)| json!({ "field": field, "description": description })).collect();
        let object = json!({ "error": {
            "message": chain(error),
            "code": refused.map(|refused| format!("{:?}", refused.code)),
            "reason": refused.and_then(|refused| refused.reason.as_ref()),
            "fields": fields,
            "retry_after_ms": refused.and_then(|refused| refused.retry_after).map(|after| after.as_millis()),
            "trace_id": self.trace.id(),
        }});
        writeln!(io::stdout(), "{object}")
    }

    fn failure(self, error: &DeviceError, refused: Option<&Refused>) -> String {
        let mut text = match refused {
            None => format!("pinger: {}", chain(error)),
            Some(refused) => {
                let reason = refused.reason.clone().unwrap_or_else(|| format!("{:?}", refused.code));
                format!("Refused ({reason}): {}", refused.message)
            }
        };
        for (field, description) in refused.into_iter().flat_map(|refused| &refused.fields) {
            let _ = write!(text, "\n  {field}: {description}");
        }
        if let Some(after) = refused.and_then(|refused| refused.retry_after) {
            let _ = write!(text, "\n  Try again in {:.1} s.", after.as_secs_f64());
        }
        if refused.is_some() {
            let _ = write!(text, "\n  Trace: {}", self.trace.id());
        }
        text
    }

    fn print(self, session: &v1::Session, text: &str) -> Result<(), DeviceError> {
        if self.json {
            return print_line(&self.object(session).to_string());
        }
        let expires = time(session.expire_time.as_ref());
        print_line(&format!(
            "{text}\n{}\nIt ends by itself at {expires}. Trace: {}",
            sentence(session),
            self.trace.id()
        ))
    }

    fn object(self, session: &v1::Session) -> Value {
        let name = |name: &str, prefix: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
        let at = |time: Option<&prost_types::Timestamp>| time.map(ToString::to_string);
        let ended = Some(session.end_reason()).filter(|reason| *reason != v1::EndReason::Unspecified);
        json!({
            "session_id": session.session_id,
            "context": session.context,
            "state": name(session.state().as_str_name(), "SESSION_STATE_"),
            "end_reason": ended.map(|reason| name(reason.as_str_name(), "END_REASON_")),
            "state_time": at(session.state_time.as_ref()),
            "deadline": at(session.deadline.as_ref()),
            "expire_time": at(session.expire_time.as_ref()),
            "last_error": session.last_error.as_ref().map(|error| json!({
                "code": error.code,
                "message": error.message,
                "remedy": error.remedy,
                "time": at(error.time.as_ref()),
            })),
            "push_token_rejected": session.push_token_rejected,
            "baseline": session.baseline.map(|baseline| json!({
                "uid_validity": baseline.uid_validity,
                "uid_next": baseline.uid_next,
                "highest_modseq": baseline.highest_modseq,
            })),
            "trace_id": self.trace.id(),
        })
    }
}

/// The state of a session, and why.
fn sentence(session: &v1::Session) -> String {
    let deadline = time(session.deadline.as_ref());
    let mut text = match session.state() {
        v1::SessionState::Unspecified => "The server does not say what state the session is in.".to_owned(),
        v1::SessionState::Waiting => format!("The device is awake; the mailbox is watched from {deadline} on."),
        v1::SessionState::Watching => "The mailbox is watched.".to_owned(),
        v1::SessionState::Holding => {
            format!("A push was sent and the device has not answered; further mail is gathered until {deadline}.")
        }
        v1::SessionState::Retrying => {
            format!("The mailbox can't be watched just now; it is tried again at {deadline}.")
        }
        v1::SessionState::Ended => format!("The session has ended: {}.", ending(session.end_reason())),
    };
    if let Some(error) = &session.last_error {
        let _ = write!(text, " {} ({}) {}", error.message, error.code, error.remedy);
    }
    if session.push_token_rejected {
        text.push_str(" The push token was rejected: get a new one and register again.");
    }
    text
}

fn ending(reason: v1::EndReason) -> &'static str {
    match reason {
        v1::EndReason::Unspecified => "the server does not say why",
        v1::EndReason::Stopped => "the device stopped it",
        v1::EndReason::Revoked => "staff revoked the credential",
        v1::EndReason::Replaced => "the device registered the account again",
        v1::EndReason::Expired => "its lifetime was over",
        v1::EndReason::CredentialRefused => "the mail server refused the credential",
        v1::EndReason::MailServerGone => "the mail server could not be found for a day",
        v1::EndReason::PushTargetGone => "the push service says that the push target is gone",
        v1::EndReason::Quota => "a limit of the server's was reached",
        v1::EndReason::RequestRefused => "the mail server no longer takes the request that the app made",
    }
}

fn time(time: Option<&prost_types::Timestamp>) -> String {
    time.map_or_else(|| "a time that is not set".to_owned(), ToString::to_string)
}

fn chain(error: &DeviceError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}
