//! Signing in and out, and how long it holds.

use std::num::NonZeroU32;
use std::time::Duration;

use dashboard::{Argon2Config, Config, Tls};
use peers::certificate::Authority;
use reqwest::redirect::Policy;
use store::StaffName;

use crate::support::{Browser, PASSWORD, World, config};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_password_lets_in_and_a_wrong_one_does_not() {
    let world = World::new().await;
    let server = world.serve().await;
    server.admin("kim").await;
    let mut browser = server.browser();
    browser.get("/").await.leads_to("/sign-in");
    browser.get("/sign-in").await.is(200, "Sign in");
    browser.sign_in("kim", "not the password").await.is(422, "That is not right.");
    browser.sign_in("nobody", PASSWORD).await.is(422, "That is not right.");
    browser.sign_in("kim", "").await.is(422, "That is not right.");
    assert!(browser.cookies.is_empty());
    browser.sign_in(" Kim ", PASSWORD).await.leads_to("/");
    assert!(browser.is_in().await);
    browser.get("/sign-in").await.leads_to("/");
    let told = world.told().await;
    assert_eq!(
        told[3..],
        [
            "kim sign_in_refused wrong password",
            "(unknown) sign_in_refused unknown name",
            "kim sign_in_refused wrong password",
            "kim signed_in password",
        ]
    );
    assert_eq!(world.audit().await[3].address.as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn what_opens_something_is_stored_as_a_hash() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let (authenticator, codes) = kim.set_up_codes(&world).await;
    let cookie = kim.cookies["pinger"].clone();
    let link = server.link.clone().unwrap();
    let bytes = world.bytes();
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(holds(b"kim"), "it is the right file");
    assert!(!holds(cookie.as_bytes()) && !holds(&link.as_bytes()[link.len() - 43..]));
    assert!(!holds(PASSWORD.as_bytes()) && !holds(authenticator.secret()));
    assert!(!holds(codes[0].as_bytes()) && !holds(codes[0].replace('-', "").to_uppercase().as_bytes()));
}

#[tokio::test]
async fn the_cookie_is_for_this_server_alone() {
    let world = World::new().await;
    let server = world.serve().await;
    server.admin("kim").await;
    let page = server.browser().sign_in("kim", PASSWORD).await;
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("pinger=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");

    // Behind a proxy that ends TLS, browsers see us over TLS.
    server.stop().await;
    let origin = "https://pinger.example.org";
    let server = world.serve_with(&Config { origin: Some(origin.to_owned()), ..config() }).await;
    let mut browser = server.browser();
    let form = browser.form("/sign-in", &[("name", "kim"), ("password", PASSWORD)]);
    let page = browser.send(form.header("host", "pinger.example.org").header("origin", origin)).await;
    page.leads_to("/");
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-pinger="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
    assert_eq!(page.headers["strict-transport-security"], "max-age=31536000");
}

#[tokio::test]
async fn with_tls_cookies_are_for_tls_alone() {
    let world = World::new().await;
    let authority = Authority::new().unwrap();
    let files = authority.issue_server().unwrap().write(world.folder.path(), "dashboard").unwrap();
    let tls = Some(Tls { certificate: files.certificate, key: files.key });
    let server = world.serve_with(&Config { tls, ..config() }).await;
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    for protocol in ["h2", "http/1.1"] {
        let rustls = authority.client_config(&[protocol.as_bytes()]).unwrap();
        let client = reqwest::Client::builder().redirect(Policy::none());
        let client = client.tls_backend_preconfigured((*rustls).clone()).build().unwrap();
        let mut browser = Browser::with_client(client, &server.url);
        let page = match &server.link {
            Some(link) if protocol == "h2" => {
                let path = link.strip_prefix(&server.url).unwrap();
                browser.post(path, &[("name", "kim"), ("password", PASSWORD)]).await
            }
            _ => browser.sign_in("kim", PASSWORD).await,
        };
        assert_eq!(page.status, 303, "{}", page.text);
        let cookie = page.headers["set-cookie"].to_str().unwrap();
        assert!(cookie.starts_with("__Host-pinger=") && cookie.ends_with("; Secure"), "{cookie}");
        assert_eq!(page.headers["strict-transport-security"], "max-age=31536000");
        assert!(browser.is_in().await);
    }
}

#[tokio::test]
async fn signing_in_changes_the_id() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let first = kim.cookies["pinger"].clone();
    kim.sign_in("kim", PASSWORD).await.leads_to("/");
    let second = kim.cookies["pinger"].clone();
    assert_ne!(first, second);
    // The one before is ended, not just forgotten by the browser.
    let mut thief = server.browser();
    thief.cookies.insert("pinger".to_owned(), first);
    assert!(!thief.is_in().await);

    // Fixation: an id that somebody planted is never made one that is signed in.
    let mut victim = server.browser();
    let planted = "A".repeat(43);
    victim.cookies.insert("pinger".to_owned(), planted.clone());
    victim.sign_in("kim", PASSWORD).await.leads_to("/");
    assert_ne!(victim.cookies["pinger"], planted);
    thief.cookies.insert("pinger".to_owned(), planted);
    assert!(!thief.is_in().await);
}

