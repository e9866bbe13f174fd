//! The dashboard as the binary runs it: the first sign-up, commands on staff and on the audit, and the stop.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod harness;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use harness::{Account, PATIENCE, Phone, World, reason};
use peers::imap_server::{ImapOptions, ImapServer};
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

/// A browser without scripts: it keeps its cookie and sends what forms have.
struct Browser {
    client: reqwest::Client,
    url: String,
    cookie: String,
}

impl Browser {
    /// Signs up by the link.
    async fn sign_up(url: &str, link: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        let body = format!("name=kim&password={}", PASSWORD.replace(' ', "+"));
        let form = client.post(link).header("origin", url).header("content-type", "application/x-www-form-urlencoded");
        let response = form.body(body).send().await.unwrap();
        assert_eq!(response.status(), 303);
        let cookies = response.headers().get_all("set-cookie").iter();
        let cookie = cookies.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap()).collect::<Vec<_>>();
        Self { client, url: url.to_owned(), cookie: cookie.join("; ") }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let request = self.client.get(format!("{}{path}", self.url)).header("cookie", &self.cookie);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Sends a form of ours, with the token of the page that it stands on, and gives status and where it leads.
    async fn post(&self, page: &str, path: &str, fields: &str) -> (u16, String) {
        let (_, html) = self.get(page).await;
        let token = html.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let request = self.client.post(format!("{}{path}", self.url)).header("cookie", &self.cookie);
        let request = request.header("origin", &self.url).header("content-type", "application/x-www-form-urlencoded");
        let response = request.body(format!("csrf={token}&{fields}")).send().await.unwrap();
        let location = response.headers().get("location").map(|at| at.to_str().unwrap().to_owned());
        (response.status().as_u16(), location.unwrap_or_default())
    }
}

