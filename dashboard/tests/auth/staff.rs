//! What admins do to staff, and what everybody does to their own account.

use store::{Role, StaffId};

use crate::support::{PASSWORD, World};

async fn id_of(world: &World, name: &str) -> StaffId {
    world.store.all_staff().await.unwrap().into_iter().find(|person| person.name == name).unwrap().id
}

#[tokio::test]
async fn somebody_who_is_shut_out_is_out_at_once() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut vic = server.colleague(&mut kim, "viewer", "vic").await;
    let id = id_of(&world, "vic").await;
    kim.get(&format!("/staff/{id}")).await.is(200, "Shut vic out");
    let page = kim.post(&format!("/staff/{id}/disable"), &[("reason", "left the company")]).await;
    page.is(200, "They are shut out");
    assert!(!vic.is_in().await);
    vic.sign_in("vic", PASSWORD).await.is(422, "That is not right.");
    kim.post(&format!("/staff/{id}/disable"), &[]).await.is(200, "it was so already");
    kim.post(&format!("/staff/{id}/enable"), &[]).await.is(200, "They may sign in again.");
    vic.sign_in("vic", PASSWORD).await.leads_to("/");
    let audit = world.audit().await;
    let entry = audit.iter().find(|entry| entry.action == "staff_disabled").unwrap();
    assert_eq!((entry.staff.as_str(), entry.subject.as_str()), ("kim", "vic"));
    assert_eq!(entry.reason.as_deref(), Some("left the company"));
    assert_eq!(
        audit.iter().filter(|entry| entry.action == "staff_disabled").count(),
        1,
        "what was not done is not told"
    );
}

#[tokio::test]
async fn a_role_holds_from_the_next_click() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut vic = server.colleague(&mut kim, "viewer", "vic").await;
    vic.get("/audit").await.is(403, "");
    let id = id_of(&world, "vic").await;
    kim.post(&format!("/staff/{id}/role"), &[("role", "support")]).await.is(200, "The role is changed");
    vic.get("/audit").await.is(200, "vic: viewer to support");
    kim.post(&format!("/staff/{id}/role"), &[("role", "king")]).await.is(422, "");
    kim.post("/staff/nobody/role", &[("role", "viewer")]).await.is(404, "");
    kim.post(&format!("/staff/{}/role", StaffId::new()), &[("role", "viewer")]).await.is(404, "");
}

#[tokio::test]
async fn there_is_always_an_admin() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let id = id_of(&world, "kim").await;
    kim.post(&format!("/staff/{id}/role"), &[("role", "viewer")]).await.is(200, "nobody would be left");
    kim.post(&format!("/staff/{id}/disable"), &[]).await.is(200, "nobody would be left");
    assert_eq!(world.store.all_staff().await.unwrap()[0].role, Role::Admin);
    server.colleague(&mut kim, "admin", "amara").await;
    kim.post(&format!("/staff/{id}/role"), &[("role", "viewer")]).await.is(200, "The role is changed");
    assert_eq!(world.store.staff(id).await.unwrap().unwrap().role, Role::Viewer);
    kim.get(&format!("/staff/{id}")).await.is(403, "Your role can’t");
}

#[tokio::test]
async fn sign_ins_are_seen_and_ended() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut vic = server.colleague(&mut kim, "viewer", "vic").await;
    let mut phone = server.browser();
    phone.sign_in("vic", PASSWORD).await.leads_to("/");
    let ids: Vec<_> = world.store.sign_ins().await.unwrap();
    assert_eq!(ids.len(), 3);
    kim.get("/staff").await.is(200, "Firefox, Linux");

    // One's own, and nobody else's.
    let of = |id: StaffId| ids.iter().filter(move |sign_in| sign_in.staff == id).map(|sign_in| sign_in.id_hash.clone());
    let (vics, kims): (Vec<_>, Vec<_>) =
        (of(id_of(&world, "vic").await).collect(), of(id_of(&world, "kim").await).collect());
    vic.post("/account/sign-ins/end", &[("id", &kims[0])]).await.is(404, "");
    vic.post("/account/sign-ins/end", &[("id", "nonsense")]).await.is(404, "");
    let page = vic.get("/account").await;
    let other = page.hidden("id").unwrap();
    assert!(vics.contains(&other));
    vic.post("/account/sign-ins/end", &[("id", &other)]).await.is(200, "The sign-in is ended.");
    assert!(!phone.is_in().await && vic.is_in().await);

    phone.sign_in("vic", PASSWORD).await.leads_to("/");
    let id = id_of(&world, "vic").await;
    kim.post(&format!("/staff/{id}/end-sign-ins"), &[]).await.is(200, "All their sign-ins are ended.");
    assert!(!phone.is_in().await && !vic.is_in().await && kim.is_in().await);

    phone.sign_in("vic", PASSWORD).await.leads_to("/");
    let hash = world.store.sign_ins().await.unwrap().into_iter().find(|sign_in| sign_in.staff == id).unwrap().id_hash;
    kim.post("/staff/sign-ins/end", &[("id", &hash)]).await.is(200, "The sign-in is ended.");
    assert!(!phone.is_in().await);
    // The hash in the page is no cookie.
    phone.cookies.insert("pinger".to_owned(), kims[0][..43].to_owned());
    assert!(!phone.is_in().await);
}