#[tokio::test]
async fn a_cookie_is_worth_nothing_after_signing_out() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut kept = kim.clone();
    kim.post("/sign-out", &[]).await.leads_to("/sign-in?out=1");
    assert!(kim.cookies.is_empty());
    kept.get("/account").await.leads_to("/sign-in?ended=1&next=/account");
    assert_eq!(world.told().await.last().unwrap(), "kim signed_out");
}

#[tokio::test]
async fn a_sign_in_that_is_not_used_runs_out() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut kept = kim.clone();
    for _ in 0..10 {
        world.pass(29 * MINUTE);
        assert!(kim.is_in().await);
    }
    world.pass(30 * MINUTE);
    let page = kept.get("/account").await;
    page.leads_to("/sign-in?ended=1&next=/account");
    kept.get("/sign-in?ended=1").await.is(200, "You are signed out.");
    assert!(world.store.sign_ins().await.unwrap().is_empty(), "it is gone from the store");
}

#[tokio::test]
async fn a_sign_in_ends_after_twelve_hours_however_it_is_used() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    for _ in 0..36 {
        assert!(kim.is_in().await);
        world.pass(20 * MINUTE);
    }
    assert!(!kim.is_in().await);
}

#[tokio::test]
async fn when_it_was_seen_is_written_once_a_minute_at_most() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let begun = world.now();
    world.pass(Duration::from_secs(59));
    assert!(kim.is_in().await);
    assert_eq!(world.store.sign_ins().await.unwrap()[0].last_seen_at, begun);
    world.pass(Duration::from_secs(1));
    assert!(kim.is_in().await);
    assert_eq!(world.store.sign_ins().await.unwrap()[0].last_seen_at, world.now());
}

#[tokio::test]
async fn people_come_back_to_where_they_wanted_to_go_and_nowhere_else() {
    let world = World::new().await;
    let server = world.serve().await;
    server.admin("kim").await;
    let wanted = "/sessions?q=host%3Aimap.example.org&x=1";
    let page = server.browser().get(wanted).await;
    let to = page.location.unwrap();
    assert_eq!(to, "/sign-in?next=/sessions%3Fq%3Dhost%253Aimap.example.org%26x%3D1");
    let mut browser = server.browser();
    let next = browser.get(&to).await.hidden("next").unwrap().replace("&amp;", "&");
    assert_eq!(next, wanted);
    browser.post("/sign-in", &[("name", "kim"), ("password", PASSWORD), ("next", &next)]).await.leads_to(wanted);
    for evil in [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/sign-out",
        "/x\r\nSet-Cookie: a=b",
    ] {
        let mut browser = server.browser();
        let fields = [("name", "kim"), ("password", PASSWORD), ("next", evil)];
        browser.post("/sign-in", &fields).await.leads_to("/");
        // Whoever is signed in already is led on, too.
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", evil).finish();
        browser.get(&format!("/sign-in?{query}")).await.leads_to("/");
    }
}

