//! Codes of an authenticator, and recovery codes.

use std::time::Duration;

use crate::support::{PASSWORD, World};

const STEP: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_code_is_asked_for_and_counts_once() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let (authenticator, _) = kim.set_up_codes(&world).await;

    let mut browser = server.browser();
    browser.sign_in("kim", PASSWORD).await.leads_to("/sign-in/code");
    assert!(!browser.is_in().await, "the password alone lets nobody in");
    browser.get("/sign-in/code").await.is(200, "Your code");
    // The code that set it up was used by that.
    let used = authenticator.code(world.now());
    browser.post("/sign-in/code", &[("code", &used)]).await.is(422, "This code is not right.");
    world.pass(STEP);
    let code = authenticator.code(world.now());
    browser.post("/sign-in/code", &[("code", &code), ("next", "/sessions")]).await.leads_to("/sessions");
    assert!(browser.is_in().await);
    assert!(!browser.cookies.contains_key("pinger-code"));

    // The same code, seen over a shoulder.
    let mut thief = server.browser();
    thief.sign_in("kim", PASSWORD).await.leads_to("/sign-in/code");
    thief.post("/sign-in/code", &[("code", &code)]).await.is(422, "This code is not right.");
    assert!(!thief.is_in().await);
    let told = world.told().await;
    assert_eq!(told[3], "kim totp_set");
    assert_eq!(told[4..], ["kim sign_in_refused wrong code", "kim signed_in totp", "kim sign_in_refused wrong code"]);
}

#[tokio::test]
async fn a_code_that_two_use_at_once_lets_one_in() {
    let world = World::new().await;
    let server = world.serve().await;
    let (authenticator, _) = server.admin("kim").await.set_up_codes(&world).await;
    world.pass(STEP);
    let code = authenticator.code(world.now());
    let mut browsers = Vec::new();
    for _ in 0..4 {
        let mut browser = server.browser();
        browser.sign_in("kim", PASSWORD).await.leads_to("/sign-in/code");
        browsers.push(browser);
        // Passwords that were right leave tries, but codes were not tried yet.
        world.pass(Duration::from_millis(1));
    }
    world.pass(Duration::from_secs(10));
    let fields = [("code", code.as_str())];
    let tries = browsers.iter_mut().map(|browser| browser.post("/sign-in/code", &fields));
    let statuses: Vec<u16> = futures_util::future::join_all(tries).await.iter().map(|page| page.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
}

#[tokio::test]
async fn codes_can_not_be_guessed() {
    let world = World::new().await;
    let server = world.serve().await;
    let (authenticator, _) = server.admin("kim").await.set_up_codes(&world).await;
    world.pass(Duration::from_secs(3600));
    let mut browser = server.browser();
    let mut looked_at = 0;
    for number in 0..100 {
        if number % 5 == 0 {
            browser.sign_in("kim", PASSWORD).await;
        }
        let page = browser.post("/sign-in/code", &[("code", "000000")]).await;
        looked_at += usize::from(page.status == 422);
    }
    // Whoever has the password doesn't win tries by it.
    assert!(looked_at <= 5, "{looked_at} codes were looked at");
    assert!(!browser.is_in().await);
    world.pass(Duration::from_secs(3600));
    let mut kim = server.browser();
    kim.sign_in("kim", PASSWORD).await.leads_to("/sign-in/code");
    let code = authenticator.code(world.now());
    kim.post("/sign-in/code", &[("code", &code)]).await.leads_to("/");
}

#[tokio::test]
async fn the_second_step_needs_the_first() {
    let world = World::new().await;
    let server = world.serve().await;
    let (authenticator, _) = server.admin("kim").await.set_up_codes(&world).await;
    world.pass(STEP);
    let code = authenticator.code(world.now());
    let mut stranger = server.browser();
    stranger.get("/sign-in/code").await.leads_to("/sign-in");
    stranger.post("/sign-in/code", &[("code", &code)]).await.leads_to("/sign-in");
    stranger.cookies.insert("pinger-code".to_owned(), "A".repeat(43));
    stranger.post("/sign-in/code", &[("code", &code)]).await.leads_to("/sign-in");
    // And it has to come soon.
    let mut kim = server.browser();
    kim.sign_in("kim", PASSWORD).await.leads_to("/sign-in/code");
    world.pass(Duration::from_secs(300));
    let code = authenticator.code(world.now());
    kim.post("/sign-in/code", &[("code", &code)]).await.leads_to("/sign-in");
}

#[tokio::test]
async fn a_recovery_code_works_once() {
    let world = World::new().await;
    let server = world.serve().await;
    let (_, codes) = server.admin("kim").await.set_up_codes(&world).await;
    let mut browser = server.browser();
    browser.sign_in("kim", PASSWORD).await.leads_to("/sign-in/code");
    browser.post("/sign-in/code", &[("code", &codes[3].to_uppercase())]).await.leads_to("/");
    browser.get("/account").await.is(200, "9 recovery codes left.");
    let mut again = server.browser();
    again.sign_in("kim", PASSWORD).await.leads_to("/sign-in/code");
    again.post("/sign-in/code", &[("code", &codes[3])]).await.is(422, "This code is not right.");
    again.post("/sign-in/code", &[("code", &codes[4])]).await.leads_to("/");
    assert_eq!(world.told().await.last().unwrap(), "kim signed_in recovery");
}

#[tokio::test]
async fn codes_are_set_up_and_switched_off_with_the_password() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let page = kim.get("/account/authenticator").await;
    page.is(200, "class=\"qr\"");
    let offer = page.hidden("offer").unwrap();
    let fields = [("offer", offer.as_str()), ("code", "000000"), ("current", PASSWORD)];
    kim.post("/account/authenticator", &fields).await.is(200, "This code is not right.");
    kim.get("/account").await.is(200, "Set up codes");

    let (authenticator, _) = kim.set_up_codes(&world).await;
    // An offer is for one sign-in: another browser's is worth nothing here.
    let mut other = server.browser();
    world.pass(STEP);
    other.sign_in("kim", PASSWORD).await;
    let code = authenticator.code(world.now());
    other.post("/sign-in/code", &[("code", &code)]).await.leads_to("/");
    let fields = [("offer", offer.as_str()), ("code", code.as_str()), ("current", PASSWORD)];
    other.post("/account/authenticator", &fields).await.is(422, "");

    kim.post("/account/authenticator/remove", &[("current", "wrong")]).await.is(200, "Nothing was changed");
    kim.post("/account/recovery", &[("current", PASSWORD)]).await.is(200, "Recovery codes");
    kim.post("/account/authenticator/remove", &[("current", PASSWORD)]).await.is(200, "Codes are switched off");
    server.browser().sign_in("kim", PASSWORD).await.leads_to("/");
}
