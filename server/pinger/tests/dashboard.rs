//! The dashboard as the binary runs it: the first sign-up, commands on staff and on the audit, and the stop.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod harness;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use harness::World;
use reqwest::redirect::Policy;

const PASSWORD: &str = "correct horse battery staple";

fn pinger(config: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pinger")).arg("--config").arg(config).args(arguments).output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// A configuration with a dashboard whose password hashing is cheap.
fn configure(world: &World, dashboard: &str) -> std::path::PathBuf {
    let path = world.configure(&[993], "", "");
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    writeln!(
        file,
        "\n[dashboard]\nlisten = \"127.0.0.1:0\"\nargon2 = {{ memory_kib = 64, iterations = 1 }}\n{dashboard}"
    )
    .unwrap();
    path
}

async fn sign_up(url: &str, link: &str, name: &str) -> u16 {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let body = format!("name={name}&password={}", PASSWORD.replace(' ', "+"));
    let form = client.post(link).header("origin", url).header("content-type", "application/x-www-form-urlencoded");
    form.body(body).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn staff_sign_up_are_listed_and_shut_out_and_the_audit_tells() {
    let world = World::new().await;
    let config = configure(&world, "");
    let server = world.serve().await;
    let url = server.ready["dashboard"].as_str().unwrap().to_owned();
    let link = server.ready["sign_up"].as_str().unwrap().to_owned();
    assert!(link.starts_with(&format!("{url}/sign-up/")), "{link}");
    assert!(!server.log().contains("/sign-up/"), "the link is no matter for a log");
    assert_eq!(sign_up(&url, &link, "kim").await, 303);
    assert_eq!(sign_up(&url, &link, "eve").await, 404);

    // While the server runs.
    let invited = json(&pinger(&config, &["staff", "invite", "--role", "viewer", "--json"]));
    let path = invited["sign_up"].as_str().unwrap().split_once("/sign-up/").unwrap().1.to_owned();
    assert_eq!(sign_up(&url, &format!("{url}/sign-up/{path}"), "vic").await, 303);
    let output = pinger(&config, &["staff", "disable", "vic"]);
    assert!(output.status.success(), "{output:?}");
    for nobody in ["vic2", "<b>"] {
        assert_eq!(pinger(&config, &["staff", "disable", nobody]).status.code(), Some(1));
    }
    assert_eq!(pinger(&config, &["staff", "disable", "kim"]).status.code(), Some(1), "the last admin");
    assert_eq!(pinger(&config, &["staff", "invite", "--role", "king"]).status.code(), Some(2));
    let listed = json(&pinger(&config, &["staff", "list", "--json"]));
    let shown = |at: usize| (listed[at]["name"].as_str().unwrap(), listed[at]["disabled"].as_bool().unwrap());
    assert_eq!([shown(0), shown(1)], [("kim", false), ("vic", true)]);

    let output = pinger(&config, &["audit", "verify", "--json"]);
    assert!(output.status.success(), "{output:?}");
    // Two links, two sign-ups and sign-ins, one shut out.
    assert_eq!(json(&output)["entries"], 7);
    assert!(server.terminate().await.success());

    // From now on there is somebody.
    let server = world.serve().await;
    assert!(server.ready["sign_up"].is_null());
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn an_audit_that_was_tampered_with_is_found() {
    let world = World::new().await;
    let config = configure(&world, "");
    for _ in 0..5 {
        assert!(pinger(&config, &["staff", "invite", "--role", "admin"]).status.success());
    }
    let script = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\n\
                  db.executescript(\"DROP TRIGGER audit_is_not_updated; UPDATE audit SET subject = 'viewer' WHERE seq = 4;\")";
    let file = world.data().join("pinger.db");
    assert!(Command::new("python3").args(["-c", script]).arg(file).status().unwrap().success());
    let output = pinger(&config, &["audit", "verify"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "the audit is broken: entry 4 was changed\n");
}

#[tokio::test]
async fn a_dashboard_does_not_speak_clear_text_to_the_network() {
    let world = World::new().await;
    let config = world.configure(&[993], "", "");
    let mut file = std::fs::OpenOptions::new().append(true).open(&config).unwrap();
    writeln!(file, "\n[dashboard]\nlisten = \"0.0.0.0:0\"").unwrap();
    let output = pinger(&config, &["serve"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("in clear text"), "{output:?}");
}
