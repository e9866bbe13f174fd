//! The list of sessions: orders, several values, suggestions, views, and what the overview says of it.

use std::collections::BTreeSet;

use super::support::{Browser, Page};
use super::{link, world};

/// The ids on a page of the list, in its order.
fn ids(page: &Page) -> Vec<String> {
    let found = page.text.split("href=\"/sessions/0").skip(1);
    found.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// How many a list says it has.
fn count(page: &Page) -> String {
    let head = page.text.split("<h1>Sessions</h1><p>").nth(1).unwrap().split('<').next().unwrap();
    head.split(' ').next().unwrap().to_owned()
}

/// All ids of a list, walked to its end.
async fn walked(kim: &mut Browser, path: &str) -> Vec<String> {
    let mut page = kim.get(path).await;
    page.is(200, "<h1>Sessions</h1>");
    let mut all = ids(&page);
    let step = |page: &Page| {
        let links = page.text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        links.map(|link| link.replace("&amp;", "&")).find(|link| link.contains("older="))
    };
    while let Some(next) = step(&page) {
        page = kim.get(&next).await;
        all.extend(ids(&page));
    }
    all
}

#[tokio::test]
async fn each_order_shows_the_same_sessions() {
    let world = world().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let set = |ids: Vec<String>| ids.into_iter().collect::<BTreeSet<_>>();
    for filter in ["state:retrying,holding", "reason:stopped", "host:imap.example.org state:live"] {
        let q = filter.replace(' ', "+");
        let usual = walked(&mut kim, &format!("/sessions?q={q}")).await;
        assert!(usual.len() > 20, "{filter}: {}", usual.len());
        for sort in ["since", "-since", "next", "-next", "host", "-host", "-registered"] {
            let path = format!("/sessions?q={q}&sort={sort}");
            let page = kim.get(&path).await;
            // Each is offered, or says why it is not; never is it another order that looks like it.
            if page.text.contains("is not there for these filters") {
                assert!(!page.text.contains("aria-sort=\"ascending\""), "{path}");
                continue;
            }
            assert!(page.text.contains("aria-sort"), "{path}");
            let sorted = walked(&mut kim, &path).await;
            assert_eq!(sorted.len(), usual.len(), "{path}");
            assert_eq!(set(sorted.clone()), set(usual.clone()), "{path}");
            assert_ne!(sorted, usual, "{path}");
        }
    }
    let page = kim.get("/sessions?q=user:somebody&sort=next").await;
    page.is(200, "sessions are few, and listed as they were registered");
    kim.get("/sessions?sort=colour").await.is(200, "No order is called “colour”");
    // The head of the column that the list is sorted by turns it round.
    let page = kim.get("/sessions?q=state:retrying&sort=next").await;
    assert!(page.text.contains("aria-sort=\"ascending\""));
    assert_eq!(link(&page, "/sessions?q=state:retrying&amp;sort=-next"), "/sessions?q=state:retrying&sort=-next");
    server.stop().await;
}

#[tokio::test]
async fn several_values_and_what_is_not_wanted() {
    let world = world().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut number = async |q: &str| walked(&mut kim, &format!("/sessions?q={}", q.replace(' ', "+"))).await.len();
    let (holding, retrying) = (number("state:holding").await, number("state:retrying").await);
    assert_eq!(number("state:holding,retrying").await, holding + retrying);
    assert_eq!(number("-state:ended").await, number("state:live").await);
    assert_eq!(number("state:live").await + number("state:ended").await, 2_000);
    let node = format!("node:{}", store::demo::NODE);
    assert_eq!(number(&node).await, number("state:live").await, "all that live belong to the demo’s node");
    assert!(number("reason:fault").await > 0 && number("reason:person").await > 0);
    for (q, words) in [
        ("node:ffffffff", "No node that runs sessions begins with “ffffffff”; there are"),
        ("colour:red", "nothing is called “colour:”; there are address, session"),
        ("-host:a.example", "only state: can be turned round"),
        ("host:imap.example.com+changed:2h", "changed: goes with states, with reasons or with one customer"),
        ("host:a,b,c,d,e,f,g,h+state:live+reason:transport", "Take some away"),
    ] {
        kim.get(&format!("/sessions?q={q}")).await.is(200, words);
    }
    server.stop().await;
}

/// What a number on the overview leads to has that number.
#[tokio::test]
async fn the_overview_counts_what_its_links_show() {
    let world = world().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let overview = kim.get("/").await;
    overview.is(200, "Needs attention");
    let unescaped = |text: &str| text.replace("&amp;", "&");
    // Attention: “24 sessions” on its button.
    let mut checked = 0;
    let attention = overview.text.split("<ul class=\"lines\">").nth(1).unwrap().split("</ul>").next().unwrap();
    for line in attention.split("<a ").skip(1) {
        let path = unescaped(line.split("href=\"").nth(1).unwrap().split('"').next().unwrap());
        let said = line.split_once('>').unwrap().1.split(' ').next().unwrap();
        let list = kim.get(&path).await;
        assert_eq!(count(&list), said, "{path}");
        checked += 1;
    }
    assert!(checked >= 3, "{checked} things need attention");
    // Counts by state, among them those that ended in the last day.
    let counts = overview.text.split("<ul class=\"counts\">").nth(1).unwrap().split("</ul>").next().unwrap();
    for state in counts.split("<li ").skip(1) {
        let path = unescaped(state.split("href=\"").nth(1).unwrap().split('"').next().unwrap());
        let said = state.split("<strong>").nth(1).unwrap().split('<').next().unwrap();
        let list = kim.get(&path).await;
        assert_eq!(count(&list), said, "{path}");
        assert!(!list.text.contains("Not used:"), "{path}");
    }
    // The views above the list.
    let list = kim.get("/sessions").await;
    let views = list.text.split("aria-label=\"Views\"").nth(1).unwrap().split("</nav>").next().unwrap();
    let mut checked = 0;
    for view in views.split("<a ").skip(1).filter(|view| view.contains("class=\"count\"")) {
        let path = unescaped(view.split("href=\"").nth(1).unwrap().split('"').next().unwrap());
        let said = view.split("class=\"count\">").nth(1).unwrap().split('<').next().unwrap();
        let list = kim.get(&path).await;
        assert_eq!(count(&list), said, "{path}");
        assert!(list.text.contains("aria-current=\"page\""));
        checked += 1;
    }
    assert_eq!(checked, 4);
    // Each node leads to what it runs.
    let node = kim.get(&format!("/sessions?q=node:{}", store::demo::NODE)).await;
    assert!(overview.text.contains(&format!(">{}<", count(&node))), "{}", count(&node));
    server.stop().await;
}

#[tokio::test]
async fn suggestions_complete_the_last_word() {
    let world = world().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut ask = async |q: &str| -> Vec<(String, Option<u64>)> {
        let page = kim.get(&format!("/sessions/suggest?q={}", q.replace(' ', "%20"))).await;
        assert_eq!(page.status, 200);
        let answer: serde_json::Value = serde_json::from_str(&page.text).unwrap();
        let all = answer["suggestions"].as_array().unwrap();
        all.iter().map(|of| (of["q"].as_str().unwrap().to_owned(), of["count"].as_u64())).collect()
    };
    assert_eq!(ask("ho").await, [("host:".to_owned(), None)]);
    let hosts = ask("state:retrying host:imap.ex").await;
    let hosts: Vec<_> = hosts.iter().map(|(q, _)| q.as_str()).collect();
    assert_eq!(
        hosts,
        [
            "state:retrying host:imap.example.com",
            "state:retrying host:imap.example.net",
            "state:retrying host:imap.example.org"
        ]
    );
    let states = ask("state:retrying,h").await;
    assert_eq!(states[0].0, "state:retrying,holding");
    assert!(states[0].1.is_some_and(|count| count > 0));
    assert_eq!(ask("reason:thr").await[0].0, "reason:throttled");
    assert!(ask("user:u-").await.len() == 8);
    for nothing in ["", "state:retrying ", "address:a", "user:", "colour:r", "user:none-such"] {
        assert_eq!(ask(nothing).await, [], "{nothing}");
    }
    let mut nobody = server.browser();
    assert_eq!(nobody.get("/sessions/suggest?q=ho").await.status, 303);
    server.stop().await;
}

#[tokio::test]
async fn views_are_saved_renamed_and_removed() {
    let world = world().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut viewer = server.colleague(&mut kim, "viewer", "tomas").await;
    let list = viewer.get("/sessions?q=state:retrying+host:imap.example.com&sort=-next").await;
    let save = link(&list, "/views?q=state:retrying");
    viewer.get(&save).await.is(200, "state:retrying host:imap.example.com");
    let view = [("q", "state:retrying host:imap.example.com"), ("sort", "-next"), ("name", "Ours <b>")];
    viewer.post("/views", &view).await.leads_to("/sessions?q=state:retrying+host:imap.example.com&sort=-next");
    let list = viewer.get("/sessions?q=state:retrying+host:imap.example.com&sort=-next").await;
    assert!(list.text.contains("Ours &lt;b>") || list.text.contains("Ours &lt;b&gt;"), "a name is text");
    assert!(list.text.contains("Your views"), "what is saved is not offered again");
    viewer.post("/views", &view).await.is(422, "There is a view of that name");
    viewer.post("/views", &[("q", "colour:red"), ("name", "x")]).await.is(422, "nothing is called");
    viewer.post("/views", &[("q", "state:ended"), ("name", " \n ")]).await.is(422, "Give the view a name");
    // Not everybody’s, and not another one’s.
    let shared = [("q", "state:ended"), ("name", "Ended"), ("shared", "1")];
    assert_eq!(viewer.post("/views", &shared).await.status, 403);
    let page = viewer.get("/views").await;
    let rename = page.text.split("action=\"/views/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let id = rename.split('/').next().unwrap().to_owned();
    assert_eq!(kim.post(&format!("/views/{id}/remove"), &[]).await.status, 404);
    assert!(!kim.get("/sessions").await.text.contains("Ours"));
    // An admin’s for everybody is in the audit.
    kim.post("/views", &shared).await.leads_to("/sessions?q=state:ended");
    assert!(viewer.get("/sessions").await.text.contains(">Ended<"));
    assert!(world.told().await.contains(&"kim views_changed saved Ended".to_owned()));
    viewer.post(&format!("/views/{id}/rename"), &[("name", "Mine")]).await.leads_to("/views");
    assert!(viewer.get("/sessions").await.text.contains(">Mine<"));
    viewer.post(&format!("/views/{id}/remove"), &[]).await.leads_to("/views");
    assert!(!viewer.get("/sessions").await.text.contains(">Mine<"));
    server.stop().await;
}
