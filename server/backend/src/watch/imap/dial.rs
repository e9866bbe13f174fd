//! From a target to an open mailbox.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::{Evidence, Failure, FailureCode, HostName, ImapTarget, Mechanism, Security};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::Instrument;

use super::connection::{Patience, Watch};
use super::examine::examine;
use super::handshake::{Handshake, Recorder};
use super::hello::{agree_on_names, identify};
use super::login::{Login, Tap};
use super::refusal::failure;
use super::{Connection, Dialer, Dialled, note, socket, span};
use crate::vault::Credential;

/// Why there is no dialer.
#[derive(Debug, thiserror::Error)]
pub enum DialerError {
    /// The file with extra authorities can't be read.
    #[error("can't read the certificate authorities in {path}", path = path.display())]
    ExtraCa {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The file with extra authorities has none, or one that can't be used.
    #[error("no usable certificate authority in {path}", path = .0.display())]
    NoExtraCa(PathBuf),
    /// There is no certificate authority at all, so that no server could be trusted.
    #[error("the system has no certificate authorities")]
    NoCa,
    /// TLS can't be set up.
    #[error("can't set up TLS")]
    Tls(#[from] rustls::Error),
}

/// The one TLS configuration for all mail servers.
pub(super) fn tls_config(extra_ca: Option<&Path>) -> Result<Arc<ClientConfig>, DialerError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(error = %error, "some of the system's certificate authorities can't be read");
    }
    // Systems carry authorities that rustls can't parse; the others are what counts.
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = extra_ca {
        let extra: Vec<CertificateDer<'_>> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|source| DialerError::ExtraCa { path: path.to_owned(), source })?;
        if extra.is_empty() || extra.into_iter().any(|certificate| roots.add(certificate).is_err()) {
            return Err(DialerError::NoExtraCa(path.to_owned()));
        }
    }
    if roots.is_empty() {
        return Err(DialerError::NoCa);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Dialer {
    pub(super) async fn dial(
        &self,
        target: &ImapTarget,
        credential: &Credential,
        tell: &(dyn Fn(Dialled) + Send + Sync),
        handshake: &Handshake,
    ) -> Result<Connection, Failure> {
        // A credential that can't fit needs no connection to find out.
        let login = Login::new(target.mechanism, credential)?;
        let recorder = Recorder { handshake, login: &login };
        let host = self.hosts.get(&target.host, target.port);
        let addresses = self.guard.resolve(&target.host, target.port).await?;
        if let Some(first) = addresses.first() {
            tell(Dialled::Resolved(first.ip()));
        }
        let stream = self.reach(&addresses, recorder).await?;
        let mut tap = match target.security {
            Security::Tls => {
                let mut tap = Tap::new(self.encrypt(stream, &target.host, recorder).await?, recorder);
                tap.greeting(&self.deadlines).await?;
                tap
            }
            Security::StartTls => self.upgrade(stream, &target.host, recorder).await?,
        };

        tell(Dialled::Connected);
        let logging_in = span!("imap.login", target.host, target.port);
        let offered = tap.login(&self.deadlines, host.doubts_scram()).instrument(logging_in.clone()).await;
        note(&logging_in, &offered);
        if target.mechanism == Mechanism::Auto
            && offered.as_ref().is_err_and(|failure| failure.code == FailureCode::LoginRefused)
        {
            host.refused_best_way();
        }
        let offered = offered?;
        let idle = offered.idle && host.idles();
        tell(Dialled::LoggedIn);

        let mut wire = tap.into_wire();
        if offered.id || host.needs_id() {
            identify(&mut wire, &self.identity, self.deadlines.command, recorder).await?;
        }
        let naming = agree_on_names(&mut wire, &target.mailbox, &offered, self.deadlines.command, recorder).await?;
        let name = naming.quoted(&target.mailbox);
        let opening = span!("imap.examine", target.host, target.port);
        let opened = examine(&mut wire, &name, self.deadlines.command, recorder).instrument(opening.clone()).await;
        note(&opening, &opened);
        let patience = Patience { command: self.deadlines.command, poll_every: self.poll_every };
        // Servers like to name the account in what they say of its mailboxes.
        let opened = opened.map_err(|mut failure| {
            let account = credential.username.expose_secret();
            failure.evidence = Evidence::redact(failure.evidence.as_str(), Some(account));
            failure
        })?;
        tell(Dialled::Opened);
        Ok(Connection::new(Watch::new(wire, opened, name.into_boxed_str(), idle, patience, host)))
    }

    /// Connects to the first of these addresses that takes it.
    async fn reach(&self, addresses: &[SocketAddr], recorder: Recorder<'_>) -> Result<TcpStream, Failure> {
        let mut last = failure(FailureCode::ConnectTimeout, "no address");
        for address in addresses {
            recorder.said(&format!("connects to {address}"));
            match timeout(self.deadlines.connect, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    if let Err(error) = socket::prepare(&stream) {
                        tracing::debug!(error = %error, "can't set options of a socket");
                    }
                    return Ok(stream);
                }
                Ok(Err(error)) => last = unreached(&error),
                Err(_) => {
                    let evidence = format!("no answer within {} s", self.deadlines.connect.as_secs_f32());
                    last = failure(FailureCode::ConnectTimeout, &evidence);
                }
            }
        }
        Err(last)
    }

    async fn encrypt(
        &self,
        stream: TcpStream,
        host: &HostName,
        recorder: Recorder<'_>,
    ) -> Result<Box<TlsStream<TcpStream>>, Failure> {
        let Ok(name) = ServerName::try_from(host.as_str().to_owned()) else {
            return Err(failure(FailureCode::CertificateInvalid, "no certificate can have this name"));
        };
        let handshake = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream);
        match timeout(self.deadlines.tls, handshake).await {
            Ok(Ok(stream)) => {
                recorder.encrypted(stream.get_ref().1);
                Ok(Box::new(stream))
            }
            Ok(Err(error)) => Err(unencrypted(&error)),
            Err(_) => {
                let evidence = format!("no TLS handshake within {} s", self.deadlines.tls.as_secs_f32());
                Err(failure(FailureCode::GreetingTimeout, &evidence))
            }
        }
    }

    /// Greeting and STARTTLS in clear, then TLS.
    async fn upgrade<'a>(
        &self,
        stream: TcpStream,
        host: &HostName,
        recorder: Recorder<'a>,
    ) -> Result<Tap<'a, Box<TlsStream<TcpStream>>>, Failure> {
        let mut tap = Tap::new(stream, recorder);
        tap.greeting(&self.deadlines).await?;
        tap.starttls(&self.deadlines).await?;
        // Whatever was said in clear after the server's OK was said by nobody knows whom, to be taken for an answer in TLS.
        let Some(stream) = tap.into_wire().into_stream() else {
            return Err(failure(FailureCode::ProtocolError, "bytes in clear after the answer to STARTTLS"));
        };
        Ok(Tap::after_starttls(self.encrypt(stream, host, recorder).await?, recorder))
    }
}

fn unreached(error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => FailureCode::ConnectRefused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::TimedOut => {
            FailureCode::ConnectTimeout
        }
        // Out of descriptors or ports.
        _ => FailureCode::Internal,
    };
    failure(code, &error.to_string())
}

fn unencrypted(error: &io::Error) -> Failure {
    let code = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            FailureCode::CertificateInvalid
        }
        _ => FailureCode::TlsFailed,
    };
    failure(code, &error.to_string())
}
