//! Why a device's command failed, in words and as an exit code.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use backend::vault::{KeySetError, SealError};
use tonic::{Code, Status, transport};
use tonic_types::StatusExt as _;

use super::state::StateError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeviceError {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("{} could not be read", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the password could not be read")]
    Prompt { source: io::Error },
    #[error("the credential can't be sealed")]
    Seal(#[from] SealError),
    #[error("the server is not to be trusted")]
    KeySet { source: KeySetError },
    #[error("TLS could not be set up")]
    Tls { source: transport::Error },
    #[error("{server} could not be reached")]
    Connect { server: String, source: transport::Error },
    #[error("the connection to the server broke")]
    Broken { source: Status },
    #[error("{}", .0.message)]
    Refused(Box<Refused>),
    #[error("the server's answer has no session in it")]
    NoSession,
    #[error("the server ended the stream before the session ended; watch again")]
    StreamEnded,
    #[error("the program could not be started")]
    Runtime { source: io::Error },
    #[error("the output could not be written")]
    Output { source: io::Error },
}

/// What a server says when it refuses (`google.rpc` details in the status).
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: Code,
    /// What happened and what helps.
    pub(super) message: String,
    /// The stable name; docs/errors.md lists them.
    pub(super) reason: Option<String>,
    /// Each field that is wrong, and what it should be.
    pub(super) fields: Vec<(String, String)>,
    pub(super) retry_after: Option<Duration>,
}

impl DeviceError {
    /// Reads a refusal.
    pub(super) fn refused(status: &Status) -> Self {
        let details = status.get_error_details();
        let fields = details.bad_request().into_iter().flat_map(|request| &request.field_violations);
        Self::Refused(Box::new(Refused {
            code: status.code(),
            message: status.message().to_owned(),
            reason: details.error_info().map(|info| info.reason.clone()),
            fields: fields.map(|wrong| (wrong.field.clone(), wrong.description.clone())).collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }))
    }

    /// 2 for usage, 4 for a refusal, 1 for anything else.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) | Self::Seal(_) => 2,
            Self::Refused(_) => 4,
            Self::State(_)
            | Self::File { .. }
            | Self::Prompt { .. }
            | Self::KeySet { .. }
            | Self::Tls { .. }
            | Self::Connect { .. }
            | Self::Broken { .. }
            | Self::NoSession
            | Self::StreamEnded
            | Self::Runtime { .. }
            | Self::Output { .. } => 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use proto::{Reason, Refusal};

    use super::*;

    #[test]
    fn a_refusal_is_read_whole() {
        let refusal = Refusal::new(Reason::PortBlocked).field("mail_target.imap.port");
        let status = Status::from(refusal.retry_after(Duration::from_secs(3)));
        let DeviceError::Refused(refused) = DeviceError::refused(&status) else { panic!() };
        assert_eq!(refused.code, Code::InvalidArgument);
        assert_eq!(refused.reason.as_deref(), Some("PORT_BLOCKED"));
        assert_eq!(refused.fields[0].0, "mail_target.imap.port");
        assert_eq!(refused.retry_after, Some(Duration::from_secs(3)));
        assert!(refused.message.contains(Reason::PortBlocked.cure()));
    }
}
