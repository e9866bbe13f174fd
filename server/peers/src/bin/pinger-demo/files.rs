//! The data folder: the configuration, the app key, the certificates, and what `pinger` keeps there.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use peers::apns::ApnsReceiver;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The topic of the demo's app.
pub(crate) const TOPIC: &str = "org.example.mail";

/// The files of one data folder. The store, the keys and the app key in it outlive the demo, so that what a person
/// registers today is watched tomorrow; all the rest is written anew at each start.
pub(crate) struct Files {
    folder: PathBuf,
    app_key: String,
}

impl Files {
    /// Makes the folder, and the app key in it, if they aren't there.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let make = || format!("making the folder {}", folder.display());
        DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(make)?;
        let mut files = Self { folder: folder.to_owned(), app_key: String::new() };
        files.app_key = files.read_or_make_app_key()?;
        Ok(files)
    }

    /// Whether there is no store yet.
    pub(crate) fn is_new(&self) -> bool {
        !self.folder.join("server").join("pinger.db").exists()
    }

    fn read_or_make_app_key(&self) -> Result<String> {
        let path = self.app_key_file();
        match std::fs::read_to_string(&path) {
            Ok(key) if !key.trim().is_empty() => return Ok(key.trim().to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => bail!("reading {}: {error}", path.display()),
        }
        let key = random_hex();
        write(&path, &format!("{key}\n"))?;
        Ok(key)
    }

    /// Writes the configuration of a server for mailboxes on these ports and this push receiver. `more` are further lines of the section
    /// `[dashboard]`.
    pub(crate) fn write_configuration(
        &self,
        listen: SocketAddr,
        dashboard: SocketAddr,
        more: &str,
        mail_ports: &[u16],
        receiver: &ApnsReceiver,
    ) -> Result<()> {
        let mail_ports: String = mail_ports.iter().map(|port| format!(", {port}")).collect();
        receiver.authority().write(&self.folder)?;
        let key = receiver.provider_key();
        let key_file = format!("AuthKey_{}.p8", key.key_id);
        write(&self.folder.join(&key_file), key.pem())?;
        let (key_id, team_id) = (&key.key_id, &key.team_id);
        let digest = hex(&Sha256::digest(self.app_key.as_bytes()));
        let push_url = format!("https://{}", receiver.address());
        let text = format!(
            "# Written by pinger-demo at each of its starts. Paths are relative to this file.

[gateway]
# Where devices call. Without TLS: this is for one machine, or for behind a proxy.
listen = \"{listen}\"
# Pages of any origin may call.
cors_origins = [\"*\"]
# The key itself is in the file app-key.
app_keys = [{{ id = \"demo\", sha256 = \"{digest}\" }}]

[gateway.rates]
per_peer = {{ per_second = 1000, burst = 2000 }}
global = {{ per_second = 5000, burst = 5000 }}

[backend]
# The store and the keys.
data = \"server\"
# Who signed the certificate of the demo's mail server. The system's authorities are trusted as well.
mail_ca = \"ca.pem\"
# The demo's mail server is on this machine, where no mail server may be otherwise.
allow_addresses = [\"127.0.0.0/8\"]
allow_ports = [993, 143{mail_ports}]

[dashboard]
# For support staff; on this machine only.
listen = \"{dashboard}\"
{more}

[backend.apns]
# The demo's push receiver plays Apple, for production and development.
topics = [\"{TOPIC}\"]
production_url = \"{push_url}\"
development_url = \"{push_url}\"
ca = \"ca.pem\"
authentication = {{ token = {{ key = \"{key_file}\", key_id = \"{key_id}\", team_id = \"{team_id}\" }} }}
"
        );
        write(&self.configuration(), &text)
    }

    /// The configuration of the server.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.join("pinger.toml")
    }

    /// Where the server's log goes.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Where the demo's device keeps its session.
    pub(crate) fn device_state(&self) -> PathBuf {
        self.folder.join("device.json")
    }

    /// Where a person's own device may keep its session.
    pub(crate) fn own_device_state(&self) -> PathBuf {
        self.folder.join("my-device.json")
    }

    /// The file that has the app key.
    pub(crate) fn app_key_file(&self) -> PathBuf {
        self.folder.join("app-key")
    }

    /// The app key.
    pub(crate) fn app_key(&self) -> &str {
        &self.app_key
    }
}

/// Writes a file that is ours alone.
fn write(path: &Path, text: &str) -> Result<()> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().with_context(|| format!("writing {}", path.display()))
}

/// 64 random hexadecimal digits, as in a device token.
pub(crate) fn random_hex() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
