//! A real Dovecot 2.3, as Debian packages it, in a temporary folder and on free ports.
//!
//! New mail reaches an idling client about 0.5 s after its delivery: that delay is built into Dovecot and can't be
//! configured. (Its hibernation of idle connections wakes at once, but was seen to lose wakes, so it is left off.)

mod configuration;
mod delivery;
mod introspection;
mod process;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use self::configuration::{Configuration, Ports};
use self::introspection::Introspection;
use self::process::Process;
use crate::certificate::Authority;
use crate::record::{Record, lock};

/// Where Debian puts the server.
const PROGRAM: &str = "/usr/sbin/dovecot";

/// A port that was free may be taken by the time Dovecot binds it.
const START_ATTEMPTS: usize = 5;

/// How long a start or an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A person with a mailbox.
#[derive(Debug, Clone)]
pub struct User {
    /// The login name, without a colon.
    pub name: String,
    /// The password, without a colon.
    pub password: String,
}

impl User {
    /// A user by name and password.
    pub fn new(name: &str, password: &str) -> Self {
        Self { name: name.to_owned(), password: password.to_owned() }
    }
}

/// How to start a [`Dovecot`].
pub struct DovecotOptions {
    /// Whether it offers IDLE.
    pub idle: bool,
    /// Who can log in.
    pub users: Vec<User>,
    /// Who signs its certificate; a new authority when absent.
    pub authority: Option<Arc<Authority>>,
    /// More lines for `dovecot.conf`, after ours.
    pub extra_configuration: String,
}

impl Default for DovecotOptions {
    fn default() -> Self {
        Self {
            idle: true,
            users: vec![User::new("alice", "alice's password"), User::new("bob", "bob's password")],
            authority: None,
            extra_configuration: String::new(),
        }
    }
}

/// A running Dovecot. Dropping it kills all its processes and removes its folder.
pub struct Dovecot {
    // Before the folder, so that the processes are gone when it is removed.
    process: Option<Process>,
    folder: TempDir,
    ports: Ports,
    authority: Arc<Authority>,
    introspection: Introspection,
    log: Arc<Record<String>>,
    users: Mutex<Users>,
}

/// The password file's content, and how often it was written.
#[derive(Default)]
struct Users {
    passwords: HashMap<String, String>,
    version: u64,
}

impl Dovecot {
    /// Whether Dovecot is installed here.
    pub fn available() -> bool {
        Path::new(PROGRAM).exists()
    }

    /// Starts a Dovecot and waits until it takes connections.
    pub async fn start(options: DovecotOptions) -> Result<Self> {
        ensure!(Self::available(), "{PROGRAM} is missing: apt-get install dovecot-imapd dovecot-lmtpd");
        let authority = match options.authority {
            Some(authority) => authority,
            None => Arc::new(Authority::new()?),
        };
        let folder = tempfile::Builder::new().prefix("dovecot-").tempdir()?;
        // Dovecot's processes run as several users, and each has to reach its sockets in here.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
        let leaf = authority.issue_server()?.write(folder.path(), "server")?;
        let introspection = Introspection::start().await?;
        let mut dovecot = Self {
            process: None,
            folder,
            ports: Ports::free()?,
            authority,
            introspection,
            log: Arc::default(),
            users: Mutex::default(),
        };
        let users = options.users.into_iter().map(|user| (user.name, user.password));
        dovecot.write_users(|passwords| passwords.extend(users))?;
        let configuration = Configuration {
            folder: dovecot.folder.path(),
            leaf: &leaf,
            idle: options.idle,
            introspection: dovecot.introspection.url(),
            extra: &options.extra_configuration,
        };
        let owner = configuration.mail_owner()?;
        let mail = dovecot.folder.path().join("mail");
        std::fs::create_dir(&mail)?;
        chown(&mail, Some(owner.uid), Some(owner.gid))?;

        let mut refused = None;
        for _ in 0..START_ATTEMPTS {
            configuration.write(&dovecot.ports)?;
            match Process::start(dovecot.folder.path(), dovecot.ports.addresses(), &dovecot.log).await {
                Ok(process) => {
                    dovecot.process = Some(process);
                    dovecot.wait_for_greeting().await?;
                    return Ok(dovecot);
                }
                Err(error) => refused = Some(error),
            }
            dovecot.log.clear();
            dovecot.ports = Ports::free()?;
        }
        Err(refused.context("no attempt was made")?)
    }

