//! A server that is driven by lines on the standard input, as a process of its own.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::ImapServer;

/// Writes the authority's certificate to `folder/ca.pem`, prints one JSON line
/// (`{"port":N,"addresses":["127.0.0.1"],"ca":"FILE"}`) and then takes these commands, until `quit` or the input's end:
///
/// - `deliver USER` answers `{"delivered":USER,"at_ns":N}`, N being CLOCK_MONOTONIC in nanoseconds just before EXISTS was
///   written, or `null` if nobody idled;
/// - `count` answers `{"connections":N,"idling":N,"logins":N,"refused_logins":N}`.
pub async fn console(server: ImapServer, folder: &Path) -> Result<()> {
    let server = Arc::new(server);
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
