//! From the greeting to the login: the greeting and STARTTLS by async-imap over a tap, the login itself by `sasl`.
//!
//! async-imap is good at talking, but trusts servers: its buffer grows to 512 MB, its parser panics on some lines and
//! overflows the stack on others, and its errors have lost the response codes. So it talks through a [`Tap`], which reads
//! the server's bounded lines itself and hands on the least that a login needs: the greeting, `+`, and how each command
//! ended, one line a read. So async-imap never holds a byte beyond the line that it waits for, and nothing is lost when it
//! is dropped. What the server really said stays in the tap, as evidence.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_imap::Client;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::{Evidence, Failure, FailureCode, Mechanism};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::Deadlines;
use super::handshake::Recorder;
use super::line::{Capabilities, Code, Line, Outcome};
use super::refusal::{failure, known_code, retry_after, sorted};
use super::sasl::{OAuthStatus, Refused, Way};
use super::scram::escaped;
use super::wire::{Wire, WireError};
use crate::vault::{Credential, Secret};

// async-imap logs what it sends, passwords included, at the `log` crate's level trace. That level must not exist.
const _: () = assert!(log::STATIC_MAX_LEVEL as usize <= log::LevelFilter::Debug as usize);

/// What a server may send before it is logged in to, in bytes. The largest providers send some 2,000.
pub(super) const LOGIN_ALLOWANCE: usize = 256 * 1024;

/// The tag of the command that logs in. async-imap's are another letter's.
const LOGIN_TAG: &str = "s1";

/// What a server says to a login.
#[derive(Debug)]
pub(super) enum Said {
    /// It wants more, and this is what it has to say.
    Challenge(Vec<u8>),
    /// The command has ended.
    Ended(Outcome),
}

/// Stands between a server and async-imap.
pub(super) struct Tap<'a, S> {
    wire: Wire<S>,
    recorder: Recorder<'a>,
    /// What async-imap has yet to read.
    handing: Vec<u8>,
    greeted: bool,
    capabilities: Option<Capabilities>,
    /// The last thing the server said that ended something.
    last: Vec<u8>,
    fault: Option<Fault>,
}

/// Why the talk ended before its time.
enum Fault {
    Wire(WireError),
    Bye,
    PreAuth,
    NotImap,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin + Send> Tap<'a, S> {
    /// A tap on a connection whose greeting is still to come.
    pub(super) fn new(stream: S, recorder: Recorder<'a>) -> Self {
        Self::on(Wire::new(stream, LOGIN_ALLOWANCE), recorder, false)
    }

    /// A tap on a connection that has changed to TLS: there is no second greeting, and nothing said before it counts
    /// (RFC 3501 §6.2.1).
    pub(super) fn after_starttls(stream: S, recorder: Recorder<'a>) -> Self {
        Self::on(Wire::new(stream, LOGIN_ALLOWANCE), recorder, true)
    }

    fn on(wire: Wire<S>, recorder: Recorder<'a>, greeted: bool) -> Self {
        Self { wire, recorder, handing: Vec::new(), greeted, capabilities: None, last: Vec::new(), fault: None }
    }

    /// The wire, for those who come after the login.
    pub(super) fn into_wire(self) -> Wire<S> {
        self.wire
    }

    /// Waits for the greeting.
    pub(super) async fn greeting(&mut self, deadlines: &Deadlines) -> Result<(), Failure> {
        let mut client = Client::new(&mut *self);
        let answer = timeout(deadlines.greeting, client.read_response()).await;
        drop(client);
        match answer {
            Ok(Ok(Some(_))) => Ok(()),
            Ok(Ok(None) | Err(_)) => Err(self.failure(FailureCode::ProtocolError, None)),
            Err(_) => Err(silence(FailureCode::GreetingTimeout, "no greeting", deadlines.greeting)),
        }
    }

    /// What the server offers, asked for if it hasn't said so by itself.
    pub(super) async fn capabilities(&mut self, deadlines: &Deadlines) -> Result<Capabilities, Failure> {
        if self.capabilities.is_none() {
            self.command("CAPABILITY", deadlines, FailureCode::ProtocolError).await?;
        }
        Ok(self.capabilities.unwrap_or_default())
    }

