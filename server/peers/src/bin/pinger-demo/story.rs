//! The main job, in front of the user: six steps, each saying what it does, and then a server to play with.

use std::io::{BufRead, IsTerminal, stdin};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use peers::apns::{ApnsOptions, ApnsReceiver, ReceivedPush};
use peers::certificate::Authority;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::device::{Device, typed};
use crate::files::{Files, TOPIC, random_hex};
use crate::mailbox::{Mailbox, PASSWORD, USER};
use crate::screen::{Screen, milliseconds};
use crate::server::Server;

/// How long a push may take.
const PUSH: Duration = Duration::from_secs(60);

/// The dashboard's port, if it is free.
const DASHBOARD_PORT: u16 = 8480;

/// Made-up sessions in a new store.
const MADE_UP: u32 = 2_000;

/// When the mail server has said nothing for this long after the log-in, Pinger idles.
const QUIET: Duration = Duration::from_millis(200);

/// How long the device's last call may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// What the story is told with.
pub(crate) struct Options {
    pub(crate) pinger: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) once: bool,
}

/// All that was started, and who is in it.
struct Stage {
    files: Files,
    server: Server,
    mailbox: Mailbox,
    receiver: ApnsReceiver,
    device: Device,
    /// The device's token at the push service.
    token: String,
}

/// Tells the story, and stays until `stop` unless it is told once.
pub(crate) async fn run(options: Options, screen: &Screen, stop: &CancellationToken) -> Result<ExitCode> {
    let story = Box::pin(async {
        let mut stage = set_up(&options, screen).await?;
        let figures = tokio::select! {
            figures = show_a_push(&stage.mailbox, &stage.receiver, &stage.token, screen) => figures,
            error = stage.server.ended() => Err(error),
        };
        let log = || format!("the server's log is {}", stage.files.log().display());
        let figures = figures.with_context(log)?;
        anyhow::Ok((stage, figures))
    });
    let Some(outcome) = stop.run_until_cancelled(story).await else {
        // What was started has been stopped by being dropped.
        screen.line("\nStopped before a push was shown.");
        return Ok(ExitCode::from(130));
    };
    let (mut stage, figures) = outcome?;
    if !options.once {
        stay_up(&mut stage, &options, screen, stop).await?;
        screen.line("\nStopping: the demo's session, the server, the push receiver, the mail server.");
    }
    let Stage { server, device, .. } = stage;
    // Its credential is of no use to anybody, but nothing is left lying about. If it can't be, it is replaced next time.
    let _ = tokio::time::timeout(FAREWELL, device.stop()).await;
    server.stop().await;
    if options.once {
        screen.succeeded(&figures);
    } else {
        screen.line("All is stopped.");
    }
    Ok(ExitCode::SUCCESS)
}

async fn set_up(options: &Options, screen: &Screen) -> Result<Stage> {
    screen.heading("Pinger's main job: a phone sleeps, mail arrives, the phone is woken.");

    let files = Files::open(&options.data)?;
    let authority = Arc::new(Authority::new()?);
    screen.step(1, "Mailbox", "starting a mail server");
    let mailbox = Mailbox::start(&authority).await.context("the mail server does not start")?;
    screen.detail("server", mailbox.name());
    if let Some(why) = mailbox.why_small() {
        screen.detail("", format!("({why})"));
    }
    screen.detail("address", format!("imaps://{}, user {USER}", mailbox.address()));

    screen.step(2, "Push receiver", "starting one that speaks Apple's HTTP/2 and checks what Apple checks");
    let receiver_options =
        ApnsOptions { authority: Some(authority), topics: vec![TOPIC.to_owned()], ..Default::default() };
    let receiver = ApnsReceiver::start(receiver_options).await.context("the push receiver does not start")?;
    screen.detail("address", format!("https://{}", receiver.address()));

    screen.step(3, "Server", "starting the backend, and the gateway in a process of its own");
    let listen = free_or_any(options.listen);
    let dashboard = free_or_any(SocketAddr::from(([127, 0, 0, 1], DASHBOARD_PORT)));
    files.write_configuration(listen, dashboard, "", &[mailbox.address().port()], &receiver)?;
    let (configuration, log) = (files.configuration(), files.log());
    screen.detail("by hand", format!("{} --config {} serve", shown(&options.pinger), configuration.display()));
    screen.detail("log", log.display());
    if files.is_new() && !options.once {
        screen.detail("dashboard", format!("gets {MADE_UP} made-up sessions to show"));
        Server::fill(&options.pinger, &configuration, MADE_UP).await?;
    }
    let server = Server::start(&options.pinger, &configuration, &log, &[]).await?;
    screen.detail("device API", &server.ready().device_api);

    screen.step(4, "Phone", "handing over the watching of its mailbox; the password is sealed for the backend first");
    let token = random_hex();
    let register = registration(&server, &files, &mailbox, &token);
    let device = Device::new(&options.pinger, &files.device_state());
    let command = [shown(&options.pinger), "device".to_owned(), "register".to_owned()];
    let with_state =
        [&["--state".to_owned(), files.device_state().display().to_string()], register.as_slice()].concat();
    screen.line("     by hand:");
    screen.block(&typed(Some(("PINGER_PASSWORD", PASSWORD)), &command, &with_state));
    let begin = Instant::now();
    let session = device.register(&register, PASSWORD).await?;
    screen.detail("registered", format!("session {}, after {}", session.session_id, milliseconds(begin.elapsed())));
    device.watched().await.with_context(|| format!("the server's log is {}", log.display()))?;
    screen.detail("watched", format!("after {}; from here on the phone sleeps", milliseconds(begin.elapsed())));

    Ok(Stage { files, server, mailbox, receiver, device, token })
}

