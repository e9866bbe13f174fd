//! One long poll after another, over a connection that is kept where the server keeps it.

use std::time::Duration;

use domain::{EasCommand, EasTarget, EasUrl, Failure, FailureCode, HostName, Poll};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::client::TlsStream;

use super::answer::{Meaning, meaning};
use super::http::{self, Broken, Reader};
use super::record::Recorder;
use super::{Asking, failure};

/// Redirections in a row that are followed.
const REDIRECTS: u32 = 3;

/// How soon a kept connection must have broken for that to say nothing but that the server no longer kept it.
const STALE: Duration = Duration::from_secs(5);

/// Bytes read at once. A poll waits for half an hour with this buffer.
const READ: usize = 512;

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// What it came to.
    pub(crate) poll: Poll,
    /// How long the server took.
    pub(crate) took: Duration,
    /// How long it was to wait.
    pub(crate) asked: Duration,
}

/// What was heard of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The poll is over.
    Answered(Answered),
    /// It has to be sent again: the account has another server, or the kept connection was kept no longer.
    Again,
}

struct Line {
    stream: Box<TlsStream<TcpStream>>,
    reader: Reader,
    /// It has taken a poll before this one.
    used: bool,
}

/// A watch by long polls. The future of [`answer`](Self::answer) may be dropped at any await and be called again.
pub(crate) struct Connection {
    line: Option<Line>,
    /// Where the account's server is, if that is not where the device thinks.
    location: Option<EasUrl>,
    redirects: u32,
    command: EasCommand,
    no_change_body: Box<[u8]>,
    /// How long a poll may last, as it was registered.
    wait: Duration,
    /// How long the server may take for the request, and for an answer that it has begun.
    patience: Duration,
    /// When the poll was sent; none while there is none.
    since: Option<Instant>,
    /// When the answer began.
    begun: Option<Instant>,
    early: Option<Answered>,
}

impl Connection {
    pub(super) fn new(target: &EasTarget, wait: Duration, patience: Duration) -> Self {
        Self {
            line: None,
            location: None,
            redirects: 0,
            command: target.command,
            no_change_body: target.request.no_change_body().into(),
            wait,
            patience,
            since: None,
            begun: None,
            early: None,
        }
    }

    /// Whether there is nothing to wait for: the next poll is to be sent.
    pub(crate) fn rests(&self) -> bool {
        self.since.is_none() && self.early.is_none()
    }

    /// Whether the server has answered at once: then it took the credential.
    pub(crate) fn is_answered(&self) -> bool {
        self.early.is_some()
    }

    /// Whether the next poll goes over the connection that there is.
    pub(crate) fn is_kept(&self) -> bool {
        self.since.is_none() && self.line.as_ref().is_some_and(|line| line.reader.is_untouched())
    }

    /// The server that the next poll goes to.
    pub(crate) fn host(&self, target: &EasTarget) -> HostName {
        self.url(target).host().clone()
    }

    fn url(&self, target: &EasTarget) -> EasUrl {
        self.location.as_ref().map_or_else(|| target.url.clone(), |location| target.url.moved_to(location))
    }

    /// What the server answered at once, if it did.
    pub(crate) fn take_early(&mut self) -> Option<Answered> {
        self.early.take()
    }

    /// Sends a poll. One that is under way is given up.
    pub(crate) async fn ask(&mut self, asking: Asking<'_>) -> Result<(), Failure> {
        let Asking { dialer, target, credential, handshake, resolved } = asking;
        let under_way = self.since.take().is_some();
        (self.begun, self.early) = (None, None);
        let kept = self.line.take().filter(|line| !under_way && line.reader.is_untouched());
        let url = self.url(target);
        let mut line = match kept {
            Some(line) => line,
            None => {
                let addresses = dialer.guard.resolve(url.host(), url.port()).await?;
                if let Some(first) = addresses.first() {
                    resolved(first.ip());
                }
                let stream = dialer.tls.encrypted(&addresses, url.host(), handshake).await?;
                Line { stream, reader: Reader::default(), used: false }
            }
        };
        let request = http::request(&url, &target.request, credential);
        Recorder::new(handshake, credential).asked(&url, target);
        let written = async {
            line.stream.write_all(&request).await?;
            line.stream.flush().await
        };
        match timeout(self.patience, written).await {
            Ok(Ok(())) => {}
            // The answer, or its absence, says what became of it.
            Ok(Err(error)) if line.used => tracing::debug!(error = %error, "a kept connection is gone"),
            Ok(Err(error)) => return Err(failure(FailureCode::ConnectionLost, &error.to_string())),
            Err(_) => return Err(failure(FailureCode::CommandTimeout, "the request is not taken")),
        }
        self.line = Some(line);
        self.since = Some(Instant::now());
        Ok(())
    }

