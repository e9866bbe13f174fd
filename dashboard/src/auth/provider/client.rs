//! The calls to the provider: what it says of itself, its keys, and a code for a token. Its answers are bounded, and so is our
//! patience.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use http::header;
use jsonwebtoken::jwk::Jwk;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use url::{Host, Url};

use crate::oidc_config::OidcConfig;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes of an answer.
const ANSWER_MAX: usize = 512 * 1024;

/// How long it is known what the provider says of itself.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);

/// How often keys are fetched because of a key that we don't know.
const KEYS_EVERY: Duration = Duration::from_secs(30);

/// What is wrong with the configuration of a provider.
#[derive(Debug, thiserror::Error)]
pub enum OidcSettingError {
    /// A setting is wrong.
    #[error("[dashboard.oidc] {0}")]
    Setting(&'static str),
    /// A file can't be read.
    #[error("[dashboard.oidc] {path} can't be read")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificate authority can't be used.
    #[error("[dashboard.oidc] {path} has no certificate that can be used")]
    Ca {
        /// Which file.
        path: PathBuf,
    },
    /// The connections can't be set up.
    #[error("[dashboard.oidc] connections can't be set up")]
    Client,
}

/// Why a call did not bring what it was for.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The provider does not answer.
    #[error("the provider can't be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It answers with a fault.
    #[error("the provider answers {0}")]
    Fault(u16),
    /// Its answer is none.
    #[error("the provider's answer is not understood: {0}")]
    Answer(&'static str),
    /// It does not take the code. The reason is one of a short list of the standard, or "refused".
    #[error("the provider does not take the code: {0}")]
    Code(&'static str),
}

/// What the provider says of itself (OpenID Connect Discovery, section 3), as far as we need it.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: String,
}

/// What is known of the provider.
#[derive(Clone)]
pub(super) struct Known {
    at: Timestamp,
    pub(super) authorize: Url,
    token: Url,
    jwks: Url,
    basic: bool,
    pub(super) keys: Arc<[Jwk]>,
    keys_at: Timestamp,
}

/// Calls the provider.
pub(super) struct Calls {
    http: reqwest::Client,
    issuer: String,
    client_id: String,
    client_secret: Option<SecretString>,
    known: Mutex<Option<Known>>,
}

impl Calls {
    pub(super) fn new(config: &OidcConfig) -> Result<Self, OidcSettingError> {
        let issuer = Url::parse(&config.issuer).map_err(|_| OidcSettingError::Setting("issuer is no URL"))?;
        if !is_safe(&issuer) {
            return Err(OidcSettingError::Setting("issuer must begin with https:// (http:// on loopback only)"));
        }
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| OidcSettingError::File { path: path.clone(), source })
        };
        let client_secret = match &config.client_secret_file {
            Some(path) => {
                let secret = String::from_utf8(read(path)?)
                    .map_err(|_| OidcSettingError::Setting("client_secret_file is no text"))?;
                let secret = secret.trim().to_owned();
                if secret.is_empty() {
                    return Err(OidcSettingError::Setting("client_secret_file is empty"));
                }
                Some(SecretString::from(secret))
            }
            None => None,
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &config.ca {
            let bad = || OidcSettingError::Ca { path: path.clone() };
            let before = roots.len();
            for certificate in CertificateDer::pem_slice_iter(&read(path)?) {
                roots.add(certificate.map_err(|_| bad())?).map_err(|_| bad())?;
            }
            if roots.len() == before {
                return Err(bad());
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| OidcSettingError::Client)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| OidcSettingError::Client)?;
        let (issuer, client_id) = (config.issuer.clone(), config.client_id.clone());
        Ok(Self { http, issuer, client_id, client_secret, known: Mutex::new(None) })
    }

