//! Acts on many sessions, with the whole of Pinger: real sessions among made-up ones, acted on while they change.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod harness;

use std::io::Write as _;
use std::time::{Duration, Instant};

use domain::{NodeId, Timestamp};
use harness::{Account, PATIENCE, Phone, World, reason};
use peers::imap_server::{ImapOptions, ImapServer};
use reqwest::redirect::Policy;
use store::{Store, demo};

/// A browser of an admin who has just signed up.
struct Admin {
    client: reqwest::Client,
    url: String,
    cookie: String,
}

impl Admin {
    async fn sign_up(url: &str, link: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        let form = client.post(link).header("origin", url).header("content-type", "application/x-www-form-urlencoded");
        let response = form.body("name=kim&password=correct+horse+battery+staple").send().await.unwrap();
        assert_eq!(response.status(), 303);
        let cookies = response.headers().get_all("set-cookie").iter();
        let cookie = cookies.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap()).collect::<Vec<_>>();
        Self { client, url: url.to_owned(), cookie: cookie.join("; ") }
    }

    async fn get(&self, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.url)).header("cookie", &self.cookie);
        request.send().await.unwrap().text().await.unwrap()
    }

    /// Sends the form on a page, with `more` filled in, and gives where it leads.
    async fn order(&self, page: &str, more: &str) -> String {
        let question = self.get(page).await;
        let field = |name: &str| {
            let value =
                question.split(&format!("name=\"{name}\" value=\"")).nth(1).map(|rest| rest.split('"').next().unwrap());
            value.unwrap_or_default().replace("&amp;", "&").replace(':', "%3A")
        };
        let mut body: Vec<String> =
            ["csrf", "act", "q", "sort", "all"].iter().map(|name| format!("{name}={}", field(name))).collect();
        body.push(more.to_owned());
        self.post("/bulk", &body.join("&")).await
    }

    async fn post(&self, path: &str, body: &str) -> String {
        let request = self.client.post(format!("{}{path}", self.url)).header("cookie", &self.cookie);
        let request = request.header("origin", &self.url).header("content-type", "application/x-www-form-urlencoded");
        let response = request.body(body.to_owned()).send().await.unwrap();
        let status = response.status();
        let location = response.headers().get("location").map(|at| at.to_str().unwrap().to_owned());
        location.unwrap_or_else(|| panic!("{path}: {status}"))
    }

    /// The page of a bulk act once it says `words`.
    async fn wait_for(&self, path: &str, words: &str) -> String {
        let until = Instant::now() + 2 * PATIENCE;
        loop {
            let page = self.get(path).await;
            if page.contains(words) {
                return page;
            }
            assert!(Instant::now() < until, "{words} did not come: {page}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The number in the row of a bulk act's table.
fn number(page: &str, row: &str) -> usize {
    let rest = page.split(row).nth(1).unwrap_or_else(|| panic!("{row} is not in {page}"));
    let cell = rest.split("data-l=\"Sessions\"").nth(1).unwrap().split_once('>').unwrap().1;
    cell.split('<').next().unwrap().replace(',', "").parse().unwrap()
}

#[tokio::test]
async fn many_sessions_are_acted_on_while_they_change() {
    let world = World::new().await;
    let users = vec![("alice@example.org".to_owned(), "alice's password".to_owned())];
    let options = ImapOptions { users, authority: Some(world.authority.clone()), ..ImapOptions::default() };
    let imap = ImapServer::start(options).await.unwrap();
    let config = world.configure(&[imap.address().port()], "", "");
    let mut file = std::fs::OpenOptions::new().append(true).open(&config).unwrap();
    writeln!(file, "\n[dashboard]\nlisten = \"127.0.0.1:0\"\nargon2 = {{ memory_kib = 64, iterations = 1 }}").unwrap();
    // Made-up sessions, so that there are many.
    std::fs::create_dir_all(world.data()).unwrap();
    let database = format!("sqlite://{}", world.data().join("pinger.db").display());
    let store = Store::open(&database, NodeId::parse("019aa3c1-8f2c-7d41-b5c0-77f3c90a71c4").unwrap()).await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    demo::fill(&store, 200, 3, Timestamp::from_millis(i64::try_from(now).unwrap())).await.unwrap();
    store.close().await;

    let server = world.serve().await;
    let url = server.ready["dashboard"].as_str().unwrap().to_owned();
    let kim = Admin::sign_up(&url, server.ready["sign_up"].as_str().unwrap()).await;
    let account = Account::imaps(imap.address(), "alice@example.org", "alice's password");
    let mut phones = vec![Phone::new(&server, &account).await];
    phones.extend([phones[0].another(&account), phones[0].another(&account)]);
    for phone in &mut phones {
        phone.register().await.unwrap();
        phone.is_watched().await;
    }
    let host = imap.address().ip();

    // A ping of the real ones: each is asked, each is in the audit, and each timeline tells.
    let ping = format!("/bulk?act=ping&q=host:{host}&all=1");
    let here = kim.order(&ping, "reason=ticket+7").await;
    let page = kim.wait_for(&here, "Over at").await;
    assert_eq!(number(&page, "Done"), 3, "{page}");
    let audit = kim.get("/audit?action=ping_forced").await;
    assert_eq!(audit.matches("ticket 7").count(), 3, "{audit}");
    let audit = kim.get("/audit?action=bulk_started").await;
    assert!(audit.contains(&format!("ping of 3, host:{host}")), "{audit}");
    let session = kim.get(&format!("/sessions/{}", phones[0].session)).await;
    assert!(session.to_lowercase().contains("forced"), "{session}");

    let here = kim.order(&format!("/bulk?act=test&q=host:{host}&all=1"), "reason=").await;
    kim.wait_for(&here, "Over at").await;
    for phone in &phones {
        let token = phone.push_token();
        world
            .apns
            .wait_for(PATIENCE, |push| push.token == token && push.payload["pinger"]["event"] == "test")
            .await
            .unwrap();
    }

    // The oldest first: a phone that stops meanwhile is left alone when its turn comes.
    let here = kim.order("/bulk?act=trace&q=state:live&sort=-registered&all=1", "reason=").await;
    phones[2].stop().await.unwrap();
    let page = kim.wait_for(&here, "Over at").await;
    let traced = number(&page, "Done");
    assert!(traced > 40, "{traced}");
    assert_eq!(number(&page, "Had ended meanwhile"), 1, "{page}");

    // Stopped on its way: what was done stays done, the others are left alone.
    let here = kim.order("/bulk?act=trace&q=state:live&all=1", "reason=").await;
    kim.wait_for(&here, "looked at, 20 a second").await;
    let page = kim.get(&here).await;
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    kim.post(&format!("{here}/stop"), &format!("csrf={csrf}")).await;
    let page = kim.wait_for(&here, "Stopped by kim").await;
    let done = number(&page, "Done");
    tokio::time::sleep(Duration::from_millis(400)).await;
    let later = number(&kim.get(&here).await, "Done");
    assert!(later <= done + 1 && later < traced, "{done} when it was stopped, {later} later, {traced} in all");

    // Revoked: for a reason, by the number; the devices are told.
    let revoke = format!("/bulk?act=revoke&q=host:{host}+state:live&all=1");
    let here = kim.order(&revoke, "reason=stolen&number=2").await;
    let page = kim.wait_for(&here, "Over at").await;
    assert_eq!(number(&page, "Done"), 2, "{page}");
    for phone in &phones[..2] {
        let token = phone.push_token();
        let register =
            |push: &peers::apns::ReceivedPush| push.token == token && push.payload["pinger"]["event"] == "register";
        world.apns.wait_for(PATIENCE, register).await.unwrap();
        assert_eq!(reason(&phone.status().await.unwrap_err()), "TOKEN_DEAD");
    }
    let audit = kim.get("/audit?action=session_revoked").await;
    assert_eq!(audit.matches("stolen").count(), 2, "{audit}");
    assert!(server.terminate().await.success());
}

/// What was ordered is done although the server is killed in the middle of it, and the audit has its begin and its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_act_goes_on_after_a_kill() {
    let world = World::new().await;
    world.configure(&[993], "", "");
    let config = world.folder.path().join("pinger.toml");
    let mut text = std::fs::OpenOptions::new().append(true).open(&config).unwrap();
    writeln!(text, "\n[dashboard]\nlisten = \"127.0.0.1:0\"").unwrap();
    let database = format!("sqlite://{}", world.data().join("pinger.db").display());
    std::fs::create_dir_all(world.data()).unwrap();
    std::fs::set_permissions(world.data(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let store = Store::open(&database, demo::NODE).await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    demo::fill(&store, 200, 3, Timestamp::from_millis(i64::try_from(now).unwrap())).await.unwrap();
    store.close().await;

    let mut server = world.serve().await;
    let url = server.ready["dashboard"].as_str().unwrap().to_owned();
    let kim = Admin::sign_up(&url, server.ready["sign_up"].as_str().unwrap()).await;
    let here = kim.order("/bulk?act=trace&q=state:live&all=1", "reason=ticket+9").await;
    kim.wait_for(&here, "looked at, 20 a second").await;
    let before = number(&kim.get(&here).await, "Done");
    server.kill();
    drop(server);

    let server = world.serve().await;
    let kim = Admin { url: server.ready["dashboard"].as_str().unwrap().to_owned(), ..kim };
    let page = kim.wait_for(&here, "Over at").await;
    let done = number(&page, "Done");
    assert!(before < done && done > 40, "{before} before the kill, {done} in the end");
    let began = kim.get("/audit?action=bulk_started").await;
    assert!(began.contains(&format!("trace of {done}, state:live")), "{began}");
    let ended = kim.get("/audit?action=bulk_ended").await;
    assert!(ended.contains(&format!("trace of {done}, {done} done")), "{ended}");
    assert!(ended.contains("ticket 9"), "{ended}");

    // The node tells of itself, and says so when it stops.
    let settings = kim.get("/settings").await;
    assert!(settings.contains("this one") && settings.contains(">Runs<"), "{settings}");
    assert!(settings.contains("Current") && settings.contains("test-app"), "{settings}");
    assert!(server.terminate().await.success());
    let store = Store::open(&database, NodeId::from_uuid(uuid::Uuid::from_u128(9))).await.unwrap();
    let nodes = store.nodes().await.unwrap();
    assert!(nodes.len() == 1 && nodes[0].stopped_at.is_some(), "{nodes:?}");
    store.close().await;
}
