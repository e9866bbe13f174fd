//! Where the gateway calls: a unix socket that only we can open, or TCP with mutual TLS.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::config::{Listen, MutualTls};
use crate::server::BackendError;

pub(crate) enum Listener {
    Unix { listener: UnixListener, path: PathBuf },
    Tcp { listener: TcpListener, tls: Box<ServerTlsConfig> },
}

impl Listener {
    pub(crate) async fn bind(listen: &Listen) -> Result<Self, BackendError> {
        match listen {
            Listen::Unix(path) => {
                let failed = |source| BackendError::Listen { address: path.display().to_string(), source };
                // What a killed predecessor left behind.
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                    _ => {}
                }
                let listener = UnixListener::bind(path).map_err(failed)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
                Ok(Self::Unix { listener, path: path.clone() })
            }
            Listen::Tcp { address, tls } => {
                let failed = |source| BackendError::Listen { address: address.to_string(), source };
                let tls = Box::new(server_tls(tls)?);
                Ok(Self::Tcp { listener: TcpListener::bind(address).await.map_err(failed)?, tls })
            }
        }
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix { .. } => None,
            Self::Tcp { listener, .. } => listener.local_addr().ok(),
        }
    }
}

fn server_tls(files: &MutualTls) -> Result<ServerTlsConfig, BackendError> {
    let read = |path: &Path| std::fs::read(path).map_err(|source| BackendError::File { path: path.to_owned(), source });
    let identity = Identity::from_pem(read(&files.certificate)?, read(&files.key)?);
    Ok(ServerTlsConfig::new()
        .identity(identity)
        .client_ca_root(Certificate::from_pem(read(&files.ca)?))
        .client_auth_optional(false))
}
