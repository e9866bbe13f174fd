//! The mock IMAP server as a process of its own, driven by lines on its standard input.
//!
//! It prints one JSON line with its port and the file of its certificate authority. Then it takes these commands:
//! `deliver USER` (answers `{"delivered":USER,"at_ns":N}`, N being CLOCK_MONOTONIC just before EXISTS was written, or
//! `null` if nobody idled), `count` (answers `{"connections":N,"idling":N,"logins":N,"refused_logins":N}`) and `quit`.
//! It ends with its input, so that it never outlives whoever started it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use peers::imap_server::{Encryption, ImapOptions, ImapServer};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// An IMAP server for demos and benches, in memory, on loopback addresses.
#[derive(Parser)]
struct Arguments {
    /// The port; 0 for any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// On how many addresses from 127.0.0.1 on it listens, at most 8.
    #[arg(long, default_value_t = 1)]
    addresses: u8,
    /// How many users there are: user0, user1, …
    #[arg(long, default_value_t = 1)]
    users: usize,
    /// The password of all of them.
    #[arg(long, default_value = "password")]
    password: String,
    /// Lets anybody in who knows the password, by any name.
    #[arg(long)]
    open: bool,
    /// Without IDLE.
    #[arg(long)]
    no_idle: bool,
    /// STARTTLS instead of TLS from the first byte.
    #[arg(long, conflicts_with = "plain")]
    starttls: bool,
    /// No TLS at all.
    #[arg(long)]
    plain: bool,
    /// Where ca.pem is written; a temporary folder when absent.
    #[arg(long)]
    folder: Option<PathBuf>,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // One connection, one descriptor.
    rlimit::increase_nofile_limit(u64::MAX)?;
    let temporary = tempfile::tempdir()?;
    let folder = arguments.folder.as_deref().unwrap_or(temporary.path());
    let encryption = match (arguments.starttls, arguments.plain) {
        (true, _) => Encryption::StartTls,
        (_, true) => Encryption::None,
        _ => Encryption::Tls,
    };
    let options = ImapOptions {
        port: arguments.port,
        addresses: arguments.addresses,
        encryption,
        idle: !arguments.no_idle,
        users: (0..arguments.users).map(|n| (format!("user{n}"), arguments.password.clone())).collect(),
        open_password: arguments.open.then(|| arguments.password.clone()),
        authority: None,
    };
    let server = Arc::new(ImapServer::start(options).await?);
    let authority = server.authority().write(folder)?;

    let (printer, mut lines) = mpsc::channel::<Value>(64);
    let printing = tokio::spawn(async move {
        let mut output = tokio::io::stdout();
        while let Some(line) = lines.recv().await {
            output.write_all(format!("{line}\n").as_bytes()).await?;
            output.flush().await?;
        }
        std::io::Result::Ok(())
    });
    let addresses: Vec<_> = server.addresses().iter().map(|address| address.ip().to_string()).collect();
    printer.send(json!({"port": server.address().port(), "addresses": addresses, "ca": authority})).await?;

    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let mut deliveries = JoinSet::new();
    while let Some(line) = input.next_line().await.context("reading commands")? {
        while deliveries.try_join_next().is_some() {}
        match line.trim().split_once(' ') {
            // Side by side: one that waits for its client holds up no other.
            Some(("deliver", user)) => {
                let (server, printer, user) = (Arc::clone(&server), printer.clone(), user.to_owned());
                deliveries.spawn(async move {
                    let answer = match server.deliver(&user).await {
                        Ok(delivery) => json!({"delivered": user, "at_ns": delivery.told_at_ns}),
                        Err(error) => json!({"error": error.to_string()}),
                    };
                    printer.send(answer).await
                });
            }
            None if line.trim() == "count" => {
                let count = json!({
                    "connections": server.connections(),
                    "idling": server.idling(),
                    "logins": server.logins(),
                    "refused_logins": server.refused_logins(),
                });
                printer.send(count).await?;
            }
            None if line.trim() == "quit" => break,
            _ => printer.send(json!({"error": format!("unknown command: {line}")})).await?,
        }
    }
    while deliveries.join_next().await.is_some() {}
    drop(printer);
    Ok(printing.await??)
}