/// What the demo's phone says to register.
fn registration(server: &Server, files: &Files, mailbox: &Mailbox, token: &str) -> Vec<String> {
    let address = mailbox.address();
    let mut options = to_this_server(server, files);
    options.extend(
        [
            ("--user", "demo-user"),
            ("--device", "demo-phone"),
            ("--context", "demo-mailbox"),
            ("--platform", "ios"),
            ("--imap-host", &address.ip().to_string()),
            ("--imap-port", &address.port().to_string()),
            ("--username", USER),
            ("--apns-token", token),
            ("--apns-topic", TOPIC),
            ("--apns-environment", "development"),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value.to_owned()]),
    );
    options
}

fn to_this_server(server: &Server, files: &Files) -> Vec<String> {
    let ready = server.ready();
    let app_key = files.app_key_file().display().to_string();
    ["--server", &ready.device_api, "--identity", &ready.identity_key, "--app-key-file", &app_key]
        .map(str::to_owned)
        .to_vec()
}

/// Delivers a mail and shows the push that it leads to; answers the figures.
async fn show_a_push(mailbox: &Mailbox, receiver: &ApnsReceiver, token: &str, screen: &Screen) -> Result<String> {
    mailbox.wire().quiet(QUIET).await;
    screen.step(5, "Mail", format!("delivering one to {USER}"));
    mailbox.wire().mark();
    let delivery = deliver(mailbox).await?;
    screen.detail("delivered", format!("in {}", milliseconds(delivery.elapsed())));

    screen.step(6, "Push", "waiting for it");
    let push = receiver
        .wait_for(PUSH, |push| push.token == token && push.at >= delivery)
        .await
        .with_context(|| format!("no push came within {} s", PUSH.as_secs()))?;
    for name in ["apns-topic", "apns-push-type", "apns-priority", "apns-collapse-id"] {
        let value = push.headers.get(name).and_then(|value| value.to_str().ok());
        screen.detail(name, value.unwrap_or("(absent)"));
    }
    let left = push.expiration.map(|at| at.saturating_sub(since_1970(push.at_time)));
    screen
        .detail("apns-expiration", left.map_or_else(|| "(absent)".to_owned(), |left| format!("in {} min", left / 60)));
    screen.detail(
        "authorization",
        if push.valid { "a provider token (JWT, ES256), signature checked" } else { "see below" },
    );
    for warning in &push.warnings {
        screen.detail("warning", warning);
    }
    screen.detail("payload", "");
    screen.block(&serde_json::to_string_pretty(&push.payload)?);
    anyhow::ensure!(push.accepted(), "a push came, but the receiver refused it, as Apple would: {}", push.reason);

    let figures = Figures::new(delivery, &push, mailbox);
    screen.line("");
    screen.detail(&milliseconds(figures.all), "from handing over the mail to the push");
    if let Some((server, ours)) = figures.parts {
        let dovecot = if mailbox.is_dovecot() { ": Dovecot lets an idling client wait half a second" } else { "" };
        screen.detail(&milliseconds(server), format!("of it until the mail server told Pinger{dovecot}"));
        screen.detail(&milliseconds(ours), "of it from the mail server's word to the push: Pinger's own part");
    }
    Ok(figures.sentence())
}

fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Delivers a mail; answers when that began.
async fn deliver(mailbox: &Mailbox) -> Result<Instant> {
    let begin = Instant::now();
    mailbox.deliver().await.context("the mail could not be delivered")?;
    Ok(begin)
}

/// How long it took from a mail to its push.
struct Figures {
    all: Duration,
    /// Until the mail server told Pinger, and from then to the push.
    parts: Option<(Duration, Duration)>,
}

impl Figures {
    fn new(delivery: Instant, push: &ReceivedPush, mailbox: &Mailbox) -> Self {
        let told = mailbox.wire().first_since_mark();
        let parts =
            told.and_then(|told| Some((told.checked_duration_since(delivery)?, push.at.checked_duration_since(told)?)));
        Self { all: push.at.saturating_duration_since(delivery), parts }
    }

    fn sentence(&self) -> String {
        let all = milliseconds(self.all);
        match self.parts {
            Some((_, ours)) => {
                format!("the push came {all} after the mail, {} of it Pinger's own part.", milliseconds(ours))
            }
            None => format!("the push came {all} after the mail."),
        }
    }
}

