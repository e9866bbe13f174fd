//! Every route of the dashboard with every role, called by hand; and every page with hostile texts in all that it shows.

use std::collections::BTreeSet;
use std::path::Path;

use html5gum::{Token, Tokenizer};
use reqwest::Method;
use store::{AuditAction, NewAudit, StaffId};

use crate::support::{Browser, PASSWORD, World};

/// Who may reach a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Needs {
    Nobody,
    Viewer,
    Support,
    Admin,
}

use Needs::{Admin, Nobody, Support, Viewer};

/// Every route. One that is not in it fails `every_route_is_in_the_table`: say who may reach it.
const ROUTES: &[(&str, &str, Needs)] = &[
    ("GET", "/", Viewer),
    ("GET", "/account", Viewer),
    ("GET", "/account/authenticator", Viewer),
    ("POST", "/account/authenticator", Viewer),
    ("POST", "/account/authenticator/remove", Viewer),
    ("POST", "/account/passkeys", Viewer),
    ("POST", "/account/passkeys/question", Viewer),
    ("POST", "/account/passkeys/remove", Viewer),
    ("POST", "/account/password", Viewer),
    ("GET", "/account/provider/connect", Viewer),
    ("POST", "/account/provider/disconnect", Viewer),
    ("POST", "/account/recovery", Viewer),
    ("POST", "/account/sign-ins/end", Viewer),
    ("GET", "/assets/{name}", Nobody),
    ("GET", "/audit", Support),
    ("GET", "/audit.csv", Support),
    ("POST", "/audit/check", Admin),
    ("GET", "/bulk", Support),
    ("POST", "/bulk", Support),
    ("GET", "/bulk/{id}", Support),
    ("POST", "/bulk/{id}/stop", Support),
    ("GET", "/devices", Viewer),
    ("GET", "/devices/{user}/{device}", Viewer),
    ("GET", "/live", Viewer),
    ("GET", "/pushes", Viewer),
    ("GET", "/sessions", Viewer),
    ("GET", "/sessions.csv", Support),
    ("GET", "/sessions/suggest", Viewer),
    ("GET", "/sessions/{id}", Viewer),
    ("GET", "/sessions/{id}/ping", Viewer),
    ("POST", "/sessions/{id}/ping", Support),
    ("GET", "/sessions/{id}/revoke", Support),
    ("POST", "/sessions/{id}/revoke", Support),
    ("POST", "/sessions/{id}/test-push", Support),
    ("POST", "/sessions/{id}/trace", Support),
    ("GET", "/settings", Viewer),
    ("GET", "/sign-in", Nobody),
    ("POST", "/sign-in", Nobody),
    ("GET", "/sign-in/code", Nobody),
    ("POST", "/sign-in/code", Nobody),
    ("POST", "/sign-in/code/passkey", Nobody),
    ("POST", "/sign-in/code/passkey/question", Nobody),
    ("POST", "/sign-in/passkey", Nobody),
    ("POST", "/sign-in/passkey/question", Nobody),
    ("GET", "/sign-in/provider", Nobody),
    ("GET", "/sign-in/provider/back", Nobody),
    ("GET", "/sign-in/reset/{token}", Nobody),
    ("POST", "/sign-in/reset/{token}", Nobody),
    ("POST", "/sign-out", Viewer),
    ("GET", "/sign-up/{token}", Nobody),
    ("POST", "/sign-up/{token}", Nobody),
    ("GET", "/staff", Viewer),
    ("POST", "/staff/invite", Admin),
    ("POST", "/staff/invite/withdraw", Admin),
    ("POST", "/staff/sign-ins/end", Admin),
    ("POST", "/staff/sign-ins/end-all", Admin),
    ("GET", "/staff/{id}", Admin),
    ("POST", "/staff/{id}/disable", Admin),
    ("POST", "/staff/{id}/enable", Admin),
    ("POST", "/staff/{id}/end-sign-ins", Admin),
    ("POST", "/staff/{id}/remove-factors", Admin),
    ("POST", "/staff/{id}/reset", Admin),
    ("POST", "/staff/{id}/role", Admin),
    ("POST", "/theme", Viewer),
    ("GET", "/views", Viewer),
    ("POST", "/views", Viewer),
    ("POST", "/views/{id}/remove", Viewer),
    ("POST", "/views/{id}/rename", Viewer),
];

