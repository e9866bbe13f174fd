//! A throw-away certificate authority, leaf certificates of every kind a test needs, and rustls configurations on them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The names a server certificate of ours is good for: every address the peers listen on.
pub const SERVER_NAMES: [&str; 9] = [
    "localhost",
    "127.0.0.1",
    "127.0.0.2",
    "127.0.0.3",
    "127.0.0.4",
    "127.0.0.5",
    "127.0.0.6",
    "127.0.0.7",
    "127.0.0.8",
];

/// Makes aws-lc-rs the crypto provider of this process. Calling it again does no harm.
pub fn install_crypto_provider() {
    // The error only says that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A certificate authority that lives as long as its test.
pub struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new authority with a key of its own.
    pub fn new() -> Result<Self> {
        install_crypto_provider();
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Throw-away test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// The authority's own certificate, for a client's list of roots.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The same in DER.
    pub fn certificate_der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// Writes the authority's certificate to `folder/ca.pem`.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join("ca.pem");
        std::fs::write(&path, self.certificate_pem()).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// A list of roots with this authority alone.
    pub fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate_der())?;
        Ok(roots)
    }

    /// A client configuration that trusts this authority alone.
    pub fn client_config(&self, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>> {
        let mut config = ClientConfig::builder().with_root_certificates(self.roots()?).with_no_client_auth();
        config.alpn_protocols = owned(alpn);
        Ok(Arc::new(config))
    }

    /// A server certificate for [`SERVER_NAMES`].
    pub fn issue_server(&self) -> Result<Leaf> {
        self.issue(&SERVER_NAMES)
    }

    /// A server certificate for names of the caller's choice.
    pub fn issue(&self, names: &[&str]) -> Result<Leaf> {
        self.sign(leaf_params(names, ExtendedKeyUsagePurpose::ServerAuth)?)
    }

    /// A server certificate in order in every way, but for another host.
    pub fn issue_wrong_host(&self) -> Result<Leaf> {
        self.issue(&["elsewhere.invalid"])
    }

    /// A server certificate that ran out years ago.
    pub fn issue_expired(&self) -> Result<Leaf> {
        let mut params = leaf_params(&SERVER_NAMES, ExtendedKeyUsagePurpose::ServerAuth)?;
        params.not_before = date_time_ymd(2015, 1, 1);
        params.not_after = date_time_ymd(2016, 1, 1);
        self.sign(params)
    }

    /// A client certificate, for mutual TLS. `name` is a DNS name and becomes the subject's common name too.
    pub fn issue_client(&self, name: &str) -> Result<Leaf> {
        let mut params = leaf_params(&[name], ExtendedKeyUsagePurpose::ClientAuth)?;
        params.distinguished_name.push(DnType::CommonName, name);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf { certificate, key })
    }
}

/// A certificate with its private key.
pub struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

/// Where [`Leaf::write`] put its two files.
#[derive(Debug, Clone)]
pub struct LeafFiles {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The private key, PKCS#8 PEM.
    pub key: PathBuf,
}

impl Leaf {
    /// A certificate for [`SERVER_NAMES`] that nobody vouches for but itself.
    pub fn self_signed() -> Result<Self> {
        install_crypto_provider();
        let key = KeyPair::generate()?;
        let certificate = leaf_params(&SERVER_NAMES, ExtendedKeyUsagePurpose::ServerAuth)?.self_signed(&key)?;
        Ok(Self { certificate, key })
    }

    /// The certificate, PEM.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The private key, PKCS#8 PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The certificate, DER.
    pub fn certificate_der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// The private key, PKCS#8 DER.
    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }

    /// Writes `NAME.pem` and `NAME.key` to a folder.
    pub fn write(&self, folder: &Path, name: &str) -> Result<LeafFiles> {
        let files =
            LeafFiles { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
        std::fs::write(&files.certificate, self.certificate_pem())?;
        std::fs::write(&files.key, self.key_pem())?;
        Ok(files)
    }

    /// A server configuration with this certificate, sized for many idle connections: no tickets, no session cache.
    pub fn server_config(&self, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>> {
        let builder = ServerConfig::builder().with_no_client_auth();
        self.finish(builder, alpn)
    }

    /// A server configuration that lets in only clients with a certificate of `clients`.
    pub fn mutual_server_config(&self, clients: &Authority, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>> {
        let verifier = WebPkiClientVerifier::builder(Arc::new(clients.roots()?)).build()?;
        let builder = ServerConfig::builder().with_client_cert_verifier(verifier);
        self.finish(builder, alpn)
    }

    /// A client configuration that trusts `server` and shows this certificate.
    pub fn client_config(&self, server: &Authority, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>> {
        let mut config = ClientConfig::builder()
            .with_root_certificates(server.roots()?)
            .with_client_auth_cert(vec![self.certificate_der()], self.key_der())?;
        config.alpn_protocols = owned(alpn);
        Ok(Arc::new(config))
    }

    fn finish(
        &self,
        builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
        alpn: &[&[u8]],
    ) -> Result<Arc<ServerConfig>> {
        let mut config = builder.with_single_cert(vec![self.certificate_der()], self.key_der())?;
        config.alpn_protocols = owned(alpn);
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Arc::new(config))
    }
}

fn leaf_params(names: &[&str], usage: ExtendedKeyUsagePurpose) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    // Said explicitly: rustls refuses an end-entity certificate which could be an authority.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn owned(alpn: &[&[u8]]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.to_vec()).collect()
}
