//! Signing in by a provider: against one of the test's own, which speaks OpenID Connect and can be bent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use dashboard::{Config, OidcConfig, RoleName};
use domain::Timestamp;
use http::{HeaderMap, StatusCode, header};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::Role;
use tokio::task::JoinHandle;

use crate::support::{Browser, PASSWORD, Page, Server, World, config};

/// A key of the provider's.
#[derive(Clone)]
struct Key {
    algorithm: Algorithm,
    key: EncodingKey,
    id: String,
}

impl Key {
    fn es256(id: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self { algorithm: Algorithm::ES256, key, id: id.to_owned() }
    }

    fn rs256(id: &str) -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self { algorithm: Algorithm::RS256, key, id: id.to_owned() }
    }

    fn public(&self) -> Value {
        let mut key = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        key.common.key_id = Some(self.id.clone());
        serde_json::to_value(key).unwrap()
    }
}

/// What the provider does. A test changes it.
struct Manner {
    /// Who is signed in there.
    claims: serde_json::Map<String, Value>,
    /// What of the token is not as it should be.
    bent: BTreeMap<String, Value>,
    /// The key that it signs with, and those that it shows.
    signs: Key,
    shows: Vec<Value>,
    issuer: Option<String>,
    fault: Option<StatusCode>,
    now: Timestamp,
    /// Codes that are out: their challenge and nonce.
    codes: BTreeMap<String, (String, String)>,
    /// How often tokens were asked for, and keys.
    asked: (usize, usize),
}

#[derive(Clone)]
struct Provider {
    url: String,
    manner: Arc<Mutex<Manner>>,
    _task: Arc<Ended>,
}

struct Ended(JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const SECRET: &str = "s3cret/with+signs";

type Shared = State<(String, Arc<Mutex<Manner>>)>;

async fn metadata(State((url, manner)): Shared) -> Response {
    let manner = manner.lock().unwrap();
    if let Some(fault) = manner.fault {
        return fault.into_response();
    }
    Json(json!({
        "issuer": manner.issuer.as_ref().unwrap_or(&url),
        "authorization_endpoint": format!("{url}/authorize?tenant=1"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
    }))
    .into_response()
}

async fn authorize(State((_, manner)): Shared, Query(asked): Query<BTreeMap<String, String>>) -> Redirect {
    assert_eq!((asked["response_type"].as_str(), asked["client_id"].as_str()), ("code", "pinger"));
    assert_eq!((asked["code_challenge_method"].as_str(), asked["tenant"].as_str()), ("S256", "1"));
    assert_eq!(asked["scope"], "openid email profile");
    let mut manner = manner.lock().unwrap();
    let code = format!("code-{}", manner.codes.len());
    manner.codes.insert(code.clone(), (asked["code_challenge"].clone(), asked["nonce"].clone()));
    Redirect::to(&format!("{}?code={code}&state={}", asked["redirect_uri"], asked["state"]))
}

async fn token(
    State((url, manner)): Shared,
    headers: HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let mut manner = manner.lock().unwrap();
    manner.asked.0 += 1;
    if let Some(fault) = manner.fault {
        return fault.into_response();
    }
    let refuse = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    let basic = STANDARD.encode(format!("pinger:{}", SECRET.replace('/', "%2F").replace('+', "%2B")));
    if headers[header::AUTHORIZATION] != format!("Basic {basic}") {
        return refuse("invalid_client");
    }
    // Each code counts once.
    let Some((challenge, nonce)) = manner.codes.remove(&form["code"]) else { return refuse("invalid_grant") };
    if URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes())) != challenge {
        return refuse("invalid_grant");
    }
    let seconds = manner.now.as_millis() / 1000;
    let mut claims = manner.claims.clone();
    for (name, value) in [
        ("iss", json!(url)),
        ("aud", json!("pinger")),
        ("nonce", json!(nonce)),
        ("iat", json!(seconds)),
        ("exp", json!(seconds + 300)),
    ] {
        claims.insert(name.to_owned(), value);
    }
    claims.extend(manner.bent.clone());
    let head = Header { kid: Some(manner.signs.id.clone()), ..Header::new(manner.signs.algorithm) };
    let token = jsonwebtoken::encode(&head, &claims, &manner.signs.key).unwrap();
    Json(json!({ "access_token": "x", "token_type": "Bearer", "id_token": token })).into_response()
}

