//! Signing up by a one-time link.

use std::time::Duration;

use store::Role;

use crate::support::{PASSWORD, World};

#[tokio::test]
async fn the_first_start_makes_a_link_and_it_works_once() {
    let world = World::new().await;
    let server = world.serve().await;
    let link = server.link.clone().unwrap();
    let path = link.strip_prefix(&server.url).unwrap().to_owned();
    assert_eq!(path.len(), "/sign-up/".len() + 43);

    let mut kim = server.browser();
    kim.get(&path).await.is(200, "role admin");
    kim.post(&path, &[("name", "Kim"), ("password", PASSWORD)]).await.leads_to("/account/authenticator");
    kim.get("/account").await.is(200, "kim, admin.");

    server.browser().get(&path).await.is(404, "This link does not work");
    server.browser().post(&path, &[("name", "eve"), ("password", PASSWORD)]).await.is(404, "This link does not work");
    assert_eq!(world.store.all_staff().await.unwrap().len(), 1);
    assert_eq!(world.told().await, ["(pinger) invited admin", "kim signed_up admin", "kim signed_in password"]);
    // From now on there is somebody, and no link is made.
    server.stop().await;
    assert!(world.serve().await.link.is_none());
}

#[tokio::test]
async fn a_link_holds_for_a_day() {
    let world = World::new().await;
    let server = world.serve().await;
    let path = server.link.clone().unwrap().strip_prefix(&server.url).unwrap().to_owned();
    world.pass(Duration::from_secs(24 * 60 * 60) - Duration::from_millis(1));
    server.browser().get(&path).await.is(200, "Welcome");
    world.pass(Duration::from_millis(1));
    server.browser().get(&path).await.is(404, "This link does not work");
    server.browser().post(&path, &[("name", "kim"), ("password", PASSWORD)]).await.is(404, "does not work");
    for bad in ["/sign-up/x", "/sign-up/%00", &format!("/sign-up/{}", "A".repeat(43))] {
        server.browser().get(bad).await.is(404, "This link does not work");
    }
}

#[tokio::test]
async fn names_and_passwords_are_checked_and_the_link_stays() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut admin = server.admin("kim").await;
    let link = admin.post("/staff/invite", &[("role", "viewer")]).await.link();
    let mut browser = server.browser();
    for (name, password, problem) in [
        ("kim", PASSWORD, "Somebody has this one."),
        ("KIM", PASSWORD, "Somebody has this one."),
        ("<script>alert(1)</script>", PASSWORD, "Take another name."),
        ("o'hara'; DROP TABLE staff; --", PASSWORD, "Take another name."),
        ("amara", "short", "at least 12 characters"),
        ("amara", "aaaaaaaaaaaaaaaa", "repeats"),
        ("amara", "my name is amara ok", "your name in it"),
    ] {
        let page = browser.post(&link, &[("name", name), ("password", password)]).await;
        page.is(422, problem);
        assert!(!page.text.contains("<script>"), "{}", page.text);
    }
    browser.post(&link, &[("name", "amara"), ("password", PASSWORD)]).await.leads_to("/account/authenticator");
    let amara = world.store.all_staff().await.unwrap().remove(0);
    assert_eq!((amara.name.as_str(), amara.role), ("amara", Role::Viewer));
}

#[tokio::test]
async fn two_who_use_a_link_at_once_are_one() {
    let world = World::new().await;
    let server = world.serve().await;
    let path = server.link.clone().unwrap().strip_prefix(&server.url).unwrap().to_owned();
    let tries = (0..8).map(|number| {
        let (mut browser, path) = (server.browser(), path.clone());
        async move { browser.post(&path, &[("name", &format!("kim{number}")), ("password", PASSWORD)]).await.status }
    });
    let statuses = futures_util::future::join_all(tries).await;
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert_eq!(world.store.all_staff().await.unwrap().len(), 1);
}
