//! Watching the INBOX of a real Dovecot.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod imap_support;

use std::time::Duration;

use backend::watch::imap::Deadlines;
use domain::{FailureCode, ImapTarget, Mechanism, Security};
use imap_support::{RENEW, dialer, next, next_or_renew, password, target, token, uid_next};
use peers::dovecot::{Dovecot, DovecotOptions, User};

const POLL: Duration = Duration::from_secs(60);

/// Where Dovecot isn't installed, these tests have nothing to test.
async fn dovecot(options: DovecotOptions) -> Option<Dovecot> {
    if Dovecot::available() { Some(Dovecot::start(options).await.unwrap()) } else { None }
}

fn imaps(dovecot: &Dovecot, mechanism: Mechanism) -> ImapTarget {
    target(dovecot.imaps_address(), Security::Tls, mechanism)
}

#[tokio::test]
async fn every_way_in_and_a_mail() {
    let Some(dovecot) = dovecot(DovecotOptions::default()).await else { return };
    dovecot.accept_token("token-1", "bob");
    let ways = [
        imaps(&dovecot, Mechanism::Plain),
        imaps(&dovecot, Mechanism::Login),
        imaps(&dovecot, Mechanism::XOAuth2),
        imaps(&dovecot, Mechanism::ScramSha256),
        imaps(&dovecot, Mechanism::OAuthBearer),
        imaps(&dovecot, Mechanism::Auto),
        target(dovecot.starttls_only_address(), Security::StartTls, Mechanism::Plain),
        target(dovecot.starttls_only_address(), Security::StartTls, Mechanism::Login),
        target(dovecot.starttls_only_address(), Security::StartTls, Mechanism::XOAuth2),
    ];
    let mut seen = [1, 1];
    for way in ways {
        let by_token = usize::from(matches!(way.mechanism, Mechanism::XOAuth2 | Mechanism::OAuthBearer));
        let (user, credential) = match way.mechanism {
            Mechanism::XOAuth2 | Mechanism::OAuthBearer => ("bob", token("bob", "token-1")),
            _ => ("alice", password("alice", "alice's password")),
        };
        let dialer = dialer(dovecot.authority(), way.port, Deadlines::default(), POLL);
        let mut connection = dialer.connect(&way, &credential).await.unwrap();
        assert_eq!(uid_next(connection.mailbox()), seen[by_token], "{way:?}");
        dovecot.deliver(user, "Hello").await.unwrap();
        seen[by_token] += 1;
        assert_eq!(uid_next(next(&mut connection).await.unwrap()), seen[by_token], "{way:?}");
        assert_eq!(uid_next(connection.mailbox()), seen[by_token]);
        connection.close().await;
    }
    assert_eq!((dovecot.logins("alice"), dovecot.logins("bob")), (6, 3));
    for (method, times) in [("SCRAM-SHA-256", 2), ("OAUTHBEARER", 1), ("XOAUTH2", 2), ("PLAIN", 4)] {
        let marked = format!("method={method},");
        let seen = dovecot.log().lines().filter(|line| line.contains(&marked) && line.contains("Login: ")).count();
        assert_eq!(seen, times, "{method}: {}", dovecot.log());
    }
}

#[tokio::test]
async fn mail_between_connects_and_before_the_wait() {
    let Some(dovecot) = dovecot(DovecotOptions::default()).await else { return };
    let way = imaps(&dovecot, Mechanism::Plain);
    let dialer = dialer(dovecot.authority(), way.port, Deadlines::default(), POLL);
    let alice = password("alice", "alice's password");
    let connection = dialer.connect(&way, &alice).await.unwrap();
    let before = connection.mailbox();
    connection.close().await;
    dovecot.deliver("alice", "While nobody watched").await.unwrap();
    let mut connection = dialer.connect(&way, &alice).await.unwrap();
    assert_eq!(connection.mailbox().beside(&before), domain::News::NewMail);
    // After EXAMINE, before IDLE.
    dovecot.deliver("alice", "Before the wait").await.unwrap();
    assert_eq!(uid_next(next(&mut connection).await.unwrap()), 3);
    // After a wake, before the next IDLE.
    dovecot.deliver("alice", "Between two waits").await.unwrap();
    assert_eq!(uid_next(next(&mut connection).await.unwrap()), 4);
    dovecot.deliver("alice", "Before a ping").await.unwrap();
    assert_eq!(uid_next(connection.ping().await.unwrap()), 5);
    // What a ping told is not told again, and expunged mail is no news.
    dovecot.expunge("alice", "INBOX").await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(2), next_or_renew(&mut connection, RENEW)).await.is_err());
    assert_eq!(uid_next(connection.ping().await.unwrap()), 5);
    dovecot.deliver("alice", "Into an empty mailbox").await.unwrap();
    assert_eq!(uid_next(next(&mut connection).await.unwrap()), 6);
}