async fn keys(State((_, manner)): Shared) -> Json<Value> {
    let mut manner = manner.lock().unwrap();
    manner.asked.1 += 1;
    // One of a kind that nobody knows yet is among them.
    let mut keys = manner.shows.clone();
    keys.push(json!({ "kty": "PQC", "kid": "later", "x": "AA" }));
    Json(json!({ "keys": keys }))
}

impl Provider {
    async fn new(world: &World, key: Key) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let claims = json!({ "sub": "person-1", "email": "Kim@example.org", "email_verified": true });
        let manner = Arc::new(Mutex::new(Manner {
            claims: claims.as_object().unwrap().clone(),
            bent: BTreeMap::new(),
            shows: vec![key.public()],
            signs: key,
            issuer: None,
            fault: None,
            now: world.now(),
            codes: BTreeMap::new(),
            asked: (0, 0),
        }));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/keys", get(keys))
            .with_state((url.clone(), manner.clone()));
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, manner, _task: Arc::new(Ended(task)) }
    }

    fn config(&self, world: &World) -> OidcConfig {
        let secret = world.folder.path().join("oidc.secret");
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        OidcConfig {
            name: "Example".to_owned(),
            issuer: self.url.clone(),
            client_id: "pinger".to_owned(),
            client_secret_file: Some(secret),
            ca: None,
            scopes: vec!["email".to_owned(), "profile".to_owned()],
            domains: Vec::new(),
            groups_claim: "groups".to_owned(),
            groups: BTreeMap::new(),
            role: None,
            create: false,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut self.manner.lock().unwrap());
    }

    fn claim(&self, name: &str, value: Value) {
        self.change(|manner| {
            manner.claims.insert(name.to_owned(), value);
        });
    }

    /// Takes a browser to the provider, as far as the way back.
    async fn go(&self, browser: &mut Browser, path: &str) -> String {
        let page = browser.get(path).await;
        assert_eq!(page.status, 303, "{}", page.text);
        let there = page.location.unwrap();
        assert!(there.starts_with(&format!("{}/authorize?tenant=1&", self.url)), "{there}");
        let response = crate::support::client().get(there).send().await.unwrap();
        let back = response.headers()["location"].to_str().unwrap().to_owned();
        let at = back.find("/sign-in/provider/back").unwrap();
        back[at..].to_owned()
    }

    /// There and back.
    async fn sign_in(&self, browser: &mut Browser) -> Page {
        let back = self.go(browser, "/sign-in/provider?next=%2Fpushes").await;
        browser.get(&back).await
    }
}

async fn serve(world: &World, oidc: OidcConfig) -> Server {
    world.serve_with(&Config { oidc: Some(oidc), ..config() }).await
}

async fn last(world: &World) -> String {
    world.told().await.pop().unwrap()
}

#[tokio::test]
async fn an_account_is_connected_and_signs_in() {
    for key in [Key::es256("a"), Key::rs256("b")] {
        let world = World::new().await;
        let provider = Provider::new(&world, key).await;
        let server = serve(&world, provider.config(&world)).await;
        let mut kim = server.admin("kim").await;
        // The same mail address is no connection.
        provider.claim("preferred_username", json!("kim"));
        let mut browser = server.browser();
        browser.get("/sign-in").await.is(200, "Sign in with Example");
        provider.sign_in(&mut browser).await.is(403, "This account is not known here.");
        assert_eq!(last(&world).await, "(unknown) sign_in_refused provider: unknown person");
        assert!(!browser.is_in().await);

        kim.get("/account").await.is(200, "Connect with Example");
        let back = provider.go(&mut kim, "/account/provider/connect").await;
        kim.get(&back).await.is(200, "Your account is connected");
        provider.sign_in(&mut browser).await.leads_to("/pushes");
        assert!(browser.is_in().await && !browser.cookies.contains_key("pinger-provider"));
        browser.get("/account").await.is(200, "kim, admin.");
        let told = world.told().await;
        assert!(told.contains(&"kim identity_linked Example".to_owned()), "{told:?}");
        assert!(told.contains(&"kim signed_in provider".to_owned()), "{told:?}");

        kim.post("/account/provider/disconnect", &[("current", "wrong")]).await.is(200, "Nothing was changed");
        kim.post("/account/provider/disconnect", &[("current", PASSWORD)]).await.is(200, "not connected");
        provider.sign_in(&mut server.browser()).await.is(403, "not known here");
    }
}

