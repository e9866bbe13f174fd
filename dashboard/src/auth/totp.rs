//! Codes of an authenticator app: TOTP (RFC 6238) with SHA-1, six digits and steps of 30 seconds, which is what all apps know;
//! and recovery codes, for whoever lost theirs.

use std::fmt::Write as _;

use backend::vault::{SecretSealError, SecretSealer};
use domain::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use qrcode::{Color, EcLevel, QrCode};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use store::StaffId;
use zeroize::Zeroizing;

use super::secret::{hex, same};

/// The length of a step, in milliseconds.
const STEP: i64 = 30_000;

/// How many recovery codes there are.
const RECOVERY_CODES: usize = 10;

/// The letters and digits of RFC 4648's base32.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// An authenticator's secret: 20 bytes, as long as the hash (RFC 4226, section 4).
pub(crate) struct Totp(Zeroizing<[u8; 20]>);

impl Totp {
    pub(crate) fn random() -> Self {
        Self(Zeroizing::new(rand::random()))
    }

    /// Seals it for the store, or for a form that comes back.
    pub(crate) fn seal(&self, sealer: &SecretSealer, purpose: Purpose<'_>) -> Result<Vec<u8>, SecretSealError> {
        sealer.seal(&purpose.bytes(), &*self.0)
    }

    pub(crate) fn open(sealer: &SecretSealer, purpose: Purpose<'_>, sealed: &[u8]) -> Option<Self> {
        let opened = sealer.open(&purpose.bytes(), sealed).ok()?;
        <[u8; 20]>::try_from(opened.as_slice()).ok().map(|secret| Self(Zeroizing::new(secret)))
    }

    /// The step whose code this is: the present one, the one before or the one after it, for clocks that are not quite
    /// right. Steps up to `used` don't count any more.
    pub(crate) fn step_of(&self, code: &str, now: Timestamp, used: Option<i64>) -> Option<i64> {
        let code: String = code.chars().filter(|character| !character.is_whitespace()).collect();
        let present = now.as_millis().div_euclid(STEP);
        let mut found = None;
        for step in [present - 1, present, present + 1] {
            // Each is compared, whatever the others say.
            let matches = same(&self.code(step), &code);
            if matches && used.is_none_or(|used| step > used) {
                found = found.or(Some(step));
            }
        }
        found
    }

    /// RFC 4226, section 5.3.
    fn code(&self, step: i64) -> String {
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&*self.0) else { return String::new() };
        mac.update(&step.to_be_bytes());
        let tag = mac.finalize().into_bytes();
        let offset = usize::from(tag[19] & 15);
        let mut word = [0; 4];
        word.copy_from_slice(&tag[offset..offset + 4]);
        format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000)
    }

    /// The secret as it is typed into an app, in groups of four.
    pub(crate) fn text(&self) -> String {
        groups(&base32(&*self.0), ' ')
    }

    /// The URL that apps read (Key Uri Format).
    fn url(&self, name: &str) -> Zeroizing<String> {
        // Names have no characters that would have to be escaped, but these two.
        let name = name.replace('@', "%40").replace('+', "%2B");
        let secret = base32(&*self.0);
        Zeroizing::new(format!(
            "otpauth://totp/Pinger:{name}?secret={secret}&issuer=Pinger&algorithm=SHA1&digits=6&period=30"
        ))
    }

    /// The URL as a QR code.
    pub(crate) fn qr(&self, name: &str) -> Option<Qr> {
        let code = QrCode::with_error_correction_level(self.url(name).as_bytes(), EcLevel::M).ok()?;
        let (width, mut path) = (code.width(), String::new());
        for (index, color) in code.to_colors().into_iter().enumerate() {
            if color == Color::Dark {
                // Writing to a String can't fail.
                let _ = write!(path, "M{} {}h1v1h-1z", index % width + 4, index / width + 4);
            }
        }
        Some(Qr { size: width + 8, path })
    }
}

/// A QR code as the path of an SVG whose view box is `0 0 size size`, with the quiet zone of four modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Qr {
    pub(crate) size: usize,
    pub(crate) path: String,
}

/// What a sealed secret is for: it opens for nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'a> {
    /// The authenticator that a member of staff has set up.
    Stored(StaffId),
    /// One that is being set up, in one sign-in.
    Offered(StaffId, &'a str),
}

