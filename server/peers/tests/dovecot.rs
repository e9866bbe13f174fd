//! A real Dovecot starts, delivers and wakes a client.

mod support;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use peers::dovecot::{Dovecot, DovecotOptions, User};
use support::{Client, SHORTLY};

/// Where Dovecot isn't installed, these tests have nothing to test.
async fn dovecot(options: DovecotOptions) -> Result<Option<Dovecot>> {
    if Dovecot::available() { Dovecot::start(options).await.map(Some) } else { Ok(None) }
}

#[tokio::test]
async fn delivers_and_wakes_an_idling_client() -> Result<()> {
    let Some(dovecot) = dovecot(DovecotOptions::default()).await? else {
        return Ok(());
    };
    let tls = dovecot.authority().client_config(&[])?;
    let mut client = Client::tls(dovecot.imaps_address(), tls).await?;
    let login = client.ok("LOGIN alice \"alice's password\"").await?;
    assert!(login.concat().contains(" IDLE "));
    assert!(client.ok("EXAMINE INBOX").await?.contains(&"* 0 EXISTS".to_owned()));
    client.idle().await?;
    let begin = Instant::now();
    dovecot.deliver("alice", "Hello").await?;
    assert_eq!(client.line().await?, "* 1 EXISTS");
    assert!(begin.elapsed() < Duration::from_secs(3));
    client.done().await?;
    assert_eq!(dovecot.logins("alice"), 1);
    assert_eq!(dovecot.logins("bob"), 0);
    dovecot.deliver_into("alice", "Work", "Hello").await?;
    assert!(client.ok("STATUS Work (MESSAGES)").await?[0].contains("MESSAGES 1"));
    dovecot.expunge("alice", "INBOX").await?;
    assert!(client.ok("STATUS Work (MESSAGES)").await?.concat().contains("MESSAGES 1"));
    dovecot.kick("alice").await?;
    ensure!(client.line_with("never said").await.is_err());
    Ok(())
}

#[tokio::test]
async fn idle_can_be_switched_off() -> Result<()> {
    let options = DovecotOptions { idle: false, ..DovecotOptions::default() };
    let Some(dovecot) = dovecot(options).await? else {
        return Ok(());
    };
    let tls = dovecot.authority().client_config(&[])?;
    let mut client = Client::starttls(dovecot.imap_address(), tls).await?;
    assert!(!client.greeting.contains("IDLE"), "{}", client.greeting);
    client.ok("LOGIN alice \"alice's password\"").await?;
    let capability = client.ok("CAPABILITY").await?.concat();
    assert!(!capability.contains("IDLE") && capability.contains("IMAP4rev1"), "{capability}");
    Ok(())
}

#[tokio::test]
async fn wants_tls_from_strangers() -> Result<()> {
    let Some(dovecot) = dovecot(DovecotOptions::default()).await? else {
        return Ok(());
    };
    let mut stranger = Client::plain(dovecot.starttls_only_address()).await?;
    assert!(stranger.greeting.contains("LOGINDISABLED"), "{}", stranger.greeting);
    assert!(stranger.ok("LOGIN alice \"alice's password\"").await.is_err());
    let tls = dovecot.authority().client_config(&[])?;
    let mut client = Client::starttls(dovecot.starttls_only_address(), tls).await?;
    client.ok("LOGIN alice \"alice's password\"").await?;
    Ok(())
}

#[tokio::test]
async fn users_and_tokens_come_and_go() -> Result<()> {
    let Some(dovecot) = dovecot(DovecotOptions::default()).await? else {
        return Ok(());
    };
    let tls = dovecot.authority().client_config(&[])?;
    let connect = || Client::tls(dovecot.imaps_address(), tls.clone());
    dovecot.set_user(&User::new("alice", "alice's passwort")).await?;
    let refused = connect().await?.command("LOGIN alice \"alice's password\"").await?;
    assert!(refused.concat().contains("NO [AUTHENTICATIONFAILED]"), "{refused:?}");
    connect().await?.ok("LOGIN alice \"alice's passwort\"").await?;
    dovecot.remove_user("alice").await?;
    assert!(connect().await?.ok("LOGIN alice \"alice's passwort\"").await.is_err());

    dovecot.accept_token("token-1", "bob");
    let answer = |token: &str| BASE64_STANDARD.encode(format!("user=bob\x01auth=Bearer {token}\x01\x01"));
    connect().await?.ok(&format!("AUTHENTICATE XOAUTH2 {}", answer("token-1"))).await?;
    dovecot.refuse_token("token-1");
    let mut client = connect().await?;
    client.send(format!("a AUTHENTICATE XOAUTH2 {}\r\n", answer("token-1")).as_bytes()).await?;
    let challenge = client.line().await?;
    assert!(challenge.starts_with("+ "), "{challenge}");
    client.send(b"\r\n").await?;
    client.line_with("a NO").await?;
    assert!(dovecot.wait_for_log(SHORTLY, |line| line.contains("oauth2(bob,")).await.is_some());
    assert_eq!((dovecot.logins("alice"), dovecot.logins("bob")), (1, 1), "{}", dovecot.log());
    assert_eq!((dovecot.refused_logins("alice"), dovecot.refused_logins("bob")), (2, 1), "{}", dovecot.log());
    Ok(())
}

#[tokio::test]
async fn ends_when_asked_and_finds_the_mail_of_the_meantime() -> Result<()> {
    let Some(mut dovecot) = dovecot(DovecotOptions::default()).await? else {
        return Ok(());
    };
    let tls = dovecot.authority().client_config(&[])?;
    let mut first = Client::tls(dovecot.imaps_address(), tls.clone()).await?;
    first.ok("LOGIN alice \"alice's password\"").await?;
    first.ok("EXAMINE INBOX").await?;
    assert_eq!((dovecot.connections().await?, dovecot.all_logins()), (1, 1));
    dovecot.terminate().await?;
    assert!(Client::plain(dovecot.imap_address()).await.is_err());
    dovecot.deliver_meanwhile("alice", "Hello")?;
    dovecot.restart().await?;
    let mut second = Client::tls(dovecot.imaps_address(), tls).await?;
    second.ok("LOGIN alice \"alice's password\"").await?;
    assert!(second.ok("EXAMINE INBOX").await?.contains(&"* 1 EXISTS".to_owned()));
    Ok(())
}

#[tokio::test]
async fn restarts_with_its_mail() -> Result<()> {
    let Some(mut dovecot) = dovecot(DovecotOptions::default()).await? else {
        return Ok(());
    };
    let tls = dovecot.authority().client_config(&[])?;
    dovecot.deliver("alice", "Hello").await?;
    let mut first = Client::tls(dovecot.imaps_address(), tls.clone()).await?;
    first.ok("LOGIN alice \"alice's password\"").await?;
    first.ok("EXAMINE INBOX").await?;
    first.idle().await?;
    dovecot.stop();
    assert!(first.line_with("never said").await.is_err());
    assert!(Client::plain(dovecot.imap_address()).await.is_err());
    dovecot.restart().await?;
    let mut second = Client::tls(dovecot.imaps_address(), tls).await?;
    second.ok("LOGIN alice \"alice's password\"").await?;
    assert!(second.ok("EXAMINE INBOX").await?.contains(&"* 1 EXISTS".to_owned()));
    assert!(dovecot.wait_for_logins(SHORTLY, "alice", 2).await);
    Ok(())
}