#[tokio::test]
async fn what_is_wrong_lets_nobody_in() {
    let world = World::new().await;
    let provider = Provider::new(&world, Key::es256("a")).await;
    let server = serve(&world, provider.config(&world)).await;
    let mut kim = server.admin("kim").await;
    let back = provider.go(&mut kim, "/account/provider/connect").await;
    kim.get(&back).await.is(200, "Your account is connected");
    // A long way off from all that passes in this test.
    let (before, after) = (world.now().as_millis() / 1000 - 61, world.now().as_millis() / 1000 + 3_600);
    for (claim, value, why) in [
        ("nonce", json!("another"), "wrong nonce"),
        ("nonce", json!(null), "wrong nonce"),
        ("aud", json!("another"), "wrong signature, issuer or audience"),
        ("aud", json!([]), "wrong signature, issuer or audience"),
        ("aud", json!(["pinger", "another"]), "made for another party"),
        ("azp", json!("another"), "made for another party"),
        ("iss", json!("https://evil.example"), "wrong signature, issuer or audience"),
        ("exp", json!(before), "expired"),
        ("exp", json!("never"), "unreadable token"),
        ("iat", json!(after), "expired"),
        ("nbf", json!(after), "expired"),
        ("sub", json!(""), "unreadable token"),
        ("sub", json!("x".repeat(256)), "unreadable token"),
    ] {
        provider.change(|manner| manner.bent = BTreeMap::from([(claim.to_owned(), value.clone())]));
        let mut browser = server.browser();
        provider.sign_in(&mut browser).await.is(403, "The sign-in with Example did not work.");
        assert!(!browser.is_in().await, "{claim}: {value}");
        assert_eq!(last(&world).await, format!("(unknown) sign_in_refused provider: {why}"), "{claim}: {value}");
        world.pass(Duration::from_secs(60));
        provider.change(|manner| manner.now = world.now());
    }
    // With both of them named, and us as the one it was made for, it is fine.
    let both = [("aud".to_owned(), json!(["pinger", "another"])), ("azp".to_owned(), json!("pinger"))];
    provider.change(|manner| manner.bent = BTreeMap::from(both));
    provider.sign_in(&mut server.browser()).await.leads_to("/pushes");
    provider.change(|manner| manner.bent.clear());

    // A key of another's under the same name, one that nobody shows, and our own secret for one.
    let own = provider.manner.lock().unwrap().signs.clone();
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    for (key, why) in [
        (Key::es256("a"), "wrong signature, issuer or audience"),
        (Key::rs256("a"), "wrong signature, issuer or audience"),
        (Key::es256("b"), "unknown key"),
        (Key { algorithm: Algorithm::HS256, key: secret, id: "a".to_owned() }, "unknown key"),
    ] {
        provider.change(|manner| manner.signs = key);
        provider.sign_in(&mut server.browser()).await.is(403, "did not work");
        assert_eq!(last(&world).await, format!("(unknown) sign_in_refused provider: {why}"));
        world.pass(Duration::from_secs(60));
        provider.change(|manner| manner.now = world.now());
    }
    provider.change(|manner| manner.signs = own);
    provider.sign_in(&mut server.browser()).await.leads_to("/pushes");
}

#[tokio::test]
async fn the_way_back_is_gone_once_and_by_who_left() {
    let world = World::new().await;
    let provider = Provider::new(&world, Key::es256("a")).await;
    let server = serve(&world, provider.config(&world)).await;
    let mut kim = server.admin("kim").await;
    let back = provider.go(&mut kim, "/account/provider/connect").await;
    kim.get(&back).await.is(200, "Your account is connected");

    // In another browser: somebody would be signed in as somebody else.
    let (mut browser, mut other) = (server.browser(), server.browser());
    let back = provider.go(&mut browser, "/sign-in/provider").await;
    other.get(&back).await.is(403, "did not work");
    assert!(last(&world).await.ends_with("nobody was sent there by this browser"));
    provider.go(&mut other, "/sign-in/provider").await;
    other.get(&back).await.is(403, "did not work");
    assert!(last(&world).await.ends_with("provider: wrong state"));
    let asked = provider.manner.lock().unwrap().asked.0;
    assert_eq!(asked, 1, "no code was given away for that");
    browser.get(&back).await.leads_to("/");
    // The same way once more, and the same code in a new try.
    other.get(&back).await.is(403, "");
    let code = back.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let fresh = provider.go(&mut other, "/sign-in/provider").await;
    let state = fresh.split("state=").nth(1).unwrap();
    other.get(&format!("/sign-in/provider/back?code={code}&state={state}")).await.is(403, "did not work");
    assert!(last(&world).await.ends_with("the provider does not take the code: invalid_grant"));
    assert!(!other.is_in().await);
    // Too late, without a code, from another issuer.
    let late = provider.go(&mut other, "/sign-in/provider").await;
    world.pass(Duration::from_secs(900));
    provider.change(|manner| manner.now = world.now());
    other.get(&late).await.is(403, "");
    let back = provider.go(&mut other, "/sign-in/provider").await;
    let state = back.split("state=").nth(1).unwrap();
    other.get(&format!("/sign-in/provider/back?error=access_denied&state={state}")).await.is(403, "did not work");
    assert!(last(&world).await.ends_with("it was cancelled there"));
    let back = provider.go(&mut other, "/sign-in/provider").await;
    other.get(&format!("{back}&iss=https%3A%2F%2Fevil.example")).await.is(403, "did not work");
    assert!(last(&world).await.ends_with("wrong issuer"));

    // Somebody is signed in as another when they come back: nothing is connected.
    let mut vic = server.colleague(&mut kim, "viewer", "vic").await;
    let back = provider.go(&mut vic, "/account/provider/connect").await;
    vic.sign_in("kim", PASSWORD).await;
    vic.get(&back).await.leads_to("/sign-in");
    // And one person there is one person here.
    let mut vic = server.browser();
    vic.sign_in("vic", PASSWORD).await.leads_to("/");
    let back = provider.go(&mut vic, "/account/provider/connect").await;
    vic.get(&back).await.is(200, "connected with somebody else here");
}