#[tokio::test]
async fn staff_find_a_session_ping_it_test_its_push_and_revoke_it() {
    let world = World::new().await;
    let users = vec![("alice@example.org".to_owned(), "alice's password".to_owned())];
    let options = ImapOptions { users, authority: Some(world.authority.clone()), ..ImapOptions::default() };
    let imap = ImapServer::start(options).await.unwrap();
    let config = world.configure(&[imap.address().port()], "", "");
    let mut file = std::fs::OpenOptions::new().append(true).open(&config).unwrap();
    writeln!(file, "\n[dashboard]\nlisten = \"127.0.0.1:0\"\nargon2 = {{ memory_kib = 64, iterations = 1 }}").unwrap();
    let server = world.serve().await;
    let url = server.ready["dashboard"].as_str().unwrap().to_owned();
    let staff = Browser::sign_up(&url, server.ready["sign_up"].as_str().unwrap()).await;

    let account = Account::imaps(imap.address(), "alice@example.org", "alice's password");
    let mut phone = Phone::new(&server, &account).await;
    phone.register().await.unwrap();
    phone.is_watched().await;
    let here = format!("/sessions/{}", phone.session);

    // By the address that the customer says, which is nowhere in the store.
    let (status, list) = staff.get("/sessions?q=address:alice@example.org").await;
    assert_eq!((status, list.contains(&here)), (200, true), "{list}");
    let (_, list) = staff.get("/sessions?q=address:bob@example.org").await;
    assert!(!list.contains(&here));
    let (status, session) = staff.get(&here).await;
    assert_eq!(status, 200);
    assert!(session.contains("Why no push?") && !session.contains("alice@example.org"));

    // While it watches: nothing new. While the device is awake: mail that waits.
    let pinged = format!("{here}/ping");
    assert_eq!(staff.post(&here, &pinged, "").await, (303, pinged.clone()));
    let (_, page) = staff.get(&pinged).await;
    assert!(page.contains("has nothing new"), "{page}");
    phone.defer(600).await.unwrap();
    imap.deliver("alice@example.org").await.unwrap();
    assert_eq!(staff.post(&here, &pinged, "").await, (303, pinged.clone()));
    let (_, page) = staff.get(&pinged).await;
    assert!(page.contains("Its push waits") && page.contains("Logged in"), "{page}");
    // The device sleeps again, and is pushed.
    phone.defer(0).await.unwrap();
    let token = phone.push_token();
    let mail = world.apns.wait_for(PATIENCE, |push| push.token == token).await.unwrap();
    assert_eq!(mail.payload["pinger"]["event"], "new_mail");

    let (status, _) = staff.post(&here, &format!("{here}/test-push"), "").await;
    assert_eq!(status, 303);
    let test = world.apns.wait_for(PATIENCE, |push| push.payload["pinger"]["event"] == "test").await.unwrap();
    assert_eq!(test.token, token);
    assert_eq!(staff.post(&here, &format!("{here}/trace"), "").await.0, 303);

    // Revoked, for a reason, by somebody.
    let revoke = format!("{here}/revoke");
    assert_eq!(staff.post(&revoke, &revoke, "reason=&note=").await.0, 422);
    assert_eq!(staff.post(&revoke, &revoke, "reason=lost&note=ticket+58102").await, (303, here.clone()));
    let register = world.apns.wait_for(PATIENCE, |push| push.payload["pinger"]["event"] == "register").await.unwrap();
    assert_eq!(register.token, token);
    assert_eq!(reason(&phone.status().await.unwrap_err()), "TOKEN_DEAD");
    let (_, session) = staff.get(&here).await;
    assert!(session.contains("Revoked by kim"), "{session}");
    assert_eq!(staff.post("/", &pinged, "").await.0, 409);
    let (_, audit) = staff.get("/audit").await;
    assert!(audit.contains("ticket 58102"), "{audit}");
    assert!(!server.log().contains("alice@example.org"));
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_forced_ping_is_shown_as_it_happens() {
    let world = World::new().await;
    let users = vec![("alice@example.org".to_owned(), "alice's password".to_owned())];
    let options = ImapOptions { users, authority: Some(world.authority.clone()), ..ImapOptions::default() };
    let imap = ImapServer::start(options).await.unwrap();
    let config = world.configure(&[imap.address().port()], "", "");
    let mut file = std::fs::OpenOptions::new().append(true).open(&config).unwrap();
    // Pages are made again once a day: whatever comes was woken by the ping itself.
    let dashboard = "listen = \"127.0.0.1:0\"\nlive_millis = 86400000\nargon2 = { memory_kib = 64, iterations = 1 }";
    writeln!(file, "\n[dashboard]\n{dashboard}").unwrap();
    let server = world.serve().await;
    let url = server.ready["dashboard"].as_str().unwrap().to_owned();
    let staff = Browser::sign_up(&url, server.ready["sign_up"].as_str().unwrap()).await;
    let account = Account::imaps(imap.address(), "alice@example.org", "alice's password");
    let mut phone = Phone::new(&server, &account).await;
    phone.register().await.unwrap();
    phone.is_watched().await;
    let here = format!("/sessions/{}", phone.session);
    let pinged = format!("{here}/ping");
    assert_eq!(staff.post(&here, &pinged, "").await, (303, pinged.clone()));

    let stream = staff.client.get(format!("{url}/live?path={pinged}&have=")).header("cookie", &staff.cookie);
    let mut stream = stream.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    // While the device is awake there is no connection, so the ping has several steps.
    phone.defer(600).await.unwrap();
    imap.deliver("alice@example.org").await.unwrap();
    let asked = staff.post(&here, &format!("{pinged}?live=true"), "").await;
    assert_eq!(asked, (303, pinged.clone()), "whoever looks on need not wait");
    let mut seen = String::new();
    let until_over = async {
        while !seen.contains("Its push waits") {
            seen.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, until_over).await.unwrap();
    assert!(seen.contains("Logged in"), "{seen}");
    assert!(seen.matches("event: regions").count() >= 3, "as it was, and step by step: {seen}");
    // A stream that is open does not keep the server from stopping.
    assert!(server.terminate().await.success());
}
