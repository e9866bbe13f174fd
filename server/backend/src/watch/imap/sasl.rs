//! Logs in: which way, and what is said on it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::{Failure, FailureCode, Mechanism};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use super::line::{Capabilities, Outcome};
use super::login::{Login, Said, Tap};
use super::refusal::failure;
use super::scram::{Scram, ScramError};
use crate::vault::scram_nonce;

/// The longest first answer that goes into the line of the command itself, in base64: servers bound their lines.
const LONGEST_INITIAL: usize = 4096;

/// What LITERAL- lets go unasked, in bytes (RFC 7888 §5).
const LITERAL_MINUS: usize = 4096;

/// A way to log in that the server offers and the credential fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The LOGIN command.
    Login,
    /// AUTHENTICATE PLAIN.
    Plain,
    /// AUTHENTICATE SCRAM-SHA-256.
    ScramSha256,
    /// AUTHENTICATE XOAUTH2.
    XOAuth2,
    /// AUTHENTICATE OAUTHBEARER.
    OAuthBearer,
}

impl Way {
    /// The command, without the credential.
    pub(super) const fn command(self) -> &'static str {
        match self {
            Self::Login => "LOGIN",
            Self::Plain => "AUTHENTICATE PLAIN",
            Self::ScramSha256 => "AUTHENTICATE SCRAM-SHA-256",
            Self::XOAuth2 => "AUTHENTICATE XOAUTH2",
            Self::OAuthBearer => "AUTHENTICATE OAUTHBEARER",
        }
    }

    const fn is_offered(self, offered: &Capabilities) -> bool {
        match self {
            Self::Login => !offered.login_disabled,
            Self::Plain => offered.auth_plain,
            Self::ScramSha256 => offered.auth_scram_sha_256,
            Self::XOAuth2 => offered.auth_xoauth2,
            Self::OAuthBearer => offered.auth_oauthbearer,
        }
    }

    /// The way that the device chose, or the best of those that fit. `scram_doubted`: SCRAM was refused here lately.
    ///
    /// # Errors
    /// `LOGIN_DISABLED`: it is not offered.
    pub(super) fn choose(login: &Login<'_>, offered: &Capabilities, scram_doubted: bool) -> Result<Self, Failure> {
        let ways: &[Self] = match login.mechanism() {
            Mechanism::Login => &[Self::Login],
            Mechanism::Plain => &[Self::Plain],
            Mechanism::ScramSha256 => &[Self::ScramSha256],
            Mechanism::XOAuth2 => &[Self::XOAuth2],
            Mechanism::OAuthBearer => &[Self::OAuthBearer],
            Mechanism::Auto if login.is_token() => &[Self::OAuthBearer, Self::XOAuth2],
            // A password beyond ASCII would have to be prepared in the same way on both sides.
            Mechanism::Auto if scram_doubted || !login.is_ascii() => &[Self::Plain, Self::Login, Self::ScramSha256],
            Mechanism::Auto => &[Self::ScramSha256, Self::Plain, Self::Login],
        };
        let way = ways.iter().copied().find(|way| way.is_offered(offered));
        way.ok_or_else(|| failure(FailureCode::LoginDisabled, "the mechanism is not among the capabilities"))
    }

    /// Logs in.
    pub(super) async fn take<S: AsyncRead + AsyncWrite + Unpin + Send>(
        self,
        tap: &mut Tap<'_, S>,
        login: &Login<'_>,
        offered: &Capabilities,
    ) -> Result<(), Refused> {
        match self {
            Self::Login => by_command(tap, login, offered).await,
            Self::ScramSha256 => by_scram(tap, login, offered).await,
            Self::Plain | Self::XOAuth2 | Self::OAuthBearer => self.at_once(tap, login, offered).await,
        }
    }

    /// The mechanisms that say all in their first answer.
    async fn at_once<S: AsyncRead + AsyncWrite + Unpin + Send>(
        self,
        tap: &mut Tap<'_, S>,
        login: &Login<'_>,
        offered: &Capabilities,
    ) -> Result<(), Refused> {
        let mut said = begin(tap, self, login, login.answer(self), offered).await?;
        let mut status = None;
        loop {
            match said {
                Said::Ended(Outcome::Ok) => return Ok(()),
                Said::Ended(_) => return Err(Refused::Said(status)),
                Said::Challenge(challenge) => {
                    // The server's error, to be acknowledged; then it says NO.
                    let acknowledgement = match self {
                        Self::OAuthBearer => "AQ==",
                        Self::XOAuth2 => "",
                        // PLAIN has nothing to ask: cancel (RFC 3501 §6.2.2).
                        _ => "*",
                    };
                    status = status.or_else(|| OAuthStatus::parse(&challenge));
                    said = tap.say(line(acknowledgement)).await.ok_or(Refused::Said(None))?;
                }
            }
        }
    }
}

/// Why a login failed.
pub(super) enum Refused {
    /// By what the server said, which the tap knows; and what an OAuth error said before.
    Said(Option<OAuthStatus>),
    /// By us.
    ByUs(Failure),
}

impl From<ScramError> for Refused {
    fn from(error: ScramError) -> Self {
        Self::ByUs(failure(FailureCode::ProtocolError, &error.to_string()))
    }
}

/// The status of an OAuth error (RFC 7628 §3.2.2; a number of HTTP's in XOAUTH2).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OAuthStatus(String);

impl OAuthStatus {
    const MAX: usize = 40;

    fn parse(challenge: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Error {
            status: String,
        }
        let error: Error = serde_json::from_slice(challenge).ok()?;
        let fine = (1..=Self::MAX).contains(&error.status.len())
            && error.status.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        fine.then_some(Self(error.status))
    }

