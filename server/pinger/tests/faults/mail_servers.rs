//! Mail servers that are absent, broken, slow, rude or malicious, all at once.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use peers::hostile::{Event, HostileImap, Moment, Script, Transport, Trick};
use proto::v1::{EndReason, ImapSecurity, SessionState};

use super::harness::{Account, Phone, World};
use super::{PATIENCE, Scene, documented};

/// What is wrong, how it is reached, and what the session says.
type Case = (Script, Transport, &'static str);

const TLS: Transport = Transport::Tls;
const STARTTLS: Transport = Transport::StartTls;

const USER: &str = "rue.mcclanahan@example.org";
const PASSWORD: &str = "swordfish-for-the-hostile";

fn cases() -> Vec<Case> {
    let at = Script::At;
    let say = |line: &str| Trick::Say(line.to_owned());
    vec![
        (Script::PlainTextOnTlsPort, TLS, "TLS_FAILED"),
        (Script::WrongHostCertificate, TLS, "CERTIFICATE_INVALID"),
        (Script::SelfSignedCertificate, TLS, "CERTIFICATE_INVALID"),
        (Script::ExpiredCertificate, TLS, "CERTIFICATE_INVALID"),
        (Script::ExpiredCertificate, STARTTLS, "CERTIFICATE_INVALID"),
        (Script::HangInTls, TLS, "GREETING_TIMEOUT"),
        (at(Moment::Greeting, Trick::Hang), TLS, "GREETING_TIMEOUT"),
        (at(Moment::Greeting, Trick::Hang), STARTTLS, "GREETING_TIMEOUT"),
        (at(Moment::Greeting, Trick::CloseInMidLine), TLS, "CONNECTION_LOST"),
        (at(Moment::Greeting, Trick::Garbage), TLS, "PROTOCOL_ERROR"),
        (at(Moment::Greeting, Trick::EndlessLine), TLS, "FLOOD_REFUSED"),
        (at(Moment::Greeting, Trick::EndlessLiteral), TLS, "FLOOD_REFUSED"),
        (Script::bye_at_greeting(), TLS, "SERVER_BYE"),
        (at(Moment::Greeting, say("* PREAUTH come in")), STARTTLS, "PROTOCOL_ERROR"),
        (Script::NoStartTls, STARTTLS, "STARTTLS_MISSING"),
        (Script::InjectAfterStartTls, STARTTLS, "PROTOCOL_ERROR"),
        (Script::LoginDisabled, TLS, "LOGIN_DISABLED"),
        (at(Moment::Login, Trick::Hang), TLS, "COMMAND_TIMEOUT"),
        (at(Moment::Login, Trick::EndlessLines), TLS, "FLOOD_REFUSED"),
        (at(Moment::Login, Trick::CloseInMidLine), TLS, "CONNECTION_LOST"),
        (at(Moment::AfterLogin, Trick::Hang), TLS, "COMMAND_TIMEOUT"),
        (at(Moment::AfterLogin, Trick::EndlessLine), TLS, "FLOOD_REFUSED"),
        (Script::unavailable(), TLS, "THROTTLED"),
        (Script::too_many_connections(), TLS, "THROTTLED"),
        (Script::refuse_examine(), TLS, "MAILBOX_MISSING"),
        (at(Moment::Examine, Trick::EndlessLiteral), TLS, "FLOOD_REFUSED"),
        (at(Moment::Idle, Trick::Hang), TLS, "COMMAND_TIMEOUT"),
        (at(Moment::Idling, Trick::EndlessLines), TLS, "FLOOD_REFUSED"),
        (at(Moment::Idling, Trick::CloseInMidLine), TLS, "CONNECTION_LOST"),
        (Script::bye_in_idle(), TLS, "SERVER_BYE"),
    ]
}

fn account(server: &HostileImap, transport: Transport) -> Account {
    let security = match transport {
        Transport::Tls => ImapSecurity::Tls,
        Transport::StartTls => ImapSecurity::Starttls,
    };
    Account { security, ..Account::imaps(server.address(), USER, PASSWORD) }
}

/// Resident bytes of a process.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// The session fails with this code, and is tried again.
#[track_caller]
fn fails(phone: &Phone, code: &'static str) -> impl Future<Output = ()> {
    documented(code);
    let failed = phone.becomes(move |session| {
        let is_code = session.last_error.as_ref().is_some_and(|error| error.code == code);
        is_code && session.state() == SessionState::Retrying
    });
    async move {
        let session = failed.await;
        let error = session.last_error.unwrap();
        assert!(!error.message.is_empty() && !error.remedy.is_empty());
        assert!(session.deadline.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_has_its_code_and_harms_nobody_else() {
    // Servers first: the configuration lists their ports. Their certificates come of one authority with all others'.
    let (mut servers, mut ports) = (Vec::new(), Vec::new());
    let absent = peers::closed_port().unwrap();
    ports.push(absent.port());
    let world = World::new().await;
    for (script, transport, code) in cases() {
        let server = HostileImap::start_with(script.clone(), transport, Some(world.authority.clone())).await.unwrap();
        ports.push(server.address().port());
        servers.push((server, script, transport, code));
    }
    let scene = Scene::within(world, &ports, "mail_deadline_seconds = 2", |configuration| configuration).await;
    scene.unharmed().await;
    let before = resident(scene.server.pid());

    let begin = Instant::now();
    let mut phones = vec![(scene.healthy.another(&Account::imaps(absent, USER, PASSWORD)), "CONNECT_REFUSED")];
    for (server, _, transport, code) in &servers {
        phones.push((scene.healthy.another(&account(server, *transport)), code));
    }
    for (phone, _) in &mut phones {
        phone.register().await.unwrap();
    }
    let all = join_all(phones.iter().map(|(phone, code)| fails(phone, code)));
    // All the while, a session in good health gets its pushes.
    let mut pushes = 0;
    let healthy = async {
        loop {
            scene.unharmed().await;
            pushes += 1;
        }
    };
    tokio::select! { _ = all => {}, () = healthy => {} }
    let (took, after) = (begin.elapsed(), resident(scene.server.pid()));
    let flooded: u64 = servers.iter().map(|(server, ..)| server.flooded_bytes()).sum();
    println!("{} faults in {took:?}, {pushes} pushes beside them; {flooded} bytes of floods", phones.len());
    println!("the backend grew from {before} to {after} bytes");
    assert!(pushes >= 3, "{pushes}");
    assert!(flooded > 8 << 20, "the floods were none: {flooded}");
    // Some thirty sessions with their TLS, and what the allocator keeps (2 MB were seen); none of the floods.
    assert!(after < before + (8 << 20), "from {before} to {after}");

    for (server, script, ..) in &servers {
        for event in server.events() {
            if let Event::Command { encrypted: false, line, .. } = event {
                assert!(!line.starts_with("LOGIN") && !line.starts_with("AUTH"), "{script:?}: {line}");
            }
        }
    }
    for server in servers.iter().filter(|(.., code)| *code == "THROTTLED" || *code == "MAILBOX_MISSING") {
        assert_eq!(server.0.logins(), 1, "{:?}: we were asked to leave it alone", server.1);
    }
    // The account's name and password were said to a lot of servers, and to no log.
    scene.ends_well(&[USER.to_owned(), PASSWORD.to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_counts_and_patience_does_not() {
    let world = World::new().await;
    let refuse = |line: &str| Script::At(Moment::Login, Trick::Say(line.to_owned()));
    let start =
        async |script: Script| HostileImap::start_with(script, TLS, Some(world.authority.clone())).await.unwrap();
    let refusing = start(refuse(&format!("NO [AUTHENTICATIONFAILED] {USER} is not {PASSWORD}"))).await;
    let patient = start(refuse("NO [UNAVAILABLE] Suggested Backoff Time: 200 milliseconds")).await;
    let ports = [refusing.address().port(), patient.address().port()];
    let scene = Scene::within(world, &ports, "refusal_pause_seconds = 1", |configuration| configuration).await;

    let mut throttled = scene.healthy.another(&account(&patient, TLS));
    throttled.register().await.unwrap();
    let mut refused = scene.healthy.another(&account(&refusing, TLS));
    refused.register().await.unwrap();
    let ended = refused.becomes_state(SessionState::Ended).await;
    assert_eq!(ended.end_reason(), EndReason::CredentialRefused);
    assert_eq!(ended.last_error.unwrap().code, "LOGIN_REFUSED");
    documented("LOGIN_REFUSED");
    documented("END_REASON_CREDENTIAL_REFUSED");
    let token = refused.push_token();
    let push = scene.world.apns.wait_for(PATIENCE, |push| push.token == token).await.unwrap();
    assert_eq!(push.payload["pinger"]["event"], "register");

    // Asked for patience again and again, the session lives on, and is watched when the server has recovered.
    assert!(patient.wait_for_logins(PATIENCE, 5).await);
    fails(&throttled, "THROTTLED").await;
    patient.play(Script::Healthy);
    throttled.is_watched().await;
    // Nothing came of that but the watch.
    assert!(scene.world.apns.pushes_to(&throttled.push_token()).is_empty());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(refusing.logins(), 2);
    scene.ends_well(&[USER.to_owned(), PASSWORD.to_owned()]).await;
}
