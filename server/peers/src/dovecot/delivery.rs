//! Delivery of mail by LMTP, the fastest way into a mailbox.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::PATIENCE;

/// Hands over one mail for one user's INBOX or another mailbox.
pub(super) async fn deliver(port: u16, user: &str, mailbox: Option<&str>, subject: &str) -> Result<()> {
    // Not with a domain of our choice: it would become part of the user's name.
    let recipient = match (mailbox, user.split_once('@')) {
        (None, _) => user.to_owned(),
        (Some(mailbox), None) => format!("{user}+{mailbox}"),
        (Some(mailbox), Some((name, domain))) => format!("{name}+{mailbox}@{domain}"),
    };
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let sent = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
    let mail = format!(
        "From: sender@example.org\r\nTo: {recipient}\r\nSubject: {subject}\r\n\
         Message-ID: <{sent}@example.org>\r\n\r\nA test mail.\r\n.\r\n"
    );
    let talk = async {
        reply(&mut stream, "220").await?;
        for (command, expected) in [
            ("LHLO localhost\r\n", "250"),
            ("MAIL FROM:<sender@example.org>\r\n", "250"),
            (&format!("RCPT TO:<{recipient}>\r\n"), "250"),
            ("DATA\r\n", "354"),
            (&mail, "250"),
            ("QUIT\r\n", "221"),
        ] {
            stream.write_all(command.as_bytes()).await?;
            reply(&mut stream, expected).await.with_context(|| format!("after {command}"))?;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, talk).await.context("LMTP takes too long")?
}

/// Reads a reply, which may have several lines.
async fn reply(stream: &mut BufReader<TcpStream>, expected: &str) -> Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        ensure!(stream.read_line(&mut line).await? > 0, "LMTP connection closed");
        ensure!(line.starts_with(expected), "LMTP says {line}");
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}
