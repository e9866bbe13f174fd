//! Delivery of mail by LMTP, the fastest way into a mailbox, and past the server.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
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
    let mail = format!("{}.\r\n", text(unique()?, &recipient, subject));
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

/// Puts one mail into a maildir, under a name that becomes visible when the mail is whole.
pub(super) fn into_maildir(maildir: &Path, user: &str, subject: &str) -> Result<()> {
    let new = maildir.join("new");
    let owner = std::fs::metadata(&new).with_context(|| format!("{} has no mailbox yet", maildir.display()))?;
    let sent = unique()?;
    let name = format!("{}.{sent}.localhost", sent / 1_000_000_000);
    let draft = maildir.join("tmp").join(&name);
    std::fs::write(&draft, text(sent, user, subject))?;
    chown(&draft, Some(owner.uid()), Some(owner.gid()))?;
    Ok(std::fs::rename(&draft, new.join(&name))?)
}

/// Nanoseconds since 1970, which no two mails to a mailbox share.
fn unique() -> Result<u128> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos())
}

fn text(sent: u128, recipient: &str, subject: &str) -> String {
    format!(
        "From: sender@example.org\r\nTo: {recipient}\r\nSubject: {subject}\r\n\
         Message-ID: <{sent}@example.org>\r\n\r\nA test mail.\r\n"
    )
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
