//! Tokens that are none, somebody else's or dead, and boxes that don't open.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use backend::vault::KeyRing;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{SessionId, Timestamp};
use proto::v1::{self, ImapMechanism};
use secrecy::ExposeSecret as _;
use tonic::{Request, Status};

use super::harness::{Phone, fields, now};
use super::{Scene, refused};

/// What each method that takes a token says to this one.
async fn each_method(phone: &Phone) -> [Result<(), Status>; 4] {
    let watch = phone.authorized(v1::WatchSessionRequest { session_id: phone.session.clone() });
    [
        phone.status().await.map(|_| ()),
        phone.defer(1).await.map(|_| ()),
        phone.stop().await,
        phone.client.clone().watch_session(watch).await.map(|_| ()),
    ]
}

async fn all_refuse(phone: &Phone, reason: &str) {
    for answer in each_method(phone).await {
        refused(answer, reason);
    }
}

/// A ring of strange keys; with `id`, its token key says to be that one.
fn strange_ring(folder: &Path, id: Option<&str>) -> KeyRing {
    let ring = KeyRing::open_or_create(folder, now()).unwrap();
    let Some(id) = id else { return ring };
    let path = folder.join("keys.json");
    let mut keys: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    keys["token"]["id"] = id.into();
    fs::write(&path, keys.to_string()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    KeyRing::open_or_create(folder, now()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_its_session_alone() {
    let scene = Scene::new(&[], "").await;
    let mut phone = scene.phone("token holder");
    phone.register().await.unwrap();
    let session = SessionId::parse(&phone.session).unwrap();
    let hour = Duration::from_secs(3600);
    let soon = now().after(hour);
    let past = Timestamp::from_millis(now().as_millis() - 3_600_000);
    let sign = |ring: &KeyRing, session, until| ring.token(session, 1, until).unwrap().expose_secret().to_owned();
    let with = |token: String| Phone { token, ..phone.clone() };

    // The server's own key makes tokens that are as good as the server's.
    let own = KeyRing::open_or_create(&scene.world.data(), now()).unwrap();
    with(sign(&own, session, soon)).status().await.unwrap();

    let bare = Request::new(v1::GetSessionRequest { session_id: phone.session.clone() });
    refused(phone.client.clone().get_session(bare).await, "TOKEN_MISSING");
    all_refuse(&with(String::new()), "TOKEN_MISSING").await;

    let strange = tempfile::tempdir().unwrap();
    let forged = tempfile::tempdir().unwrap();
    let key_id = &own.token_keys()[0].key_id;
    let [header, claims, signature] = parts(&phone.token);
    let of_another = parts(&scene.healthy.token)[1];
    for (what, token) in [
        ("no token at all", "nonsense".to_owned()),
        ("a key that nobody knows", sign(&strange_ring(strange.path(), None), session, soon)),
        ("a forged one, with the id of our key", sign(&strange_ring(forged.path(), Some(key_id)), session, soon)),
        ("not signed", format!("{header}.{claims}.")),
        ("another's claims", format!("{header}.{of_another}.{signature}")),
        ("algorithm none", format!("{}.{claims}.", encoded(&format!(r#"{{"alg":"none","kid":"{key_id}"}}"#)))),
        ("HMAC", format!("{}.{claims}.{signature}", encoded(&format!(r#"{{"alg":"HS256","kid":"{key_id}"}}"#)))),
        ("endless", "t".repeat(8000)),
    ] {
        assert_ne!(token, phone.token, "{what}");
        all_refuse(&with(token), "TOKEN_INVALID").await;
    }
    all_refuse(&with(sign(&own, session, past)), "TOKEN_EXPIRED").await;
    all_refuse(&with(scene.healthy.token.clone()), "TOKEN_FOREIGN").await;

    let unknown = SessionId::parse("01930000-0000-7000-8000-000000000000").unwrap();
    let lost = Phone { session: unknown.to_string(), ..with(sign(&own, unknown, soon)) };
    all_refuse(&lost, "SESSION_UNKNOWN").await;

    // Registered anew: the old token is dead, the new one is good.
    let old = phone.clone();
    phone.seal();
    phone.register().await.unwrap();
    assert_ne!(old.session, phone.session);
    all_refuse(&old, "TOKEN_DEAD").await;
    phone.is_watched().await;
    phone.stop().await.unwrap();
    refused(phone.defer(1).await, "SESSION_ENDED");
    let secrets = [old.token, phone.token.clone(), phone.push_token()];
    scene.ends_well(&secrets).await;
}

/// What is changed in a request after its credential was sealed.
type Change<'a> = Box<dyn Fn(&mut v1::RegisterRequest) + 'a>;

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

fn encoded(header: &str) -> String {
    URL_SAFE_NO_PAD.encode(header)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_opens_for_what_it_was_sealed_for() {
    let other_port = peers::closed_port().unwrap().port();
    let scene = Scene::new(&[other_port], "").await;
    let mut phone = scene.phone("sealed");
    let fine = phone.request.clone();
    let other_host = scene.mail.address().ip().to_string();
    let imap = |request: &mut v1::RegisterRequest, change: &dyn Fn(&mut v1::ImapTarget)| {
        if let Some(v1::mail_target::Server::Imap(imap)) = &mut request.mail_target.as_mut().unwrap().server {
            change(imap);
        }
    };
    let cases: Vec<(&str, Change<'_>)> = vec![
        ("user", Box::new(|request| request.user_id = "somebody-else".to_owned())),
        ("device", Box::new(|request| request.device.as_mut().unwrap().device_id = "another".to_owned())),
        ("context", Box::new(|request| request.context = "another-account".to_owned())),
        ("host", Box::new(|request| imap(request, &|imap| imap.host.clone_from(&other_host)))),
        ("port", Box::new(|request| imap(request, &|imap| imap.port = other_port.into()))),
        (
            "box",
            Box::new(|request| {
                let sealed = request.credential.as_mut().unwrap();
                let mut bytes = sealed.ciphertext.to_vec();
                bytes[100] ^= 1;
                sealed.ciphertext = bytes.into();
            }),
        ),
        ("key", Box::new(|request| request.credential.as_mut().unwrap().encapsulated_key = vec![7; 32].into())),
        // The point of order 1, with which every key agrees on nothing.
        (
            "key of low order",
            Box::new(|request| {
                request.credential.as_mut().unwrap().encapsulated_key = vec![0; 32].into();
            }),
        ),
    ];
    for (what, change) in cases {
        phone.request = fine.clone();
        change(&mut phone.request);
        let status = refused(phone.register().await, "CREDENTIAL_UNREADABLE");
        assert_eq!(fields(&status), ["credential.ciphertext"], "{what}");
    }
    phone.request = fine.clone();
    phone.request.credential.as_mut().unwrap().key_id = "seal-00000000".to_owned();
    let status = refused(phone.register().await, "SEALING_KEY_UNKNOWN");
    assert_eq!(fields(&status), ["credential.key_id"]);

    // Sealed for the right key's id, but for another key: by a gateway that would like to read it, say.
    let strange = tempfile::tempdir().unwrap();
    let keys = KeyRing::open_or_create(strange.path(), now()).unwrap().key_set(now());
    let strange_key = backend::vault::verify_key_set(&keys, None, now()).unwrap().keys.remove(0);
    let ours = std::mem::replace(&mut phone.key, strange_key);
    phone.key.key_id.clone_from(&ours.key_id);
    phone.seal();
    refused(phone.register().await, "CREDENTIAL_UNREADABLE");
    phone.key = ours;

    for (sealed, asked) in [
        (ImapMechanism::Plain, ImapMechanism::Xoauth2),
        (ImapMechanism::Login, ImapMechanism::Xoauth2),
        (ImapMechanism::Xoauth2, ImapMechanism::Plain),
        (ImapMechanism::Xoauth2, ImapMechanism::Login),
    ] {
        phone.request = fine.clone();
        phone.account.mechanism = sealed;
        phone.seal();
        imap(&mut phone.request, &|imap| imap.mechanism = asked.into());
        let status = refused(phone.register().await, "CREDENTIAL_MISMATCH");
        assert_eq!(fields(&status), ["mail_target.imap.mechanism"]);
    }
    scene.ends_well(&[phone.push_token()]).await;
}
