//! The hostile server does what its script says, and nothing else wrong.

mod support;

use std::time::Duration;

use anyhow::Result;
use peers::hostile::{Event, HostileImap, Moment, Script, Transport, Trick};
use support::{Client, SHORTLY};

async fn connect(server: &HostileImap) -> Result<Client> {
    Client::tls(server.address(), server.authority().client_config(&[])?).await
}

async fn idling(server: &HostileImap) -> Result<Client> {
    let mut client = connect(server).await?;
    client.ok("LOGIN alice secret").await?;
    client.ok("EXAMINE INBOX").await?;
    client.idle().await?;
    Ok(client)
}

async fn is_closed(client: &mut Client) -> bool {
    client.line_with("never said").await.is_err()
}

#[tokio::test]
async fn is_healthy_otherwise() -> Result<()> {
    let server = HostileImap::start(Script::Healthy).await?;
    let mut client = idling(&server).await?;
    server.deliver();
    assert_eq!(client.line().await?, "* 1 EXISTS");
    client.done().await?;
    assert!(client.ok("STATUS INBOX (UIDNEXT)").await?[0].contains("UIDNEXT 2"));
    assert_eq!(client.ok("UID SEARCH 1:*").await?[0], "* SEARCH 1");
    client.send(b"a AUTHENTICATE LOGIN\r\n").await?;
    assert_eq!((client.line().await?, client.send(b"YQ==\r\n").await?), ("+".to_owned(), ()));
    assert_eq!((client.line().await?, client.send(b"YQ==\r\n").await?), ("+".to_owned(), ()));
    client.line_with("a OK").await?;
    client.ok("LOGOUT").await?;
    assert!(server.wait_for(SHORTLY, |event| *event == Event::Closed { connection: 1 }).await.is_some());
    assert_eq!((server.connects(), server.logins()), (1, 2));
    assert_eq!(server.commands()[..3], ["LOGIN alice secret", "EXAMINE INBOX", "IDLE"]);
    Ok(())
}

#[tokio::test]
async fn spoils_tls() -> Result<()> {
    let server = HostileImap::start(Script::Healthy).await?;
    for script in [
        Script::PlainTextOnTlsPort,
        Script::WrongHostCertificate,
        Script::SelfSignedCertificate,
        Script::ExpiredCertificate,
    ] {
        server.play(script.clone());
        assert!(connect(&server).await.is_err(), "{script:?}");
    }
    server.play(Script::HangInTls);
    let hanging = connect(&server);
    let hung = async { assert!(server.wait_for_connects(SHORTLY, 5).await) };
    tokio::select! {
        _ = hanging => anyhow::bail!("it answered"),
        () = hung => {}
    }
    server.play(Script::Healthy);
    connect(&server).await?;
    assert_eq!(server.logins(), 0);
    Ok(())
}

#[tokio::test]
async fn spoils_starttls() -> Result<()> {
    let server = HostileImap::start_with(Script::Healthy, Transport::StartTls, None).await?;
    let tls = server.authority().client_config(&[])?;
    Client::starttls(server.address(), tls.clone()).await?.ok("LOGIN alice secret").await?;
    assert!(server.events().contains(&Event::Command {
        connection: 1,
        encrypted: true,
        line: "LOGIN alice secret".to_owned()
    }));
    for (script, there, absent) in
        [(Script::NoStartTls, "AUTH=PLAIN", "STARTTLS"), (Script::LoginDisabled, "LOGINDISABLED", "STARTTLS")]
    {
        server.play(script);
        let mut client = Client::plain(server.address()).await?;
        assert!(client.greeting.contains(there) && !client.greeting.contains(absent), "{}", client.greeting);
        assert!(client.ok("STARTTLS").await.is_err());
    }
    server.play(Script::InjectAfterStartTls);
    let mut client = Client::plain(server.address()).await?;
    client.ok("STARTTLS").await?;
    assert!(client.line().await?.contains("X-INJECTED"));
    Ok(())
}

#[tokio::test]
async fn plays_tricks() -> Result<()> {
    let server = HostileImap::start(Script::bye_at_greeting()).await?;
    let mut client = connect(&server).await?;
    assert!(client.greeting.starts_with("* BYE") && is_closed(&mut client).await);
    for (script, reply) in [
        (Script::refuse_login(), "NO [AUTHENTICATIONFAILED]"),
        (Script::unavailable(), "NO [UNAVAILABLE]"),
        (Script::too_many_connections(), "NO [LIMIT]"),
    ] {
        server.play(script);
        let mut client = connect(&server).await?;
        assert!(client.command("LOGIN alice secret").await?[0].contains(reply));
        client.ok("CAPABILITY").await?;
    }
    assert_eq!(server.logins(), 3);
    server.play(Script::refuse_examine());
    let mut client = connect(&server).await?;
    client.ok("LOGIN alice secret").await?;
    assert!(client.command("EXAMINE INBOX").await?[0].contains("NO [NONEXISTENT]"));
    server.play(Script::NoIdle);
    assert!(!client.ok("CAPABILITY").await?[0].contains("IDLE"));
    assert!(client.idle().await.is_err());
    for trick in [Trick::Close, Trick::CloseInMidLine, Trick::Bye, Trick::Garbage] {
        server.play(Script::Healthy);
        let mut client = connect(&server).await?;
        client.ok("LOGIN alice secret").await?;
        server.play(Script::At(Moment::Examine, trick));
        assert!(client.ok("EXAMINE INBOX").await.is_err());
        assert!(is_closed(&mut client).await);
    }
    Ok(())
}

#[tokio::test]
async fn spoils_idle() -> Result<()> {
    let server = HostileImap::start(Script::Healthy).await?;
    let mut client = idling(&server).await?;
    server.play(Script::bye_in_idle());
    assert!(client.line().await?.starts_with("* BYE") && is_closed(&mut client).await);

    server.play(Script::LyingIdle);
    let mut client = idling(&server).await?;
    server.deliver();
    assert_eq!(client.done().await?.len(), 1, "nothing is told");
    assert!(client.ok("STATUS INBOX (UIDNEXT)").await?[0].contains("UIDNEXT 2"));

    server.play(Script::At(Moment::Idling, Trick::Hang));
    let connects = server.connects();
    drop(client);
    drop(idling(&server).await?);
    let last = u64::try_from(connects + 1)?;
    assert!(server.wait_for(SHORTLY, |event| *event == Event::Closed { connection: last }).await.is_some());
    Ok(())
}

#[tokio::test]
async fn floods() -> Result<()> {
    let server = HostileImap::start(Script::Healthy).await?;
    for (n, trick) in (1..).zip([Trick::EndlessLine, Trick::EndlessLines, Trick::EndlessLiteral]) {
        server.play(Script::At(Moment::AfterLogin, trick));
        let before = server.flooded_bytes();
        let mut client = connect(&server).await?;
        client.ok("LOGIN alice secret").await?;
        assert!(tokio::time::timeout(Duration::from_millis(50), is_closed(&mut client)).await.is_err());
        drop(client);
        assert!(server.wait_for(SHORTLY, |event| *event == Event::Closed { connection: n }).await.is_some());
        assert!(server.flooded_bytes() > before);
    }
    Ok(())
}
