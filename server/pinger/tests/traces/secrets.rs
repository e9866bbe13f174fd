//! Names, addresses, passwords and tokens are in no log and in no span, however much is asked for.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use peers::apns::Answer;
use peers::hostile::{HostileImap, Moment, Script, Transport, Trick};
use proto::v1::{ImapMechanism, ImapSecurity, SessionState};
use tonic::Request;

use super::harness::{APP_KEY, Account, PATIENCE, Phone, World};
use super::{NAME, PASSWORD, Scene};

const TALKATIVE_NAME: &str = "Prudence.Tattle@example.net";
const TALKATIVE_PASSWORD: &str = "loose-lips-sink-ships";
const ACCESS_TOKEN: &str = "ya29.an-access-token-of-somebody";
const WRONG_KEY: &str = "a-key-of-another-app";

/// Everything that a phone may go through, with servers that repeat what they were told.
async fn run(environment: &[(&str, &str)]) {
    let world = World::new().await;
    let say = |moment, line: String| Script::At(moment, Trick::Say(line));
    let start = async |script, transport| {
        HostileImap::start_with(script, transport, Some(world.authority.clone())).await.unwrap()
    };
    let plain = STANDARD.encode(format!("\0{TALKATIVE_NAME}\0{TALKATIVE_PASSWORD}"));
    let repeat = format!("NO {TALKATIVE_NAME} can't come in with {TALKATIVE_PASSWORD}, {ACCESS_TOKEN} or {plain}");
    let repeating = start(say(Moment::Login, repeat), Transport::Tls).await;
    let name_only = format!("NO [AUTHENTICATIONFAILED] {} is unknown", TALKATIVE_NAME.to_uppercase());
    let naming = start(say(Moment::Login, name_only), Transport::StartTls).await;
    let bye = format!("* BYE {TALKATIVE_NAME} has left");
    let leaving = start(say(Moment::Idling, bye), Transport::Tls).await;
    let ports = [repeating.address().port(), naming.address().port(), leaving.address().port()];
    let scene = Scene::new(world, &ports, environment).await;

    let mut secrets: Vec<String> = [
        NAME,
        PASSWORD,
        TALKATIVE_NAME,
        TALKATIVE_PASSWORD,
        ACCESS_TOKEN,
        WRONG_KEY,
        APP_KEY,
        &plain,
        &STANDARD.encode(format!("\0{NAME}\0{PASSWORD}")),
    ]
    .map(str::to_owned)
    .into();

    // The main job, to its end.
    let mut phone = scene.phone().await;
    phone.register().await.unwrap();
    phone.is_watched().await;
    scene.mail.deliver(NAME).await.unwrap();
    let token = phone.push_token();
    assert!(scene.world.apns.wait_for(PATIENCE, |push| push.token == token).await.is_some());
    phone.defer(0).await.unwrap();
    // The device token dies, and the session with it.
    scene.world.apns.answer(&token, Answer::Gone { since: SystemTime::now() + Duration::from_secs(1) });
    scene.mail.deliver(NAME).await.unwrap();
    phone.becomes_state(SessionState::Ended).await;
    secrets.extend([phone.token.clone(), token]);

    // Servers that repeat what they heard.
    let talkative = Account::imaps(repeating.address(), TALKATIVE_NAME, TALKATIVE_PASSWORD);
    let oauth = Account { mechanism: ImapMechanism::Xoauth2, secret: ACCESS_TOKEN.to_owned(), ..talkative.clone() };
    let named = Account { port: naming.address().port(), security: ImapSecurity::Starttls, ..talkative.clone() };
    for account in [talkative.clone(), oauth, named] {
        let mut phone = phone.another(&account);
        phone.register().await.unwrap();
        phone.becomes_state(SessionState::Ended).await;
        secrets.extend([phone.token.clone(), phone.push_token()]);
    }
    let mut left = phone.another(&Account { port: leaving.address().port(), ..talkative });
    left.register().await.unwrap();
    left.becomes(|session| session.last_error.is_some()).await;
    // A push service that is out of reach says so with the URL, and the device token is in that.
    let mut unpushed = phone.another(&scene.account());
    scene.world.apns.answer(&unpushed.push_token(), Answer::Disconnect);
    unpushed.register().await.unwrap();
    unpushed.is_watched().await;
    scene.mail.deliver(NAME).await.unwrap();
    let token = unpushed.push_token();
    assert!(scene.world.apns.wait_for(PATIENCE, |push| push.token == token).await.is_some());
    secrets.extend([left.token.clone(), left.push_token(), unpushed.token.clone(), token]);

    // Calls that are refused.
    let mut wrong = Request::new(phone.request.clone());
    wrong.metadata_mut().insert(proto::APP_KEY_METADATA, WRONG_KEY.parse().unwrap());
    phone.client.clone().register(wrong).await.unwrap_err();
    let mut invalid = phone.clone();
    invalid.request.device = None;
    invalid.register().await.unwrap_err();
    let foreign = Phone { token: left.token.clone(), ..phone.clone() };
    foreign.status().await.unwrap_err();
    Phone { token: format!("{}x", phone.token), ..phone.clone() }.status().await.unwrap_err();

    let Scene { world, collector, server, .. } = scene;
    assert!(server.terminate().await.success());
    let log = std::fs::read_to_string(world.folder.path().join("server.log")).unwrap();
    let spans = collector.spans();
    assert!(log.contains("LOGIN_REFUSED") && log.contains("push done"), "{environment:?}: {log}");
    assert!(spans.iter().any(|span| span.name == "session.mail") && spans.iter().any(|span| span.is_error));
    // Name, attributes, events, links and resource: a span's Debug has them all.
    let spans: Vec<String> = spans.iter().map(|span| format!("{span:?}").to_lowercase()).collect();
    let log = log.to_lowercase();
    for secret in secrets.iter().map(|secret| secret.to_lowercase()) {
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{environment:?}: {secret} is in the log: {line:?}");
        let span = spans.iter().find(|span| span.contains(&secret));
        assert!(span.is_none(), "{environment:?}: {secret} is in a span: {span:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_appears_in_json() {
    run(&[("PINGER_LOG_FORMAT", "json")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_appears_in_text() {
    run(&[("PINGER_LOG_FORMAT", "text")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_appears_when_everything_is_logged() {
    let all =
        "trace,async_imap=trace,h2=trace,hyper=trace,reqwest=trace,rustls=trace,sqlx=trace,sea_orm=trace,tonic=trace";
    for format in ["json", "text"] {
        run(&[("PINGER_LOG", all), ("PINGER_LOG_FORMAT", format)]).await;
    }
}