#[tokio::test]
async fn who_is_new_comes_in_by_domain_and_group() {
    let world = World::new().await;
    let provider = Provider::new(&world, Key::es256("a")).await;
    let oidc = OidcConfig {
        domains: vec!["example.org".to_owned()],
        groups: BTreeMap::from([
            ("ops".to_owned(), RoleName(Role::Admin)),
            ("help".to_owned(), RoleName(Role::Support)),
        ]),
        create: true,
        ..provider.config(&world)
    };
    let server = serve(&world, oidc).await;
    server.admin("kim").await;
    provider.sign_in(&mut server.browser()).await.is(403, "Your account may not sign in here.");
    assert!(last(&world).await.ends_with("in no allowed group"));
    provider.claim("groups", json!(["help", "everybody"]));
    provider.claim("email", json!("kim@evil.example"));
    provider.sign_in(&mut server.browser()).await.is(403, "Your account may not sign in here.");
    assert!(last(&world).await.ends_with("mail domain not allowed"));
    provider.claim("email", json!("kim@example.org"));
    provider.claim("email_verified", json!(false));
    provider.sign_in(&mut server.browser()).await.is(403, "Your account may not sign in here.");
    provider.claim("email_verified", json!(true));

    // Kim's name is taken, and Kim is another.
    let mut browser = server.browser();
    provider.sign_in(&mut browser).await.leads_to("/pushes");
    browser.get("/account").await.is(200, "kim-2, support.").is(200, "There is no password here.");
    let told = world.told().await;
    assert!(told.contains(&"kim-2 signed_up support".to_owned()), "{told:?}");
    // There is no password that could be guessed, and none to guard a second way in.
    server.browser().sign_in("kim-2", "").await.is(422, "");
    server.browser().sign_in("kim-2", PASSWORD).await.is(422, "That is not right.");
    browser.post("/account/password", &[("current", ""), ("password", PASSWORD)]).await.is(200, "Nothing was changed");
    // The role follows the groups, and the same person comes back whatever they are called now.
    provider.claim("groups", json!(["ops"]));
    provider.claim("email", json!("kim.li@example.org"));
    provider.sign_in(&mut browser).await.leads_to("/pushes");
    let mut again = server.browser();
    provider.sign_in(&mut again).await.leads_to("/pushes");
    again.get("/account").await.is(200, "kim-2, admin.");
    assert!(world.told().await.contains(&"kim-2 role_changed kim-2: support to admin".to_owned()));
    assert_eq!(world.store.all_staff().await.unwrap().len(), 2);
    // Whoever is shut out here is out, and so is whoever is in no group any more.
    provider.claim("groups", json!([]));
    provider.sign_in(&mut server.browser()).await.is(403, "may not sign in here");
    provider.claim("groups", json!(["help"]));
    let id = world.store.all_staff().await.unwrap().into_iter().find(|person| person.name == "kim-2").unwrap().id;
    let act = store::StaffAct::Disable(id);
    world.store.staff_act(world.now(), act, None).await.unwrap().unwrap();
    provider.sign_in(&mut server.browser()).await.is(403, "may not sign in here");
    assert_eq!(last(&world).await, "kim-2 sign_in_refused provider: shut out");
}

