//! A dashboard of its own for each test, with a clock in the test's hand, and browsers that do what people do.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use backend::vault::{KeyRing, SecretSealer};
use dashboard::{Access, AppKey, Argon2Config, Config, Dashboard, DashboardError};
use domain::{NodeId, Timestamp};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, StatusCode};
use store::{AuditEntry, AuditFilter, AuditStart, Store};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The time when a test begins.
const BEGIN: i64 = 1_800_000_000_000;

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    secrets: SecretSealer,
    clock: Arc<AtomicI64>,
}

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) link: Option<String>,
    hashed: Box<dyn Fn() -> u64 + Send + Sync>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// Small figures, so that tests are fast.
pub(crate) fn config() -> Config {
    let argon2 =
        Argon2Config { memory_kib: 64, iterations: 1, parallelism: 1, concurrent: NonZeroU32::new(4).unwrap() };
    Config { listen: "127.0.0.1:0".parse().unwrap(), argon2, ..Config::default() }
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("pinger.db").display());
        Self::on(folder, &url, BEGIN).await
    }

    /// On a store that is somewhere else.
    pub(crate) async fn on(folder: TempDir, url: &str, now: i64) -> Self {
        let ring = KeyRing::open_or_create(folder.path(), Timestamp::from_millis(now)).unwrap();
        let store = Store::open(url, NodeId::from_uuid(Uuid::from_u128(7))).await.unwrap();
        let clock = Arc::new(AtomicI64::new(now));
        Self { folder, store, secrets: ring.staff_secrets().clone(), clock }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.load(Ordering::SeqCst))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) async fn serve(&self) -> Server {
        self.serve_with(&config()).await
    }

    pub(crate) async fn serve_with(&self, config: &Config) -> Server {
        self.try_serve(config).await.unwrap()
    }

    pub(crate) async fn try_serve(&self, config: &Config) -> Result<Server, DashboardError> {
        let clock = self.clock.clone();
        let access = Access {
            store: self.store.clone(),
            secrets: self.secrets.clone(),
            now: Arc::new(move || Timestamp::from_millis(clock.load(Ordering::SeqCst))),
            handle: None,
            app_keys: Some(vec![AppKey { id: "test-app".to_owned(), fingerprint: "0123456789ab".to_owned() }]),
            breaker_open: Box::new(|| false),
        };
        let dashboard = Dashboard::bind(config, access).await?;
        let url = dashboard.url().to_owned();
        let url = if config.origin.is_some() { format!("http://{}", dashboard.local_addr()) } else { url };
        let link = dashboard.first_sign_up().await.unwrap();
        let hashed = Box::new(dashboard.passwords_hashed());
        let stop = CancellationToken::new();
        let run = dashboard.run(stop.clone());
        let task = Some(tokio::spawn(async move { run.await.unwrap() }));
        Ok(Server { url, link, hashed, stop, task })
    }

    /// The audit, oldest first.
    pub(crate) async fn audit(&self) -> Vec<AuditEntry> {
        let page = self.store.audit_page(&AuditFilter::default(), AuditStart::Newest, 500).await.unwrap();
        page.entries.into_iter().rev().collect()
    }

    /// Who did what, oldest first: `kim signed_in password`.
    pub(crate) async fn told(&self) -> Vec<String> {
        let told =
            |entry: AuditEntry| format!("{} {} {}", entry.staff, entry.action, entry.subject).trim_end().to_owned();
        self.audit().await.into_iter().map(told).collect()
    }

    /// Changes the database behind Pinger's back.
    pub(crate) fn tamper(&self, sql: &str) {
        let script = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1], timeout=10)\ndb.executescript(sys.argv[2])\ndb.commit()";
        let file = self.folder.path().join("pinger.db");
        let output = std::process::Command::new("python3").args(["-c", script]).arg(file).arg(sql).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What is in the files of the store, the log too.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path());
        files
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("pinger.db"))
            .flat_map(|path| std::fs::read(path).unwrap())
            .collect()
    }
}

