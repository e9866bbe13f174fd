//! Passkeys, with an authenticator of software that does what real ones do, and what they never should.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value;
use rcgen::{KeyPair, SigningKey as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::support::{Browser, PASSWORD, Page, Server, World};

/// Passkeys are for names, and this is one.
fn named(server: &Server) -> String {
    server.url.replace("127.0.0.1", "localhost")
}

async fn admin(server: &Server, name: &str) -> Browser {
    let mut browser = Browser::new(&named(server));
    let link = server.link.clone().unwrap();
    let path = link.strip_prefix(&server.url).unwrap();
    browser.post(path, &[("name", name), ("password", PASSWORD)]).await.leads_to("/account/authenticator");
    browser
}

fn question(page: &Page) -> serde_json::Value {
    assert_eq!(page.status, 200, "{}", page.text);
    serde_json::from_str(&page.text).unwrap()
}

/// What an authenticator does when it is asked. A test bends it.
#[derive(Clone)]
struct Manner {
    origin: String,
    party: String,
    kind: &'static str,
    challenge: Option<String>,
    flags: u8,
    cross_origin: bool,
    user_handle: Option<Vec<u8>>,
}

/// An authenticator with one passkey.
struct Authenticator {
    key: KeyPair,
    id: Vec<u8>,
    user: Vec<u8>,
    count: u32,
}

impl Authenticator {
    fn new() -> Self {
        Self { key: KeyPair::generate().unwrap(), id: b"credential-1".to_vec(), user: Vec::new(), count: 0 }
    }

    fn data(&self, manner: &Manner) -> Vec<u8> {
        let mut data = Sha256::digest(manner.party.as_bytes()).to_vec();
        data.push(manner.flags);
        data.extend_from_slice(&self.count.to_be_bytes());
        data
    }

    fn client_data(manner: &Manner, kind: &str, question: &serde_json::Value) -> String {
        let challenge = manner.challenge.clone().unwrap_or_else(|| question["challenge"].as_str().unwrap().to_owned());
        let kind = if manner.kind.is_empty() { kind } else { manner.kind };
        json!({ "type": kind, "challenge": challenge, "origin": manner.origin, "crossOrigin": manner.cross_origin })
            .to_string()
    }

    fn create(&mut self, question: &serde_json::Value, manner: &Manner) -> String {
        assert_eq!(question["rp"]["id"], "localhost");
        assert_eq!(question["authenticatorSelection"]["userVerification"], "required");
        self.user = URL_SAFE_NO_PAD.decode(question["user"]["id"].as_str().unwrap()).unwrap();
        let point = self.key.public_key_raw();
        assert_eq!((point.len(), point[0]), (65, 4));
        let number = |number: i64| Value::Integer(number.into());
        let cose = Value::Map(vec![
            (number(1), number(2)),
            (number(3), number(-7)),
            (number(-1), number(1)),
            (number(-2), Value::Bytes(point[1..33].to_vec())),
            (number(-3), Value::Bytes(point[33..].to_vec())),
        ]);
        let mut data = self.data(&Manner { flags: manner.flags | 0x40, ..manner.clone() });
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend_from_slice(&self.id);
        ciborium::into_writer(&cose, &mut data).unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        let object = Value::Map(vec![
            (text("fmt"), text("none")),
            (text("attStmt"), Value::Map(Vec::new())),
            (text("authData"), Value::Bytes(data)),
        ]);
        let mut attestation = Vec::new();
        ciborium::into_writer(&object, &mut attestation).unwrap();
        json!({
            "id": URL_SAFE_NO_PAD.encode(&self.id),
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(Self::client_data(manner, "webauthn.create", question)),
                "attestationObject": URL_SAFE_NO_PAD.encode(attestation),
            },
        })
        .to_string()
    }

    fn get(&mut self, question: &serde_json::Value, manner: &Manner) -> String {
        self.count += 1;
        self.get_again(question, manner)
    }

    /// Without counting on.
    fn get_again(&self, question: &serde_json::Value, manner: &Manner) -> String {
        let (data, client_data) = (self.data(manner), Self::client_data(manner, "webauthn.get", question));
        let signed = [data.as_slice(), &Sha256::digest(client_data.as_bytes())].concat();
        let user = manner.user_handle.as_ref().unwrap_or(&self.user);
        json!({
            "id": URL_SAFE_NO_PAD.encode(&self.id),
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(client_data),
                "authenticatorData": URL_SAFE_NO_PAD.encode(data),
                "signature": URL_SAFE_NO_PAD.encode(self.key.sign(&signed).unwrap()),
                "userHandle": URL_SAFE_NO_PAD.encode(user),
            },
        })
        .to_string()
    }
}

