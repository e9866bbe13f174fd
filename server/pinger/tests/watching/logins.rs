//! No account is locked by us, however many sessions it has.

use std::time::Duration;

use futures_util::future::join_all;
use peers::dovecot::{Dovecot, DovecotOptions, User};
use peers::hostile::{HostileImap, Moment, Script, Transport, Trick};
use proto::v1;
use proto::v1::SessionState;

use super::PATIENCE;
use super::harness::{Account, Phone, World};

const NAME: &str = "five.phones@example.org";

/// A phone that has registered, is awake, and has had nothing connected for it.
async fn awake(phone: &Phone, account: &Account) -> Phone {
    let mut phone = phone.another(account).waiting(600);
    phone.request.baseline = Some(v1::Baseline { uid_validity: 1, uid_next: 1, highest_modseq: 0 });
    phone.register().await.unwrap();
    phone
}

/// The sessions, once none of them is let try any more.
async fn settled(phones: &[Phone]) -> Vec<v1::Session> {
    let settled = phones.iter().map(|phone| {
        phone.becomes(|session| {
            let paused = session.last_error.as_ref().is_some_and(|error| error.code == "LOGIN_PAUSED");
            session.state() == SessionState::Ended || paused
        })
    });
    join_all(settled).await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_of_an_account_share_its_budget() {
    let world = World::new().await;
    let script = Script::refuse_login();
    let mail = HostileImap::start_with(script, Transport::Tls, Some(world.authority.clone())).await.unwrap();
    world.configure(&[mail.address().port()], "refusal_pause_seconds = 1", "");
    let server = world.serve().await;
    let account = Account::imaps(mail.address(), NAME, "not any more");
    let first = Phone::new(&server, &account).await;
    let phones = join_all((0..5).map(|_| awake(&first, &account))).await;
    assert_eq!(mail.connects(), 0);
    // All of them at once: they don't overshoot together either.
    join_all(phones.iter().map(|phone| phone.defer(0))).await;
    let settled = settled(&phones).await;
    assert_eq!(mail.logins(), 4, "{settled:?}");
    let paused = settled.iter().filter(|session| session.state() == SessionState::Retrying).count();
    assert!(paused >= 3, "those who were not let try live on: {settled:?}");

    // Another account at that host is another matter.
    let mut other = first.another(&Account::imaps(mail.address(), "somebody.else@example.org", "whatever"));
    other.register().await.unwrap();
    assert!(mail.wait_for_logins(PATIENCE, 6).await);
    other.becomes_state(SessionState::Ended).await;

    // A new credential is let through.
    mail.play(Script::Healthy);
    let mut renewed = first.another(&Account::imaps(mail.address(), NAME, "the new one"));
    renewed.register().await.unwrap();
    renewed.is_watched().await;
    assert_eq!(mail.logins(), 7);
    assert!(!server.log().contains(NAME));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_no_after_a_request_for_patience_is_patience() {
    let world = World::new().await;
    let say = |line: &str| Script::At(Moment::Login, Trick::Say(line.to_owned()));
    let patience = say("NO Server busy. Suggested Backoff Time: 100 milliseconds");
    let mail = HostileImap::start_with(patience, Transport::Tls, Some(world.authority.clone())).await.unwrap();
    world.configure(&[mail.address().port()], "refusal_pause_seconds = 1", "");
    let server = world.serve().await;
    let mut phone = Phone::new(&server, &Account::imaps(mail.address(), NAME, "right")).await;
    phone.register().await.unwrap();
    assert!(mail.wait_for_logins(PATIENCE, 2).await);
    mail.play(say("NO LOGIN failed."));
    // The next log-in hears it, or the one that is under way.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let log = loop {
        let log = server.log();
        if log.contains("LOGIN failed") {
            break log;
        }
        assert!(tokio::time::Instant::now() < deadline, "{log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let line = log.lines().find(|line| line.contains("LOGIN failed")).unwrap();
    assert!(line.contains("\"THROTTLED\""), "{line}");
    let session = phone.becomes_state(SessionState::Retrying).await;
    assert_eq!(session.last_error.unwrap().code, "THROTTLED");
}

/// A login of many messages counts as one of a single message does, and so does one for which we chose the mechanism.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_by_scram_count() {
    let world = World::new().await;
    let ways = [(v1::ImapMechanism::ScramSha256, NAME), (v1::ImapMechanism::Auto, "six.phones@example.org")];
    let users = ways.iter().map(|(_, name)| User::new(name, "the new one")).collect();
    let options = DovecotOptions { users, authority: Some(world.authority.clone()), ..DovecotOptions::default() };
    let dovecot = Dovecot::start(options).await.unwrap();
    world.configure(&[dovecot.imaps_address().port()], "refusal_pause_seconds = 1", "");
    let server = world.serve().await;
    for (mechanism, name) in ways {
        let account = |password| Account { mechanism, ..Account::imaps(dovecot.imaps_address(), name, password) };
        let wrong = account("not any more");
        let first = Phone::new(&server, &wrong).await;
        let phones = join_all((0..5).map(|_| awake(&first, &wrong))).await;
        join_all(phones.iter().map(|phone| phone.defer(0))).await;
        let settled = settled(&phones).await;
        assert_eq!(dovecot.refused_logins(name), 4, "{settled:?}\n{}", dovecot.log());
        assert!(!dovecot.log().contains("not any more"));
        let mut renewed = first.another(&account("the new one"));
        renewed.register().await.unwrap();
        renewed.is_watched().await;
    }
    assert!(server.terminate().await.success());
}
