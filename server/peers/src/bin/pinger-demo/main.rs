//! `pinger-demo`: starts a mailbox, a push receiver and a whole Pinger, and shows one mail becoming a push.
//!
//! It uses Pinger as a newcomer would: through the program `pinger`, its configuration file and its command-line device.
//! `--serve-e2e` is the same set-up for the tests in `e2e/`, without the story.

mod device;
mod e2e;
mod files;
mod mailbox;
mod screen;
mod server;
mod story;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::screen::Screen;

/// Shows Pinger's main job: a phone registers, mail arrives, the phone is pushed.
///
/// Exit codes: 0 the push was shown; 1 it wasn't; 130 stopped before it could be.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The program `pinger`. Without it, the one beside this program.
    #[arg(long, value_name = "FILE")]
    pinger: Option<PathBuf>,

    /// Exit when the push was shown, or after a minute without one.
    #[arg(long, conflicts_with = "serve_e2e")]
    once: bool,

    /// For the tests in e2e/: print a line of JSON that says where all is, and stay until the standard input ends.
    #[arg(long)]
    serve_e2e: bool,

    /// Where the configuration, the keys, the store and the log are. Without it, data/demo; for --serve-e2e, a temporary
    /// folder.
    #[arg(long, env = "PINGER_DEMO_DATA", value_name = "FOLDER")]
    data: Option<PathBuf>,

    /// For --serve-e2e: a provider by which staff sign in, too. It knows us as the public client `pinger`.
    #[arg(long, env = "PINGER_DEMO_ISSUER", value_name = "URL")]
    issuer: Option<String>,

    /// Where devices call. If that port is taken, it is another. For --serve-e2e, it is always a free one.
    #[arg(long, default_value = "127.0.0.1:7464", value_name = "ADDRESS")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let screen = Screen::new();
    match run(arguments, &screen).await {
        Ok(code) => code,
        Err(error) => {
            screen.failed(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments, screen: &Screen) -> Result<ExitCode> {
    let stop = stop_on_signals()?;
    let pinger = match arguments.pinger {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("pinger"),
    };
    anyhow::ensure!(pinger.is_file(), "{} is not there: build it with `cargo build -p pinger`", pinger.display());
    let pinger = pinger.canonicalize().context("the path of pinger")?;
    if arguments.serve_e2e {
        return e2e::run(pinger, arguments.data, arguments.issuer, &stop).await;
    }
    let data = arguments.data.unwrap_or_else(|| PathBuf::from("data/demo"));
    story::run(story::Options { pinger, data, listen: arguments.listen, once: arguments.once }, screen, &stop).await
}

/// A token that SIGINT, SIGTERM and SIGHUP cancel, so that all that was started can be stopped.
fn stop_on_signals() -> Result<CancellationToken> {
    let stop = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut signal, stop) = (signal(kind).context("receiving signals")?, stop.clone());
        // It ends with the runtime, which is this process.
        tokio::spawn(async move {
            signal.recv().await;
            stop.cancel();
        });
    }
    Ok(stop)
}