#[tokio::test]
async fn a_new_password_ends_other_sign_ins() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut phone = server.browser();
    phone.sign_in("kim", PASSWORD).await.leads_to("/");
    let new = "another horse, another battery";
    kim.post("/account/password", &[("current", "wrong"), ("password", new)]).await.is(200, "Nothing was changed");
    kim.post("/account/password", &[("current", PASSWORD), ("password", "short")]).await.is(200, "at least 12");
    assert!(phone.is_in().await);
    kim.post("/account/password", &[("current", PASSWORD), ("password", new)])
        .await
        .is(200, "The password is changed.");
    assert!(kim.is_in().await && !phone.is_in().await);
    phone.sign_in("kim", PASSWORD).await.is(422, "");
    phone.sign_in("kim", new).await.leads_to("/");
}

#[tokio::test]
async fn an_admin_helps_who_lost_their_phone() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut vic = server.colleague(&mut kim, "viewer", "vic").await;
    vic.set_up_codes(&world).await;
    let id = id_of(&world, "vic").await;
    let path = format!("/staff/{id}/remove-factors");
    kim.post(&path, &[("reason", "phone lost, called back")]).await.is(200, "the password alone");
    server.browser().sign_in("vic", PASSWORD).await.leads_to("/");
    let own = id_of(&world, "kim").await;
    kim.post(&format!("/staff/{own}/remove-factors"), &[]).await.is(403, "");
}

#[tokio::test]
async fn an_invite_is_withdrawn() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let page = kim.post("/staff/invite", &[("role", "support")]).await;
    let (link, id) = (page.link(), page.hidden("id").unwrap());
    assert!(!page.text.contains("/staff/nobody") && kim.get("/staff").await.text.contains("Withdraw"));
    kim.post("/staff/invite/withdraw", &[("id", &id)]).await.is(200, "The link is withdrawn");
    server.browser().get(&link).await.is(404, "This link does not work");
    server.browser().post(&link, &[("name", "eve"), ("password", PASSWORD)]).await.is(404, "");
    kim.post("/staff/invite/withdraw", &[("id", &id)]).await.is(200, "used or withdrawn already");
    // One that was used is no invite any more.
    let page = kim.post("/staff/invite", &[("role", "viewer")]).await;
    server.signed_up(&page.link(), "vic").await;
    kim.post("/staff/invite/withdraw", &[("id", &page.hidden("id").unwrap())]).await.is(200, "Nothing was changed");
    let told = world.told().await;
    assert_eq!(
        told.iter().filter(|line| line.contains("invite_withdrawn")).collect::<Vec<_>>(),
        ["kim invite_withdrawn support"]
    );
}

fn reset_link(page: &crate::support::Page) -> String {
    let at = page.text.find("/sign-in/reset/").unwrap_or_else(|| panic!("{}", page.text));
    page.text[at..at + "/sign-in/reset/".len() + 43].to_owned()
}