fn manner(server: &Server) -> Manner {
    Manner {
        origin: named(server),
        party: "localhost".to_owned(),
        kind: "",
        challenge: None,
        flags: 5,
        cross_origin: false,
        user_handle: None,
    }
}

async fn register(browser: &mut Browser, authenticator: &mut Authenticator, manner: &Manner) -> Page {
    let asked = question(&browser.post("/account/passkeys/question", &[("current", PASSWORD)]).await);
    let credential = authenticator.create(&asked, manner);
    browser.post("/account/passkeys", &[("name", "Laptop"), ("credential", &credential)]).await
}

/// Asks for a passkey in a new browser, and answers as it does.
async fn alone(server: &Server, answer: impl FnOnce(&serde_json::Value) -> String) -> (Browser, Page) {
    let mut browser = Browser::new(&named(server));
    let asked = question(&browser.post("/sign-in/passkey/question", &[]).await);
    assert_eq!(asked["rpId"], "localhost");
    let page = browser.post("/sign-in/passkey", &[("credential", &answer(&asked)), ("next", "/sessions")]).await;
    (browser, page)
}

#[tokio::test]
async fn a_passkey_is_registered_used_and_removed() {
    let world = World::new().await;
    let server = world.serve().await;
    let (mut kim, mut laptop, manner) = (admin(&server, "kim").await, Authenticator::new(), manner(&server));
    kim.get("/account").await.is(200, "Register a passkey");
    register(&mut kim, &mut laptop, &manner).await.is(200, "Recovery codes");
    let page = kim.get("/account").await;
    page.is(200, "10 recovery codes left.").is(200, "Laptop").is(200, "not used yet");
    kim.get("/staff").await.is(200, "Password and passkeys");

    // In the place of a password.
    let (mut browser, page) = alone(&server, |asked| laptop.get(asked, &manner)).await;
    page.leads_to("/sessions");
    assert!(browser.is_in().await && !browser.cookies.contains_key("pinger-passkey"));
    kim.get("/account").await.is(200, "last used");

    // After it.
    let mut browser = Browser::new(&named(&server));
    browser.sign_in("kim", PASSWORD).await.leads_to("/sign-in/code");
    assert!(!browser.is_in().await, "the password alone lets nobody in");
    browser.get("/sign-in/code").await.is(200, "data-passkey=\"get\"").is(200, "Recovery code");
    let asked = question(&browser.post("/sign-in/code/passkey/question", &[]).await);
    assert_eq!(asked["allowCredentials"][0]["id"], URL_SAFE_NO_PAD.encode(&laptop.id));
    let answer = laptop.get(&asked, &manner);
    browser.post("/sign-in/code/passkey", &[("credential", &answer), ("next", "/pushes")]).await.leads_to("/pushes");
    assert!(browser.is_in().await);

    // Removed with the password, and with it the recovery codes: then the password is enough.
    let id = world.store.all_staff().await.unwrap()[0].id;
    let hash = world.store.passkeys_of(id).await.unwrap()[0].id_hash.clone();
    kim.post("/account/passkeys/remove", &[("id", &hash), ("current", "wrong")]).await.is(200, "Nothing was changed");
    kim.post("/account/passkeys/remove", &[("id", "nonsense"), ("current", PASSWORD)]).await.is(404, "");
    kim.post("/account/passkeys/remove", &[("id", &hash), ("current", PASSWORD)]).await.is(200, "lets nobody in");
    let (_, page) = alone(&server, |asked| laptop.get(asked, &manner)).await;
    page.is(422, "This passkey did not let you in.");
    Browser::new(&named(&server)).sign_in("kim", PASSWORD).await.leads_to("/");
    assert!(world.store.all_staff().await.unwrap()[0].recovery_codes.is_empty());
    let told = world.told().await;
    for line in [
        "kim passkey_added Laptop",
        "kim signed_in passkey_alone",
        "kim signed_in passkey",
        "kim passkey_removed Laptop",
        "(unknown) sign_in_refused passkey: unknown",
    ] {
        assert!(told.contains(&line.to_owned()), "{line}: {told:?}");
    }
}

