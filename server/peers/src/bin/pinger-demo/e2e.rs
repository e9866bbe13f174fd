//! The set-up for the tests in `e2e/`, which drive it over HTTP.

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use peers::apns::{ApnsOptions, ApnsReceiver};
use peers::certificate::Authority;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::files::{Files, TOPIC};
use crate::mailbox::{Mailbox, PASSWORD, USER};
use crate::server::Server;

/// What the tests reach over HTTP.
struct Ends {
    mailbox: Mailbox,
    receiver: ApnsReceiver,
}

/// Starts everything, prints where it is, and stays until the standard input ends or `stop`.
pub(crate) async fn run(pinger: PathBuf, data: Option<PathBuf>, stop: &CancellationToken) -> Result<ExitCode> {
    let stop = stop.clone();
    stop_with_stdin(stop.clone());
    let temporary = tempfile::Builder::new().prefix("pinger-e2e-").tempdir()?;
    let folder = data.unwrap_or_else(|| temporary.path().to_owned());
    let Some(outcome) = stop.run_until_cancelled(Box::pin(set_up(pinger, folder))).await else {
        return Ok(ExitCode::from(130));
    };
    let (mut server, listener, ends, line) = outcome?;
    println(&line)?;
    let service = axum::serve(listener, router(ends)).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = service => served?,
        () = stop.cancelled() => {}
        error = server.ended() => return Err(error),
    }
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn set_up(pinger: PathBuf, folder: PathBuf) -> Result<(Server, TcpListener, Arc<Ends>, Value)> {
    let files = Files::open(&folder)?;
    let authority = Arc::new(Authority::new()?);
    let mailbox = Mailbox::start(&authority).await.context("the mail server does not start")?;
    let options = ApnsOptions { authority: Some(authority), topics: vec![TOPIC.to_owned()], ..Default::default() };
    let receiver = ApnsReceiver::start(options).await.context("the push receiver does not start")?;
    let mail = mailbox.address();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    files.write_configuration(any, any, mail.port(), &receiver)?;
    let server = Server::start(&pinger, &files.configuration(), &files.log()).await?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let http = format!("http://{}", listener.local_addr()?);
    let line = json!({
        "PINGER_DEVICE_API": server.ready().device_api,
        "PINGER_APP_KEY": files.app_key(),
        "PINGER_IDENTITY_KEY": server.ready().identity_key,
        "PINGER_IMAP_HOST": mail.ip().to_string(),
        // The environment of a process has text only.
        "PINGER_IMAP_PORT": mail.port().to_string(),
        "PINGER_IMAP_USER": USER,
        "PINGER_IMAP_PASSWORD": PASSWORD,
        "PINGER_DELIVER_URL": format!("{http}/mail"),
        "PINGER_PUSHES_URL": format!("{http}/pushes"),
    });
    Ok((server, listener, Arc::new(Ends { mailbox, receiver }), line))
}

fn router(ends: Arc<Ends>) -> Router {
    Router::new().route("/mail", post(deliver)).route("/pushes", get(pushes)).with_state(ends)
}

async fn deliver(State(ends): State<Arc<Ends>>) -> Result<StatusCode, (StatusCode, String)> {
    match ends.mailbox.deliver().await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))),
    }
}

async fn pushes(State(ends): State<Arc<Ends>>) -> Json<Vec<Value>> {
    let pushes = ends.receiver.pushes().into_iter().map(|push| {
        json!({
            "token": push.token,
            "topic": push.topic,
            "push_type": push.push_type,
            "priority": push.priority,
            "expiration": push.expiration,
            "collapse_id": push.collapse_id,
            "apns_id": push.apns_id,
            "payload": push.payload,
            "status": push.status.map(|status| status.as_u16()),
            "reason": push.reason,
            "warnings": push.warnings,
        })
    });
    Json(pushes.collect())
}

/// Whoever started us holds the other end of the standard input: when it ends, so do we. It is read in a thread, because
/// nothing can interrupt that; it ends with the process.
fn stop_with_stdin(stop: CancellationToken) {
    std::thread::spawn(move || {
        let mut rest = [0; 256];
        while matches!(std::io::stdin().read(&mut rest), Ok(read) if read > 0) {}
        stop.cancel();
    });
}

fn println(line: &Value) -> Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("writing to the standard output")
}
