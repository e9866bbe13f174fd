//! The files that make Dovecot run in a folder and on ports of ours, as root or as anybody.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result};

use crate::certificate::LeafFiles;

/// As root, Dovecot wants mail to belong to somebody else.
const MAIL_OWNER: &str = "mail";

/// The ports of one Dovecot.
pub(super) struct Ports {
    pub(super) imap: u16,
    pub(super) imaps: u16,
    pub(super) lmtp: u16,
}

impl Ports {
    /// Ports that are free now.
    pub(super) fn free() -> Result<Self> {
        // Held until all are known, so that they differ.
        let [imap, imaps, lmtp] =
            [TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0")];
        let (imap, imaps, lmtp) = (imap?, imaps?, lmtp?);
        Ok(Self { imap: imap.local_addr()?.port(), imaps: imaps.local_addr()?.port(), lmtp: lmtp.local_addr()?.port() })
    }

    /// One address of each port.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        [self.imap, self.imaps, self.lmtp].map(|port| ([127, 0, 0, 1], port).into()).to_vec()
    }
}

/// A line of `/etc/passwd`, with the group's name.
pub(super) struct Account {
    name: String,
    group: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    fn find(wanted: impl Fn(&str, u32) -> bool) -> Result<Self> {
        let passwd = std::fs::read_to_string("/etc/passwd")?;
        let mut accounts = passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, uid, gid) = (fields.next()?, fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            wanted(name, uid).then(|| (name.to_owned(), uid, gid))
        });
        let (name, uid, gid) = accounts.next().context("no such account in /etc/passwd")?;
        let groups = std::fs::read_to_string("/etc/group")?;
        let group = groups
            .lines()
            .find_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next()?;
                (fields.nth(1)?.parse::<u32>().ok()? == gid).then(|| name.to_owned())
            })
            .context("no such group in /etc/group")?;
        Ok(Self { name, group, uid, gid })
    }
}

/// What the configuration files are made of.
pub(super) struct Configuration<'a> {
    pub(super) folder: &'a Path,
    pub(super) leaf: &'a LeafFiles,
    pub(super) idle: bool,
    pub(super) introspection: String,
    pub(super) extra: &'a str,
}

impl Configuration<'_> {
    /// Who owns the mail: somebody without rights, if we are root, or else ourselves.
    pub(super) fn mail_owner(&self) -> Result<Account> {
        let me = rustix::process::geteuid();
        if me.is_root() {
            Account::find(|name, _| name == MAIL_OWNER)
        } else {
            Account::find(|_, uid| uid == me.as_raw())
        }
    }

    /// Writes `dovecot.conf` and the file that it refers to.
    pub(super) fn write(&self, ports: &Ports) -> Result<()> {
        let folder = self.folder.display();
        let owner = self.mail_owner()?;
        let mut text = self.common(ports, &owner);
        if !self.idle {
            text.push_str(
                "imap_capability = IMAP4rev1 SASL-IR ID ENABLE LITERAL+ UIDPLUS CONDSTORE NAMESPACE SPECIAL-USE\n",
            );
        }
        if !rustix::process::geteuid().is_root() {
            text.push_str(&without_privileges(&owner));
        }
        text.push_str(self.extra);
        std::fs::write(self.folder.join("dovecot.conf"), text)?;

        let introspection = format!(
            "introspection_mode = post\nintrospection_url = {}\nusername_attribute = username\n\
             active_attribute = active\nactive_value = true\n",
            self.introspection
        );
        std::fs::write(self.folder.join("oauth2.conf"), introspection)
            .with_context(|| format!("writing to {folder}"))?;
        Ok(())
    }

    fn common(&self, ports: &Ports, owner: &Account) -> String {
        let folder = self.folder.display();
        let Account { uid, gid, .. } = owner;
        let Ports { imap, imaps, lmtp } = ports;
        let (certificate, key) = (self.leaf.certificate.display(), self.leaf.key.display());
        // No penalty and no delay for a wrong password: tests try several, from one address.
        // `allow_all_users`: the passwords are checked by the passdb alone, and OAuth2 users have none.
        format!(
            "base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
protocols = imap lmtp
listen = 127.0.0.1, 127.0.0.2
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = yes
auth_mechanisms = plain login scram-sha-256 xoauth2 oauthbearer
auth_verbose = yes
auth_failure_delay = 0
first_valid_uid = 1
mail_location = maildir:{folder}/mail/%u
mail_fsync = never
mail_max_userip_connections = 0
mailbox_idle_check_interval = 1s
recipient_delimiter = +
lmtp_save_to_detail_mailbox = yes
passdb {{
  driver = passwd-file
  mechanisms = plain login scram-sha-256
  args = username_format=%u {folder}/users
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u allow_all_users=yes
}}
protocol lmtp {{
  lda_mailbox_autocreate = yes
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
  service_count = 0
  client_limit = 1000
}}
service imap {{
  process_limit = 1000
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service anvil {{
  client_limit = 4000
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  client_limit = 4000
}}
"
        )
    }
}

/// Dovecot's processes usually run as users of their own, in a chroot; only root can arrange that.
fn without_privileges(me: &Account) -> String {
    let Account { name, group, .. } = me;
    let mut text =
        format!("default_internal_user = {name}\ndefault_internal_group = {group}\ndefault_login_user = {name}\n");
    for service in ["anvil", "imap-login", "imap-urlauth-login", "ipc", "stats"] {
        // Writing to a String never fails.
        let _ = writeln!(text, "service {service} {{\n  chroot =\n}}");
    }
    text
}
