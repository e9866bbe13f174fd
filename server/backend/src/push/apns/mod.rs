//! Apple's push service: its provider API over HTTP/2.
//!
//! What a notification is, and what Apple's reasons mean, are types of a2; the connection is ours, because a2's own client
//! knows Apple's two hosts only.
//!
//! The payload carries nothing of any mail:
//!
//! ```json
//! {"aps": {"content-available": 1},
//!  "pinger": {"v": 1, "event": "new_mail", "contexts": ["…"], "session": "…", "at": 1764000000000, "traceparent": "…"}}
//! ```
//!
//! `event` is `new_mail` or `register`; `at` is in milliseconds since the Unix epoch. A visible push has `mutable-content`,
//! and the `loc-key` `PINGER_NEW_MAIL` or `PINGER_REGISTER`, whose texts are the app's.

mod answer;
mod client;
mod payload;
mod token;

use std::error::Error;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use domain::{ApnsEnvironment, ApnsTarget, Delivery, PushOutcome, PushReason, PushTarget, Timestamp};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use url::Url;

use self::answer::Answer;
use self::client::Identity;
use self::payload::Notification;
use self::token::{ProviderToken, ProviderTokens};
use super::Channel;
use crate::{ApnsAuthentication, ApnsConfig};

/// Apple's answers have some 100 bytes. More is not read.
const MAX_ANSWER: usize = 4096;

/// However long a service asks to be left alone, we ask again after this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Why there is no way to Apple's push service with this configuration. No message shows what a file contains.
#[derive(Debug, thiserror::Error)]
pub enum ApnsError {
    /// A file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The .p8 file is none.
    #[error("{} is not a private key of Apple's: PKCS#8, PEM, curve P-256", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// The key's or the team's id is none.
    #[error("{field} must have 10 letters and digits")]
    Id {
        /// `key_id` or `team_id`.
        field: &'static str,
    },
    /// The identity file lacks a certificate or a key.
    #[error("{} must have a certificate chain and its private key, PEM", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
    },
    /// The file of certificate authorities has none.
    #[error("{} must have certificates, PEM", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
    },
    /// Nobody is trusted, so that no connection could be made.
    #[error("the system has no certificate authorities, and none is configured")]
    NoAuthorities,
    /// An address is no `https://HOST[:PORT]`.
    #[error("{url} must be https://HOST or https://HOST:PORT")]
    Url {
        /// The address.
        url: String,
    },
    /// TLS can't be set up, as when key and certificate don't belong together.
    #[error("TLS can't be set up")]
    Tls(#[source] rustls::Error),
    /// The client can't be set up.
    #[error("the HTTP client can't be set up")]
    Client(#[source] reqwest::Error),
}

/// Apple's push service, both environments of it.
pub struct Apns {
    client: reqwest::Client,
    production: Url,
    development: Url,
    topics: Vec<String>,
    authentication: Authentication,
}

enum Authentication {
    Token(Box<ProviderTokens>),
    /// The client has it.
    Certificate,
}

/// Why there was no answer.
enum SendError {
    /// We could not even ask.
    Request(PushReason),
    Transport(PushReason),
}

impl Apns {
    /// Reads the files that `config` names. Nothing is connected before the first push.
    pub fn new(config: &ApnsConfig) -> Result<Self, ApnsError> {
        let (authentication, identity) = match &config.authentication {
            ApnsAuthentication::Token { key, key_id, team_id } => {
                let pem = client::read_secret(key)?;
                let tokens = ProviderTokens::new(&pem, ten("key_id", key_id)?, ten("team_id", team_id)?)
                    .map_err(|_| ApnsError::Key { path: key.clone() })?;
                (Authentication::Token(Box::new(tokens)), None)
            }
            ApnsAuthentication::Certificate { identity } => {
                (Authentication::Certificate, Some(Identity::read(identity)?))
            }
        };
        Ok(Self {
            client: client::client(config.ca.as_ref(), identity)?,
            production: endpoint(&config.production_url)?,
            development: endpoint(&config.development_url)?,
            topics: config.topics.clone(),
            authentication,
        })
    }

    /// Whether we may push to `topic`.
    pub fn serves(&self, topic: &str) -> bool {
        self.topics.iter().any(|known| known == topic)
    }

    async fn attempt(&self, delivery: &Delivery, target: &ApnsTarget, now: Timestamp) -> PushOutcome {
        let answer = match Notification::new(delivery, target) {
            Ok(notification) => self.ask(&notification, target, now).await,
            Err(error) => Err(SendError::Request(PushReason::new(&format!("NotSent: {error}")))),
        };
        match answer {
            Ok(answer) => answer.outcome(),
            Err(SendError::Request(reason)) => PushOutcome::OurFault { reason },
            Err(SendError::Transport(reason)) => PushOutcome::Retry { reason, after: None },
        }
    }

    /// Asks once, or twice if the provider token has expired.
    async fn ask(&self, notification: &Notification, target: &ApnsTarget, now: Timestamp) -> Result<Answer, SendError> {
        let Authentication::Token(tokens) = &self.authentication else {
            return self.post(notification, target, None).await;
        };
        let token = tokens.get(now).map_err(unsigned)?;
        let answer = self.post(notification, target, Some(&token)).await?;
        if !answer.wants_new_token() {
            return Ok(answer);
        }
        match tokens.replace(&token, now).map_err(unsigned)? {
            Some(token) => self.post(notification, target, Some(&token)).await,
            None => Ok(answer),
        }
    }

    async fn post(
        &self,
        notification: &Notification,
        target: &ApnsTarget,
        token: Option<&Arc<ProviderToken>>,
    ) -> Result<Answer, SendError> {
        let mut url = self.endpoint(target).clone();
        url.set_path(&format!("/3/device/{}", target.token()));
        let mut request = self.client.post(url).headers(notification.headers.clone()).body(notification.body.clone());
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(format!("bearer {}", token.expose()))
                .map_err(|_| SendError::Request(PushReason::new("NotSent: the provider token is no header")))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let mut response = request.send().await.map_err(transport)?;
        Span::current().record("http.response.status_code", response.status().as_u16());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                // Not Apple's, whatever it is: the status alone says what can be said.
                body.clear();
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            apns_id: text(response.headers(), "apns-id").map(|id| PushReason::new(id).as_str().to_owned()),
            retry_after: text(response.headers(), RETRY_AFTER.as_str())
                .and_then(|seconds| seconds.trim().parse().ok())
                .map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER)),
            body,
        })
    }

    fn endpoint(&self, target: &ApnsTarget) -> &Url {
        match target.environment {
            ApnsEnvironment::Production => &self.production,
            ApnsEnvironment::Development => &self.development,
        }
    }
}