impl Purpose<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Stored(id) => [b"totp stored ".as_slice(), id.as_bytes()].concat(),
            Self::Offered(id, sign_in) => [b"totp offered ".as_slice(), id.as_bytes(), sign_in.as_bytes()].concat(),
        }
    }
}

fn base32(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut held) = (String::new(), 0_u32, 0);
    for byte in bytes {
        bits = (bits << 8) | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(char::from(BASE32[usize::from(u8::try_from((bits >> held) & 31).unwrap_or(0))]));
        }
    }
    if held > 0 {
        text.push(char::from(BASE32[usize::from(u8::try_from((bits << (5 - held)) & 31).unwrap_or(0))]));
    }
    text
}

fn groups(text: &str, between: char) -> String {
    let mut grouped = String::new();
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 4 == 0 {
            grouped.push(between);
        }
        grouped.push(character);
    }
    grouped
}

/// New recovery codes, of 80 random bits each, and what the store has of them. They are shown once.
pub(crate) fn recovery_codes(id: StaffId) -> (Vec<String>, Vec<String>) {
    (0..RECOVERY_CODES)
        .map(|_| {
            let code = groups(&base32(&rand::random::<[u8; 10]>()).to_ascii_lowercase(), '-');
            let hash = recovery_hash(id, &code).unwrap_or_default();
            (code, hash)
        })
        .unzip()
}

/// What the store has of a recovery code, however it was typed; nothing if it can't be one.
pub(crate) fn recovery_hash(id: StaffId, code: &str) -> Option<String> {
    let plain: String = code
        .chars()
        .filter(|character| *character != '-' && !character.is_whitespace())
        .collect::<String>()
        .to_ascii_uppercase();
    let is_code = plain.len() == 16 && plain.bytes().all(|byte| BASE32.contains(&byte));
    is_code.then(|| hex(&Sha256::digest([b"pinger recovery ".as_slice(), id.as_bytes(), plain.as_bytes()].concat())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn rfc() -> Totp {
        Totp(Zeroizing::new(*b"12345678901234567890"))
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B, the last six of its eight digits.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(rfc().code(seconds / 30), code);
            assert_eq!(rfc().step_of(code, at(seconds), None), Some(seconds / 30));
        }
    }

    #[test]
    fn a_code_counts_once_and_a_step_around() {
        let (totp, step) = (rfc(), 1_000_000);
        let (code, now) = (totp.code(step), step * 30);
        assert_eq!(totp.step_of(&code, at(now - 30), None), Some(step), "their clock is ahead");
        assert_eq!(totp.step_of(&code, at(now + 59), None), Some(step), "their clock is behind");
        assert_eq!(totp.step_of(&code, at(now + 60), None), None);
        assert_eq!(totp.step_of(&code, at(now - 31), None), None);
        assert_eq!(totp.step_of(&code, at(now), Some(step)), None, "used before");
        assert_eq!(totp.step_of(&code, at(now), Some(step - 1)), Some(step));
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        assert_eq!(totp.step_of(&spaced, at(now), None), Some(step));
        for bad in ["", "1", "0000000", "12345a"] {
            assert_eq!(totp.step_of(bad, at(now), None), None, "{bad}");
        }
    }

    #[test]
    fn base32_is_that_of_the_rfc() {
        // RFC 4648, section 10, without padding.
        for (bytes, text) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(rfc().text(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
    }

    #[test]
    fn apps_are_told_by_url_and_picture() {
        let url = rfc().url("kim@example.org");
        assert!(url.starts_with("otpauth://totp/Pinger:kim%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&"));
        let qr = rfc().qr("kim@example.org").unwrap();
        assert!(qr.size > 30 && qr.path.starts_with("M4 4h1v1h-1z"), "the corner of a finder pattern");
        assert!(qr.path.len() < 30_000);
    }

    #[test]
    fn recovery_codes_are_known_however_they_are_typed() {
        let id = StaffId::new();
        let (codes, hashes) = recovery_codes(id);
        assert_eq!((codes.len(), hashes.len()), (10, 10));
        assert_eq!(codes[0].len(), 19);
        assert_eq!(recovery_hash(id, &codes[0]), Some(hashes[0].clone()));
        assert_eq!(recovery_hash(id, &codes[0].to_uppercase().replace('-', " ")), Some(hashes[0].clone()));
        assert_ne!(recovery_hash(StaffId::new(), &codes[0]), Some(hashes[0].clone()), "it is one person's");
        assert_eq!(recovery_hash(id, "123456"), None);
    }
}
