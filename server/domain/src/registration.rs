//! What a device hands over when it registers.

use std::time::Duration;

use crate::{Baseline, Context, DeviceId, KeyId, MailTarget, PushTarget, UserId};

/// What a device runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// iOS and iPadOS.
    Ios,
    /// Android.
    Android,
    /// A browser.
    Web,
    /// macOS, Windows, Linux.
    Desktop,
}

impl Platform {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Ios, Self::Android, Self::Web, Self::Desktop];

    /// The stable name, as the store has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ios => "ios",
            Self::Android => "android",
            Self::Web => "web",
            Self::Desktop => "desktop",
        }
    }

    /// Finds a platform by its stable name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|platform| platform.as_str() == text)
    }
}

/// A version as a device names it, at most 64 bytes; for people to read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct VersionText(String);

impl VersionText {
    /// Takes at most 64 bytes without control characters.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() <= 64 && !text.chars().any(char::is_control)).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One installed app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The app's own id of it.
    pub id: DeviceId,
    /// What it runs.
    pub platform: Platform,
    /// The system's version.
    pub os_version: VersionText,
    /// The app's version.
    pub app_version: VersionText,
}

/// A credential, sealed by the device for the backend: HPKE's parts and the key's name. It is the same on the wire and at
/// rest.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedBox {
    /// The sealing key that opens it.
    pub key_id: KeyId,
    /// HPKE's encapsulated key.
    pub encapsulated_key: [u8; 32],
    /// HPKE's ciphertext.
    pub ciphertext: Vec<u8>,
}

impl SealedBox {
    /// Whether a ciphertext has the length of a padded credential: 16 bytes more than 256 to 16,384 in steps of 256.
    pub fn padded(len: usize) -> bool {
        len.checked_sub(16).is_some_and(|plain| (256..=16_384).contains(&plain) && plain.is_multiple_of(256))
    }
}

impl std::fmt::Debug for SealedBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedBox").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// When to start and when to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How long the device stays awake.
    pub wait_before_use: Duration,
    /// How long one wait at the mail server may last.
    pub response_timeout: Duration,
    /// When the session ends by itself.
    pub lifetime: Duration,
}

/// The limits that a server sets to what devices ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest wait before use, and the longest Defer.
    pub wait: Duration,
    /// The longest wait at a mail server.
    pub response_timeout: Duration,
    /// The longest life of a session.
    pub lifetime: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(10 * 60),
            response_timeout: Duration::from_secs(60 * 60),
            lifetime: Duration::from_secs(2 * 24 * 60 * 60),
        }
    }
}

/// Everything that a device hands over, checked in form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The app's user.
    pub user: UserId,
    /// The device.
    pub device: Device,
    /// The mail account.
    pub context: Context,
    /// Where pushes go.
    pub push_target: PushTarget,
    /// What is watched.
    pub mail: MailTarget,
    /// The credential.
    pub credential: SealedBox,
    /// When to start and when to end.
    pub timings: Timings,
    /// What the device has seen.
    pub baseline: Option<Baseline>,
}