    /// What the provider says of itself, at most an hour old.
    pub(super) async fn known(&self, now: Timestamp) -> Result<Known, CallError> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| now.since(known.at) < KNOWN_FOR) {
            return Ok(known.clone());
        }
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let said: Metadata = self.get(&url).await?;
        // Another could speak in its name else (Discovery, section 4.3).
        if said.issuer != self.issuer {
            return Err(CallError::Answer("it names another issuer"));
        }
        if ![&said.authorization_endpoint, &said.token_endpoint, &said.jwks_uri].into_iter().all(is_safe) {
            return Err(CallError::Answer("it names an address without TLS"));
        }
        let keys = self.keys(&said.jwks_uri).await?;
        let methods = said.token_endpoint_auth_methods_supported;
        let fresh = Known {
            at: now,
            authorize: said.authorization_endpoint,
            token: said.token_endpoint,
            jwks: said.jwks_uri,
            basic: methods.is_none_or(|all| {
                let has = |method: &str| all.iter().any(|other| other == method);
                has("client_secret_basic") || !has("client_secret_post")
            }),
            keys,
            keys_at: now,
        };
        *known = Some(fresh.clone());
        Ok(fresh)
    }

    /// The same with keys that were fetched just now, unless that was done just before: it may have a new one.
    pub(super) async fn with_new_keys(&self, now: Timestamp) -> Result<Known, CallError> {
        let mut known = self.known(now).await?;
        if now.since(known.keys_at) >= KEYS_EVERY {
            known = Known { keys: self.keys(&known.jwks).await?, keys_at: now, ..known };
            *self.known.lock().await = Some(known.clone());
        }
        Ok(known)
    }

    fn token_request(&self, known: &Known, code: &str, redirect: &str, verifier: &str) -> reqwest::RequestBuilder {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ]);
        let mut request = self
            .http
            .post(known.token.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        match &self.client_secret {
            Some(secret) if known.basic => {
                // Both are escaped before they are put together (RFC 6749, section 2.3.1).
                let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", escaped(&self.client_id), escaped(secret.expose_secret()));
                request = request.header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
            }
            Some(secret) => {
                form.extend_pairs([("client_id", self.client_id.as_str()), ("client_secret", secret.expose_secret())]);
            }
            None => {
                form.append_pair("client_id", &self.client_id);
            }
        }
        request.body(form.finish())
    }

    /// Gives a code, and takes the token for it (OpenID Connect Core, section 3.1.3).
    pub(super) async fn token(
        &self,
        known: &Known,
        code: &str,
        redirect: &str,
        verifier: &str,
    ) -> Result<String, CallError> {
        let request = self.token_request(known, code, redirect, verifier);
        let response = request.send().await.map_err(CallError::Unreachable)?;
        let status = response.status();
        let body = bounded(response).await?;
        if status.is_client_error() {
            let error = serde_json::from_slice(&body).map(|answer: ErrorAnswer| answer.error).unwrap_or_default();
            let known = ["invalid_grant", "invalid_client", "unauthorized_client", "invalid_request"];
            return Err(CallError::Code(known.into_iter().find(|known| *known == error).unwrap_or("refused")));
        }
        if !status.is_success() {
            return Err(CallError::Fault(status.as_u16()));
        }
        let answer: TokenAnswer =
            serde_json::from_slice(&body).map_err(|_| CallError::Answer("what it gives for the code"))?;
        answer.id_token.ok_or(CallError::Answer("it gives no ID token"))
    }

    async fn keys(&self, url: &Url) -> Result<Arc<[Jwk]>, CallError> {
        let set: KeySet = self.get(url.as_str()).await?;
        // Keys of kinds that we don't know are none of ours.
        Ok(set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, CallError> {
        let request = self.http.get(url).header(header::ACCEPT, "application/json");
        let response = request.send().await.map_err(CallError::Unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(CallError::Fault(status.as_u16()));
        }
        serde_json::from_slice(&bounded(response).await?).map_err(|_| CallError::Answer("what it says of itself"))
    }
}

async fn bounded(mut response: reqwest::Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(CallError::Unreachable)? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(CallError::Answer("it is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// With TLS, or on this machine.
fn is_safe(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && is_here
}