#[tokio::test]
async fn the_last_admin_stays_one_whatever_the_groups_say() {
    let world = World::new().await;
    let provider = Provider::new(&world, Key::es256("a")).await;
    let groups = BTreeMap::from([("help".to_owned(), RoleName(Role::Support))]);
    let server = serve(&world, OidcConfig { groups, ..provider.config(&world) }).await;
    provider.claim("groups", json!("help"));
    let mut kim = server.admin("kim").await;
    let back = provider.go(&mut kim, "/account/provider/connect").await;
    kim.get(&back).await.is(200, "Your account is connected");
    provider.sign_in(&mut server.browser()).await.leads_to("/pushes");
    assert_eq!(world.store.all_staff().await.unwrap()[0].role, Role::Admin);
}

#[tokio::test]
async fn a_provider_that_is_down_is_said_to_be() {
    let world = World::new().await;
    let provider = Provider::new(&world, Key::es256("a")).await;
    let server = serve(&world, provider.config(&world)).await;
    let mut kim = server.admin("kim").await;
    provider.change(|manner| manner.fault = Some(StatusCode::INTERNAL_SERVER_ERROR));
    kim.get("/account/provider/connect").await.is(502, "Example does not answer as it should.");
    server.browser().get("/sign-in/provider").await.is(502, "sign in with name and password");
    provider.change(|manner| (manner.fault, manner.issuer) = (None, Some("https://evil.example".to_owned())));
    server.browser().get("/sign-in/provider").await.is(502, "does not answer as it should");
    provider.change(|manner| manner.issuer = None);
    let back = provider.go(&mut kim, "/account/provider/connect").await;
    provider.change(|manner| manner.fault = Some(StatusCode::BAD_GATEWAY));
    kim.get(&back).await.is(502, "does not answer as it should");
    provider.change(|manner| manner.fault = None);
    // A new key is fetched when it is used first, and not over and over.
    let fresh = Key::es256("new");
    provider.change(|manner| {
        manner.shows = vec![fresh.public()];
        manner.signs = fresh;
    });
    world.pass(Duration::from_secs(60));
    provider.change(|manner| manner.now = world.now());
    let back = provider.go(&mut kim, "/account/provider/connect").await;
    kim.get(&back).await.is(200, "Your account is connected");
    provider.change(|manner| manner.signs = Key::es256("unknown"));
    let before = provider.manner.lock().unwrap().asked.1;
    for _ in 0..3 {
        provider.sign_in(&mut server.browser()).await.is(403, "did not work");
    }
    assert_eq!(provider.manner.lock().unwrap().asked.1, before, "half a minute has to pass");
    // Nobody listens any more.
    let oidc = OidcConfig { issuer: "http://127.0.0.1:1".to_owned(), ..provider.config(&world) };
    let server = serve(&world, oidc).await;
    server.browser().get("/sign-in/provider").await.is(502, "Example does not answer as it should.");
    server.browser().get("/sign-in").await.is(200, "Sign in with Example");
    server.browser().sign_in("kim", PASSWORD).await.leads_to("/");
}

#[tokio::test]
async fn without_a_provider_there_is_no_way_to_one() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = server.admin("kim").await;
    server.browser().get("/sign-in/provider").await.is(404, "");
    server.browser().get("/sign-in/provider/back?code=a&state=b").await.is(404, "");
    kim.get("/account/provider/connect").await.is(404, "");
    let page = kim.get("/account").await;
    assert!(!page.text.contains("/account/provider"), "{}", page.text);
}

#[tokio::test]
async fn a_setting_that_can_not_work_is_refused_at_the_start() {
    let world = World::new().await;
    let provider = Provider::new(&world, Key::es256("a")).await;
    let good = provider.config(&world);
    for (bad, why) in [
        (OidcConfig { issuer: "http://id.example.org".to_owned(), ..good.clone() }, "issuer must begin with https://"),
        (OidcConfig { issuer: "nonsense".to_owned(), ..good.clone() }, "issuer is no URL"),
        (OidcConfig { name: " ".to_owned(), ..good.clone() }, "name and client_id"),
        (OidcConfig { create: true, ..good.clone() }, "create needs role or groups"),
        (OidcConfig { client_secret_file: Some("/nonexistent".into()), ..good.clone() }, "can't be read"),
        (OidcConfig { ca: good.client_secret_file.clone(), ..good.clone() }, "no certificate"),
    ] {
        let error = world.try_serve(&Config { oidc: Some(bad), ..config() }).await.err().unwrap();
        assert!(error.to_string().contains(why), "{error}");
    }
}
