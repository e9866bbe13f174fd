//! What a device is told on the command line. Secrets are not: they come from the environment, a file or a prompt.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use proto::v1;

/// Options of `pinger device`.
#[derive(Debug, Args)]
pub(crate) struct DeviceOptions {
    /// Where the session and its token are kept, with mode 0600. One file is one session.
    #[arg(long, global = true, env = "PINGER_DEVICE_STATE", default_value = "pinger-device.json", value_name = "FILE")]
    pub(super) state: PathBuf,

    /// Print JSON: one object, or, for `watch`, one a line.
    #[arg(long, global = true)]
    pub(super) json: bool,

    #[command(subcommand)]
    pub(super) command: DeviceCommand,
}

/// What a device can do.
#[derive(Debug, Subcommand)]
pub(super) enum DeviceCommand {
    /// Hand over the watching of a mailbox. The credential is sealed here, for the backend.
    Register(Box<RegisterOptions>),
    /// Say “I am awake, hold off”; with `--wait 0`, acknowledge a push.
    Defer(DeferOptions),
    /// End the session and have the credential destroyed.
    Stop,
    /// Show the session's state once.
    Status,
    /// Show the session's state whenever it changes, until it has ended.
    Watch,
}

/// Options of `register`.
#[derive(Debug, Args)]
pub(super) struct RegisterOptions {
    /// The server: `http://HOST:PORT` or `https://HOST[:PORT]`.
    #[arg(long, env = "PINGER_SERVER", value_name = "URL")]
    pub(super) server: String,

    /// A further certificate authority for the server: a PEM file.
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,

    /// A file with the app key. Without it, PINGER_APP_KEY has it.
    #[arg(long, value_name = "FILE")]
    pub(super) app_key_file: Option<PathBuf>,

    /// The server's identity key in base64, as `pinger keys show` prints it. The sealing keys must be signed by it.
    #[arg(long, env = "PINGER_IDENTITY", value_name = "BASE64")]
    pub(super) identity: Option<IdentityKey>,

    /// Trust the identity key that the server shows the first time, and keep it in the state file.
    #[arg(long, conflicts_with = "identity")]
    pub(super) trust_first_use: bool,

    /// The app's own id of its user.
    #[arg(long, default_value = "cli-user", value_name = "ID")]
    pub(super) user: String,

    /// The app's own id of this installation.
    #[arg(long, default_value = "cli-device", value_name = "ID")]
    pub(super) device: String,

    /// The app's own id of the mail account: 5 to 64 characters. Not a mail address.
    #[arg(long, default_value = "cli-account", value_name = "ID")]
    pub(super) context: String,

    /// What the device runs.
    #[arg(long, value_enum, default_value_t = Platform::Desktop)]
    pub(super) platform: Platform,

    /// The IMAP server.
    #[arg(long, value_name = "HOST")]
    pub(super) imap_host: String,

    /// Its port. Without it, 993 for TLS and 143 for STARTTLS.
    #[arg(long, value_name = "PORT")]
    pub(super) imap_port: Option<u16>,

    /// How the connection to it is encrypted.
    #[arg(long, value_enum, default_value_t = Security::Tls)]
    pub(super) security: Security,

    /// The mailbox.
    #[arg(long, default_value = "INBOX", value_name = "NAME")]
    pub(super) mailbox: String,

    /// How to log in: with a password, or, for xoauth2 and oauthbearer, with an access token. auto takes a password, and
    /// the best way that the server offers.
    #[arg(long, value_enum, default_value_t = Mechanism::Plain)]
    pub(super) mechanism: Mechanism,

    /// The account's name at the IMAP server.
    #[arg(long, env = "PINGER_USERNAME", value_name = "NAME")]
    pub(super) username: String,

    /// A file with the password or access token. Without it, PINGER_PASSWORD has it, or it is asked for.
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,

    #[command(flatten)]
    pub(super) push: PushOptions,

    /// How many seconds the device stays awake and reads its mail itself.
    #[arg(long, value_name = "SECONDS")]
    pub(super) wait: Option<u32>,

    /// How many seconds one wait at the mail server may last.
    #[arg(long, value_name = "SECONDS")]
    pub(super) response_timeout: Option<u32>,

