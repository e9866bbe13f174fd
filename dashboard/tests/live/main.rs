//! Pages that keep themselves up to date, and what browsers load for it, through real HTTP.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

#[allow(dead_code, reason = "the harness has more than these tests use")]
#[path = "../auth/support.rs"]
mod support;

use std::num::NonZeroU32;
use std::time::Duration;

use dashboard::Config;
use reqwest::{Method, Response};
use support::{Browser, Page, Server, World, client, config};
use tokio::time::timeout;

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pages are made again this often here.
const EVERY: Duration = Duration::from_millis(20);

fn quick() -> Config {
    Config { live_millis: NonZeroU32::new(20).unwrap(), ..config() }
}

async fn world() -> (World, Server) {
    let world = World::new().await;
    store::demo::fill(&world.store, 300, 7, world.now()).await.unwrap();
    let server = world.serve_with(&quick()).await;
    (world, server)
}

/// The regions of a page, as a browser says what it has: names, and all together.
fn have(page: &Page) -> (Vec<String>, String) {
    let value = |text: &str, name: &str| {
        let at = text.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
        text[at..].split('"').next().unwrap().to_owned()
    };
    let tags = page.text.split("<div data-live=").skip(1).map(|tag| format!("data-live={tag}"));
    let pairs: Vec<_> = tags.map(|tag| (value(&tag, "data-live"), value(&tag, "data-seen"))).collect();
    let have = pairs.iter().map(|(id, seen)| format!("{id}.{seen}")).collect::<Vec<_>>().join(",");
    (pairs.into_iter().map(|(id, _)| id).collect(), have)
}

/// A stream of a page.
struct Stream {
    response: Response,
    text: String,
}

async fn ask(browser: &Browser, path: &str, have: &str) -> Response {
    let query =
        form_urlencoded::Serializer::new(String::new()).append_pair("path", path).append_pair("have", have).finish();
    let mut request = browser.request(Method::GET, &format!("/live?{query}")).build().unwrap();
    request.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    timeout(PATIENCE, client().execute(request)).await.unwrap().unwrap()
}

impl Stream {
    async fn open(browser: &Browser, path: &str, have: &str) -> Self {
        let response = ask(browser, path, have).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { response, text: String::new() }
    }