    /// Asks for STARTTLS. Afterwards, only [`into_wire`](Self::into_wire) makes sense.
    pub(super) async fn starttls(&mut self, deadlines: &Deadlines) -> Result<(), Failure> {
        if !self.capabilities(deadlines).await?.starttls {
            return Err(failure(FailureCode::StartTlsMissing, "no STARTTLS among the capabilities"));
        }
        self.command("STARTTLS", deadlines, FailureCode::StartTlsMissing).await
    }

    async fn command(&mut self, command: &str, deadlines: &Deadlines, refused: FailureCode) -> Result<(), Failure> {
        self.recorder.said(command);
        let mut client = Client::new(&mut *self);
        let answer = timeout(deadlines.command, client.run_command_and_check_ok(command, None)).await;
        drop(client);
        match answer {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.failure(refused, None)),
            Err(_) => Err(silence(FailureCode::CommandTimeout, &format!("no answer to {command}"), deadlines.command)),
        }
    }

    /// Logs in, and answers what the server offers from now on.
    pub(super) async fn login(&mut self, deadlines: &Deadlines, scram_doubted: bool) -> Result<Capabilities, Failure> {
        let login = self.recorder.login;
        let offered = self.capabilities(deadlines).await?;
        let way = Way::choose(login, &offered, scram_doubted)?;
        // What is offered to somebody who is logged in is another matter (RFC 3501 §6.2.3).
        self.capabilities = None;
        self.recorder.said(&format!("{} [credential]", way.command()));
        match timeout(deadlines.command, way.take(&mut *self, login, &offered)).await {
            Ok(Ok(())) => self.capabilities(deadlines).await,
            Ok(Err(Refused::ByUs(failure))) => Err(failure),
            Ok(Err(Refused::Said(status))) => Err(self.refused(login, status)),
            Err(_) => Err(silence(FailureCode::CommandTimeout, "no answer to the login", deadlines.command)),
        }
    }

    fn refused(&mut self, login: &Login<'_>, status: Option<OAuthStatus>) -> Failure {
        let mut failure = self.failure(FailureCode::LoginRefused, Some(login));
        if let Some(status) = status.filter(|_| failure.code == FailureCode::LoginRefused) {
            if status.is_servers_fault() {
                failure.code = FailureCode::Throttled;
            }
            let said = format!("{} (status {})", failure.evidence.as_str(), status.as_str());
            failure.evidence = login.redact(&said);
        }
        failure
    }

    /// Gives the login's command, and answers what the server says to it. None: nothing, and
    /// [`failure`](Self::failure) knows why.
    pub(super) async fn command_words(&mut self, words: &str) -> Option<Said> {
        self.exchange(Zeroizing::new(format!("{LOGIN_TAG} {words}\r\n").into_bytes())).await
    }

    /// Says this within the login's command, once the server has asked. As [`command_words`](Self::command_words).
    pub(super) async fn say(&mut self, words: Zeroizing<Vec<u8>>) -> Option<Said> {
        self.recorder.said("[answer]");
        self.exchange(words).await
    }

    async fn exchange(&mut self, words: Zeroizing<Vec<u8>>) -> Option<Said> {
        self.wire.send(&words);
        loop {
            let heard = match self.wire.turn().await {
                Ok(line) => {
                    let said = match Line::parse(&line) {
                        Line::Continue => {
                            let challenge = line.get(1..).unwrap_or_default().trim_ascii();
                            // What is not base64 is said to people.
                            Some(Said::Challenge(BASE64_STANDARD.decode(challenge).unwrap_or_default()))
                        }
                        Line::Tagged { tag, outcome, .. } if tag == LOGIN_TAG.as_bytes() => Some(Said::Ended(outcome)),
                        Line::Tagged { .. } => {
                            self.last = line;
                            self.fault = Some(Fault::NotImap);
                            return None;
                        }
                        _ => None,
                    };
                    self.hear(line).map(|()| said)
                }
                Err(error) => Err(Fault::Wire(error)),
            };
            // Nothing of this is for async-imap.
            self.handing.clear();
            match heard {
                Ok(Some(said)) => return Some(said),
                Ok(None) => {}
                Err(fault) => {
                    self.fault = Some(fault);
                    return None;
                }
            }
        }
    }

    /// Why the last command failed; `refused` when the server said NO to it, and meant it.
    fn failure(&mut self, refused: FailureCode, login: Option<&Login<'_>>) -> Failure {
        let line = Line::parse(&self.last);
        let code = match self.fault.take() {
            Some(Fault::Wire(error)) => return error.into_failure(),
            Some(Fault::Bye) => match line {
                Line::Bye { text } => sorted(text, FailureCode::ServerBye),
                _ => FailureCode::ServerBye,
            },
            Some(Fault::PreAuth | Fault::NotImap) => FailureCode::ProtocolError,
            None => match line {
                Line::Tagged { outcome: Outcome::No, text, .. } => sorted(text, refused),
                Line::Tagged { outcome: Outcome::Bad, text, .. } => sorted(text, FailureCode::ProtocolError),
                // async-imap saw the end of the stream.
                _ => return WireError::Closed.into_failure(),
            },
        };
        let said = String::from_utf8_lossy(&self.last);
        let evidence = login.map_or_else(|| Evidence::redact(&said, None), |login| login.redact(&said));
        Failure { code, evidence, retry_after: retry_after(&self.last) }
    }

    /// Takes a line, and what async-imap is to see of it.
    fn hear(&mut self, line: Vec<u8>) -> Result<(), Fault> {
        self.recorder.heard(&line);
        let handing: &[u8] = match Line::parse(&line) {
            Line::Bye { .. } => {
                self.last = line;
                return Err(Fault::Bye);
            }
            Line::Remark { text } => {
                self.note(text);
                if self.greeted { b"" } else { b"* OK\r\n" }
            }
            _ if !self.greeted => {
                // PREAUTH (RFC 3501 §7.1.4) would be somebody else's login, or a trick to avoid STARTTLS.
                let fault = if matches!(Line::parse(&line), Line::PreAuth) { Fault::PreAuth } else { Fault::NotImap };
                self.last = line;
                return Err(fault);
            }
            Line::Continue => b"+ \r\n",
            Line::Tagged { tag, outcome, text } => {
                self.note(text);
                let outcome: &[u8] = match outcome {
                    Outcome::Ok => b" OK\r\n",
                    Outcome::No => b" NO\r\n",
                    Outcome::Bad => b" BAD\r\n",
                };
                self.handing = [tag, outcome].concat();
                self.last = line;
                return Ok(());
            }
            Line::NotImap | Line::PreAuth => {
                self.last = line;
                return Err(Fault::NotImap);
            }
            Line::Capability(offered) => {
                self.capabilities = Some(offered);
                b""
            }
            Line::Exists(_) | Line::Expunge | Line::Fetch { .. } | Line::Status { .. } | Line::Other => b"",
        };
        self.greeted = true;
        self.handing = handing.to_vec();
        Ok(())
    }

    fn note(&mut self, text: &[u8]) {
        if let Some(Code::Capability(offered)) = Code::parse(text) {
            self.capabilities = Some(offered);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> AsyncRead for Tap<'_, S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let tap = self.get_mut();
        while tap.handing.is_empty() {
            let heard = match ready!(tap.wire.poll_line(cx)) {
                Ok(line) => tap.hear(line),
                Err(error) => Err(Fault::Wire(error)),
            };
            if let Err(fault) = heard {
                tap.fault = Some(fault);
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
        let len = tap.handing.len().min(buf.remaining());
        buf.put_slice(&tap.handing[..len]);
        tap.handing.drain(..len);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tap<'_, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().wire.stream_mut()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().wire.stream_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().wire.stream_mut()).poll_shutdown(cx)
    }
}

/// async-imap wants it; nothing of the talk is in it.
impl<S> fmt::Debug for Tap<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").finish_non_exhaustive()
    }
}