/// Shows each push as it comes, and delivers a mail each time that Enter is pressed.
async fn stay_up(stage: &mut Stage, options: &Options, screen: &Screen, stop: &CancellationToken) -> Result<()> {
    acknowledge(stage, screen).await;
    introduce(stage, options, screen);
    let mut enter = lines_of_stdin();
    let mut seen = stage.receiver.pushes().len();
    let mut delivery = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            error = stage.server.ended() => return Err(error),
            Some(()) = enter.recv() => {
                // Of several mails that become one push, the first counts.
                if delivery.is_none() {
                    stage.mailbox.wire().mark();
                }
                let begin = deliver(&stage.mailbox).await?;
                delivery.get_or_insert(begin);
                screen.line("mail  delivered to the demo's mailbox");
            }
            push = next_push(&stage.receiver, seen) => {
                seen += 1;
                let what = what_happened(&push);
                if push.token == stage.token {
                    let took = delivery.take().map(|delivery| Figures::new(delivery, &push, &stage.mailbox).sentence());
                    screen.line(format!("push  {what}; {}", took.unwrap_or_default()));
                    acknowledge(stage, screen).await;
                } else {
                    screen.line(format!("push  {what}, a mailbox of yours"));
                }
            }
        }
    }
}

/// The phone has read its mail. Without that, the next push would wait for half a minute, so as not to nag.
async fn acknowledge(stage: &Stage, screen: &Screen) {
    if let Err(error) = stage.device.acknowledge().await {
        screen.line(format!("The phone could not acknowledge the push: {error:#}"));
    }
}

/// “new_mail for demo-mailbox”.
fn what_happened(push: &ReceivedPush) -> String {
    let ours = &push.payload["pinger"];
    let contexts: Vec<_> = ours["contexts"].as_array().into_iter().flatten().filter_map(|text| text.as_str()).collect();
    format!("{} for {}", ours["event"].as_str().unwrap_or("something"), contexts.join(", "))
}

async fn next_push(receiver: &ApnsReceiver, seen: usize) -> ReceivedPush {
    loop {
        let pushes = receiver.wait_for_count(Duration::from_secs(3600), seen + 1, |_| true).await;
        if let Some(push) = pushes.and_then(|pushes| pushes.into_iter().nth(seen)) {
            return push;
        }
    }
}

fn introduce(stage: &Stage, options: &Options, screen: &Screen) {
    let Stage { files, server, mailbox, receiver, .. } = stage;
    let pinger = shown(&options.pinger);
    let state = files.own_device_state().display().to_string();
    screen.line("");
    screen.heading("The phone has acknowledged the push, and sleeps again. Pinger stays up:");
    screen.detail("device API", format!("{} (gRPC and gRPC-web, health, reflection)", server.ready().device_api));
    screen.detail("push receiver", format!("https://{}", receiver.address()));
    screen.detail("mail server", format!("imaps://{} ({}), user {USER}", mailbox.address(), mailbox.name()));
    let ready = server.ready();
    if let Some(dashboard) = &ready.dashboard {
        screen.detail("dashboard", format!("{dashboard}, for support staff"));
    }
    if let Some(sign_up) = &ready.sign_up {
        screen.detail("sign up there", format!("{sign_up} (once, as its first admin)"));
    }
    screen.detail("identity key", format!("{} (apps pin it)", server.ready().identity_key));
    screen.detail("app key", format!("{} (in {})", files.app_key(), files.app_key_file().display()));
    screen.detail("configuration", files.configuration().display());
    screen.detail("server's log", files.log().display());
    screen.line("");
    screen.heading("To watch an account of your own, from another terminal in this folder:");
    let command = [pinger.clone(), "device".to_owned(), "register".to_owned()];
    let own = [
        &["--state".to_owned(), state.clone()],
        to_this_server(server, files).as_slice(),
        &["--imap-host", "imap.fastmail.com", "--username", "you@fastmail.com"].map(str::to_owned),
        &["--apns-token".to_owned(), random_hex(), "--apns-topic".to_owned(), TOPIC.to_owned()],
    ]
    .concat();
    screen.block(&typed(None, &command, &own));
    screen.line("");
    screen.block(&format!(
        "It asks for the password: your provider's app password, for most (Gmail: imap.gmail.com).\n\
         The pushes are shown here, to whatever token. After one, say that you are awake:\n\
         {pinger} device --state {state} defer      (also: status, watch, stop)\n\
         It is watched again at the next start; `make clean-data` forgets everything."
    ));
    screen.line("");
    let enter = if stdin().is_terminal() { "Enter delivers another mail to the demo's mailbox. " } else { "" };
    screen.heading(&format!("{enter}Ctrl-C stops everything."));
}

/// A message for each line of the standard input. It is read in a thread, because nothing can interrupt that; it ends
/// with the process.
fn lines_of_stdin() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in stdin().lock().lines() {
            if line.is_err() || sender.blocking_send(()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// This address, or any free port of it if it is taken.
fn free_or_any(address: SocketAddr) -> SocketAddr {
    match TcpListener::bind(address) {
        Ok(_) => address,
        Err(_) => SocketAddr::new(address.ip(), 0),
    }
}

/// A path as a person would type it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    match path.strip_prefix(&here) {
        Ok(below) if below.components().count() > 1 => below.display().to_string(),
        _ => path.display().to_string(),
    }
}