#[tokio::test]
async fn without_idle() {
    let Some(dovecot) = dovecot(DovecotOptions { idle: false, ..DovecotOptions::default() }).await else { return };
    let way = imaps(&dovecot, Mechanism::Plain);
    let dialer = dialer(dovecot.authority(), way.port, Deadlines::default(), Duration::from_millis(300));
    let mut connection = dialer.connect(&way, &password("alice", "alice's password")).await.unwrap();
    for expect in 2..5 {
        dovecot.deliver("alice", "Hello").await.unwrap();
        assert_eq!(uid_next(next(&mut connection).await.unwrap()), expect);
    }
}

#[tokio::test]
async fn renewal_keeps_the_watch() {
    let Some(dovecot) = dovecot(DovecotOptions::default()).await else { return };
    let way = imaps(&dovecot, Mechanism::Plain);
    let dialer = dialer(dovecot.authority(), way.port, Deadlines::default(), POLL);
    let mut connection = dialer.connect(&way, &password("alice", "alice's password")).await.unwrap();
    let waiting =
        tokio::time::timeout(Duration::from_secs(2), next_or_renew(&mut connection, Duration::from_millis(100)));
    assert!(waiting.await.is_err());
    dovecot.deliver("alice", "Hello").await.unwrap();
    assert_eq!(uid_next(next(&mut connection).await.unwrap()), 2);
}

#[tokio::test]
async fn refusals() {
    let Some(dovecot) = dovecot(DovecotOptions::default()).await else { return };
    for mechanism in
        [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256, Mechanism::XOAuth2, Mechanism::OAuthBearer]
    {
        let way = imaps(&dovecot, mechanism);
        let credential = match mechanism {
            Mechanism::XOAuth2 | Mechanism::OAuthBearer => token("alice", "no such token"),
            _ => password("alice", "not her password"),
        };
        let dialer = dialer(dovecot.authority(), way.port, Deadlines::default(), POLL);
        let failure = dialer.connect(&way, &credential).await.err().unwrap();
        assert_eq!(failure.code, FailureCode::LoginRefused, "{failure}");
        assert!(failure.evidence.as_str().contains("[AUTHENTICATIONFAILED]"), "{failure}");
        // A secret of the wrong kind isn't even tried.
        let other = match mechanism {
            Mechanism::XOAuth2 | Mechanism::OAuthBearer => password("alice", "alice's password"),
            _ => token("alice", "token"),
        };
        let failure = dialer.connect(&way, &other).await.err().unwrap();
        assert_eq!(failure.code, FailureCode::CredentialMismatch);
    }
    let mut way = imaps(&dovecot, Mechanism::Plain);
    way.mailbox = "Nowhere & \"else\"".to_owned();
    let dialer = dialer(dovecot.authority(), way.port, Deadlines::default(), POLL);
    let failure = dialer.connect(&way, &password("alice", "alice's password")).await.err().unwrap();
    assert_eq!(failure.code, FailureCode::MailboxMissing, "{failure}");
}

#[tokio::test]
async fn mechanisms_that_are_not_offered() {
    let only_plain = "auth_mechanisms = plain\ndisable_plaintext_auth = yes\n".to_owned();
    let options = DovecotOptions { extra_configuration: only_plain, ..DovecotOptions::default() };
    let Some(dovecot) = dovecot(options).await else { return };
    let way = imaps(&dovecot, Mechanism::XOAuth2);
    let dialer = dialer(dovecot.authority(), way.port, Deadlines::default(), POLL);
    let failure = dialer.connect(&way, &token("alice", "token")).await.err().unwrap();
    assert_eq!(failure.code, FailureCode::LoginDisabled, "{failure}");
    assert_eq!(dovecot.refused_logins("alice"), 0);
}