/// The routes that the sources make: what stands in each `.route("path", get(..).post(..))`.
fn routes_of(folder: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            routes_of(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for rest in text.split(".route(").skip(1) {
            let mut depth = 1;
            let end = rest.find(|character| {
                depth += match character {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0
            });
            let call = &rest[..end.unwrap()];
            let route = call.split('"').nth(1).unwrap_or_else(|| panic!("{}: .route({call})", path.display()));
            let methods = ["get", "post", "put", "delete", "patch", "any", "head", "options"];
            let named: Vec<_> = methods.into_iter().filter(|method| call.contains(&format!("{method}("))).collect();
            assert!(!named.is_empty(), "{}: .route({call}) has no method that this test knows", path.display());
            found.extend(named.into_iter().map(|method| (method.to_uppercase(), route.to_owned())));
        }
    }
}

#[test]
fn every_route_is_in_the_table() {
    let mut found = BTreeSet::new();
    routes_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let table: BTreeSet<_> =
        ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    let missing: Vec<_> = found.difference(&table).collect();
    let gone: Vec<_> = table.difference(&found).collect();
    assert!(missing.is_empty(), "say in ROUTES who may reach {missing:?}");
    assert!(gone.is_empty(), "there is no such route any more: {gone:?}");
}

/// What stands in the places of paths.
struct Places {
    session: String,
    staff: String,
    device: String,
}

impl Places {
    async fn of(world: &World, staff: StaffId, browser: &mut Browser) -> Self {
        let list = browser.get("/sessions").await;
        let at = |text: &str, begin: &str| {
            let from = text.find(begin).unwrap_or_else(|| panic!("{begin}: {text}"));
            let end = from + text[from..].find('"').unwrap();
            text[from..end].replace("&amp;", "&")
        };
        let session = at(&list.text, "/sessions/0").trim_start_matches("/sessions/").to_owned();
        let page = browser.get(&format!("/sessions/{session}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let device = at(&page.text, "/devices/");
        assert!(world.store.staff(staff).await.unwrap().is_some());
        Self { session, staff: staff.to_string(), device }
    }

    fn fill(&self, route: &str) -> String {
        if route == "/devices/{user}/{device}" {
            return self.device.clone();
        }
        let id = if route.starts_with("/sessions") { &self.session } else { &self.staff };
        route.replace("{id}", id).replace("{token}", &"A".repeat(43)).replace("{name}", "none.css")
    }
}

async fn call(browser: &mut Browser, method: &str, path: &str) -> crate::support::Page {
    if method == "GET" { browser.get(path).await } else { browser.post(path, &[]).await }
}

#[tokio::test]
async fn every_route_holds_for_every_role() {
    let world = World::new().await;
    store::demo::fill(&world.store, 50, 7, world.now()).await.unwrap();
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let target = server.colleague(&mut kim, "viewer", "target").await;
    drop(target);
    let people = world.store.all_staff().await.unwrap();
    let id = people.iter().find(|person| person.name == "target").unwrap().id;
    let places = Places::of(&world, id, &mut kim).await;
    let vic = server.colleague(&mut kim, "viewer", "vic").await;
    let sue = server.colleague(&mut kim, "support", "sue").await;
    let mut stranger = server.browser();
    for (method, route, needs) in ROUTES {
        let page = call(&mut stranger, method, &places.fill(route)).await;
        if *needs == Nobody {
            assert!(![401, 403].contains(&page.status) && page.status < 500, "{method} {route}: {}", page.text);
        } else {
            assert_eq!(page.status, 303, "{method} {route}: {}", page.text);
            assert!(page.location.unwrap().starts_with("/sign-in"), "{method} {route}");
        }
        world.pass(std::time::Duration::from_secs(6));
    }
    for (name, role, mut browser) in [("vic", Viewer, vic), ("sue", Support, sue), ("kim", Admin, kim)] {
        for (method, route, needs) in ROUTES {
            if !browser.is_in().await {
                browser.sign_in(name, PASSWORD).await.leads_to("/");
            }
            let page = call(&mut browser, method, &places.fill(route)).await;
            let refused = page.status == 403 && page.text.contains("Your role can’t");
            assert_eq!(refused, role < *needs, "{name}: {method} {route}: {} {}", page.status, page.text);
            assert!(page.status < 500, "{name}: {method} {route}: {} {}", page.status, page.text);
            assert!(refused || page.status != 403, "{name}: {method} {route}: {}", page.text);
            if refused {
                let told = world.told().await.pop().unwrap();
                assert!(told.starts_with(&format!("{name} forbidden {method} ")), "{told}");
            }
            // Tries that were taken by forms without a password come back.
            world.pass(std::time::Duration::from_secs(6));
        }
    }
    // What routes are called with can't turn one into another.
    let mut vic = server.browser();
    vic.sign_in("vic", PASSWORD).await.leads_to("/");
    for path in ["//staff/invite", "/staff/invite/", "/staff%2Finvite", "/STAFF/invite", "/account/../staff/invite"] {
        let csrf = vic.csrf().await;
        let request = vic.form(path, &[("csrf", &csrf), ("role", "admin")]).header("origin", server.url.clone());
        let page = vic.send(request).await;
        assert!([403, 404].contains(&page.status), "{path}: {} {}", page.status, page.text);
    }
    let request =
        vic.request(Method::from_bytes(b"BREW").unwrap(), "/staff/invite").header("origin", server.url.clone());
    assert_eq!(vic.send(request).await.status, 403);
    let links: Vec<_> = world.store.open_invites(world.now()).await.unwrap();
    assert!(links.iter().all(|link| link.created_by == "kim"), "{links:?}");
}

/// What tries to become a tag, an attribute, a script or SQL. Ids of devices have no spaces.
const EVIL: &str = "'\"><x-evil/onload=x-evil>{{7*7}};--";
const EVIL_TEXT: &str = "'\"--></title></textarea></svg></style><script>x-evil</script><x-evil onload=x-evil>' OR 1=1; DROP TABLE staff; --";

/// Fails if a part of a page came from what was shown in it.
fn looks_harmless(path: &str, text: &str) {
    for token in Tokenizer::new(text) {
        let Ok(Token::StartTag(tag)) = token else { continue };
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        assert!(!name.contains("evil"), "{path}: <{name}>");
        for (attribute, value) in &tag.attributes {
            let attribute = String::from_utf8_lossy(attribute).into_owned();
            let value = String::from_utf8_lossy(value).into_owned();
            assert!(!attribute.contains("evil") && !attribute.starts_with("on"), "{path}: <{name} {attribute}>");
            assert!(attribute != "style" && attribute != "srcdoc", "{path}: <{name} {attribute}>");
            if ["href", "src", "action", "formaction"].contains(&attribute.as_str()) {
                let ours = value.starts_with('/') && !value.starts_with("//")
                    || value.starts_with('#')
                    || value.starts_with("http://localhost:16686/trace/");
                assert!(ours, "{path}: <{name} {attribute}=\"{value}\">");
            }
            if name == "script" {
                assert!(attribute != "src" || value.starts_with("/assets/"), "{path}: {value}");
            }
        }
        assert!(name != "script" || tag.attributes.keys().any(|key| key.0 == b"src"), "{path}: a script in the page");
    }
}

#[tokio::test]
async fn hostile_texts_stay_texts_on_every_page() {
    let world = World::new().await;
    store::demo::fill(&world.store, 200, 7, world.now()).await.unwrap();
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    server.colleague(&mut kim, "viewer", "vic").await;
    kim.post("/staff/invite", &[("role", "viewer")]).await.is(200, "shown this once");
    let me = world.store.staff_by_name(&store::StaffName::parse("kim").unwrap()).await.unwrap().unwrap();
    let text = EVIL_TEXT.replace('\'', "''");
    let id = EVIL.replace('\'', "''");
    world.tamper(&format!(
        "UPDATE session SET user_id = '{id}', device_id = '{id}' || substr(hex(id), 1, 20), context = '{id}', app_id = '{id}',
            os_version = substr('{text}', 1, 64), app_version = substr('{text}', 1, 64), mail_mailbox = '{id}',
            traceparent = '{text}';
         UPDATE session SET failure_evidence = '{text}' WHERE failure_code IS NOT NULL;
         UPDATE session SET handshake = '* OK {text}' || char(10) || '{text}', connected_at = created_at;
         UPDATE session SET reason = '{text}' WHERE state = 'ended';
         UPDATE timeline SET detail = '{text}' WHERE detail IS NOT NULL;
         UPDATE timeline SET staff = '{text}';
         UPDATE timeline SET traceparent = '{text}';
         UPDATE outbox SET context = '{id}', reason = '{text}', provider_id = '{text}', traceparent = '{text}';
         UPDATE staff SET name = '{id}' || name;
         UPDATE staff_session SET user_agent = '{text}', address = '{id}';
         UPDATE invite SET created_by = '{id}';
         INSERT INTO passkey VALUES ('{id}', x'00', (SELECT id FROM staff WHERE name LIKE '%kim'), x'00', 0, '{id}', 0, NULL);"
    ));
    for action in [AuditAction::SessionViewed, AuditAction::SignedUp, AuditAction::RoleChanged] {
        let entry = NewAudit {
            at: world.now(),
            staff: EVIL.to_owned(),
            action,
            subject: EVIL_TEXT.to_owned(),
            reason: Some(EVIL_TEXT.to_owned()),
            address: Some(EVIL.to_owned()),
        };
        world.store.audit(entry).await.unwrap();
    }
    let places = Places::of(&world, me.id, &mut kim).await;
    let query = form_urlencoded::byte_serialize(EVIL_TEXT.as_bytes()).collect::<String>();
    let mut paths: Vec<String> =
        ROUTES.iter().filter(|(method, ..)| *method == "GET").map(|(_, route, _)| places.fill(route)).collect();
    for path in [
        "/sessions?q=",
        "/devices?q=",
        "/pushes?show=",
        "/audit?staff=",
        "/audit?subject=",
        "/sign-in?next=",
        "/nowhere?",
    ] {
        paths.push(format!("{path}{query}"));
    }
    // Sessions in each state: each page has other parts.
    let mut sessions = BTreeSet::new();
    for state in ["waiting", "watching", "holding", "retrying", "ended"] {
        let list = kim.get(&format!("/sessions?q=state:{state}")).await;
        let links = list.text.split("href=\"/sessions/0").skip(1).take(8);
        sessions.extend(links.map(|rest| format!("/sessions/0{}", rest.split('"').next().unwrap())));
    }
    assert!(sessions.len() >= 20, "{sessions:?}");
    paths.extend(
        sessions.iter().flat_map(|path| [path.clone(), format!("{path}?show=faults"), format!("{path}/revoke")]),
    );
    let mut shown = 0;
    for path in &paths {
        let page = if path.starts_with("/sign-in") { server.browser().get(path).await } else { kim.get(path).await };
        assert!(page.status < 500, "{path}: {} {}", page.status, page.text);
        let kind = page.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("text/html") {
            shown += usize::from(page.text.contains("x-evil"));
            looks_harmless(path, &page.text);
        }
    }
    assert!(shown > sessions.len(), "{shown} pages have shown something hostile");
    // Refused forms say what was typed.
    for path in ["/sign-in", "/sign-in/passkey", "/sign-in/code"] {
        let mut browser = server.browser();
        let fields = [("name", EVIL_TEXT), ("password", EVIL_TEXT), ("credential", EVIL_TEXT), ("next", EVIL_TEXT)];
        let page = browser.post(path, &fields).await;
        looks_harmless(path, &page.text);
    }
    let page =
        kim.post(&format!("{}/revoke", sessions.first().unwrap()), &[("reason", EVIL_TEXT), ("note", EVIL_TEXT)]).await;
    looks_harmless("revoke", &page.text);
    assert_eq!(world.store.all_staff().await.unwrap().len(), 2, "the table is there");
}

/// The cells of a file of comma-separated values (RFC 4180).
fn cells(text: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' | '\n' if !quoted => cells.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            other => cell.push(other),
        }
    }
    assert!(!quoted, "a quote is not closed");
    cells
}

#[tokio::test]
async fn no_cell_of_a_file_is_a_formula() {
    let world = World::new().await;
    store::demo::fill(&world.store, 100, 7, world.now()).await.unwrap();
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    world.tamper(
        "UPDATE session SET user_id = '=cmd|''/C_calc''!A0', context = '+1+1\",=1', app_id = '-2+3',
            device_id = '=HYPERLINK(\"http://evil.example\")' || substr(hex(id), 1, 20);
         UPDATE session SET failure_evidence = '@SUM(1+1)' || char(13) || char(10) || '=1' WHERE failure_code IS NOT NULL;
         UPDATE session SET reason = char(9) || '=1';",
    );
    for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1", " =1", "\",=1"] {
        let entry = NewAudit {
            at: world.now(),
            staff: text.to_owned(),
            action: AuditAction::SessionViewed,
            subject: text.to_owned(),
            reason: Some(text.to_owned()),
            address: None,
        };
        world.store.audit(entry).await.unwrap();
    }
    for (path, rows) in [("/sessions.csv", 50), ("/audit.csv", 10)] {
        let file = kim.get(path).await;
        file.is(200, "=");
        let all = cells(&file.text);
        assert!(all.len() > rows * 5, "{path}: {}", file.text);
        for cell in all {
            let first = cell.trim_start().chars().next().unwrap_or('x');
            assert!(!['=', '+', '-', '@'].contains(&first), "{path}: {cell:?}");
            assert!(!cell.starts_with(['\t', '\r', '\n']), "{path}: {cell:?}");
        }
    }
}
