//! What a hostile server does, and when.

/// The one thing that is wrong with the server. Everything else it does well.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Script {
    /// Nothing is wrong.
    #[default]
    Healthy,
    /// Where TLS is expected, it greets in clear.
    PlainTextOnTlsPort,
    /// It takes the connection, and never answers the TLS handshake.
    HangInTls,
    /// Its certificate is for another host.
    WrongHostCertificate,
    /// Nobody vouches for its certificate.
    SelfSignedCertificate,
    /// Its certificate ran out.
    ExpiredCertificate,
    /// In clear, without STARTTLS on offer; it would take a password.
    NoStartTls,
    /// It says LOGINDISABLED and has no STARTTLS to offer; it would take a password all the same.
    LoginDisabled,
    /// It sends more in clear behind its answer to STARTTLS, to be taken for encrypted.
    InjectAfterStartTls,
    /// It offers no IDLE.
    NoIdle,
    /// It takes IDLE, and never tells of new mail. STATUS and EXAMINE are true.
    LyingIdle,
    /// It plays a trick at a moment.
    At(Moment, Trick),
}

impl Script {
    /// `NO [AUTHENTICATIONFAILED]` to every login.
    pub fn refuse_login() -> Self {
        Self::At(Moment::Login, Trick::Say("NO [AUTHENTICATIONFAILED] invalid credentials".to_owned()))
    }

    /// `NO [UNAVAILABLE]` to every login.
    pub fn unavailable() -> Self {
        Self::At(Moment::Login, Trick::Say("NO [UNAVAILABLE] a part of us is down".to_owned()))
    }

    /// `NO` to every login because there are too many already.
    pub fn too_many_connections() -> Self {
        Self::At(Moment::Login, Trick::Say("NO [LIMIT] too many simultaneous connections".to_owned()))
    }

    /// `NO [NONEXISTENT]` to EXAMINE and SELECT.
    pub fn refuse_examine() -> Self {
        Self::At(Moment::Examine, Trick::Say("NO [NONEXISTENT] no such mailbox".to_owned()))
    }

    /// `BYE` as the greeting.
    pub fn bye_at_greeting() -> Self {
        Self::At(Moment::Greeting, Trick::Bye)
    }

    /// `BYE` as soon as a client idles.
    pub fn bye_in_idle() -> Self {
        Self::At(Moment::Idling, Trick::Bye)
    }

    pub(super) fn trick_at(&self, moment: Moment) -> Option<&Trick> {
        match self {
            Self::At(at, trick) if *at == moment => Some(trick),
            _ => None,
        }
    }
}

/// When a trick is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Instead of the greeting.
    Greeting,
    /// Instead of the answer to LOGIN or AUTHENTICATE.
    Login,
    /// After a login has succeeded.
    AfterLogin,
    /// Instead of the answer to EXAMINE or SELECT.
    Examine,
    /// Instead of the answer to STATUS.
    Status,
    /// Instead of the continuation of IDLE.
    Idle,
    /// While a client idles: when it begins to, or when the script is set.
    Idling,
}

/// What is done then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trick {
    /// Nothing, until the client leaves.
    Hang,
    /// The connection is closed.
    Close,
    /// The connection is closed in the middle of a line.
    CloseInMidLine,
    /// `* BYE`, and the connection is closed.
    Bye,
    /// This line, with the tag in front where a command waits for its answer; then it goes on.
    Say(String),
    /// A line without end, until the client leaves.
    EndlessLine,
    /// Lines without end, until the client leaves.
    EndlessLines,
    /// A literal without end, after a line that promises it.
    EndlessLiteral,
    /// Bytes that mean nothing.
    Garbage,
}