#[tokio::test]
async fn a_forgotten_password_is_set_by_a_link() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut vic = server.colleague(&mut kim, "viewer", "vic").await;
    let (authenticator, _) = vic.set_up_codes(&world).await;
    let id = id_of(&world, "vic").await;
    let path = format!("/staff/{id}/reset");
    let page = kim.post(&path, &[]).await;
    page.is(200, "shown this once");
    let (old, link) = (reset_link(&page), reset_link(&kim.post(&path, &[]).await));
    let new = "another horse, another battery";
    let mut browser = server.browser();
    browser.get(&old).await.is(404, "This link does not work");
    browser.get(&link).await.is(200, "For vic.");
    browser.post(&link, &[("password", "short")]).await.is(422, "at least 12");
    assert!(vic.is_in().await, "nothing has happened yet");
    browser.post(&link, &[("password", new)]).await.leads_to("/sign-in?reset=1");
    assert!(!vic.is_in().await && !browser.is_in().await, "the link signs nobody in");
    browser.get("/sign-in?reset=1").await.is(200, "The password is set.");
    browser.post(&link, &[("password", "a third horse, a third battery")]).await.is(404, "This link does not work");
    browser.sign_in("vic", PASSWORD).await.is(422, "");
    browser.sign_in("vic", new).await.leads_to("/sign-in/code");
    world.pass(std::time::Duration::from_secs(30));
    let code = authenticator.code(world.now());
    browser.post("/sign-in/code", &[("code", &code)]).await.leads_to("/");
    // A day, and not for whoever is shut out.
    let link = reset_link(&kim.post(&path, &[]).await);
    assert!(!String::from_utf8_lossy(&world.bytes()).contains(&link[15..]), "the store has its hash alone");
    kim.post(&format!("/staff/{id}/disable"), &[]).await.is(200, "They are shut out");
    browser.post(&link, &[("password", new)]).await.is(404, "This link does not work");
    kim.post(&path, &[]).await.is(200, "No link was made");
    kim.post(&format!("/staff/{id}/enable"), &[]).await.is(200, "");
    browser.get(&link).await.is(404, "This link does not work");
    let link = reset_link(&kim.post(&path, &[]).await);
    world.pass(std::time::Duration::from_secs(24 * 60 * 60));
    browser.post(&link, &[("password", new)]).await.is(404, "This link does not work");
    let told = world.told().await;
    assert!(
        told.contains(&"kim reset_offered vic".to_owned()) && told.contains(&"vic password_reset".to_owned()),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_link_that_two_use_at_once_sets_one_password() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let id = id_of(&world, "kim").await;
    let link = reset_link(&kim.post(&format!("/staff/{id}/reset"), &[]).await);
    let tries = (0..6).map(|number| {
        let (mut browser, link) = (server.browser(), link.clone());
        async move { browser.post(&link, &[("password", &format!("{number} horses and batteries"))]).await.status }
    });
    let statuses = futures_util::future::join_all(tries).await;
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
}

#[tokio::test]
async fn all_sign_ins_are_ended_but_one() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut vic = server.colleague(&mut kim, "viewer", "vic").await;
    let mut phone = server.browser();
    phone.sign_in("kim", PASSWORD).await.leads_to("/");
    kim.post("/staff/sign-ins/end-all", &[("reason", "a laptop was stolen")]).await.is(200, "All sign-ins are ended");
    assert!(kim.is_in().await && !vic.is_in().await && !phone.is_in().await);
    let audit = world.audit().await;
    let entry = audit.last().unwrap();
    assert_eq!((entry.subject.as_str(), entry.reason.as_deref()), ("everybody", Some("a laptop was stolen")));
}

#[tokio::test]
async fn what_went_wrong_has_the_menu_around_it() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut vic = server.colleague(&mut kim, "viewer", "vic").await;
    for (path, status) in [("/staff/nobody", 404), ("/nowhere", 404), ("/staff/nobody/role", 422)] {
        let page = if status == 422 { kim.post(path, &[]).await } else { kim.get(path).await };
        page.is(status, "Your account").is(status, "aria-label=\"Main\"");
    }
    vic.get("/audit").await.is(403, "aria-label=\"Main\"").is(403, "Your role can’t");
    let form = vic.form("/theme", &[]).header("origin", server.url.clone());
    vic.send(form).await.is(403, "aria-label=\"Main\"").is(403, "Nothing was done");
    // Nobody's menu for whoever is not signed in.
    let page = server.browser().get("/sign-up/x").await;
    assert!(page.status == 404 && !page.text.contains("aria-label=\"Main\""));
}