impl Channel for Apns {
    fn send<'a>(
        &'a self,
        delivery: &'a Delivery,
        now: Timestamp,
    ) -> Pin<Box<dyn Future<Output = PushOutcome> + Send + 'a>> {
        let PushTarget::Apns(target) = &delivery.target;
        let endpoint = self.endpoint(target);
        // The path and the full URL are left out: they carry the device token.
        let span = tracing::info_span!(
            "apns.send",
            otel.kind = "client",
            otel.status_code = Empty,
            http.request.method = "POST",
            http.response.status_code = Empty,
            server.address = endpoint.host_str(),
            server.port = endpoint.port_or_known_default(),
            error.r#type = Empty,
            pinger.push_id = %delivery.id,
            pinger.outcome = Empty,
        );
        Box::pin(
            async move {
                let outcome = self.attempt(delivery, target, now).await;
                record(&outcome);
                outcome
            }
            .instrument(span),
        )
    }
}

fn record(outcome: &PushOutcome) {
    let (word, reason) = match outcome {
        PushOutcome::Accepted { .. } => ("accepted", None),
        PushOutcome::Gone { reason, .. } => ("gone", Some(reason)),
        PushOutcome::Retry { reason, .. } => ("retry", Some(reason)),
        PushOutcome::Refused { reason } => ("refused", Some(reason)),
        PushOutcome::OurFault { reason } => ("our_fault", Some(reason)),
    };
    let span = Span::current();
    span.record("pinger.outcome", word);
    if let Some(reason) = reason {
        span.record("error.type", reason.as_str());
        span.record("otel.status_code", "ERROR");
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn ten<'a>(field: &'static str, id: &'a str) -> Result<&'a str, ApnsError> {
    let fine = id.len() == 10 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fine { Ok(id) } else { Err(ApnsError::Id { field }) }
}

fn endpoint(text: &str) -> Result<Url, ApnsError> {
    let wrong = || ApnsError::Url { url: text.to_owned() };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    if url.scheme() == "https" && bare && anonymous { Ok(url) } else { Err(wrong()) }
}

fn unsigned(_: jsonwebtoken::errors::Error) -> SendError {
    SendError::Request(PushReason::new("NotSent: the provider token could not be signed"))
}

/// Says in few words why there was no answer. The error itself names the URL, and with it the device token.
fn transport(error: reqwest::Error) -> SendError {
    let word = match () {
        () if error.is_timeout() => "Timeout",
        () if error.is_connect() => "ConnectFailed",
        () => "ConnectionLost",
    };
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    SendError::Transport(PushReason::new(&format!("{word}: {cause}")))
}