    /// After how many seconds the session ends by itself.
    #[arg(long, value_name = "SECONDS")]
    pub(super) lifetime: Option<u32>,

    /// What has been seen of the mailbox. Without it, the state at registration is taken.
    #[arg(long, value_name = "UIDVALIDITY:UIDNEXT[:MODSEQ]")]
    pub(super) baseline: Option<SeenMail>,
}

/// Where pushes go.
#[derive(Debug, Args)]
pub(super) struct PushOptions {
    /// The device token, in hexadecimal.
    #[arg(long, env = "PINGER_APNS_TOKEN", hide_env_values = true, value_name = "HEX")]
    pub(super) apns_token: String,

    /// The topic, usually the app's bundle id.
    #[arg(long, env = "PINGER_APNS_TOPIC", value_name = "TOPIC")]
    pub(super) apns_topic: String,

    /// Which of Apple's environments issued the token.
    #[arg(long, value_enum, default_value_t = Environment::Production)]
    pub(super) apns_environment: Environment,

    /// How the device is woken.
    #[arg(long, value_enum, default_value_t = PushType::Background)]
    pub(super) apns_push_type: PushType,
}

/// Options of `defer`.
#[derive(Debug, Args)]
pub(super) struct DeferOptions {
    /// How many seconds to hold off: 0 to 600.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub(super) wait: u32,

    /// What has been seen of the mailbox by now.
    #[arg(long, value_name = "UIDVALIDITY:UIDNEXT[:MODSEQ]")]
    pub(super) baseline: Option<SeenMail>,
}

/// An identity key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdentityKey(pub(super) [u8; 32]);

impl FromStr for IdentityKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        super::state::decode_key(text).map(Self).ok_or("must be 32 bytes in base64")
    }
}

/// A baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SeenMail(pub(super) v1::Baseline);

impl FromStr for SeenMail {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const PROBLEM: &str = "must be UIDVALIDITY:UIDNEXT or UIDVALIDITY:UIDNEXT:MODSEQ";
        let mut parts = text.split(':');
        let mut number = || parts.next().map(|part| part.parse::<u64>().map_err(|_| PROBLEM)).transpose();
        let (uid_validity, uid_next, modseq) = (number()?, number()?, number()?);
        if parts.next().is_some() {
            return Err(PROBLEM);
        }
        let small = |number: Option<u64>| u32::try_from(number.ok_or(PROBLEM)?).map_err(|_| PROBLEM);
        Ok(Self(v1::Baseline {
            uid_validity: small(uid_validity)?,
            uid_next: small(uid_next)?,
            highest_modseq: modseq.unwrap_or(0),
        }))
    }
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident -> $wire:ident { $($variant:ident -> $value:ident,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
        pub(super) enum $name { $($variant,)* }

        impl From<$name> for i32 {
            fn from(choice: $name) -> Self {
                match choice { $($name::$variant => v1::$wire::$value.into(),)* }
            }
        }
    )*};
}

choices! {
    /// What a device runs.
    Platform -> Platform { Ios -> Ios, Android -> Android, Web -> Web, Desktop -> Desktop, }
    /// How an IMAP connection is encrypted.
    Security -> ImapSecurity { Tls -> Tls, Starttls -> Starttls, }
    /// How to log in.
    Mechanism -> ImapMechanism {
        Plain -> Plain, Login -> Login, Xoauth2 -> Xoauth2,
        ScramSha256 -> ScramSha256, Oauthbearer -> Oauthbearer, Auto -> Auto,
    }
    /// One of Apple's environments.
    Environment -> ApnsEnvironment { Production -> Production, Development -> Development, }
    /// How a device is woken.
    PushType -> ApnsPushType { Background -> Background, Alert -> Alert, }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<(u32, u32, u64)>) {
        let seen: Option<SeenMail> = text.parse().ok();
        let seen = seen.map(|SeenMail(seen)| (seen.uid_validity, seen.uid_next, seen.highest_modseq));
        assert_eq!(seen, expect, "{text}");
    }

    #[test]
    fn baselines() {
        check("1:2", Some((1, 2, 0)));
        check("1:2:3", Some((1, 2, 3)));
        check("1", None);
        check("1:x", None);
        check("1:2:3:4", None);
        check("4294967296:2", None);
    }
}
