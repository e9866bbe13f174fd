//! From the greeting to the login, by async-imap over a tap.
//!
//! async-imap is good at talking, but trusts servers: its buffer grows to 512 MB, its parser panics on some lines and
//! overflows the stack on others, and its errors have lost the response codes. So it talks through a [`Tap`], which reads
//! the server's bounded lines itself and hands on the least that a login needs: the greeting, `+`, and how each command
//! ended, one line a read. So async-imap never holds a byte beyond the line that it waits for, and nothing is lost when it
//! is dropped. What the server really said stays in the tap, as evidence.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_imap::{Authenticator, Client};
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
use super::wire::{Wire, WireError};
use crate::vault::{Credential, Secret};

// async-imap logs what it sends, passwords included, at the `log` crate's level trace. That level must not exist.
const _: () = assert!(log::STATIC_MAX_LEVEL as usize <= log::LevelFilter::Debug as usize);

/// What a server may send before it is logged in to, in bytes. The largest providers send some 2,000.
pub(super) const LOGIN_ALLOWANCE: usize = 256 * 1024;

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
    pub(super) async fn login(&mut self, deadlines: &Deadlines) -> Result<Capabilities, Failure> {
        let login = self.recorder.login;
        let offered = self.capabilities(deadlines).await?;
        let possible = match login.mechanism {
            Mechanism::Plain => offered.auth_plain,
            Mechanism::Login => !offered.login_disabled,
            Mechanism::XOAuth2 => offered.auth_xoauth2,
        };
        if !possible {
            return Err(failure(FailureCode::LoginDisabled, "the mechanism is not among the capabilities"));
        }
        // What is offered to somebody who is logged in is another matter (RFC 3501 §6.2.3).
        self.capabilities = None;
        self.recorder.said(match login.mechanism {
            Mechanism::Login => "LOGIN [credential]",
            Mechanism::Plain => "AUTHENTICATE PLAIN [credential]",
            Mechanism::XOAuth2 => "AUTHENTICATE XOAUTH2 [credential]",
        });
        match timeout(deadlines.command, login.run(&mut *self)).await {
            Ok(true) => self.capabilities(deadlines).await,
            Ok(false) => Err(self.failure(FailureCode::LoginRefused, Some(login))),
            Err(_) => Err(silence(FailureCode::CommandTimeout, "no answer to the login", deadlines.command)),
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
}

impl<'a> Login<'a> {
    /// # Errors
    /// `CREDENTIAL_MISMATCH`: the secret is of another kind, or has characters that the mechanism can't carry.
    pub(super) fn new(mechanism: Mechanism, credential: &'a Credential) -> Result<Self, Failure> {
        let (secret, unfit): (_, fn(char) -> bool) = match (mechanism, &credential.secret) {
            // RFC 4616 §2
            (Mechanism::Plain, Secret::Password(password)) => (password, |c| c == '\0'),
            // RFC 3501 §9, quoted
            (Mechanism::Login, Secret::Password(password)) => (password, |c| matches!(c, '\0' | '\r' | '\n')),
            (Mechanism::XOAuth2, Secret::AccessToken(token)) => (token, |c| c.is_ascii_control()),
            _ => return Err(failure(FailureCode::CredentialMismatch, "a secret of another kind")),
        };
        let username = &credential.username;
        if username.expose_secret().contains(unfit) || secret.expose_secret().contains(unfit) {
            return Err(failure(FailureCode::CredentialMismatch, "a character that the mechanism can't carry"));
        }
        Ok(Self { mechanism, username, secret })
    }

    /// Whether the server let us in.
    async fn run<S: AsyncRead + AsyncWrite + Unpin + Send>(&self, tap: &mut Tap<'_, S>) -> bool {
        let client = Client::new(tap);
        let answers = Answers(Some(self.answer()));
        match self.mechanism {
            Mechanism::Login => client.login(self.username.expose_secret(), self.secret.expose_secret()).await.is_ok(),
            Mechanism::Plain => client.authenticate("PLAIN", answers).await.is_ok(),
            Mechanism::XOAuth2 => client.authenticate("XOAUTH2", answers).await.is_ok(),
        }
    }

    /// What is sent to a SASL mechanism, before base64.
    fn answer(&self) -> Zeroizing<Vec<u8>> {
        let (username, secret) = (self.username.expose_secret().as_bytes(), self.secret.expose_secret().as_bytes());
        Zeroizing::new(match self.mechanism {
            Mechanism::Plain | Mechanism::Login => [b"\0", username, b"\0", secret].concat(),
            Mechanism::XOAuth2 => [b"user=", username, b"\x01auth=Bearer ", secret, b"\x01\x01"].concat(),
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

    /// Whether a text has the secret in it, plain in whatever case or as SASL has it.
    fn is_repeated_in(&self, said: &str) -> bool {
        let secret = self.secret.expose_secret().as_bytes();
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(self.answer()));
        let plain = !secret.is_empty()
            && said.as_bytes().windows(secret.len()).any(|window| window.eq_ignore_ascii_case(secret));
        plain || said.contains(encoded.trim_end_matches('='))
    }
}

/// Gives its answer once. Whatever the server asks after that gets an empty line, which is how XOAUTH2 has the server's
/// error followed by its NO.
struct Answers(Option<Zeroizing<Vec<u8>>>);

impl Authenticator for Answers {
    type Response = Zeroizing<Vec<u8>>;

    fn process(&mut self, _challenge: &[u8]) -> Self::Response {
        self.0.take().unwrap_or_default()
    }
}
