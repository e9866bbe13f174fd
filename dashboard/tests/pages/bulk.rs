//! Acts on many sessions, as far as a dashboard without a backend goes: the question, who may ask it, and what it refuses.
//! That they are done is shown with the whole server, by `server/pinger/tests/bulk.rs`.

use super::support::Page;
use super::world;

fn ids(page: &Page) -> Vec<String> {
    let found = page.text.split("name=\"id\" value=\"").skip(1);
    found.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_question_names_what_it_is_about() {
    let world = world().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let list = kim.get("/sessions?q=state:retrying").await;
    let ticked = ids(&list);
    assert!(ticked.len() > 3 && list.text.contains("id=\"bulk\""));
    let path =
        format!("/bulk?act=ping&q=state:retrying&id={}&id={}&id={}&id=nonsense", ticked[0], ticked[1], ticked[0]);
    let page = kim.get(&path).await;
    page.is(200, "Force a ping of 2 sessions?");
    assert_eq!(ids(&page), ticked[..2], "what was ticked twice is asked once");
    // All that match: as many as the list says, ten of them named.
    let said = list.text.split("<h1>Sessions</h1><p>").nth(1).unwrap().split(' ').next().unwrap();
    let page = kim.get("/bulk?act=revoke&q=state:retrying&all=1").await;
    page.is(200, &format!("Revoke the credentials of {said} sessions?"));
    let number: usize = said.parse().unwrap();
    assert_eq!(page.text.matches("class=\"state").count(), number.min(10));
    let many = kim.get("/bulk?act=ping&q=state:waiting,holding&all=1").await;
    assert_eq!(many.text.matches("class=\"state").count(), 10, "no more than ten are named");
    assert!(page.text.contains(&format!("Type {said} to confirm")));
    // What has ended is left out; more than a thousand are cut.
    let page = kim.get("/bulk?act=trace&q=reason:stopped&all=1").await;
    page.is(200, "Trace, for an hour, 0 sessions?");
    let page = kim.get("/bulk?act=test&all=1").await;
    page.is(200, "the first 1,000 in the order of the list");
    page.is(200, "Of 2,000");
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_understood_or_not_allowed_is_not_done() {
    let world = world().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    // A part of the search that was left out would make it broader than was meant.
    kim.get("/bulk?act=ping&q=state:retrying+colour:red&all=1")
        .await
        .leads_to("/sessions?q=state:retrying+colour:red&sort=");
    kim.get("/bulk?act=ping&q=state:retrying").await.is(422, "Tick sessions in the list");
    kim.get("/bulk?act=dance&all=1").await.is(422, "Choose what is to be done");
    kim.get("/bulk/0123456789abcdef").await.is(404, "is not known");
    assert_eq!(kim.post("/bulk/0123456789abcdef/stop", &[]).await.status, 404);

    let all = |act, more: &[(&'static str, &'static str)]| {
        let mut fields = vec![("act", act), ("q", "state:holding"), ("all", "1")];
        fields.extend_from_slice(more);
        fields
    };
    kim.post("/bulk", &all("revoke", &[("number", "3")])).await.is(422, "Say why, or name the ticket");
    let wrong = all("revoke", &[("number", "100000"), ("reason", "ticket 5")]);
    kim.post("/bulk", &wrong).await.is(422, "Look at them again, and type that number");
    kim.post("/bulk", &all("ping", &[])).await.is(422, "runs without a backend");

    let mut tomas = server.colleague(&mut kim, "viewer", "tomas").await;
    let list = tomas.get("/sessions").await;
    assert!(!list.text.contains("id=\"bulk\"") && !list.text.contains("type=\"checkbox\""), "a viewer gets no box");
    assert_eq!(tomas.get("/bulk?act=ping&all=1").await.status, 403);
    assert_eq!(tomas.post("/bulk", &all("ping", &[])).await.status, 403);
    let mut amara = server.colleague(&mut kim, "support", "amara").await;
    let list = amara.get("/sessions").await;
    assert!(list.text.contains("Force ping…") && !list.text.contains("Revoke…"), "support revokes one at a time");
    assert_eq!(amara.get("/bulk?act=revoke&q=state:holding&all=1").await.status, 403);
    let revoke = all("revoke", &[("number", "3"), ("reason", "x")]);
    assert_eq!(amara.post("/bulk", &revoke).await.status, 403);
    amara.get("/bulk?act=ping&q=state:holding&all=1").await.is(200, "Force a ping of");
    // Without the token of a form of ours, nothing.
    let forged = amara.form("/bulk", &all("ping", &[]));
    assert_eq!(amara.send(forged).await.status, 403);
    assert!(!world.told().await.iter().any(|line| line.contains("bulk_started")));
    server.stop().await;
}
