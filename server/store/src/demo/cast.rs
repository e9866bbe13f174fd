//! Who plays in the made-up sessions: users, devices, hosts; and what befalls them.

use std::time::Duration;

use domain::{
    ApnsEnvironment, ApnsPushType, ApnsTarget, EndReason, Evidence, Failure, FailureCode, Platform, State, Timestamp,
};
use uuid::Uuid;

/// Mail servers with the share of all accounts that they have, in percent. The rest is many small ones.
const HOSTS: &[(&str, u64)] = &[
    ("imap.example.com", 33),
    ("mail.example.net", 18),
    ("outlook.example.com", 17),
    ("imap.example.net", 9),
    ("imap.example.org", 8),
];

/// How many small mail servers there are.
const SMALL_HOSTS: u64 = 400;

/// The one whose certificate nobody renewed.
const LEGACY: &str = "mx.legacy.example.org";

const DEVICES: &[(Platform, &str, &str)] = &[
    (Platform::Ios, "iOS 19.1", "8.4.1"),
    (Platform::Ios, "iOS 18.6", "8.4.1"),
    (Platform::Ios, "iPadOS 19.1", "8.3.2"),
    (Platform::Android, "Android 16", "8.4.0"),
    (Platform::Android, "Android 15", "8.2.0"),
    (Platform::Web, "Firefox 145", "8.4.1"),
    (Platform::Desktop, "macOS 26", "8.4.1"),
];

/// Chance that always falls in the same way: SplitMix64.
#[derive(Clone)]
pub(super) struct Chance(u64);

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let place = usize::try_from(self.below(all.len() as u64)).unwrap_or(0);
        &all[place]
    }

    /// A UUID of version 7 for a time.
    pub(super) fn id(&mut self, at: Timestamp) -> Uuid {
        let [a, b] = [self.next().to_be_bytes(), self.next().to_be_bytes()];
        let random = [a[0], a[1], b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]];
        uuid::Builder::from_unix_timestamp_millis(at.as_millis().unsigned_abs(), &random).into_uuid()
    }

    pub(super) fn traceparent(&mut self) -> String {
        format!("00-{:016x}{:016x}-{:016x}-01", self.next(), self.next(), self.next() | 1)
    }

    /// From mail to push: a fifth of a second mostly, seldom seconds.
    pub(super) fn latency(&mut self) -> Duration {
        let usual = 40 + self.below(120) + self.below(120);
        Duration::from_millis(match self.below(100) {
            0 => usual * 16,
            1..5 => usual * 5,
            5..20 => usual * 2,
            _ => usual,
        })
    }
}

/// An account: who it belongs to, and where it is.
pub(super) struct Account {
    number: u64,
    seed: u64,
    pub(super) hash: u64,
}

impl Account {
    /// Two accounts a device.
    fn device_hash(&self) -> u64 {
        mix(self.seed ^ (self.number / 2).wrapping_mul(3))
    }

    pub(super) fn user(&self) -> String {
        // Three devices for two users, about; the low digits keep users of one seed apart.
        format!("u-{:x}{:05}", self.seed & 0xff, self.number / 3)
    }

    pub(super) fn device(&self) -> String {
        format!("dev_{:016x}", self.device_hash())
    }

    pub(super) fn context(&self) -> String {
        let kind = if self.hash.is_multiple_of(3) { "work" } else { "personal" };
        format!("ctx_{kind}_{:08x}", self.hash >> 32)
    }

    pub(super) fn address_hash(&self) -> String {
        format!("{:016x}{:048x}", self.hash, self.number)
    }

    pub(super) fn device_kind(&self) -> (Platform, &'static str, &'static str) {
        *Chance(self.device_hash()).one_of(DEVICES)
    }

    pub(super) fn host(&self) -> String {
        let mut chance = Chance(self.hash);
        let mut place = chance.below(100);
        for (host, share) in HOSTS {
            if place < *share {
                return (*host).to_owned();
            }
            place -= share;
        }
        match chance.below(SMALL_HOSTS) {
            0 | 1 => LEGACY.to_owned(),
            small if small.is_multiple_of(2) => format!("mail.shop{small}.example.org"),
            small => format!("imap.club{small}.test"),
        }
    }

    pub(super) fn push_target(&self) -> Option<ApnsTarget> {
        let token = format!("{:016x}", self.device_hash()).repeat(4);
        ApnsTarget::new(&token, "org.example.courier", ApnsEnvironment::Production, ApnsPushType::Background).ok()
    }
}

