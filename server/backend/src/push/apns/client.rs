//! The HTTP/2 client: TLS by rustls, one connection a host, which is kept and made again when it breaks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::ApnsError;

/// For the connection alone, and for a request with its connection and its answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection may be still before it is asked whether it lives, and how long that may take. A NAT that forgets us
/// says nothing, so that the next push would wait out its whole time.
const PING_EVERY: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A chain of certificates with its private key.
pub(super) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(super) fn read(path: &Path) -> Result<Self, ApnsError> {
        let pem = read_secret(path)?;
        let wrong = |_| ApnsError::Identity { path: path.to_owned() };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(wrong)?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(wrong)?;
        if chain.is_empty() { Err(ApnsError::Identity { path: path.to_owned() }) } else { Ok(Self { chain, key }) }
    }
}

/// Reads a file that only we should be able to read, and warns if others are.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, ApnsError> {
    let read = |source| ApnsError::Read { path: path.to_owned(), source };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_err(read)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let mode = format!("{mode:o}");
            tracing::warn!(path = %path.display(), mode, "others can read a push key: its file should have mode 600");
        }
    }
    std::fs::read(path).map(Zeroizing::new).map_err(read)
}

/// A client that speaks HTTP/2 and nothing else.
pub(super) fn client(ca: Option<&PathBuf>, identity: Option<Identity>) -> Result<reqwest::Client, ApnsError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls(ca, identity)?)
        .http2_prior_knowledge()
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        // Apple takes a quick succession of connections for an attack: ours stays for as long as it lives.
        .pool_idle_timeout(None)
        .connect_timeout(TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(ApnsError::Client)
}

fn tls(ca: Option<&PathBuf>, identity: Option<Identity>) -> Result<ClientConfig, ApnsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ApnsError::Tls)?
        .with_root_certificates(roots(ca)?);
    let mut config = match identity {
        Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key).map_err(ApnsError::Tls)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// The system's authorities, and one more if there is a file of it.
fn roots(ca: Option<&PathBuf>) -> Result<RootCertStore, ApnsError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = ca {
        let pem = std::fs::read(path).map_err(|source| ApnsError::Read { path: path.clone(), source })?;
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|_| ApnsError::Ca { path: path.clone() })?;
            roots.add(certificate).map_err(|_| ApnsError::Ca { path: path.clone() })?;
        }
        if roots.len() == before {
            return Err(ApnsError::Ca { path: path.clone() });
        }
    }
    if roots.is_empty() { Err(ApnsError::NoAuthorities) } else { Ok(roots) }
}
