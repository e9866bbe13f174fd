//! The set-up for the tests in `e2e/`, which drive it over HTTP.

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use peers::apns::{ApnsOptions, ApnsReceiver};
use peers::certificate::Authority;
use peers::hostile::{HostileImap, Moment, Script, Transport, Trick};
use peers::otlp::OtlpReceiver;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::files::{Files, TOPIC};
use crate::mailbox::{Mailbox, PASSWORD, USER};
use crate::server::Server;

/// Made-up sessions beside those that the tests register: more than a page of the list, and each kind of trouble.
const MADE_UP: u32 = 2_000;

/// The dashboard believes what browsers of this machine say of where they come from, so that each journey is slowed down
/// for its own tries to sign in, and for nobody else's. Hashing is cheap: there are many sign-ins, and no secrets.
const DASHBOARD: &str =
    "trusted_proxies = [\"127.0.0.0/8\"]\nargon2 = { memory_kib = 64, iterations = 1, concurrent = 2 }";

/// What a mail server says that wants to be a page of ours, or to be asked of the store. It ends up in the handshake, and
/// in the evidence of a fault.
const SCRAWL: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>'; DROP TABLE session;--";

/// What the tests reach over HTTP, and what has to stay for them.
struct Ends {
    mailbox: Mailbox,
    receiver: ApnsReceiver,
    collector: OtlpReceiver,
    /// Mail servers that scrawl: one greets so and is fine otherwise, the other refuses whoever logs in.
    _scrawlers: [HostileImap; 2],
    invites: Invites,
}

/// Makes links by which staff sign up, as an admin does on the command line.
struct Invites {
    pinger: PathBuf,
    configuration: PathBuf,
    /// Where browsers call: the configuration has no port.
    dashboard: String,
}