    /// The next event: its name and what it carries; none at the end.
    async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) =
                self.text.split_once("\n\n").map(|(event, rest)| (event.to_owned(), rest.to_owned()))
            {
                self.text = rest;
                let field = |name: &str| {
                    let lines = event.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                    lines.map(str::trim_start).collect::<Vec<_>>().join("\n")
                };
                if !field("event").is_empty() {
                    return Some((field("event"), field("data")));
                }
                continue;
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.unwrap().unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The names of the regions in the next event, in order.
    async fn changed(&mut self) -> Vec<String> {
        let (event, data) = self.next().await.unwrap();
        assert_eq!(event, "regions");
        let regions: serde_json::Value = serde_json::from_str(&data).unwrap();
        let regions = regions.as_array().unwrap().clone();
        let mut names: Vec<_> = regions.into_iter().map(|region| region["id"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// Nothing comes, however often the page is made again.
    async fn is_silent(&mut self) {
        if let Ok(event) = timeout(EVERY * 15, self.next()).await {
            panic!("nothing changed, and there is {event:?}");
        }
    }
}

#[tokio::test]
async fn what_changes_is_sent_and_nothing_else() {
    let (world, server) = world().await;
    let mut kim = server.admin("kim").await;
    let (names, seen) = have(&kim.get("/sessions").await);
    assert_eq!(names, ["head", "views", "chips", "results"]);
    let mut stream = Stream::open(&kim, "/sessions", &seen).await;
    stream.is_silent().await;
    // Some more have registered. Which filters are offered is known as before.
    store::demo::fill(&world.store, 300, 8, world.now()).await.unwrap();
    let mut changed = stream.changed().await;
    while !changed.contains(&"results".to_owned()) {
        // The filling is seen half-way, too.
        changed = stream.changed().await;
    }
    drop(stream);
    // A browser that has something else gets what it lacks, at once.
    let (_, seen) = have(&kim.get("/sessions?q=state:watching").await);
    let mut stream = Stream::open(&kim, "/sessions?q=state:holding", &seen).await;
    assert_eq!(stream.changed().await, ["chips", "head", "results", "views"]);
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn every_page_that_lives_says_what_it_has() {
    let (_world, server) = world().await;
    let mut kim = server.admin("kim").await;
    let list = kim.get("/sessions").await;
    let at = list.text.find("href=\"/sessions/0").unwrap() + 6;
    let session = list.text[at..].split('"').next().unwrap().to_owned();
    for (path, regions) in
        [("/", 3), ("/sessions", 3), ("/pushes", 3), (session.as_str(), 3), ("/devices", 1), ("/settings", 1)]
    {
        let page = kim.get(path).await;
        let (names, seen) = have(&page);
        assert!(names.len() >= regions, "{path}: {names:?}");
        let mut stream = Stream::open(&kim, path, &seen).await;
        stream.is_silent().await;
        let mut stream = Stream::open(&kim, path, "").await;
        let mut expect = names.clone();
        expect.sort();
        assert_eq!(stream.changed().await, expect, "{path}");
    }
    assert_eq!(ask(&kim, "/account", "").await.status(), 404);
    assert_eq!(ask(&kim, "/sessions.csv", "").await.status(), 404);
    assert_eq!(ask(&kim, "/sessions/nonsense", "").await.status(), 204, "browsers do not ask again");
    server.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_sign_in() {
    let (_world, server) = world().await;
    let mut kim = server.admin("kim").await;
    let watcher = kim.clone();
    let (_, seen) = have(&kim.get("/sessions").await);
    let mut stream = Stream::open(&watcher, "/sessions", &seen).await;
    kim.post("/sign-out", &[]).await;
    assert_eq!(stream.next().await.unwrap().0, "ended");
    assert_eq!(stream.next().await, None);
    assert_eq!(ask(&watcher, "/sessions", &seen).await.status(), 401);
    assert_eq!(ask(&server.browser(), "/sessions", "").await.status(), 401);
    server.stop().await;
}

#[tokio::test]
async fn a_stream_is_no_use_of_a_sign_in() {
    let (world, server) = world().await;
    let mut kim = server.admin("kim").await;
    let (_, seen) = have(&kim.get("/settings").await);
    let mut stream = Stream::open(&kim, "/pushes", &seen).await;
    stream.changed().await;
    world.pass(Duration::from_secs(20 * 60));
    let mut other = Stream::open(&kim, "/pushes", &seen).await;
    other.changed().await;
    world.pass(Duration::from_secs(11 * 60));
    // The figures of another hour may come first.
    for stream in [&mut stream, &mut other] {
        while stream.next().await.unwrap().0 != "ended" {}
    }
    assert!(!kim.is_in().await, "half an hour without a click");
    server.stop().await;
}

#[tokio::test]
async fn a_stream_ends_when_its_owner_is_shut_out() {
    let (world, server) = world().await;
    let mut kim = server.admin("kim").await;
    let mut viewer = server.colleague(&mut kim, "viewer", "tomas").await;
    let (_, seen) = have(&viewer.get("/sessions").await);
    let mut stream = Stream::open(&viewer, "/sessions", &seen).await;
    stream.is_silent().await;
    // Shut out: over at once.
    let everybody = world.store.all_staff().await.unwrap();
    let tomas = everybody.into_iter().find(|person| person.name == "tomas").unwrap().id;
    assert_eq!(kim.post(&format!("/staff/{tomas}/disable"), &[]).await.status, 200);
    assert_eq!(stream.next().await.unwrap().0, "ended");
    server.stop().await;
}

#[tokio::test]
async fn streams_are_bounded() {
    let (_world, server) = world().await;
    let mut kim = server.admin("kim").await;
    let (_, seen) = have(&kim.get("/sessions").await);
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(Stream::open(&kim, "/sessions", &seen).await);
    }
    let refused = ask(&kim, "/sessions", &seen).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    // A tab is closed: the server notices when it writes next, or when the connection ends.
    streams.clear();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while ask(&kim, "/sessions", &seen).await.status() == 429 {
        assert!(tokio::time::Instant::now() < deadline, "the places are not given back");
        tokio::task::yield_now().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let (_world, server) = world().await;
    let mut kim = server.admin("kim").await;
    let (_, seen) = have(&kim.get("/sessions").await);
    let mut stream = Stream::open(&kim, "/sessions", &seen).await;
    // Far less than the time that requests are given to end.
    timeout(Duration::from_secs(2), server.stop()).await.unwrap();
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn looking_on_is_written_down_once() {
    let (world, server) = world().await;
    let mut kim = server.admin("kim").await;
    let list = kim.get("/sessions").await;
    let mut ids = list.text.split("href=\"/sessions/0").skip(1).map(|rest| rest.split('"').next().unwrap());
    let (one, two) = (format!("0{}", ids.next().unwrap()), format!("0{}", ids.next().unwrap()));
    let looks = async |id: &str| {
        world.told().await.into_iter().filter(|line| *line == format!("kim session_viewed {id}")).count()
    };
    let (_, seen) = have(&kim.get(&format!("/sessions/{one}")).await);
    let mut stream = Stream::open(&kim, &format!("/sessions/{one}"), &seen).await;
    stream.is_silent().await;
    assert_eq!(looks(&one).await, 1);
    // Nobody looks at a session by its stream alone without a trace.
    let mut stream = Stream::open(&kim, &format!("/sessions/{two}"), "").await;
    stream.changed().await;
    stream.is_silent().await;
    assert_eq!(looks(&two).await, 1);
    kim.get(&format!("/sessions/{one}")).await;
    assert_eq!(looks(&one).await, 2, "a page that is loaded is a look of its own");
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn assets_are_compressed_and_kept() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let page = kim.get("/").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("script-src 'self' 'wasm-unsafe-eval';") && policy.contains("connect-src 'self'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{policy}");
    let mut paths: Vec<_> =
        page.text.split("=\"/assets/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    paths.sort_unstable();
    assert!(paths.len() == 2 || paths.len() == 4, "{paths:?}");
    assert_eq!(page.text.matches("<script").count(), usize::from(paths.len() == 4), "the bundle's, and no other");
    for path in paths {
        let get = async |accepts: &str| {
            let request = client().get(format!("{}/assets/{path}", server.url)).header("accept-encoding", accepts);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 200, "{path}");
            assert!(response.headers()["cache-control"].to_str().unwrap().contains("immutable"), "{path}");
            assert_eq!(response.headers()["vary"], "accept-encoding");
            let encoding = response.headers().get("content-encoding").map(|name| name.to_str().unwrap().to_owned());
            (encoding, response.bytes().await.unwrap().len())
        };
        let (plain, brotli, gzip) = (get("identity").await, get("gzip, br").await, get("gzip").await);
        assert_eq!(plain.0, None);
        assert_eq!(gzip.0.as_deref(), Some("gzip"), "{path}");
        assert_eq!(
            brotli.0.as_deref(),
            Some(if path.ends_with("css") || path.ends_with("svg") { "gzip" } else { "br" })
        );
        assert!(brotli.1 <= gzip.1 && gzip.1 < plain.1, "{path}: {plain:?} {brotli:?} {gzip:?}");
    }
    // Without a sign-in nothing of it is needed.
    let sign_in = server.browser().get("/sign-in").await;
    assert!(!sign_in.text.contains("<script"), "{}", sign_in.text);
    server.stop().await;
}

#[tokio::test]
async fn nodes_and_devices_live_too() {
    let (world, server) = world().await;
    let kim = &mut server.admin("kim").await;
    let devices = kim.get("/devices").await;
    assert_eq!(have(&devices).0, ["results"]);
    let at = devices.text.find("href=\"/devices/").unwrap() + 6;
    let path = devices.text[at..].split('"').next().unwrap().to_owned();
    let device = kim.get(&path).await;
    assert_eq!(have(&device).0, ["sentence", "sessions", "deliveries"]);
    Stream::open(kim, &path, &have(&device).1).await.is_silent().await;

    let settings = kim.get("/settings").await;
    settings.is(200, "test-app");
    settings.is(200, "The audit is never deleted");
    let mut stream = Stream::open(kim, "/settings", &have(&settings).1).await;
    stream.is_silent().await;
    let beat =
        |stops| store::NodeBeat { version: "0.9.9".to_owned(), started_at: world.now(), seen_at: world.now(), stops };
    world.store.beat(beat(false)).await.unwrap();
    assert_eq!(stream.changed().await, ["nodes"]);
    kim.get("/settings").await.is(200, "0.9.9");
    world.pass(Duration::from_secs(31));
    assert_eq!(stream.changed().await, ["nodes"], "nobody wrote anything, and it is silent");
    kim.get("/settings").await.is(200, "its heartbeat is not written");
    kim.get("/").await.is(200, "is silent");
    world.store.beat(beat(false)).await.unwrap();
    assert_eq!(stream.changed().await, ["nodes"]);
    server.stop().await;
}