#[tokio::test]
async fn a_recovery_code_stands_in_for_a_passkey() {
    let world = World::new().await;
    let server = world.serve().await;
    let (mut kim, mut laptop, manner) = (admin(&server, "kim").await, Authenticator::new(), manner(&server));
    let page = register(&mut kim, &mut laptop, &manner).await;
    let code = page.text.split("<li class=\"mono\">").nth(1).unwrap()[..19].to_owned();
    let mut browser = Browser::new(&named(&server));
    browser.sign_in("kim", PASSWORD).await.leads_to("/sign-in/code");
    browser.post("/sign-in/code", &[("code", &code)]).await.leads_to("/");
    kim.post("/account/recovery", &[("current", PASSWORD)]).await.is(200, "Recovery codes");
    // With codes as well, and without them again: the recovery codes stay as long as there is a factor.
    kim.set_up_codes(&world).await;
    kim.get("/staff").await.is(200, "Password, codes and passkeys");
    kim.post("/account/authenticator/remove", &[("current", PASSWORD)]).await.is(200, "You sign in with a passkey.");
    kim.get("/account").await.is(200, "10 recovery codes left.");
    Browser::new(&named(&server)).sign_in("kim", PASSWORD).await.leads_to("/sign-in/code");
}

#[tokio::test]
async fn what_was_made_elsewhere_is_not_registered() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut kim = admin(&server, "kim").await;
    let good = manner(&server);
    for (bent, why) in [
        (Manner { origin: "https://evil.example".to_owned(), ..good.clone() }, "wrong origin"),
        (Manner { origin: server.url.clone(), ..good.clone() }, "wrong origin"),
        (Manner { cross_origin: true, ..good.clone() }, "wrong origin"),
        (Manner { party: "evil.example".to_owned(), ..good.clone() }, "wrong relying party"),
        (Manner { challenge: Some("A".repeat(43)), ..good.clone() }, "wrong challenge"),
        (Manner { kind: "webauthn.get", ..good.clone() }, "made for something else"),
        (Manner { flags: 1, ..good.clone() }, "user not verified"),
        (Manner { flags: 4, ..good.clone() }, "user not verified"),
    ] {
        register(&mut kim, &mut Authenticator::new(), &bent).await.is(200, why);
    }
    // No question without the password, no answer without a question, and each counts once and not for long.
    kim.post("/account/passkeys/question", &[("current", "wrong")]).await.is(422, "problem");
    let mut laptop = Authenticator::new();
    let asked = question(&kim.post("/account/passkeys/question", &[("current", PASSWORD)]).await);
    let credential = laptop.create(&asked, &good);
    kim.post("/account/passkeys", &[("credential", "nonsense")]).await.is(200, "unreadable");
    kim.post("/account/passkeys", &[("credential", &credential)]).await.is(200, "took too long");
    let asked = question(&kim.post("/account/passkeys/question", &[("current", PASSWORD)]).await);
    world.pass(Duration::from_secs(300));
    let credential = laptop.create(&asked, &good);
    kim.post("/account/passkeys", &[("credential", &credential)]).await.is(200, "took too long");
    let id = world.store.all_staff().await.unwrap()[0].id;
    assert!(world.store.passkeys_of(id).await.unwrap().is_empty());
    // One passkey is one person's.
    register(&mut kim, &mut laptop, &good).await.is(200, "Recovery codes");
    register(&mut kim, &mut laptop, &good).await.is(200, "registered already");
    // Where the dashboard is open under an address there are none, and the page says so.
    let mut browser = server.browser();
    browser.cookies = kim.cookies.clone();
    browser.get("/account").await.is(200, "Passkeys need a host name.");
    browser.post("/account/passkeys/question", &[("current", PASSWORD)]).await.is(422, "Passkeys need a host name.");
}

