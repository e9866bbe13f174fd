//! What of the first poll of a connection is kept for staff to see, beside what `Handshake` keeps of the connection itself.
//!
//! Of the query only the command is kept, of the credential only its kind, of the device's headers those that say what
//! speaks, and of the answer's those that say why.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{EasTarget, EasUrl, Evidence, Failure, Poll};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::answer::Meaning;
use super::http::Response;
use crate::vault::{Credential, Secret};
use crate::watch::imap::Handshake;

/// Headers of the device's that are shown.
const SHOWN: [&str; 2] = ["ms-asprotocolversion", "user-agent"];

/// Writes a handshake, and knows what must not be in it.
#[derive(Clone, Copy)]
pub(super) struct Recorder<'a> {
    handshake: &'a Handshake,
    credential: &'a Credential,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(handshake: &'a Handshake, credential: &'a Credential) -> Self {
        Self { handshake, credential }
    }

    /// A request of ours.
    pub(super) fn asked(&self, url: &EasUrl, target: &EasTarget) {
        let path = self.mask(without_query(url.path()));
        let command = target.command.as_str();
        self.handshake.said(&format!("POST {path}?Cmd={command}&User=[account] HTTP/1.1"));
        let kind = match self.credential.secret {
            Secret::Password(_) => "Basic",
            Secret::AccessToken(_) => "Bearer",
        };
        self.handshake.said(&format!("Authorization: {kind} [credential]"));
        for header in target.request.headers() {
            if SHOWN.iter().any(|shown| header.name().eq_ignore_ascii_case(shown)) {
                self.handshake.said(&format!("{}: {}", header.name(), self.mask(header.value())));
            }
        }
    }

    /// The server's answer, and what it was taken for.
    pub(super) fn answered(&self, response: &Response, meaning: &Result<Meaning, Failure>) {
        self.handshake.heard(&format!("HTTP/1.1 {}", response.status));
        for (name, value) in &response.telling {
            self.handshake.heard(&format!("{name}: {}", self.mask(without_query(value))));
        }
        let sense = match meaning {
            Ok(Meaning::Poll(Poll::Unchanged)) => "nothing is new".to_owned(),
            Ok(Meaning::Poll(Poll::Changed)) => "something is new".to_owned(),
            Ok(Meaning::Moved(url)) => format!("the account is at {}", self.mask(&url.authority())),
            // What it was taken for stands in the last line.
            Err(failure) => failure.evidence.as_str().to_owned(),
        };
        self.handshake.heard(&format!("{} bytes: {sense}", response.body.len()));
    }

    fn mask(&self, said: &str) -> String {
        if self.is_repeated_in(said) {
            return "[withheld: the server repeated the credential]".to_owned();
        }
        Evidence::mask(said, Some(self.credential.username.expose_secret()))
    }

    /// Whether a text has the secret in it, plain in whatever case or as Basic has it.
    fn is_repeated_in(&self, said: &str) -> bool {
        let has = |secret: &[u8]| {
            !secret.is_empty() && said.as_bytes().windows(secret.len()).any(|part| part.eq_ignore_ascii_case(secret))
        };
        match &self.credential.secret {
            Secret::AccessToken(token) => has(token.expose_secret().as_bytes()),
            Secret::Password(password) => {
                let name = self.credential.username.expose_secret();
                let pair = Zeroizing::new([name.as_bytes(), b":", password.expose_secret().as_bytes()].concat());
                let encoded = Zeroizing::new(STANDARD.encode(&*pair));
                has(password.expose_secret().as_bytes()) || has(encoded.trim_end_matches('=').as_bytes())
            }
        }
    }
}

fn without_query(text: &str) -> &str {
    text.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{EasAuthentication, EasCommand, EasHeader, EasRequest, FailureCode, Timestamp};

    use super::*;

    fn texts(handshake: &Handshake) -> Vec<String> {
        let lines = handshake.take_lines().unwrap();
        let text = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            format!("{} {}", line["who"].as_str().unwrap(), line["text"].as_str().unwrap())
        };
        lines.lines().map(text).collect()
    }

    #[test]
    fn a_poll_is_shown_without_what_is_nobody_s_business() {
        let credential =
            Credential { username: "anna.bell@example.org".into(), secret: Secret::Password("open sesame".into()) };
        let header = |name: &str, value: &str| EasHeader::parse(name, value).unwrap();
        let headers = vec![header("MS-ASProtocolVersion", "14.1"), header("X-MS-PolicyKey", "307199232")];
        let url = EasUrl::parse("https://eas.example.org/Microsoft-Server-ActiveSync?Cmd=Ping&DeviceId=A1B2").unwrap();
        let target = EasTarget {
            url: url.clone(),
            command: EasCommand::Ping,
            authentication: EasAuthentication::Basic,
            request: EasRequest::new(headers, vec![1], vec![]).unwrap(),
        };
        let handshake = Handshake::begin(Timestamp::from_millis(7));
        let recorder = Recorder::new(&handshake, &credential);
        recorder.asked(&url, &target);
        let telling = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let response = Response {
            status: 401,
            retry_after: Some(Duration::from_secs(1)),
            telling: vec![
                telling("Server", "Mailhaus/7 for anna.bell"),
                telling("X-MS-Location", "https://m.example.org/eas?User=anna.bell@example.org"),
                telling("WWW-Authenticate", "Basic realm=\"not OPEN Sesame\""),
                telling("X", "YW5uYS5iZWxsQGV4YW1wbGUub3JnOm9wZW4gc2VzYW1l"),
            ],
            ..Response::default()
        };
        let refused = Failure::new(FailureCode::LoginRefused, Evidence::redact("HTTP 401", None));
        recorder.answered(&response, &Err(refused));
        recorder.answered(&Response { status: 200, ..Response::default() }, &Ok(Meaning::Poll(Poll::Changed)));
        let expect = [
            "client POST /Microsoft-Server-ActiveSync?Cmd=Ping&User=[account] HTTP/1.1",
            "client Authorization: Basic [credential]",
            "client MS-ASProtocolVersion: 14.1",
            "server HTTP/1.1 401",
            "server Server: Mailhaus/7 for [account]",
            "server X-MS-Location: https://m.example.org/eas",
            "server WWW-Authenticate: [withheld: the server repeated the credential]",
            "server X: [withheld: the server repeated the credential]",
            "server 0 bytes: HTTP 401",
            "server HTTP/1.1 200",
            "server 0 bytes: something is new",
        ];
        assert_eq!(texts(&handshake), expect);
    }
}