/// SCRAM is offered, and refused to Carol, whose password is kept so that it can't be done: her second log-in is by PLAIN. Who
/// has a wrong password is refused twice all the same, and no oftener.
#[tokio::test]
async fn where_scram_is_refused_the_next_login_is_by_plain() {
    let carol = "passdb {\n  driver = static\n  mechanisms = plain\n  args = password=carol's\n}\n".to_owned();
    let options = DovecotOptions { extra_configuration: carol, ..DovecotOptions::default() };
    let Some(dovecot) = dovecot(options).await else { return };
    let way = imaps(&dovecot, Mechanism::Auto);
    let dialer_of = || dialer(dovecot.authority(), way.port, Deadlines::default(), POLL);
    let (first, right) = (dialer_of(), password("carol", "carol's"));
    let failure = first.connect(&way, &right).await.err().unwrap();
    assert_eq!(failure.code, FailureCode::LoginRefused, "{failure}");
    for _ in 0..2 {
        first.connect(&way, &right).await.unwrap().close().await;
    }
    let refused =
        |line: &str, user: &str| line.contains("auth failed, 1 attempts") && line.contains(&format!("user=<{user}>"));
    let refusals = |user: &str| dovecot.log().lines().filter(|line| refused(line, user)).count();
    assert_eq!((dovecot.logins("carol"), refusals("carol")), (2, 1), "{}", dovecot.log());
    let (second, wrong) = (dialer_of(), password("alice", "not hers"));
    for _ in 0..2 {
        let failure = second.connect(&way, &wrong).await.err().unwrap();
        assert_eq!(failure.code, FailureCode::LoginRefused, "{failure}");
    }
    // SCRAM, and then PLAIN, which is the last of them.
    let last = |line: &str| refused(line, "alice") && line.contains("method=PLAIN");
    assert!(dovecot.wait_for_log(imap_support::PATIENCE, last).await.is_some(), "{}", dovecot.log());
    assert_eq!(refusals("alice"), 2, "{}", dovecot.log());
}

/// Dovecot offers ID, and is told who we are, before anything is opened.
#[tokio::test]
async fn it_is_told_who_we_are() {
    let log = "imap_id_log = *\nlogin_log_format_elements = user=<%u> method=%m\n".to_owned();
    let options = DovecotOptions { extra_configuration: log, ..DovecotOptions::default() };
    let Some(dovecot) = dovecot(options).await else { return };
    let way = imaps(&dovecot, Mechanism::Plain);
    let dialer = dialer(dovecot.authority(), way.port, Deadlines::default(), POLL);
    dialer.connect(&way, &password("alice", "alice's password")).await.unwrap().close().await;
    let told = dovecot.wait_for_log(imap_support::PATIENCE, |line| line.contains("name=pinger")).await;
    assert!(told.is_some(), "{}", dovecot.log());
}

#[tokio::test]
async fn odd_names_and_passwords() {
    let odd = "p\u{e4}ss \\\"w\u{f6}rd\"{3}";
    let options = DovecotOptions { users: vec![User::new("anna", odd)], ..DovecotOptions::default() };
    let Some(dovecot) = dovecot(options).await else { return };
    let mailbox = "Entw\u{fc}rfe & \u{65e5}\u{672c}";
    dovecot.doveadm(&["mailbox", "create", "-u", "anna", mailbox]).await.unwrap();
    for mechanism in [Mechanism::Plain, Mechanism::Login] {
        let mut way = imaps(&dovecot, mechanism);
        way.mailbox = mailbox.to_owned();
        let dialer = dialer(dovecot.authority(), way.port, Deadlines::default(), POLL);
        let mut connection = dialer.connect(&way, &password("anna", odd)).await.unwrap();
        assert_eq!(uid_next(connection.mailbox()), 1);
        assert_eq!(uid_next(connection.ping().await.unwrap()), 1);
    }
}

#[tokio::test]
async fn a_server_that_goes_away() {
    let Some(mut dovecot) = dovecot(DovecotOptions::default()).await else { return };
    let way = imaps(&dovecot, Mechanism::Plain);
    let dialer = dialer(dovecot.authority(), way.port, Deadlines::default(), POLL);
    let alice = password("alice", "alice's password");
    let mut connection = dialer.connect(&way, &alice).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(200), next_or_renew(&mut connection, RENEW)).await.is_err());
    dovecot.kick("alice").await.unwrap();
    let failure = next(&mut connection).await.unwrap_err();
    assert!(matches!(failure.code, FailureCode::ServerBye | FailureCode::ConnectionLost), "{failure}");
    let mut connection = dialer.connect(&way, &alice).await.unwrap();
    dovecot.stop();
    let failure = next(&mut connection).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ConnectionLost, "{failure}");
    let failure = dialer.connect(&way, &alice).await.err().unwrap();
    assert_eq!(failure.code, FailureCode::ConnectRefused, "{failure}");
}
