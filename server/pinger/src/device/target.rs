//! What a device wants watched, from its options.

use std::path::Path;

use backend::vault::Binding;
use domain::EasUrl;
use proto::v1;

use super::error::DeviceError;
use super::options::{EasHeader, Mechanism, RegisterOptions, Security};

/// The mail target, and what its credential is bound to.
pub(super) fn mail_target(options: &RegisterOptions) -> Result<(v1::mail_target::Server, Binding), DeviceError> {
    let bound = |host: &str, port| Binding::new(&options.user, &options.device, &options.context, host, port);
    let Some(url) = &options.eas.url else {
        // One of the two is there: the options say so.
        let host = options.imap_host.clone().unwrap_or_default();
        let port = options.imap_port.unwrap_or(match options.security {
            Security::Tls => 993,
            Security::Starttls => 143,
        });
        let binding = bound(&host, port);
        let imap = v1::ImapTarget {
            host,
            port: port.into(),
            security: options.security.into(),
            mailbox: options.mailbox.clone(),
            mechanism: options.mechanism.into(),
        };
        return Ok((v1::mail_target::Server::Imap(imap), binding));
    };
    let parsed = EasUrl::parse(url).map_err(|error| DeviceError::Usage(format!("--eas {error}")))?;
    let command = if parsed.path().contains("Cmd=Sync") { v1::EasCommand::Sync } else { v1::EasCommand::Ping };
    let authentication = match options.mechanism {
        Mechanism::Plain | Mechanism::Login | Mechanism::Auto => v1::EasAuthentication::Basic,
        Mechanism::Xoauth2 | Mechanism::Oauthbearer => v1::EasAuthentication::Bearer,
        Mechanism::ScramSha256 => return Err(DeviceError::Usage("ActiveSync has no log-in by SCRAM".to_owned())),
    };
    let request = v1::EasRequest {
        headers: options.eas.headers.iter().map(|EasHeader(header)| header.clone()).collect(),
        body: read(options.eas.body.as_deref())?.into(),
        no_change_body: read(options.eas.no_change.as_deref())?.into(),
    };
    let eas = v1::EasTarget {
        url: url.clone(),
        command: command.into(),
        authentication: authentication.into(),
        request: Some(request),
    };
    Ok((v1::mail_target::Server::Eas(eas), bound(parsed.host().as_str(), parsed.port())))
}

fn read(path: Option<&Path>) -> Result<Vec<u8>, DeviceError> {
    let Some(path) = path else { return Ok(Vec::new()) };
    std::fs::read(path).map_err(|error| DeviceError::Usage(format!("can't read {}: {error}", path.display())))
}