fn silence(code: FailureCode, what: &str, deadline: Duration) -> Failure {
    failure(code, &format!("{what} within {} s", deadline.as_secs_f32()))
}

/// A mechanism, and a credential that fits it.
pub(super) struct Login<'a> {
    mechanism: Mechanism,
    username: &'a SecretString,
    secret: &'a SecretString,
    is_token: bool,
    /// What the server has heard of it.
    sent: Mutex<Vec<Zeroizing<String>>>,
}

impl<'a> Login<'a> {
    /// # Errors
    /// `CREDENTIAL_MISMATCH`: the secret is of another kind, or has characters that the mechanism can't carry.
    pub(super) fn new(mechanism: Mechanism, credential: &'a Credential) -> Result<Self, Failure> {
        let (secret, unfit): (_, fn(char) -> bool) = match (mechanism, &credential.secret) {
            // RFC 4616 §2; a literal of LOGIN (RFC 3501 §9); no other has a place for it either.
            (
                Mechanism::Plain | Mechanism::Login | Mechanism::ScramSha256 | Mechanism::Auto,
                Secret::Password(password),
            ) => (password, |c| c == '\0'),
            (Mechanism::XOAuth2 | Mechanism::OAuthBearer | Mechanism::Auto, Secret::AccessToken(token)) => {
                (token, |c| c.is_ascii_control())
            }
            _ => return Err(failure(FailureCode::CredentialMismatch, "a secret of another kind")),
        };
        let username = &credential.username;
        if username.expose_secret().contains(unfit) || secret.expose_secret().contains(unfit) {
            return Err(failure(FailureCode::CredentialMismatch, "a character that the mechanism can't carry"));
        }
        let is_token = matches!(credential.secret, Secret::AccessToken(_));
        Ok(Self { mechanism, username, secret, is_token, sent: Mutex::default() })
    }