#[tokio::test]
async fn what_was_signed_elsewhere_lets_nobody_in() {
    let world = World::new().await;
    let server = world.serve().await;
    let (mut kim, mut laptop, good) = (admin(&server, "kim").await, Authenticator::new(), manner(&server));
    register(&mut kim, &mut laptop, &good).await.is(200, "Recovery codes");
    for (bent, why) in [
        (Manner { origin: "https://evil.example".to_owned(), ..good.clone() }, "wrong origin"),
        (Manner { origin: server.url.clone(), ..good.clone() }, "wrong origin"),
        (Manner { cross_origin: true, ..good.clone() }, "wrong origin"),
        (Manner { party: "evil.example".to_owned(), ..good.clone() }, "wrong relying party"),
        (Manner { challenge: Some("A".repeat(43)), ..good.clone() }, "wrong challenge"),
        (Manner { kind: "webauthn.create", ..good.clone() }, "made for something else"),
        (Manner { flags: 1, ..good.clone() }, "user not verified"),
        (Manner { flags: 4, ..good.clone() }, "user not verified"),
        (Manner { flags: 0x45, ..good.clone() }, "unreadable"),
        (Manner { user_handle: Some(vec![7; 16]), ..good.clone() }, "somebody else's"),
    ] {
        let (mut browser, page) = alone(&server, |asked| laptop.get(asked, &bent)).await;
        page.is(422, "This passkey did not let you in.");
        assert!(!browser.is_in().await);
        let last = world.told().await.pop().unwrap();
        assert_eq!(last, format!("(unknown) sign_in_refused passkey: {why}"));
        world.pass(Duration::from_secs(60));
    }
    // Signed with another key.
    let mut twin =
        Authenticator { id: laptop.id.clone(), user: laptop.user.clone(), count: 50, ..Authenticator::new() };
    let (_, page) = alone(&server, |asked| twin.get(asked, &good)).await;
    page.is(422, "");
    assert!(world.told().await.pop().unwrap().ends_with("wrong signature"));
    // Unknown here.
    let mut stranger = Authenticator { id: b"other".to_vec(), ..Authenticator::new() };
    alone(&server, |asked| stranger.get(asked, &good)).await.1.is(422, "");
    for bad in ["", "null", "{}", "[1]", "{\"id\":1}"] {
        alone(&server, |_| bad.to_owned()).await.1.is(422, "");
        world.pass(Duration::from_secs(60));
    }
    // And the right one still does.
    alone(&server, |asked| laptop.get(asked, &good)).await.1.leads_to("/sessions");
}

#[tokio::test]
async fn an_answer_counts_once_and_in_one_browser() {
    let world = World::new().await;
    let server = world.serve().await;
    let (mut kim, mut laptop, good) = (admin(&server, "kim").await, Authenticator::new(), manner(&server));
    register(&mut kim, &mut laptop, &good).await.is(200, "Recovery codes");
    let mut browser = Browser::new(&named(&server));
    let asked = question(&browser.post("/sign-in/passkey/question", &[]).await);
    let answer = laptop.get(&asked, &good);
    let mut thief = Browser::new(&named(&server));
    thief.post("/sign-in/passkey", &[("credential", &answer)]).await.is(422, "");
    question(&thief.post("/sign-in/passkey/question", &[]).await);
    thief.post("/sign-in/passkey", &[("credential", &answer)]).await.is(422, "");
    let ticket = browser.cookies["pinger-passkey"].clone();
    browser.post("/sign-in/passkey", &[("credential", &answer)]).await.leads_to("/");
    // The same once more, with the cookie that it was asked under.
    thief.cookies.insert("pinger-passkey".to_owned(), ticket);
    thief.post("/sign-in/passkey", &[("credential", &answer)]).await.is(422, "");
    assert!(!thief.is_in().await);
    // A question is not waited for for ever.
    let mut late = Browser::new(&named(&server));
    let asked = question(&late.post("/sign-in/passkey/question", &[]).await);
    world.pass(Duration::from_secs(300));
    late.post("/sign-in/passkey", &[("credential", &laptop.get(&asked, &good))]).await.is(422, "");
}

