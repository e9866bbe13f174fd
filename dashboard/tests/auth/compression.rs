//! Pages are compressed, and what is secret on them can't be guessed by how well.

use std::io::Write as _;
use std::process::{Command, Stdio};

use reqwest::{Method, Response};

use crate::support::{Browser, World};

async fn get(kim: &Browser, path: &str, site: Option<&str>) -> Response {
    let mut request = kim.request(Method::GET, path).header("accept-encoding", "gzip, deflate, br");
    if let Some(site) = site {
        request = request.header("sec-fetch-site", site);
    }
    request.send().await.unwrap()
}

fn is_compressed(response: &Response) -> bool {
    response.headers().contains_key("content-encoding")
}

fn unzip(bytes: &[u8]) -> String {
    let mut gzip = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(bytes).unwrap();
    String::from_utf8(gzip.wait_with_output().unwrap().stdout).unwrap()
}

fn token(page: &str) -> &str {
    let at = page.find("name=\"csrf\" value=\"").unwrap();
    page[at + 19..].split('"').next().unwrap()
}

#[tokio::test]
async fn pages_are_compressed_for_us_alone() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let plain = kim.get("/account").await.text;
    for site in [None, Some("same-origin"), Some("none")] {
        let response = get(&kim, "/account", site).await;
        assert_eq!(response.headers()["content-encoding"], "gzip", "{site:?}");
        let bytes = response.bytes().await.unwrap();
        assert!(bytes.len() < plain.len() / 2, "{} of {}", bytes.len(), plain.len());
        let page = unzip(&bytes);
        // The masks aside, it is the same page.
        assert_eq!(page.replace(token(&page), ""), plain.replace(token(&plain), ""));
    }
    // What another site has a browser ask for tells nothing by its length, with or without a person's click.
    for site in ["cross-site", "same-site", "elsewhere"] {
        for path in ["/account", "/sessions?q=user:kim", "/sign-in"] {
            assert!(!is_compressed(&get(&kim, path, Some(site)).await), "{path} for {site}");
        }
    }
    // Nobody asked for it.
    assert!(!kim.get("/account").await.headers.contains_key("content-encoding"));
    server.stop().await;
}

#[tokio::test]
async fn files_are_whole_when_they_are_compressed() {
    let world = World::new().await;
    store::demo::fill(&world.store, 300, 7, world.now()).await.unwrap();
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    for (path, head) in [("/audit.csv?staff=kim&action=exported", "seq,at,staff,"), ("/sessions.csv", "")] {
        let plain = kim.get(path).await.text;
        let response = get(&kim, path, Some("same-origin")).await;
        assert!(is_compressed(&response), "{path}");
        let file = unzip(&response.bytes().await.unwrap());
        // The audit tells of the first of the two, too.
        assert!(file.starts_with(head) && file.ends_with("\r\n"), "{path}: {file}");
        assert!(file.lines().count() >= plain.lines().count(), "{path}: {file}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_form_token_never_looks_the_same_twice() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    let mut tokens = Vec::new();
    for _ in 0..20 {
        tokens.push(kim.csrf().await);
    }
    // No two pages share a place of it: neither the mask nor what is under it.
    let shared = |a: &str, b: &str| a.bytes().zip(b.bytes()).filter(|(a, b)| a == b).count();
    for (place, one) in tokens.iter().enumerate() {
        for other in &tokens[place + 1..] {
            assert!(shared(one, other) < 16, "{one} and {other}");
        }
    }
    let invite = async |token: &str| {
        let form = kim.form("/staff/invite", &[("role", "viewer"), ("csrf", token)]);
        form.header("origin", server.url.clone()).send().await.unwrap().status().as_u16()
    };
    for token in &tokens {
        assert_eq!(invite(token).await, 200, "each of them works for as long as the sign-in");
    }
    // The halves of two tokens make none.
    let (one, other) = (&tokens[0], &tokens[1]);
    let mixed = format!("{}{}", &one[..one.len() / 2], &other[one.len() / 2..]);
    assert_eq!(invite(&mixed).await, 403);
    server.stop().await;
}
