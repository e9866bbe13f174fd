//! The mock IMAP server as a process of its own, driven by lines on its standard input.
//!
//! What it prints and which commands it takes is said at [`peers::imap_server::console`]. It ends with its input, so that it
//! never outlives whoever started it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use peers::imap_server::{Encryption, ImapOptions, ImapServer, console};

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
    console(ImapServer::start(options).await?, folder).await
}
