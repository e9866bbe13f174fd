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