/// What happens to whom and when.
pub(super) struct Script {
    sessions: u64,
    accounts: u64,
    seed: u64,
    span: Duration,
    pub(super) now: Timestamp,
}

impl Script {
    pub(super) fn new(sessions: u64, seed: u64, now: Timestamp, span: Duration) -> Self {
        // The time is in it, so that another run makes other people.
        let seed = mix(seed ^ now.as_millis().unsigned_abs());
        Self { sessions, accounts: (sessions * 3 / 5).max(1), seed, span, now }
    }

    pub(super) fn chance(&self, number: u64) -> Chance {
        Chance(mix(self.seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d)))
    }

    /// Whose session it is. Some accounts have one session, others registered again.
    pub(super) fn account(&self, number: u64) -> Account {
        let number = number % self.accounts;
        Account { number, seed: self.seed, hash: mix(self.seed.wrapping_add(number)) }
    }

    pub(super) fn registered_at(&self, number: u64) -> Timestamp {
        let span = u64::try_from(self.span.as_millis()).unwrap_or(u64::MAX);
        let ago = u128::from(span) * u128::from(self.sessions - number) / u128::from(self.sessions.max(1));
        Timestamp::from_millis(self.now.as_millis() - i64::try_from(ago).unwrap_or(0))
    }

    /// When the session ended, and why; none if it lives.
    pub(super) fn end(
        &self,
        number: u64,
        chance: &mut Chance,
        expires_at: Timestamp,
    ) -> Option<(Timestamp, EndReason)> {
        let created_at = self.registered_at(number);
        let replaced_at = (number + self.accounts < self.sessions).then(|| self.registered_at(number + self.accounts));
        let left = expires_at.min(replaced_at.unwrap_or(self.now)).min(self.now).since(created_at);
        let early = created_at.after(left.mul_f64(0.9) / 100 * u32::try_from(10 + chance.below(90)).unwrap_or(50));
        let reason = match chance.below(1000) {
            0..120 => Some(EndReason::Stopped),
            120..132 => Some(EndReason::CredentialRefused),
            132..138 => Some(EndReason::PushTargetGone),
            138..140 => Some(EndReason::MailServerGone),
            140..142 => Some(EndReason::Revoked),
            142 => Some(EndReason::Quota),
            _ => None,
        };
        if let Some(reason) = reason {
            return Some((early, reason));
        }
        match replaced_at {
            Some(at) if at <= expires_at => Some((at, EndReason::Replaced)),
            _ if expires_at <= self.now => Some((expires_at, EndReason::Expired)),
            _ => None,
        }
    }

    /// The state of a session that lives.
    pub(super) fn state(&self, chance: &mut Chance, host: &str) -> State {
        match chance.below(1000) {
            _ if host == LEGACY => State::Retrying,
            0..15 => State::Retrying,
            15..65 => State::Waiting,
            65..90 => State::Holding,
            _ => State::Watching,
        }
    }

    /// What goes wrong at a host.
    pub(super) fn failure(&self, chance: &mut Chance, host: &str) -> Failure {
        let code = match host {
            LEGACY => FailureCode::CertificateInvalid,
            "imap.example.com" => {
                *chance.one_of(&[FailureCode::Throttled, FailureCode::Throttled, FailureCode::LoginRefused])
            }
            _ if host.ends_with(".test") => FailureCode::HostNotFound,
            _ => *chance.one_of(&[
                FailureCode::ConnectTimeout,
                FailureCode::ConnectionLost,
                FailureCode::ConnectRefused,
                FailureCode::LoginRefused,
                FailureCode::ServerBye,
                FailureCode::MailboxMissing,
                FailureCode::TlsFailed,
            ]),
        };
        failure(code)
    }
}

/// A failure with what a server would say.
pub(super) fn failure(code: FailureCode) -> Failure {
    let evidence = match code {
        FailureCode::Throttled => "* BYE [ALERT] Too many simultaneous connections",
        FailureCode::LoginRefused => "a2 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
        FailureCode::CertificateInvalid => "certificate expired",
        FailureCode::ServerBye => "* BYE Session expired, please log in again",
        FailureCode::MailboxMissing => "x1 NO [NONEXISTENT] Unknown Mailbox",
        FailureCode::HostNotFound => "no such name",
        _ => "",
    };
    Failure::new(code, Evidence::redact(evidence, None))
}