    /// The text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the server that has a fault, and not the token.
    pub(super) fn is_servers_fault(&self) -> bool {
        self.0.len() == 3 && self.0.starts_with('5')
    }
}

/// AUTHENTICATE with its first answer: in the same line where the server takes that (RFC 4959), else when it asks. Answers
/// what the server says to it.
async fn begin<S: AsyncRead + AsyncWrite + Unpin + Send>(
    tap: &mut Tap<'_, S>,
    way: Way,
    login: &Login<'_>,
    first: Zeroizing<Vec<u8>>,
    offered: &Capabilities,
) -> Result<Said, Refused> {
    let first = Zeroizing::new(BASE64_STANDARD.encode(first));
    login.sends(&first);
    let over = || Refused::Said(None);
    if offered.sasl_ir && first.len() <= LONGEST_INITIAL {
        let command = Zeroizing::new(format!("{} {}", way.command(), *first));
        return tap.command_words(&command).await.ok_or_else(over);
    }
    match tap.command_words(way.command()).await.ok_or_else(over)? {
        Said::Challenge(_) => tap.say(line(&first)).await.ok_or_else(over),
        ended @ Said::Ended(_) => Ok(ended),
    }
}

async fn by_scram<S: AsyncRead + AsyncWrite + Unpin + Send>(
    tap: &mut Tap<'_, S>,
    login: &Login<'_>,
    offered: &Capabilities,
) -> Result<(), Refused> {
    let nonce = scram_nonce().ok_or_else(|| Refused::ByUs(failure(FailureCode::Internal, "no chance for a nonce")))?;
    let scram = Scram::begin(login.username(), nonce);
    let first = Zeroizing::new(scram.first().into_bytes());
    let Said::Challenge(server_first) = begin(tap, Way::ScramSha256, login, first, offered).await? else {
        return Err(Refused::Said(None));
    };
    // Hashing is work: the other sessions of this thread need not wait for it.
    let password = login.secret_bytes();
    let proven = tokio::task::spawn_blocking(move || scram.prove(&server_first, &password));
    let proven = match proven.await {
        Ok(proven) => proven?,
        Err(_) => return Err(Refused::ByUs(failure(FailureCode::Internal, "the hashing was broken off"))),
    };
    let answer = Zeroizing::new(BASE64_STANDARD.encode(proven.message.as_bytes()));
    login.sends(&answer);
    login.sends(&proven.client());
    let said = match tap.say(line(&answer)).await.ok_or(Refused::Said(None))? {
        Said::Challenge(server_final) => {
            let proved = proven.verify(&server_final)?.is_some();
            match tap.say(line("")).await.ok_or(Refused::Said(None))? {
                Said::Ended(Outcome::Ok) if !proved => return Err(ScramError::Signature.into()),
                said => said,
            }
        }
        // It lets us in without having proved anything.
        Said::Ended(Outcome::Ok) => return Err(ScramError::Signature.into()),
        said @ Said::Ended(_) => said,
    };
    match said {
        Said::Ended(Outcome::Ok) => Ok(()),
        Said::Ended(_) => Err(Refused::Said(None)),
        Said::Challenge(_) => Err(ScramError::Odd.into()),
    }
}

async fn by_command<S: AsyncRead + AsyncWrite + Unpin + Send>(
    tap: &mut Tap<'_, S>,
    login: &Login<'_>,
    offered: &Capabilities,
) -> Result<(), Refused> {
    let (username, password) = (Argument::new(login.username(), offered), login.secret_bytes());
    let password = match std::str::from_utf8(&password) {
        Ok(password) => Argument::new(password, offered),
        Err(_) => return Err(Refused::ByUs(failure(FailureCode::CredentialMismatch, "not a text"))),
    };
    let mut words = Zeroizing::new("LOGIN".to_owned());
    let mut asked = 0;
    for argument in [&username, &password] {
        words.push(' ');
        words.push_str(&argument.head);
        let Some(literal) = &argument.literal else { continue };
        if argument.waits {
            let said = if asked == 0 { tap.command_words(&words).await } else { tap.say(line(&words)).await };
            match said.ok_or(Refused::Said(None))? {
                Said::Challenge(_) => {}
                Said::Ended(_) => return Err(Refused::Said(None)),
            }
            asked += 1;
            words.clear();
        } else {
            words.push_str("\r\n");
        }
        words.push_str(literal);
    }
    let said = if asked == 0 { tap.command_words(&words).await } else { tap.say(line(&words)).await };
    match said.ok_or(Refused::Said(None))? {
        Said::Ended(Outcome::Ok) => Ok(()),
        Said::Ended(_) | Said::Challenge(_) => Err(Refused::Said(None)),
    }
}

/// A name or a password as a command has it: quoted where its letters allow that (RFC 3501 §9), else a literal.
struct Argument {
    /// All of it, or the literal's length.
    head: Zeroizing<String>,
    literal: Option<Zeroizing<String>>,
    /// The server has to ask for the literal.
    waits: bool,
}

impl Argument {
    fn new(text: &str, offered: &Capabilities) -> Self {
        if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            let escaped = Zeroizing::new(text.replace('\\', "\\\\").replace('"', "\\\""));
            return Self { head: Zeroizing::new(format!("\"{}\"", *escaped)), literal: None, waits: false };
        }
        let waits = !(offered.literal_plus || offered.literal_minus && text.len() <= LITERAL_MINUS);
        let mark = if waits { "" } else { "+" };
        Self {
            head: Zeroizing::new(format!("{{{}{mark}}}", text.len())),
            literal: Some(Zeroizing::new(text.to_owned())),
            waits,
        }
    }
}

fn line(words: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([words.as_bytes(), b"\r\n"].concat())
}

#[cfg(test)]
#[path = "sasl_tests.rs"]
mod tests;
