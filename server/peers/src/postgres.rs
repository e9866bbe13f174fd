//! A real PostgreSQL in a temporary folder: reached through a socket in it, and by TLS and a password on a free port.
//!
//! It runs with its own defaults, `fsync` among them. It refuses to run as root, so where we are root it runs as the user
//! that Debian makes for it.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::certificate::Authority;

/// Where Debian puts the versions that are installed.
const VERSIONS: &str = "/usr/lib/postgresql";

/// How long a start or an end may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The password of the role `pinger`.
const PASSWORD: &str = "no secret: it opens a test";

/// A running PostgreSQL. Dropping it ends its processes and removes its folder.
pub struct Postgres {
    // Before the folder, so that nothing runs in it when it is removed.
    process: Option<Process>,
    folder: TempDir,
    programs: PathBuf,
    user: Option<User>,
    port: u16,
    settings: Vec<String>,
    databases: AtomicU32,
}

/// Whom it runs as.
#[derive(Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

struct Process {
    master: Child,
    /// Ends it when our process dies in a way that runs no destructor.
    watchdog: Child,
}

impl Postgres {
    /// Whether PostgreSQL is installed here.
    pub fn available() -> bool {
        programs().is_some()
    }

    /// Starts one and waits until it takes connections.
    ///
    /// # Errors
    /// When it isn't installed, or doesn't start; the error has the end of its log.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same, with settings as in `postgresql.conf`: `shared_buffers=1GB`.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        let programs = programs().context("PostgreSQL is missing: apt-get install postgresql")?;
        let folder = tempfile::Builder::new().prefix("postgresql-").tempdir()?;
        let user = unprivileged()?;
        // Clients that are somebody else have to reach the socket.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let authority = Authority::new()?;
        authority.write(folder.path())?;
        authority.issue_server()?.write(folder.path(), "server")?;
        std::fs::set_permissions(folder.path().join("server.key"), PermissionsExt::from_mode(0o600))?;
        for file in ["", "server.pem", "server.key"] {
            if let Some(User { uid, gid }) = user {
                chown(folder.path().join(file), Some(uid), Some(gid))?;
            }
        }
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let databases = AtomicU32::new(0);
        let mut postgres = Self { process: None, folder, programs, user, port, settings, databases };
        // What is made here is not kept past a crash of the machine, so it need not be on the disk before it is used.
        let mut initdb = postgres.command("initdb");
        initdb.args(["--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8"]);
        // A language's order of texts, as many have it: nothing of ours may depend on it.
        initdb.args(["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]);
        initdb.args(["--username=pinger", "--pgdata"]).arg(postgres.data());
        run(initdb).await?;
        postgres.start_again().await?;
        postgres.query("postgres", &format!("ALTER ROLE pinger PASSWORD '{PASSWORD}'")).await?;
        Ok(postgres)
    }

    /// Makes a new database, and says its URL: through the socket, without a password.
    ///
    /// # Errors
    /// When it is stopped.
    pub async fn database(&self) -> Result<String> {
        let name = format!("pinger_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.query("postgres", &format!("CREATE DATABASE {name}")).await?;
        Ok(self.url(&name))
    }

    /// The URL of a database, through the socket and without a password.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://pinger@{folder}:{}/{database}", self.port)
    }

    /// The URL of a database, over TLS with a certificate that is checked, with a password.
    pub fn tls_url(&self, database: &str) -> String {
        let password = PASSWORD.replace(' ', "%20").replace(':', "%3A");
        let (port, ca) = (self.port, self.folder.path().join("ca.pem"));
        format!(
            "postgres://pinger:{password}@localhost:{port}/{database}?sslmode=verify-full&sslrootcert={}",
            ca.display()
        )
    }

    /// Runs SQL, and says what it led to: a line a row, `|` between the columns.
    ///
    /// # Errors
    /// When it is stopped, or refuses the SQL.
    pub async fn query(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = self.command("psql");
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            "--username=pinger",
        ]);
        psql.arg("--host").arg(self.folder.path()).args(["--port", &self.port.to_string()]);
        psql.args(["--dbname", database, "--command", sql]);
        run(psql).await
    }

    /// Stops it at once, as a crash does; what it holds stays.
    ///
    /// # Errors
    /// When it doesn't end.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(process) = self.process.take() else { return Ok(()) };
        tokio::task::spawn_blocking(move || drop(process)).await.context("stopping PostgreSQL")
    }

    /// Starts it after [`Postgres::stop`], with the same addresses.
    ///
    /// # Errors
    /// When it doesn't start; the error has the end of its log.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "PostgreSQL runs already");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log"))?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path()).args(["-p", &self.port.to_string()]);
        let folder = self.folder.path().display();
        let mut settings = self.settings.clone();
        settings.push("listen_addresses=127.0.0.1".to_owned());
        settings.push("ssl=on".to_owned());
        settings.push(format!("ssl_cert_file={folder}/server.pem"));
        settings.push(format!("ssl_key_file={folder}/server.key"));
        for setting in settings {
            command.args(["-c", &setting]);
        }
        self.process = Some(Process::start(command, log)?);
        let deadline = Instant::now() + PATIENCE;
        while self.query("postgres", "SELECT 1").await.is_err() {
            let process = self.process.as_mut().context("it was stopped")?;
            if process.master.try_wait()?.is_some() || Instant::now() > deadline {
                self.process = None;
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("PostgreSQL doesn't start; its log:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of PostgreSQL's programs, as the user that it runs as.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        // Whatever is set for another PostgreSQL is not for this one.
        command.env_clear().env("LC_ALL", "C.UTF-8").current_dir(self.folder.path()).stdin(Stdio::null());
        if let Some(User { uid, gid }) = self.user {
            // Where it is set, the other groups go too.
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Process {
    fn start(mut command: Command, log: std::fs::File) -> Result<Self> {
        let mut master = command
            .stdout(Stdio::null())
            .stderr(log)
            // A Ctrl+C for the test is none for it.
            .process_group(0)
            .spawn()
            .context("starting PostgreSQL")?;
        let watchdog = Command::new("/bin/sh")
            .arg("-c")
            // It reads from a pipe of which only we hold the other end.
            .arg(format!("read -r _; kill -QUIT {}", master.id()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match watchdog {
            Ok(watchdog) => Ok(Self { master, watchdog }),
            Err(error) => {
                let _ = kill_process(Pid::from_child(&master), Signal::QUIT);
                let _ = master.wait();
                Err(error).context("starting the watchdog")
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        // An immediate shutdown: it ends its children and gives its shared memory back. It is done in milliseconds, and
        // PostgreSQL itself kills children that take longer than 5 s.
        let _ = kill_process(Pid::from_child(&self.master), Signal::QUIT);
        let _ = self.master.wait();
    }
}

/// Where the programs of the newest version are.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(VERSIONS).ok()?.flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|entry| entry.path()).max_by_key(|path| number(path))?;
    Some(newest.join("bin")).filter(|programs| programs.join("postgres").exists())
}

/// The user `postgres` if we are root, none if we are somebody else.
fn unprivileged() -> Result<Option<User>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find(|line| line.starts_with("postgres:")).context("there is no user postgres")?;
    let mut numbers = line.split(':').skip(2);
    let mut next = || numbers.next().unwrap_or_default().parse::<u32>().context("a strange line in /etc/passwd");
    Ok(Some(User { uid: next()?, gid: next()? }))
}

async fn run(mut command: Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        tokio::task::spawn_blocking(move || command.output()).await?.with_context(|| format!("running {name}"))?;
    ensure!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
