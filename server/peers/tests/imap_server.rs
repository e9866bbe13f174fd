//! Our own IMAP server does what a watching client needs, and survives odd input.

mod support;

use std::process::Stdio;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use peers::imap_server::{Encryption, ImapOptions, ImapServer};
use serde_json::{Value, json};
use support::{Client, SHORTLY};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const LOGIN: &str = "LOGIN alice \"alice's password\"";

async fn connect(server: &ImapServer) -> Result<Client> {
    Client::tls(server.address(), server.authority().client_config(&[])?).await
}

#[tokio::test]
async fn tells_idling_clients_of_mail() -> Result<()> {
    let server = ImapServer::start(ImapOptions::default()).await?;
    assert_eq!(server.deliver("alice").await?.told_at_ns, None);
    let (mut first, mut second) = (connect(&server).await?, connect(&server).await?);
    for client in [&mut first, &mut second] {
        client.ok(LOGIN).await?;
        let examined = client.ok("EXAMINE inbox").await?.join("\n");
        for part in ["* 1 EXISTS", "[UIDVALIDITY 1]", "[UIDNEXT 2]", "[READ-ONLY]"] {
            assert!(examined.contains(part), "{examined}");
        }
    }
    first.idle().await?;
    let before = peers::monotonic_ns();
    let delivery = server.deliver("alice").await?;
    assert_eq!(delivery.uid, 2);
    assert!(delivery.told_at_ns.context("nobody was told")? > before);
    assert_eq!(first.line().await?, "* 2 EXISTS");
    assert_eq!(server.idling(), 1);
    first.done().await?;
    assert_eq!(second.ok("NOOP").await?[0], "* 2 EXISTS");
    assert_eq!(second.ok("NOOP").await?.len(), 1);
    assert_eq!(first.ok("STATUS INBOX (UIDNEXT MESSAGES)").await?[0], "* STATUS INBOX (UIDNEXT 3 MESSAGES 2)");
    assert_eq!(first.ok("UID FETCH 2:* (FLAGS)").await?[0], "* 2 FETCH (UID 2 FLAGS ())");
    assert_eq!(first.ok("UID SEARCH UID 9:*").await?[0], "* SEARCH 2");
    assert_eq!(first.ok("UID SEARCH ALL").await?[0], "* SEARCH 1 2");
    assert_eq!(server.renew_uid_validity("alice")?, 2);
    assert_eq!(first.ok("NOOP").await?.len(), 1);
    assert!(first.ok("SELECT INBOX").await?.concat().contains("[UIDVALIDITY 2]"));
    first.ok("LOGOUT").await?;
    assert_eq!((server.logins(), server.refused_logins()), (2, 0));
    Ok(())
}

#[tokio::test]
async fn authenticates_in_every_way() -> Result<()> {
    let server = ImapServer::start(ImapOptions::default()).await?;
    let response = BASE64_STANDARD.encode("\0alice\0alice's password");
    connect(&server).await?.ok(&format!("AUTHENTICATE PLAIN {response}")).await?;
    let mut client = connect(&server).await?;
    client.send(b"a AUTHENTICATE PLAIN\r\n").await?;
    assert_eq!(client.line().await?, "+");
    client.send(format!("{response}\r\n").as_bytes()).await?;
    assert!(client.line().await?.starts_with("a OK"));
    let mut client = connect(&server).await?;
    client.send(b"a LOGIN {5}\r\n").await?;
    assert!(client.line().await?.starts_with('+'));
    client.send(b"alice {16+}\r\nalice's password\r\n").await?;
    assert!(client.line().await?.starts_with("a OK"));
    let refused = connect(&server).await?.command("LOGIN alice wrong").await?;
    assert!(refused[0].contains("NO [AUTHENTICATIONFAILED]"));
    assert_eq!((server.logins(), server.refused_logins()), (3, 1));
    Ok(())
}

#[tokio::test]
async fn starttls_comes_before_login() -> Result<()> {
    let options = ImapOptions { encryption: Encryption::StartTls, ..ImapOptions::default() };
    let server = ImapServer::start(options).await?;
    let mut client = Client::plain(server.address()).await?;
    assert!(client.greeting.contains("STARTTLS LOGINDISABLED"));
    assert!(client.command(LOGIN).await?[0].contains("NO [PRIVACYREQUIRED]"));
    let tls = server.authority().client_config(&[])?;
    let mut client = Client::starttls(server.address(), tls).await?;
    assert!(!client.ok("CAPABILITY").await?[0].contains("STARTTLS"));
    client.ok(LOGIN).await?;
    Ok(())
}