    /// The mechanism that was asked for.
    pub(super) fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Whether the secret is an access token, and no password.
    pub(super) fn is_token(&self) -> bool {
        self.is_token
    }

    /// Whether every mechanism takes name and secret as they are.
    pub(super) fn is_ascii(&self) -> bool {
        self.username().is_ascii() && self.secret.expose_secret().is_ascii()
    }

    pub(super) fn username(&self) -> &str {
        self.username.expose_secret()
    }

    pub(super) fn secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.secret.expose_secret().as_bytes().to_vec())
    }

    /// What is sent to a SASL mechanism that says all at once, before base64.
    pub(super) fn answer(&self, way: Way) -> Zeroizing<Vec<u8>> {
        let (username, secret) = (self.username.expose_secret().as_bytes(), self.secret.expose_secret().as_bytes());
        Zeroizing::new(match way {
            Way::Plain | Way::Login | Way::ScramSha256 => [b"\0", username, b"\0", secret].concat(),
            Way::XOAuth2 => [b"user=", username, b"\x01auth=Bearer ", secret, b"\x01\x01"].concat(),
            // RFC 7628 §3.1
            Way::OAuthBearer => {
                let name = escaped(self.username());
                [b"n,a=", name.as_bytes(), b",\x01auth=Bearer ", secret, b"\x01\x01"].concat()
            }
        })
    }

    /// What the server said, without the account's name; nothing of it but its response code, if it repeats the secret.
    fn redact(&self, said: &str) -> Evidence {
        if self.is_repeated_in(said) {
            let text = match Line::parse(said.as_bytes()) {
                Line::Tagged { text, .. } | Line::Bye { text } => text,
                _ => b"",
            };
            let code = known_code(text).map(|code| format!("[{code}] ")).unwrap_or_default();
            return Evidence::redact(&format!("{code}withheld: the server repeated the credential"), None);
        }
        Evidence::redact(said, Some(self.username.expose_secret()))
    }

    /// The same, and not cut.
    pub(super) fn mask(&self, said: &str) -> String {
        if self.is_repeated_in(said) {
            return "[withheld: the server repeated the credential]".to_owned();
        }
        Evidence::mask(said, Some(self.username.expose_secret()))
    }

    /// Takes down what is sent of the credential, or of a proof that it is known, so that it is shown to nobody if the
    /// server repeats it.
    pub(super) fn sends(&self, encoded: &str) {
        self.sent().push(Zeroizing::new(encoded.to_owned()));
    }

    fn sent(&self) -> MutexGuard<'_, Vec<Zeroizing<String>>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a text has the secret in it, plain in whatever case or as SASL has it, or a proof of it.
    fn is_repeated_in(&self, said: &str) -> bool {
        let secret = self.secret.expose_secret().as_bytes();
        let plain = !secret.is_empty()
            && said.as_bytes().windows(secret.len()).any(|window| window.eq_ignore_ascii_case(secret));
        let has = |encoded: &str| said.contains(encoded.trim_end_matches('='));
        plain
            || [Way::Plain, Way::XOAuth2, Way::OAuthBearer]
                .into_iter()
                .any(|way| has(&Zeroizing::new(BASE64_STANDARD.encode(self.answer(way)))))
            || self.sent().iter().any(|sent| has(sent))
    }
}