    async fn wait_for_greeting(&self) -> Result<()> {
        let greeting = async {
            let stream = TcpStream::connect(self.imap_address()).await?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).await?;
            ensure!(line.starts_with("* OK"), "an odd greeting: {line}");
            Ok(())
        };
        match tokio::time::timeout(PATIENCE, greeting).await {
            Ok(done) => done,
            Err(_) => bail!("no greeting; its log:\n{}", self.log()),
        }
    }

    /// IMAP with STARTTLS. From and to the same address Dovecot takes passwords in clear, too; see
    /// [`starttls_only_address`](Self::starttls_only_address).
    pub fn imap_address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.imap).into()
    }

    /// The same port at 127.0.0.2, where Dovecot says LOGINDISABLED until STARTTLS, as it would to a stranger.
    pub fn starttls_only_address(&self) -> SocketAddr {
        ([127, 0, 0, 2], self.ports.imap).into()
    }

    /// IMAP over TLS.
    pub fn imaps_address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.imaps).into()
    }

    /// The authority that signed its certificate.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// Adds a user, or gives one another password. It holds when this returns, after up to a second.
    pub async fn set_user(&self, user: &User) -> Result<()> {
        self.write_users(|passwords| passwords.insert(user.name.clone(), user.password.clone()))?;
        self.wait_for_users().await
    }

    /// Takes a user's password away. Their logins are refused when this returns, after up to a second.
    pub async fn remove_user(&self, name: &str) -> Result<()> {
        self.write_users(|passwords| passwords.remove(name))?;
        self.wait_for_users().await
    }

    /// Dovecot looks at the file once in a second of the clock.
    async fn wait_for_users(&self) -> Result<()> {
        let passed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.subsec_nanos();
        tokio::time::sleep(Duration::from_secs(1).saturating_sub(Duration::from_nanos(passed.into()))).await;
        Ok(())
    }

    fn write_users<R>(&self, change: impl FnOnce(&mut HashMap<String, String>) -> R) -> Result<()> {
        let mut users = lock(&self.users);
        change(&mut users.passwords);
        let odd = users.passwords.iter().any(|(name, password)| format!("{name}{password}").contains([':', '\n']));
        ensure!(!odd, "a colon or newline in a user's name or password");
        let lines: String =
            users.passwords.iter().map(|(name, password)| format!("{name}:{{PLAIN}}{password}::::::\n")).collect();
        let path = self.folder.path().join("users");
        std::fs::write(&path, lines)?;
        // Dovecot reads the file again when its size or the *second* of its last change is another.
        users.version += 1;
        let changed = SystemTime::now() + Duration::from_secs(users.version);
        std::fs::File::options().append(true).open(&path)?.set_modified(changed)?;
        Ok(())
    }

    /// From now on, this access token logs `user` in, by XOAUTH2 or OAUTHBEARER.
    pub fn accept_token(&self, token: &str, user: &str) {
        self.introspection.accept(token, user);
    }

    /// From now on, this access token is refused.
    pub fn refuse_token(&self, token: &str) {
        self.introspection.refuse(token);
    }

    /// Delivers a mail to a user's INBOX; it is there when this returns.
    pub async fn deliver(&self, user: &str, subject: &str) -> Result<()> {
        delivery::deliver(self.ports.lmtp, user, None, subject).await
    }

    /// Puts a mail into a user's INBOX while it doesn't run, as another server at the same mail would. The user has had
    /// mail or been logged in before.
    pub fn deliver_meanwhile(&self, user: &str, subject: &str) -> Result<()> {
        delivery::into_maildir(&self.folder.path().join("mail").join(user), user, subject)
    }

    /// Delivers a mail to another mailbox of the user, which is made when missing.
    pub async fn deliver_into(&self, user: &str, mailbox: &str, subject: &str) -> Result<()> {
        delivery::deliver(self.ports.lmtp, user, Some(mailbox), subject).await
    }

    /// Runs `doveadm` on this server, and returns what it printed.
    pub async fn doveadm(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("/usr/bin/doveadm");
        command.arg("-c").arg(self.folder.path().join("dovecot.conf")).args(arguments);
        let output = tokio::process::Command::from(command).output().await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "doveadm {arguments:?}: {errors}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Cuts all connections of a user.
    pub async fn kick(&self, user: &str) -> Result<()> {
        self.doveadm(&["kick", user]).await.map(drop)
    }

    /// Removes all mail of a mailbox.
    pub async fn expunge(&self, user: &str, mailbox: &str) -> Result<()> {
        self.doveadm(&["expunge", "-u", user, "mailbox", mailbox, "all"]).await.map(drop)
    }

    /// Kills all its processes at once: connections are cut without a word, ports refuse. Mail and users stay.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Ends it as an administrator does (SIGTERM): whoever is connected is told. Mail and users stay.
    pub async fn terminate(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.terminate().await,
            None => Ok(()),
        }
    }

    /// Kills it, if it runs, and starts it again on the same ports, with the same mail.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop();
        self.process = Some(Process::start(self.folder.path(), self.ports.addresses(), &self.log).await?);
        self.wait_for_greeting().await
    }

    /// All that it logged, over restarts.
    pub fn log(&self) -> String {
        self.log.all().join("\n")
    }

    /// The first line of the log that fits, past or to come; `None` when the time is over.
    pub async fn wait_for_log(&self, timeout: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        self.log.wait_for(timeout, |line| wanted(line)).await
    }

    /// How often a user logged in.
    pub fn logins(&self, user: &str) -> usize {
        self.log.count(|line| process::is_login(line, user))
    }

    /// Waits until a user has logged in `n` times in all; `false` when the time is over.
    pub async fn wait_for_logins(&self, timeout: Duration, user: &str, n: usize) -> bool {
        let enough =
            |log: &[String]| (log.iter().filter(|line| process::is_login(line, user)).count() >= n).then_some(());
        self.log.wait(timeout, enough).await.is_some()
    }

    /// How often anybody logged in.
    pub fn all_logins(&self) -> usize {
        self.log.count(|line| process::is_anybodys_login(line))
    }

    /// How many IMAP connections are logged in now.
    pub async fn connections(&self) -> Result<usize> {
        // A line for each, below a head.
        Ok(self
            .doveadm(&["-f", "tab", "who", "-1"])
            .await?
            .lines()
            .skip(1)
            .filter(|line| line.contains("imap"))
            .count())
    }

    /// How often a password or token for this user was refused.
    pub fn refused_logins(&self, user: &str) -> usize {
        self.log.count(|line| process::is_refused_login(line, user))
    }
}