#[tokio::test]
async fn unknown_names_take_the_same_work() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut admin = server.admin("kim").await;
    server.colleague(&mut admin, "viewer", "out").await;
    let out = world.store.staff_by_name(&StaffName::parse("out").unwrap()).await.unwrap().unwrap();
    admin.post(&format!("/staff/{}/disable", out.id), &[]).await.is(200, "They are shut out");
    let mut pages = Vec::new();
    for (name, password) in
        [("kim", "wrong"), ("nobody", "wrong"), ("out", PASSWORD), ("<b>", "wrong"), ("kim", &"x".repeat(10_000))]
    {
        let before = server.hashed();
        let page = server.browser().sign_in(name, password).await;
        assert_eq!(server.hashed() - before, 1, "{name}");
        let shown = name.replace('<', "&lt;").replace('>', "&gt;");
        pages.push((page.status, page.text.replace(&format!("value=\"{shown}\""), "value=\"\"")));
    }
    // And they are told the same.
    assert_eq!(pages[0].0, 422);
    for page in &pages[1..4] {
        assert_eq!(page, &pages[0]);
    }
}

#[tokio::test]
async fn passwords_are_hashed_anew_when_the_parameters_change() {
    let world = World::new().await;
    let server = world.serve().await;
    server.admin("kim").await;
    server.stop().await;
    let hash = async || world.store.all_staff().await.unwrap().remove(0).password_hash.unwrap();
    let before = hash().await;
    assert!(before.contains("$m=64,t=1,p=1$"), "{before}");
    let concurrent = NonZeroU32::new(2).unwrap();
    let argon2 = Argon2Config { memory_kib: 128, iterations: 2, parallelism: 1, concurrent };
    let server = world.serve_with(&Config { argon2, ..config() }).await;
    server.browser().sign_in("kim", "wrong").await.is(422, "");
    assert_eq!(hash().await, before);
    server.browser().sign_in("kim", PASSWORD).await.leads_to("/");
    let after = hash().await;
    assert!(after.contains("$m=128,t=2,p=1$"), "{after}");
    server.browser().sign_in("kim", PASSWORD).await.leads_to("/");
    assert_eq!(hash().await, after, "and only once");
}

#[tokio::test]
async fn somebody_who_tries_too_often_waits() {
    let world = World::new().await;
    let server = world.serve().await;
    server.admin("kim").await;
    let before = server.hashed();
    let mut slowed = Vec::new();
    for name in ["kim", "nobody"] {
        for _ in 0..5 {
            server.browser().sign_in(name, "wrong").await.is(422, "That is not right.");
        }
        // The right password doesn't help now, and nothing is looked at.
        let page = server.browser().sign_in(name, PASSWORD).await;
        page.is(429, "Too many tries.");
        assert_eq!(page.headers["retry-after"], "31");
        slowed.push(page.text);
    }
    assert_eq!(slowed[0], slowed[1], "nobody is told from somebody");
    assert_eq!(server.hashed() - before, 10);
    world.pass(Duration::from_secs(30));
    server.browser().sign_in("kim", PASSWORD).await.leads_to("/");
    // Whoever got in has all tries again.
    for _ in 0..5 {
        server.browser().sign_in("kim", "wrong").await.is(422, "That is not right.");
    }
}

#[tokio::test]
async fn a_thousand_tries_are_bounded() {
    let world = World::new().await;
    let server = world.serve().await;
    server.admin("kim").await;
    let (before, entries) = (server.hashed(), world.audit().await.len());
    let mut browser = server.browser();
    let mut statuses = std::collections::BTreeMap::new();
    for number in 0..1_000 {
        let name = if number % 2 == 0 { "kim".to_owned() } else { format!("name-{number}") };
        let status = browser.sign_in(&name, &format!("guess {number}")).await.status;
        *statuses.entry(status).or_insert(0) += 1;
    }
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [422, 429], "{statuses:?}");
    assert!(statuses[&422] <= 20, "{statuses:?}");
    assert!(server.hashed() - before <= 20);
    assert!(world.audit().await.len() - entries <= 30, "the audit can't be flooded");
    assert!(world.told().await.iter().any(|told| told.contains("sign_in_throttled")));
}