    /// Waits for a moment, in case the server answers at once; follows redirections.
    pub(crate) async fn settle(&mut self, asking: Asking<'_>, settle: Duration) -> Result<(), Failure> {
        let recorder = Recorder::new(asking.handshake, asking.credential);
        loop {
            match timeout(settle, self.hear(Some(recorder))).await {
                Err(_) => {
                    asking.handshake.said("the server holds the poll, as it should");
                    return Ok(());
                }
                Ok(Ok(Heard::Answered(answered))) => {
                    self.early = Some(answered);
                    return Ok(());
                }
                Ok(Ok(Heard::Again)) => self.ask(asking).await?,
                Ok(Err(failure)) => return Err(failure),
            }
        }
    }

    /// Waits for the answer: a tenth longer than the poll may last, and not much longer once it has begun.
    pub(crate) async fn answer(&mut self) -> Result<Heard, Failure> {
        self.hear(None).await
    }

    async fn hear(&mut self, recorder: Option<Recorder<'_>>) -> Result<Heard, Failure> {
        if let Some(early) = self.early.take() {
            return Ok(Heard::Answered(early));
        }
        let (Some(since), Some(line)) = (self.since, &mut self.line) else { return Ok(Heard::Again) };
        let response = loop {
            if let Some(response) = line.reader.take() {
                break response;
            }
            let deadline = match self.begun {
                Some(begun) => begun + self.patience,
                None => since + self.wait.mul_f64(1.1),
            };
            // What was read before the future was dropped has been fed: reading is the only await.
            let mut bytes = Vec::with_capacity(READ);
            match timeout_at(deadline, line.stream.read_buf(&mut bytes)).await {
                Ok(Ok(0)) | Ok(Err(_)) if line.used && line.reader.is_untouched() && since.elapsed() < STALE => {
                    (self.line, self.since) = (None, None);
                    return Ok(Heard::Again);
                }
                Ok(Ok(0)) => line.reader.end().map_err(broken)?,
                Ok(Ok(_)) => line.reader.feed(&bytes).map_err(broken)?,
                // Many servers close without TLS's farewell: what has come by then may be whole.
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    line.reader.end().map_err(broken)?;
                }
                Ok(Err(error)) => return Err(failure(FailureCode::ConnectionLost, &error.to_string())),
                Err(_) => {
                    let evidence = format!("no whole answer within {} s", since.elapsed().as_secs());
                    return Err(failure(FailureCode::CommandTimeout, &evidence));
                }
            }
            if line.reader.has_head() {
                self.begun.get_or_insert_with(Instant::now);
            }
        };
        (self.since, self.begun) = (None, None);
        line.used = true;
        if !response.keeps {
            self.line = None;
        }
        tracing::Span::current().record("http.response.status_code", response.status);
        let meaning = meaning(&response, self.command, &self.no_change_body);
        if let Some(recorder) = recorder {
            recorder.answered(&response, &meaning);
        }
        match meaning? {
            Meaning::Poll(poll) => {
                self.redirects = 0;
                Ok(Heard::Answered(Answered { poll, took: since.elapsed(), asked: self.wait }))
            }
            Meaning::Moved(_) if self.redirects >= REDIRECTS => {
                Err(failure(FailureCode::RedirectRefused, "more than three redirections in a row"))
            }
            Meaning::Moved(location) => {
                self.redirects += 1;
                self.location = Some(location);
                self.line = None;
                Ok(Heard::Again)
            }
        }
    }
}

fn broken(broken: Broken) -> Failure {
    let code = match broken {
        Broken::NotHttp => FailureCode::NotActiveSync,
        Broken::TooLong => FailureCode::FloodRefused,
        Broken::Half => FailureCode::ConnectionLost,
    };
    failure(code, &broken.to_string())
}
