//! A browser without scripts, for tests of the dashboard.

#![allow(dead_code, reason = "each test binary uses its own part of the harness")]
#![allow(unreachable_pub, reason = "a module of test binaries")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::Write as _;
use std::path::Path;

use reqwest::redirect::Policy;

const PASSWORD: &str = "correct horse battery staple";

/// Adds a dashboard, whose password hashing is cheap, to a configuration. `lines` come into its section.
pub fn with_dashboard(config: &Path, lines: &str) {
    let mut file = std::fs::OpenOptions::new().append(true).open(config).unwrap();
    let hashing = "argon2 = { memory_kib = 64, iterations = 1 }";
    writeln!(file, "\n[dashboard]\nlisten = \"127.0.0.1:0\"\n{hashing}\n{lines}").unwrap();
}

/// It keeps its cookie and sends what forms have.
pub struct Browser {
    client: reqwest::Client,
    url: String,
    cookie: String,
}

impl Browser {
    /// Signs up by the link that a server that is ready gives.
    pub async fn sign_up(ready: &serde_json::Value) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (url, link) = (ready["dashboard"].as_str().unwrap(), ready["sign_up"].as_str().unwrap());
        let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        let body = format!("name=kim&password={}", PASSWORD.replace(' ', "+"));
        let form = client.post(link).header("origin", url).header("content-type", "application/x-www-form-urlencoded");
        let response = form.body(body).send().await.unwrap();
        assert_eq!(response.status(), 303);
        let cookies = response.headers().get_all("set-cookie").iter();
        let cookie = cookies.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap()).collect::<Vec<_>>();
        Self { client, url: url.to_owned(), cookie: cookie.join("; ") }
    }

    /// A page.
    pub async fn get(&self, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.url)).header("cookie", &self.cookie);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    /// A page, as soon as it has `wanted`, which must come to be.
    pub async fn get_until(&self, path: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = tokio::time::Instant::now() + crate::harness::PATIENCE;
        loop {
            let page = self.get(path).await;
            if wanted(&page) {
                return page;
            }
            assert!(tokio::time::Instant::now() < deadline, "{path} did not become what it should: {page}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Sends a form of ours, with the token of the page that it stands on.
    pub async fn post(&self, page: &str, path: &str, fields: &str) {
        let html = self.get(page).await;
        let token = html.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let request = self.client.post(format!("{}{path}", self.url)).header("cookie", &self.cookie);
        let request = request.header("origin", &self.url).header("content-type", "application/x-www-form-urlencoded");
        let response = request.body(format!("csrf={token}&{fields}")).send().await.unwrap();
        assert_eq!(response.status(), 303, "{path}");
    }
}