/// Starts everything, prints where it is, and stays until the standard input ends or `stop`.
pub(crate) async fn run(
    pinger: PathBuf,
    data: Option<PathBuf>,
    issuer: Option<String>,
    stop: &CancellationToken,
) -> Result<ExitCode> {
    let stop = stop.clone();
    stop_with_stdin(stop.clone());
    let temporary = tempfile::Builder::new().prefix("pinger-e2e-").tempdir()?;
    let folder = data.unwrap_or_else(|| temporary.path().to_owned());
    let Some(outcome) = stop.run_until_cancelled(Box::pin(set_up(pinger, folder, issuer))).await else {
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

async fn set_up(
    pinger: PathBuf,
    folder: PathBuf,
    issuer: Option<String>,
) -> Result<(Server, TcpListener, Arc<Ends>, Value)> {
    let files = Files::open(&folder)?;
    let authority = Arc::new(Authority::new()?);
    let mailbox = Mailbox::start(&authority).await.context("the mail server does not start")?;
    let scrawlers = scrawlers(&authority).await.context("a hostile mail server does not start")?;
    let collector = OtlpReceiver::start().await.context("the receiver of traces does not start")?;
    let options = ApnsOptions { authority: Some(authority), topics: vec![TOPIC.to_owned()], ..Default::default() };
    let receiver = ApnsReceiver::start(options).await.context("the push receiver does not start")?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let http = format!("http://{}", listener.local_addr()?);
    let mail = mailbox.address();
    let [greets, refuses] = scrawlers.each_ref().map(|server| server.address().port());
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let dashboard = dashboard(&http, issuer.as_deref());
    files.write_configuration(any, any, &dashboard, &[mail.port(), greets, refuses], &receiver)?;
    let configuration = files.configuration();
    Server::fill(&pinger, &configuration, MADE_UP).await?;
    let endpoint = collector.endpoint();
    // A journey that follows a link to a trace does not wait for the next batch.
    let traces = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let server = Server::start(&pinger, &configuration, &files.log(), &traces).await?;
    let dashboard = server.ready().dashboard.clone().context("the server has no dashboard")?;
    let sign_up = server.ready().sign_up.clone().context("somebody has signed up already: take an empty folder")?;
    let line = json!({
        "PINGER_DEVICE_API": server.ready().device_api,
        "PINGER_APP_KEY": files.app_key(),
        "PINGER_IDENTITY_KEY": server.ready().identity_key,
        "PINGER_IMAP_HOST": mail.ip().to_string(),
        // The environment of a process has text only.
        "PINGER_IMAP_PORT": mail.port().to_string(),
        "PINGER_IMAP_USER": USER,
        "PINGER_IMAP_PASSWORD": PASSWORD,
        "PINGER_SCRAWL": SCRAWL,
        "PINGER_SCRAWL_GREETS_PORT": greets.to_string(),
        "PINGER_SCRAWL_REFUSES_PORT": refuses.to_string(),
        "PINGER_DELIVER_URL": format!("{http}/mail"),
        "PINGER_PUSHES_URL": format!("{http}/pushes"),
        "PINGER_TRACE_URL": format!("{http}/trace"),
        "PINGER_DASHBOARD": &dashboard,
        "PINGER_SIGN_UP": sign_up,
        "PINGER_INVITE_URL": format!("{http}/invite"),
    });
    let invites = Invites { pinger, configuration, dashboard };
    let ends = Ends { mailbox, receiver, collector, _scrawlers: scrawlers, invites };
    Ok((server, listener, Arc::new(ends), line))
}

/// The lines of the section `[dashboard]`: `http` shows traces, and whoever is new at the issuer becomes a viewer.
fn dashboard(http: &str, issuer: Option<&str>) -> String {
    let provider = |issuer: &str| {
        let issuer = Value::from(issuer);
        format!(
            "
[dashboard.oidc]
name = \"Example ID\"
issuer = {issuer}
client_id = \"pinger\"
role = \"viewer\"
groups = {{ helpers = \"support\" }}
create = true"
        )
    };
    let provider = issuer.map(provider).unwrap_or_default();
    format!("{DASHBOARD}\ntrace_url = \"{http}/trace/{{trace_id}}\"\n{provider}")
}

async fn scrawlers(authority: &Arc<Authority>) -> Result<[HostileImap; 2]> {
    let greeting = Trick::Say(format!("* OK [CAPABILITY IMAP4rev1 IDLE SASL-IR AUTH=PLAIN AUTH=LOGIN] {SCRAWL}"));
    let refusal = Trick::Say(format!("NO [AUTHENTICATIONFAILED] {SCRAWL}"));
    let start = async |moment, trick| {
        HostileImap::start_with(Script::At(moment, trick), Transport::Tls, Some(Arc::clone(authority))).await
    };
    Ok([start(Moment::Greeting, greeting).await?, start(Moment::Login, refusal).await?])
}

fn router(ends: Arc<Ends>) -> Router {
    Router::new()
        .route("/mail", post(deliver))
        .route("/pushes", get(pushes))
        .route("/trace/{id}", get(trace))
        .route("/invite/{role}", post(invite))
        .with_state(ends)
}

/// What went wrong, for whoever reads the test's output.
type Problem = (StatusCode, String);

fn problem(error: &anyhow::Error) -> Problem {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
}

async fn deliver(State(ends): State<Arc<Ends>>) -> Result<StatusCode, Problem> {
    ends.mailbox.deliver().await.map(|()| StatusCode::NO_CONTENT).map_err(|error| problem(&error))
}

/// A link by which somebody signs up with a role.
async fn invite(State(ends): State<Arc<Ends>>, Path(role): Path<String>) -> Result<String, Problem> {
    ends.invites.make(&role).await.map_err(|error| problem(&error))
}

impl Invites {
    async fn make(&self, role: &str) -> Result<String> {
        let mut command = Command::new(&self.pinger);
        command.arg("--config").arg(&self.configuration).args(["staff", "invite", "--json", "--role", role]);
        let output = command.env_remove("PINGER_DATABASE_URL").stdin(Stdio::null()).output().await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "no link could be made: {errors}");
        let made: Value = serde_json::from_slice(&output.stdout)?;
        let link = made.get("sign_up").and_then(Value::as_str).context("`pinger staff invite` printed no link")?;
        let path = link.find("/sign-up/").and_then(|at| link.get(at..)).context("the link leads to no sign-up")?;
        Ok(format!("{}{path}", self.dashboard))
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

/// What stands where Jaeger would: the spans of a trace that have come so far.
async fn trace(State(ends): State<Arc<Ends>>, Path(id): Path<String>) -> Json<Value> {
    let spans = ends.collector.trace(&id).into_iter().map(|span| {
        json!({
            "span_id": span.span_id,
            "parent_id": span.parent_id,
            "name": span.name,
            "service": span.service,
            "attributes": span.attributes,
        })
    });
    Json(json!({ "trace_id": id, "spans": spans.collect::<Vec<_>>() }))
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
