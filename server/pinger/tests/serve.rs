//! `pinger serve`: two processes that live and die as they should, and a gateway that was given nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "harness/mod.rs"]
mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::{PATIENCE, Server, World, gateway_of, signal};

async fn world() -> World {
    let world = World::new().await;
    world.configure(&[993], "", "");
    world
}

fn lives(pid: u32) -> bool {
    // A zombie whom nobody has waited for yet is dead.
    fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| !status.contains("State:\tZ"))
}

/// Waits until something is so.
#[track_caller]
fn eventually(what: &'static str, mut is_so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !is_so() {
            assert!(tokio::time::Instant::now() < deadline, "{caller}: {what} did not come");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_has_nothing_of_the_backend() {
    let world = world().await;
    let database = format!("sqlite://{}/pinger.db", world.data().display());
    let server = world.serve_with(&[("PINGER_DATABASE_URL", &database)]).await;
    let process = format!("/proc/{}", server.gateway_pid);

    assert_eq!(fs::read(format!("{process}/environ")).unwrap(), b"", "no environment");
    let arguments = fs::read_to_string(format!("{process}/cmdline")).unwrap();
    assert_eq!(arguments, "pinger\0gateway\0--stdin-config\0", "no configuration among the arguments");
    assert_eq!(fs::read_link(format!("{process}/cwd")).unwrap(), Path::new("/"));
    assert_eq!(fs::read_to_string(format!("{process}/comm")).unwrap(), "pinger-gateway\n");

    let log = fs::canonicalize(world.folder.path().join("server.log")).unwrap();
    let mut kinds = BTreeSet::new();
    for entry in fs::read_dir(format!("{process}/fd")).unwrap().flatten() {
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        if entry.file_name() == "2" {
            assert_eq!(target, log);
            continue;
        }
        kinds.insert(target.to_string_lossy().split(':').next().unwrap().to_owned());
    }
    let allowed: BTreeSet<String> = ["pipe", "socket", "anon_inode"].map(str::to_owned).into();
    assert!(kinds.is_subset(&allowed), "open in the gateway: {kinds:?}");

    let limits = fs::read_to_string(format!("{process}/limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max core file size"), "0");
    assert_eq!(limit("Max data size"), (2_u64 << 30).to_string());
    let maps = fs::read_to_string(format!("{process}/maps")).unwrap();
    assert!(!maps.contains("pinger.db"), "the store is not in its memory");
    server.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_serve_was_started_with_do_not_reach_the_gateway() {
    let world = world().await;
    let secret = world.folder.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let config = world.folder.path().join("pinger.toml");
    // The shell leaves file 9 open for what it starts.
    let script = format!(
        "exec 9<'{}'; exec '{}' --config '{}' serve --ready-json",
        secret.display(),
        env!("CARGO_BIN_EXE_pinger"),
        config.display()
    );
    let mut shell = Command::new("sh");
    let mut child = shell.args(["-c", &script]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let first = tokio::task::spawn_blocking(move || {
        use std::io::BufRead as _;
        std::io::BufReader::new(out).lines().next()
    });
    let ready: serde_json::Value = serde_json::from_str(&first.await.unwrap().unwrap().unwrap()).unwrap();
    let open = |pid: &str| {
        let folder = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        folder.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target == secret)
    };
    assert!(open(&child.id().to_string()), "the test is of no use");
    assert!(!open(&ready["gateway_pid"].to_string()));
    signal("TERM", child.id());
    assert!(tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_dies_with_its_parent() {
    let world = world().await;
    let mut server = world.serve().await;
    let gateway = server.gateway_pid;
    assert!(lives(gateway));
    server.kill();
    eventually("the end of the gateway", || !lives(gateway)).await;
    // And everything can be taken over at once, the address too.
    let server = world.serve().await;
    assert!(server.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_dies_is_started_again_at_the_same_address() {
    let world = world().await;
    let server = world.serve().await;
    let mut gateway = server.gateway_pid;
    for _ in 0..2 {
        Server::kill_gateway(gateway);
        let dead = gateway;
        eventually("another gateway", || gateway_of(server.pid()).is_some_and(|pid| pid != dead && lives(pid))).await;
        gateway = gateway_of(server.pid()).unwrap();
        let address = server.device_api.trim_start_matches("http://").to_owned();
        eventually("its port", || std::net::TcpListener::bind(&address).is_err()).await;
    }
    let log = server.log();
    assert!(log.contains("the gateway ended by itself") && log.contains("\"pause_ms\":200"), "{log}");
    assert!(server.terminate().await.success());
    assert!(!lives(gateway));
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_stops_when_told_to() {
    for name in ["TERM", "INT"] {
        let world = world().await;
        let server = world.serve().await;
        let (pid, gateway) = (server.pid(), server.gateway_pid);
        if name == "TERM" {
            assert!(server.terminate().await.success());
        } else {
            signal(name, pid);
            eventually("the end", || !lives(pid)).await;
        }
        assert!(!lives(gateway));
        let log = fs::read_to_string(world.folder.path().join("server.log")).unwrap();
        assert!(log.contains("gateway stopped") && log.contains("exit status: 0"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_server() {
    let world = world().await;
    let server = world.serve().await;
    let config = world.folder.path().join("pinger.toml");
    let second = move || Command::new(env!("CARGO_BIN_EXE_pinger")).arg("--config").arg(config).arg("serve").output();
    let second = tokio::task::spawn_blocking(second).await.unwrap().unwrap();
    assert_eq!(second.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another `pinger serve` is running on the folder"));
    assert!(lives(server.gateway_pid));
    server.terminate().await;
}

/// A process that is killed when the test is over.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_run_alone_over_mutual_tls() {
    let world = world().await;
    let folder = world.folder.path();
    world.authority.issue(&["backend.internal"]).unwrap().write(folder, "backend").unwrap();
    world.authority.issue_client("gateway.internal").unwrap().write(folder, "gateway").unwrap();
    let stranger = peers::certificate::Authority::new().unwrap();
    stranger.issue_client("gateway.internal").unwrap().write(folder, "stranger").unwrap();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (internal, strange) = (free(), free());
    let tls = |name| format!("tls = {{ ca = \"ca.pem\", certificate = \"{name}.pem\", key = \"{name}.key\" }}");
    let backend =
        format!("[backend]\ndata = \"data\"\n[backend.listen.tcp]\naddress = \"{internal}\"\n{}\n", tls("backend"));
    let gateway = |listen: &str, name: &'static str| {
        format!(
            "[gateway]\nlisten = \"{listen}\"\n[[gateway.app_keys]]\nid = \"a\"\nsha256 = \"{}\"\n\
             [gateway.backend.tcp]\naddress = \"{internal}\"\nserver_name = \"backend.internal\"\n{}\n",
            "0".repeat(64),
            tls(name)
        )
    };
    let listen = format!("127.0.0.1:{}", world.device_port);
    fs::write(folder.join("backend.toml"), backend).unwrap();
    fs::write(folder.join("gateway.toml"), gateway(&listen, "gateway")).unwrap();
    fs::write(folder.join("stranger.toml"), gateway(&strange.to_string(), "stranger")).unwrap();
    let run = |role: &str, config: &str| {
        let log = fs::File::create(folder.join(format!("{config}.log"))).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinger"));
        let command = command.arg("--config").arg(folder.join(format!("{config}.toml"))).arg(role).stderr(log);
        Killed(command.env_clear().env("PINGER_LOG_FORMAT", "json").spawn().unwrap())
    };
    let log = |name: &str| fs::read_to_string(folder.join(format!("{name}.log"))).unwrap();

    let mut gateway = run("gateway", "gateway");
    eventually("the gateway", || log("gateway").contains("gateway ready")).await;
    let mut backend = run("backend", "backend");
    eventually("the backend at the gateway", || log("gateway").contains("the backend is there")).await;
    let _stranger = run("gateway", "stranger");
    eventually("the stranger at its wits' end", || log("stranger").contains("does not tell its public keys")).await;

    for process in [&mut gateway, &mut backend] {
        signal("TERM", process.0.id());
    }
    for mut process in [gateway, backend] {
        let status = tokio::task::spawn_blocking(move || process.0.wait().unwrap()).await.unwrap();
        assert!(status.success(), "{}{}", log("gateway"), log("backend"));
    }
    assert!(!log("stranger").contains("the backend is there"), "{}", log("stranger"));
}