#[tokio::test]
async fn a_copied_passkey_is_found_by_its_count() {
    let world = World::new().await;
    let server = world.serve().await;
    let (mut kim, mut laptop, good) = (admin(&server, "kim").await, Authenticator::new(), manner(&server));
    register(&mut kim, &mut laptop, &good).await.is(200, "Recovery codes");
    alone(&server, |asked| laptop.get(asked, &good)).await.1.leads_to("/sessions");
    alone(&server, |asked| laptop.get_again(asked, &good)).await.1.is(422, "did not let you in");
    laptop.count = 0;
    alone(&server, |asked| laptop.get_again(asked, &good)).await.1.is(422, "did not let you in");
    assert_eq!(world.told().await.pop().unwrap(), "kim sign_in_refused passkey: its count went back");
    // The same after a password.
    let mut browser = Browser::new(&named(&server));
    browser.sign_in("kim", PASSWORD).await.leads_to("/sign-in/code");
    let asked = question(&browser.post("/sign-in/code/passkey/question", &[]).await);
    let answer = laptop.get_again(&asked, &good);
    browser.post("/sign-in/code/passkey", &[("credential", &answer)]).await.is(422, "did not let you in");
    // Some authenticators don't count.
    let mut phone = Authenticator { id: b"phone".to_vec(), ..Authenticator::new() };
    register(&mut kim, &mut phone, &good).await.is(200, "The passkey is registered.");
    for _ in 0..3 {
        alone(&server, |asked| phone.get_again(asked, &good)).await.1.leads_to("/sessions");
    }
}

#[tokio::test]
async fn a_colleague_s_passkey_is_no_second_factor() {
    let world = World::new().await;
    let server = world.serve().await;
    let good = manner(&server);
    let (mut kim, mut laptop, mut phone) = (
        admin(&server, "kim").await,
        Authenticator::new(),
        Authenticator { id: b"phone".to_vec(), ..Authenticator::new() },
    );
    register(&mut kim, &mut laptop, &good).await.is(200, "Recovery codes");
    let link = kim.post("/staff/invite", &[("role", "viewer")]).await.link();
    let mut vic = Browser::new(&named(&server));
    vic.post(&link, &[("name", "vic"), ("password", PASSWORD)]).await.leads_to("/account/authenticator");
    register(&mut vic, &mut phone, &good).await.is(200, "Recovery codes");
    // Vic knows Kim's password, and has a passkey of their own.
    let mut browser = Browser::new(&named(&server));
    browser.sign_in("kim", PASSWORD).await.leads_to("/sign-in/code");
    let asked = question(&browser.post("/sign-in/code/passkey/question", &[]).await);
    browser.post("/sign-in/code/passkey", &[("credential", &phone.get(&asked, &good))]).await.is(422, "");
    assert_eq!(world.told().await.pop().unwrap(), "kim sign_in_refused passkey: somebody else's");
    // No question without the first step.
    Browser::new(&named(&server)).post("/sign-in/code/passkey/question", &[]).await.is(422, "Start again.");
    Browser::new(&named(&server)).post("/sign-in/code/passkey", &[("credential", "x")]).await.leads_to("/sign-in");
    // Whoever is shut out is out, whatever they have.
    let id = world.store.all_staff().await.unwrap().into_iter().find(|person| person.name == "vic").unwrap().id;
    kim.post(&format!("/staff/{id}/disable"), &[]).await.is(200, "They are shut out");
    alone(&server, |asked| phone.get(asked, &good)).await.1.is(422, "did not let you in");
    assert_eq!(world.told().await.pop().unwrap(), "vic sign_in_refused shut out");
    // An admin helps who lost it.
    kim.post(&format!("/staff/{id}/enable"), &[]).await.is(200, "");
    kim.post(&format!("/staff/{id}/remove-factors"), &[("reason", "lost")]).await.is(200, "the password alone");
    assert!(world.store.passkeys_of(id).await.unwrap().is_empty());
    Browser::new(&named(&server)).sign_in("vic", PASSWORD).await.leads_to("/");
}