impl Server {
    pub(crate) fn hashed(&self) -> u64 {
        (self.hashed)()
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.url)
    }

    /// The first admin, signed up and in.
    pub(crate) async fn admin(&self, name: &str) -> Browser {
        let link = self.link.clone().unwrap();
        self.signed_up(&link, name).await
    }

    pub(crate) async fn signed_up(&self, link: &str, name: &str) -> Browser {
        let mut browser = self.browser();
        let path = link.strip_prefix(&self.url).unwrap_or(link);
        let page = browser.post(path, &[("name", name), ("password", PASSWORD)]).await;
        assert_eq!(page.status, 303, "{}", page.text);
        browser
    }

    /// Somebody whom an admin invites.
    pub(crate) async fn colleague(&self, admin: &mut Browser, role: &str, name: &str) -> Browser {
        let page = admin.post("/staff/invite", &[("role", role)]).await;
        let link = page.link();
        self.signed_up(&link, name).await
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.task.take().unwrap().await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A client that follows nothing.
pub(crate) fn client() -> reqwest::Client {
    // The first test installs it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().redirect(Policy::none()).build().unwrap()
}

/// A browser: it keeps cookies, says where its forms come from, and puts the page's token into them.
#[derive(Clone)]
pub(crate) struct Browser {
    client: reqwest::Client,
    base: String,
    pub(crate) cookies: BTreeMap<String, String>,
    csrf: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Browser {
    pub(crate) fn new(base: &str) -> Self {
        Self::with_client(client(), base)
    }

    pub(crate) fn with_client(client: reqwest::Client, base: &str) -> Self {
        Self { client, base: base.to_owned(), cookies: BTreeMap::new(), csrf: None }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.client.request(method, format!("{}{path}", self.base));
        let request = request.header("accept", "text/html").header("user-agent", "Firefox/140.0 (Linux)");
        if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) }
    }

    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Page {
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() || rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = response.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let page = Page { status, location, headers, text };
        if let Some(csrf) = page.hidden("csrf") {
            self.csrf = Some(csrf);
        }
        page
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        let request = self.request(Method::GET, path);
        self.send(request).await
    }

    /// Fills a form in, with the token of the page that it is on.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        if self.csrf.is_none() && !self.cookies.is_empty() {
            self.get("/account").await;
        }
        let csrf = self.csrf.clone().unwrap_or_default();
        let mut all = fields.to_vec();
        if !csrf.is_empty() {
            all.push(("csrf", &csrf));
        }
        let request = self.form(path, &all).header("origin", self.base.clone());
        self.send(request).await
    }

    /// A form as it is, without origin and token.
    pub(crate) fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    pub(crate) async fn csrf(&mut self) -> String {
        self.get("/account").await.hidden("csrf").unwrap()
    }

    pub(crate) async fn sign_in(&mut self, name: &str, password: &str) -> Page {
        self.csrf = None;
        self.post("/sign-in", &[("name", name), ("password", password)]).await
    }

    /// Sets up an authenticator, and gives it and the recovery codes.
    pub(crate) async fn set_up_codes(&mut self, world: &World) -> (Authenticator, Vec<String>) {
        let page = self.get("/account/authenticator").await;
        assert_eq!(page.status, 200, "{}", page.text);
        let authenticator = Authenticator::of(&page);
        let offer = page.hidden("offer").unwrap();
        let code = authenticator.code(world.now());
        let done =
            self.post("/account/authenticator", &[("offer", &offer), ("code", &code), ("current", PASSWORD)]).await;
        assert_eq!(done.status, 200, "{}", done.text);
        let codes: Vec<String> =
            done.text.split("<li class=\"mono\">").skip(1).map(|rest| rest[..19].to_owned()).collect();
        assert_eq!(codes.len(), 10, "{}", done.text);
        (authenticator, codes)
    }

    /// Whether somebody is signed in.
    pub(crate) async fn is_in(&mut self) -> bool {
        self.get("/account").await.status == StatusCode::OK.as_u16()
    }
}

impl Page {
    /// The value of a hidden field.
    pub(crate) fn hidden(&self, name: &str) -> Option<String> {
        let at = self.text.find(&format!("type=\"hidden\" name=\"{name}\" value=\""))?;
        let rest = &self.text[at..];
        let value = rest.split("value=\"").nth(1)?;
        value.split('"').next().map(str::to_owned)
    }

    /// The sign-up link on it.
    pub(crate) fn link(&self) -> String {
        let at = self.text.find("/sign-up/").unwrap_or_else(|| panic!("{}", self.text));
        self.text[at..at + "/sign-up/".len() + 43].to_owned()
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16, words: &str) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.text.contains(words), "{words} is not in {}", self.text);
        self
    }

    #[track_caller]
    pub(crate) fn leads_to(&self, to: &str) -> &Self {
        assert_eq!((self.status, self.location.as_deref()), (303, Some(to)), "{}", self.text);
        self
    }
}

/// An authenticator app: RFC 6238, written a second time.
#[derive(Debug)]
pub(crate) struct Authenticator(Vec<u8>);

impl Authenticator {
    fn of(page: &Page) -> Self {
        let text = page.text.split("<p class=\"ev id\">").nth(1).unwrap().split('<').next().unwrap();
        let bits: String = text
            .chars()
            .filter(|letter| *letter != ' ')
            .map(|letter| format!("{:05b}", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(letter).unwrap()))
            .collect();
        let bytes = bits.as_bytes().chunks_exact(8);
        Self(bytes.map(|bits| u8::from_str_radix(std::str::from_utf8(bits).unwrap(), 2).unwrap()).collect())
    }

    pub(crate) fn code(&self, at: Timestamp) -> String {
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&self.0).unwrap();
        mac.update(&(at.as_millis() / 30_000).to_be_bytes());
        let tag = mac.finalize().into_bytes();
        let offset = usize::from(tag[19] & 15);
        let word = u32::from_be_bytes(tag[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", word % 1_000_000)
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.0
    }
}
