//! The commands, from outside: what they print, and what their exit codes mean.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

#[path = "harness/mod.rs"]
mod harness;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use harness::{APP_KEY, TOPIC, World};
use peers::imap_server::{ImapOptions, ImapServer};
use serde_json::Value;
use tempfile::TempDir;

const GATEWAY: &str = "[gateway]\nlisten = \"127.0.0.1:0\"\n";
const BACKEND: &str = "[backend]\ndata = \"data\"\n";

fn folder(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pinger.toml"), config).unwrap();
    folder
}

/// Runs a command in a folder, with these variables and no others.
fn pinger(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinger"));
    command.args(arguments).current_dir(folder).env_clear().envs(environment.iter().copied());
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A command that fails says why in one line.
#[track_caller]
fn check_fails(config: &str, arguments: &[&str], environment: &[(&str, &str)], code: i32, expect: &str) {
    let folder = folder(config);
    let output = pinger(folder.path(), arguments, environment);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    assert!(errors.contains(expect), "{arguments:?}: {errors:?} does not say {expect:?}");
    assert!(errors.lines().count() == 1 || errors.contains("Usage:"), "{errors}");
}

#[test]
fn wrong_usage_and_configuration_end_with_2() {
    check_fails("", &[], &[], 2, "Usage:");
    check_fails("", &["--nonsense"], &[], 2, "Usage:");
    check_fails("", &["serve", "--config", "absent.toml"], &[], 2, "absent.toml");
    check_fails("", &["serve"], &[("PINGER_CONFIG", "elsewhere.toml")], 2, "elsewhere.toml");
    check_fails("[gateway", &["serve"], &[], 2, "pinger.toml, line 1: ");
    check_fails(GATEWAY, &["serve"], &[], 2, "no section [backend]");
    let typo = format!("{GATEWAY}{BACKEND}poll_second = 1\n");
    check_fails(&typo, &["config", "check"], &[], 2, "line 5: backend.poll_second: unknown field");
    let fine = format!("{GATEWAY}{BACKEND}");
    check_fails(&fine, &["serve"], &[("PINGER_LOG_FORMAT", "xml")], 2, "PINGER_LOG_FORMAT must be json or text");
    check_fails(&fine, &["serve"], &[("PINGER_LOG", "a=b=c")], 2, "PINGER_LOG is no filter");
    let wrong_key = format!("{GATEWAY}app_keys = [{{ id = \"a\", sha256 = \"b\" }}]\n{BACKEND}");
    let folder = folder(&wrong_key);
    let output = pinger(folder.path(), &["serve"], &[]);
    assert_eq!(output.status.code(), Some(2), "the gateway's own exit code is passed on");
    assert!(text(&output.stderr).contains("sha256 must be 64 hexadecimal digits"));
}

#[test]
fn a_role_that_sees_another_roles_secrets_does_not_start() {
    let both = format!("{GATEWAY}{BACKEND}");
    let alone = format!("{GATEWAY}backend = {{ unix = {{ path = \"s\" }} }}\n");
    check_fails(&both, &["gateway"], &[], 2, "[backend], which `pinger gateway` must not see");
    check_fails(&both, &["backend"], &[], 2, "[gateway], which `pinger backend` must not see");
    let with_dashboard = format!("{alone}[dashboard]\n");
    check_fails(&with_dashboard, &["gateway"], &[], 2, "[dashboard], which `pinger gateway` must not see");
    for variable in ["PINGER_DATABASE_URL", "PINGER_SEALING_KEY", "DATABASE_URL"] {
        check_fails(&alone, &["gateway"], &[(variable, "")], 2, variable);
    }
    // For whoever starts the child by hand.
    check_fails("", &["gateway", "--stdin-config"], &[("HOME", "/")], 2, "its environment is not empty: it has HOME");
    check_fails("", &["gateway", "--stdin-config"], &[], 2, "in a way that only `pinger serve` does right");
}

#[test]
fn a_configuration_that_is_right_is_said_to_be() {
    for (config, role) in [
        (format!("{GATEWAY}{BACKEND}"), "pinger serve"),
        (format!("{GATEWAY}backend = {{ unix = {{ path = \"s\" }} }}\n"), "pinger gateway"),
        (format!("{BACKEND}listen = {{ unix = \"s\" }}\n"), "pinger backend"),
        (format!("{GATEWAY}{BACKEND}[dashboard]\n"), "pinger serve"),
    ] {
        let folder = folder(&config);
        let output = pinger(folder.path(), &["config", "check"], &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), format!("pinger.toml is right for `{role}`.\n"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
    }
}

#[test]
fn what_cannot_be_bound_ends_with_3() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!("[gateway]\nlisten = \"{}\"\n{BACKEND}", taken.local_addr().unwrap());
    let folder = folder(&config);
    let output = pinger(folder.path(), &["serve"], &[]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("can't listen on 127.0.0.1"));
}

#[test]
fn keys_are_shown_and_stay() {
    let folder = folder(&format!("{GATEWAY}{BACKEND}"));
    let output = pinger(folder.path(), &["keys", "show", "--json"], &[]);
    let keys: Value = serde_json::from_slice(&output.stdout).unwrap();
    let identity = keys["identity_key"].as_str().unwrap();
    assert_eq!(identity.len(), 44, "32 bytes in base64");
    let again = text(&pinger(folder.path(), &["keys", "show"], &[]).stdout);
    assert!(again.contains(identity) && again.contains(keys["sealing_key_ids"][0].as_str().unwrap()), "{again}");
}

/// A device on the command line, against a server and a mail server.
struct Terminal {
    world: World,
    server: harness::Server,
    imap: ImapServer,
}

const PASSWORD: &str = "correct horse";

impl Terminal {
    async fn new() -> Self {
        let world = World::new().await;
        let imap = ImapServer::start(ImapOptions {
            users: vec![("anna".to_owned(), PASSWORD.to_owned())],
            authority: Some(world.authority.clone()),
            ..ImapOptions::default()
        });
        let imap = imap.await.unwrap();
        world.configure(&[imap.address().port()], "", "");
        let server = world.serve().await;
        Self { world, server, imap }
    }

    async fn device(&self, arguments: &[&str]) -> (i32, String, String) {
        let arguments: Vec<String> = ["device"].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
        let folder = self.world.folder.path().to_owned();
        let run = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            pinger(&folder, &arguments, &[("PINGER_APP_KEY", APP_KEY), ("PINGER_PASSWORD", PASSWORD)])
        };
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        let (out, errors) = (text(&output.stdout), text(&output.stderr));
        for secret in [APP_KEY, PASSWORD] {
            assert!(!out.contains(secret) && !errors.contains(secret), "{out}{errors}");
        }
        (output.status.code().unwrap(), out, errors)
    }

    async fn register(&self, more: &[&str]) -> (i32, String, String) {
        let port = self.imap.address().port().to_string();
        let token = "ab".repeat(32);
        let mut arguments = vec!["register", "--server", &self.server.device_api, "--imap-host", "127.0.0.1"];
        arguments.extend(["--username", "anna", "--apns-token", &token, "--apns-topic", TOPIC]);
        if !more.contains(&"--imap-port") {
            arguments.extend(["--imap-port", &port]);
        }
        arguments.extend(more);
        self.device(&arguments).await
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_registers_defers_looks_and_stops() {
    let terminal = Terminal::new().await;
    let state = terminal.world.folder.path().join("pinger-device.json");

    let (code, _, errors) = terminal.register(&[]).await;
    assert_eq!(code, 2, "{errors}");
    assert!(errors.contains("no identity key is pinned"), "{errors}");
    assert!(!state.exists());

    let (code, out, errors) = terminal.register(&["--trust-first-use", "--wait", "60"]).await;
    assert_eq!(code, 0, "{errors}");
    assert!(errors.starts_with("Warning: the server's identity key "), "{errors}");
    assert!(out.starts_with("Registered session "), "{out}");
    assert!(out.contains("The device is awake") && out.contains("Trace: "), "{out}");
    let kept: Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    assert!(!out.contains(kept["session_token"].as_str().unwrap()));

    // The identity key was kept, and is the pin from now on. The same registration is the same session.
    let (code, out, errors) = terminal.register(&["--json", "--lifetime", "3600"]).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    let registered = json(&out);
    assert_eq!(registered["context"], "cli-account");
    assert_eq!(registered["trace_id"].as_str().unwrap().len(), 32);

    let (code, out, _) = terminal.device(&["defer", "--wait", "300"]).await;
    assert_eq!(code, 0);
    assert!(out.starts_with("Deferred for 300 s.\nThe device is awake"), "{out}");
    let (code, out, _) = terminal.device(&["status", "--json"]).await;
    assert_eq!((code, &json(&out)["state"]), (0, &Value::from("WAITING")));
    assert_eq!(json(&out)["session_id"], registered["session_id"]);

    let (code, out, _) = terminal.device(&["stop"]).await;
    assert_eq!(code, 0);
    assert!(out.contains("its credential is destroyed"), "{out}");
    let (code, out, _) = terminal.device(&["watch", "--json"]).await;
    assert_eq!((code, &json(&out)["state"]), (0, &Value::from("ENDED")));
    assert_eq!(json(&out)["end_reason"], "STOPPED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_told_why_it_is_refused() {
    let terminal = Terminal::new().await;
    let identity = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(terminal.server.identity)
    };
    let pinned = ["--identity", &identity];

    let (code, out, errors) = terminal.register(&[&pinned[..], &["--context", "x", "--user", "a@b"]].concat()).await;
    assert_eq!((code, out.as_str()), (4, ""));
    assert!(errors.starts_with("Refused (FIELD_INVALID): "), "{errors}");
    assert!(errors.contains("\n  context: ") && errors.contains("\n  user_id: must not be a mail address"), "{errors}");
    assert!(errors.contains("\n  Trace: "), "{errors}");

    let (code, out, errors) = terminal.register(&[&pinned[..], &["--imap-port", "22", "--json"]].concat()).await;
    assert_eq!((code, errors.as_str()), (4, ""));
    let error = &json(&out)["error"];
    assert_eq!(error["reason"], "PORT_BLOCKED");
    assert_eq!(error["code"], "InvalidArgument");
    assert!(error["message"].as_str().unwrap().contains("Use 993 or 143"), "{error}");

    let foreign = "A".repeat(43) + "=";
    let (code, _, errors) = terminal.register(&["--identity", &foreign]).await;
    assert_eq!(code, 1);
    assert!(errors.contains("signed by another server than the one that is pinned"), "{errors}");

    let (code, _, errors) = terminal.device(&["status", "--state", "absent.json"]).await;
    assert_eq!(code, 1);
    assert!(errors.contains("there is no session in absent.json: register first"), "{errors}");

    let nobody = format!("http://{}", peers::closed_port().unwrap());
    let (code, _, errors) = terminal.register(&[&pinned[..], &["--server", &nobody]].concat()).await;
    assert_eq!(code, 2, "an option that is given twice: {errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_said_to_be_so() {
    let folder = folder("");
    let nobody = format!("http://{}", peers::closed_port().unwrap());
    let arguments = ["device", "register", "--server", &nobody, "--imap-host", "mail.example", "--username", "anna"];
    let push = ["--apns-token", "ab", "--apns-topic", TOPIC, "--trust-first-use"];
    let environment = [("PINGER_APP_KEY", APP_KEY), ("PINGER_PASSWORD", PASSWORD)];
    let output = pinger(folder.path(), &[&arguments[..], &push].concat(), &environment);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&format!("{nobody} could not be reached")), "{}", text(&output.stderr));
    // And without the app key, nobody is asked.
    let output = pinger(folder.path(), &[&arguments[..], &push].concat(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("PINGER_APP_KEY"));
}