#[tokio::test]
async fn survives_odd_input() -> Result<()> {
    let options = ImapOptions { encryption: Encryption::None, idle: false, addresses: 8, ..ImapOptions::default() };
    let mut server = ImapServer::start(options).await?;
    let mut client = Client::plain(server.addresses()[7]).await?;
    for odd in
        ["", "x", "a LOGIN", "a LOGIN \"", "a UID", "a FETCH 1", "a IDLE", "\u{ff}\0\u{1}", "a LOGIN ( )", "a {1"]
    {
        client.send(format!("{odd}\r\n").as_bytes()).await?;
        let line = client.line().await?;
        assert!(line.contains("BAD"), "{odd:?}: {line}");
    }
    client.ok(LOGIN).await?;
    client.ok("SELECT INBOX").await?;
    server.deliver("alice").await?;
    client.ok("NOOP").await?;
    for odd in
        ["UID FETCH * (BODY[])", "UID FETCH 0 (UID)", "UID SEARCH (", "STATUS INBOX", "STATUS x (UIDNEXT)", "IDLE"]
    {
        let answer = client.command(odd).await?;
        assert!(answer[0].contains(" BAD ") || answer[0].contains(" NO "), "{odd}: {answer:?}");
    }
    for flood in [vec![b'x'; 100_000], b"a LOGIN {8000+}\r\n".iter().copied().chain(vec![b'y'; 100_000]).collect()] {
        let mut client = Client::plain(server.address()).await?;
        // The server hangs up while we still write.
        let _ = client.send(&flood).await;
        assert!(client.line_with("never said").await.is_err());
    }
    client.ok("NOOP").await?;
    server.restart().await?;
    assert!(client.line_with("never said").await.is_err());
    Client::plain(server.address()).await?.ok(LOGIN).await?;
    Ok(())
}

#[tokio::test]
async fn runs_as_a_process() -> Result<()> {
    let mut process = tokio::process::Command::new(env!("CARGO_BIN_EXE_pinger-mock-imap"))
        .args(["--users", "2", "--addresses", "2", "--plain"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = process.stdin.take().context("no input")?;
    let mut lines = BufReader::new(process.stdout.take().context("no output")?).lines();
    let mut line = async || -> Result<Value> {
        let line = tokio::time::timeout(SHORTLY, lines.next_line()).await??;
        Ok(serde_json::from_str(&line.context("no line")?)?)
    };
    let begin = line().await?;
    assert_eq!(begin["addresses"], json!(["127.0.0.1", "127.0.0.2"]));
    let authority = std::fs::read_to_string(begin["ca"].as_str().context("no ca")?)?;
    assert!(authority.starts_with("-----BEGIN CERTIFICATE-----"));
    let port = u16::try_from(begin["port"].as_u64().context("no port")?)?;

    let mut client = Client::plain(([127, 0, 0, 2], port).into()).await?;
    client.ok("LOGIN user1 password").await?;
    client.ok("EXAMINE INBOX").await?;
    client.idle().await?;
    let before = peers::monotonic_ns();
    input.write_all(b"deliver user1\n").await?;
    assert_eq!(client.line().await?, "* 1 EXISTS");
    let delivered = line().await?;
    assert_eq!(delivered["delivered"], "user1");
    let at = delivered["at_ns"].as_u64().context("nobody was told")?;
    assert!(before < at && at < peers::monotonic_ns());
    input.write_all(b"count\n").await?;
    assert_eq!(line().await?, json!({"connections": 1, "idling": 1, "logins": 1, "refused_logins": 0}));
    input.write_all(b"deliver user0\n").await?;
    assert_eq!(line().await?, json!({"delivered": "user0", "at_ns": null}));
    input.write_all(b"deliver nobody\nnonsense\n").await?;
    assert!(line().await?["error"].is_string() && line().await?["error"].is_string());
    drop(input);
    assert!(tokio::time::timeout(SHORTLY, process.wait()).await??.success());
    Ok(())
}
