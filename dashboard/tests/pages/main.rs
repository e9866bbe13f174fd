//! The pages about sessions, devices and pushes, through real HTTP on a real store with made-up sessions.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

#[allow(dead_code, reason = "the harness has more than these tests use")]
#[path = "../auth/support.rs"]
mod support;

mod bulk;
mod lists;

use support::{Browser, Page, World};

async fn world() -> World {
    let world = World::new().await;
    store::demo::fill(&world.store, 2_000, 7, world.now()).await.unwrap();
    world
}

/// The first link on a page that begins so.
fn link(page: &Page, begin: &str) -> String {
    let at = page.text.find(&format!("href=\"{begin}")).unwrap_or_else(|| panic!("{begin} is not in {}", page.text));
    page.text[at + 6..].split('"').next().unwrap().replace("&amp;", "&")
}

/// What every page has and has not.
async fn look(browser: &mut Browser, path: &str, words: &str) -> Page {
    let page = browser.get(path).await;
    page.is(200, words);
    assert_eq!(page.text.matches("<h1").count(), 1, "{path}");
    let scripts = page.text.matches("<script").count();
    assert_eq!(scripts, page.text.matches("<script type=\"module\" src=\"/assets/").count(), "{path}: inline");
    assert!(scripts <= 1 && !page.text.contains(" style="), "{path}");
    if let Some(folder) = std::env::var_os("PINGER_GALLERY") {
        let name = format!("real-{}.html", path.trim_matches('/').replace(['/', '?', '=', ':', '+'], "-"));
        std::fs::write(std::path::Path::new(&folder).join(name), page.text.replace("=\"/assets/", "=\"assets/"))
            .unwrap();
    }
    page
}

#[tokio::test]
async fn every_page_is_there() {
    let world = world().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    look(&mut kim, "/", "Needs attention").await;
    let list = look(&mut kim, "/sessions?q=state:retrying", "live sessions match").await;
    let path = link(&list, "/sessions/0");
    let session = look(&mut kim, &path, "Why no push?").await;
    assert!(session.text.contains("Not pushing:"));
    look(&mut kim, &format!("{path}/revoke"), "Revoke this session?").await;
    look(&mut kim, &format!("{path}?show=faults"), "Timeline").await;
    look(&mut kim, &link(&session, "/devices/"), "Sessions of this device").await;
    look(&mut kim, "/devices", "Live sessions").await;
    look(&mut kim, "/pushes", "Pushes per minute").await;
    look(&mut kim, "/pushes?show=gone", "Deliveries").await;
    look(&mut kim, "/settings", "Rules").await;
    look(&mut kim, "/settings", "gmail.com, googlemail.com").await;
    let told = world.told().await;
    assert!(told.iter().any(|line| line.starts_with("kim session_viewed 0")), "a look is written down: {told:?}");
    server.stop().await;
}

#[tokio::test]
async fn the_list_is_walked_to_its_end_and_back() {
    let world = world().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let ids = |page: &Page| -> Vec<String> {
        page.text.split("href=\"/sessions/0").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let mut page = kim.get("/sessions?q=state:watching").await;
    let first = ids(&page);
    let mut seen = first.clone();
    while page.text.contains("href=\"/sessions?q=state:watching&amp;older=") {
        page = kim.get(&link(&page, "/sessions?q=state:watching&amp;older=")).await;
        seen.extend(ids(&page));
    }
    let mut unique = seen.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), seen.len(), "no session is listed twice");
    assert!(page.text.contains(&format!("{} of ", seen.len())), "{} were walked", seen.len());
    while page.text.contains("href=\"/sessions?q=state:watching&amp;newer=") {
        page = kim.get(&link(&page, "/sessions?q=state:watching&amp;newer=")).await;
    }
    assert_eq!(ids(&page), first);
    server.stop().await;
}

#[tokio::test]
async fn searches_say_what_they_did() {
    let world = world().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    kim.get("/sessions?q=state:asleep").await.is(200, "No state is called “asleep”");
    kim.get("/sessions?q=user:nobody-at-all").await.is(200, "Nothing matches user:nobody-at-all");
    kim.get("/sessions?q=%3Cscript%3E").await.is(200, "Nothing matches user:&lt;script&gt;");
    kim.get("/sessions/nonsense").await.is(404, "This session is not known");
    kim.get("/nowhere").await.is(404, "There is no such page");
    server.stop().await;
}

#[tokio::test]
async fn the_file_has_all_rows_and_is_written_down() {
    let world = world().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let file = kim.get("/sessions.csv").await;
    assert_eq!(file.text.lines().count(), 2_001);
    assert!(world.told().await.contains(&"kim exported sessions".to_owned()));
    let mut viewer = server.colleague(&mut kim, "viewer", "tomas").await;
    assert_eq!(viewer.get("/sessions.csv").await.status, 403);
    let list = viewer.get("/sessions").await;
    assert!(!list.text.contains("sessions.csv"), "a viewer gets no button either");
    let path = link(&list, "/sessions/0");
    let session = viewer.get(&path).await;
    assert!(!session.text.contains("Force ping") && !session.text.contains("/revoke"));
    assert_eq!(viewer.get(&format!("{path}/revoke")).await.status, 403);
    server.stop().await;
}

#[tokio::test]
async fn the_theme_is_kept_and_assets_are_cached() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    kim.get("/").await.is(200, "No device has registered yet");
    kim.post("/theme", &[("theme", "dark"), ("back", "//elsewhere.example")]).await.leads_to("/");
    let response = support::client().get(format!("{}/assets/none.css", server.url)).send().await.unwrap();
    assert_eq!(response.status(), 404);
    let page = kim.get("/").await;
    let css = link(&page, "/assets/");
    let response = support::client().get(format!("{}{css}", server.url)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    server.stop().await;
}
