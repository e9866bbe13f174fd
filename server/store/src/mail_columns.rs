//! A mail target as columns, and back.

use domain::{
    EasAuthentication, EasCommand, EasHeader, EasRequest, EasTarget, EasUrl, HostName, ImapTarget, MailTarget,
    Mechanism, Security,
};

use crate::StoreError;
use crate::entity::session;

const IMAP: &str = "imap";
const EAS_PING: &str = "eas_ping";
const EAS_SYNC: &str = "eas_sync";

impl session::Model {
    /// Writes what is watched into the row.
    pub(crate) fn set_mail(&mut self, mail: &MailTarget) {
        self.mail_host = mail.host().to_string();
        self.mail_port = i32::from(mail.port());
        match mail {
            MailTarget::Imap(imap) => {
                IMAP.clone_into(&mut self.mail_kind);
                let security = match imap.security {
                    Security::Tls => "tls",
                    Security::StartTls => "starttls",
                };
                security.clone_into(&mut self.mail_security);
                self.mail_mailbox.clone_from(&imap.mailbox);
                imap.mechanism.as_str().clone_into(&mut self.mail_mechanism);
            }
            MailTarget::Eas(eas) => {
                let kind = match eas.command {
                    EasCommand::Ping => EAS_PING,
                    EasCommand::Sync => EAS_SYNC,
                };
                kind.clone_into(&mut self.mail_kind);
                "tls".clone_into(&mut self.mail_security);
                self.mail_mailbox.clear();
                eas.authentication.as_str().clone_into(&mut self.mail_mechanism);
                self.eas_path = Some(eas.url.path().to_owned());
                self.set_eas_request(&eas.request);
            }
        }
    }

    /// Writes the request of a long poll into the row.
    pub(crate) fn set_eas_request(&mut self, request: &EasRequest) {
        // Neither part of a header has a line break, and no name has a colon.
        let lines: Vec<_> =
            request.headers().iter().map(|header| format!("{}: {}", header.name(), header.value())).collect();
        self.eas_headers = Some(lines.join("\n"));
        self.eas_body = Some(request.body().to_vec());
        self.eas_no_change_body = Some(request.no_change_body().to_vec());
    }

    /// What is watched.
    pub(crate) fn mail(&self) -> Result<MailTarget, StoreError> {
        let command = match self.mail_kind.as_str() {
            IMAP => return self.imap().map(MailTarget::Imap),
            EAS_PING => EasCommand::Ping,
            EAS_SYNC => EasCommand::Sync,
            _ => return Err(self.corrupt("mail_kind")),
        };
        let (host, port) = self.mail_address()?;
        let path = self.eas_path.as_deref().ok_or_else(|| self.corrupt("eas_path"))?;
        Ok(MailTarget::Eas(EasTarget {
            url: EasUrl::from_parts(host, port, path).map_err(|_| self.corrupt("eas_path"))?,
            command,
            authentication: EasAuthentication::parse(&self.mail_mechanism)
                .ok_or_else(|| self.corrupt("mail_mechanism"))?,
            request: self.eas_request()?,
        }))
    }

    fn mail_address(&self) -> Result<(HostName, u16), StoreError> {
        let host = HostName::parse(&self.mail_host).map_err(|_| self.corrupt("mail_host"))?;
        Ok((host, u16::try_from(self.mail_port).map_err(|_| self.corrupt("mail_port"))?))
    }

    fn imap(&self) -> Result<ImapTarget, StoreError> {
        let (host, port) = self.mail_address()?;
        Ok(ImapTarget {
            host,
            port,
            security: match self.mail_security.as_str() {
                "tls" => Security::Tls,
                "starttls" => Security::StartTls,
                _ => return Err(self.corrupt("mail_security")),
            },
            mailbox: self.mail_mailbox.clone(),
            mechanism: Mechanism::parse(&self.mail_mechanism).ok_or_else(|| self.corrupt("mail_mechanism"))?,
        })
    }

    fn eas_request(&self) -> Result<EasRequest, StoreError> {
        let headers = self.eas_headers.as_deref().ok_or_else(|| self.corrupt("eas_headers"))?;
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            EasHeader::parse(name, value).map_err(|_| self.corrupt("eas_headers"))
        };
        let headers = headers.lines().map(header).collect::<Result<_, _>>()?;
        let body = self.eas_body.clone().ok_or_else(|| self.corrupt("eas_body"))?;
        let no_change_body = self.eas_no_change_body.clone().ok_or_else(|| self.corrupt("eas_no_change_body"))?;
        EasRequest::new(headers, body, no_change_body).map_err(|_| self.corrupt("eas_body"))
    }
}
