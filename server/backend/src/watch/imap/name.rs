//! Mailbox names as a command has them.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

const MODIFIED_BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// How names are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// In modified UTF-7 (RFC 3501 §5.1.3), which every server knows.
    ModifiedUtf7,
    /// As they are (RFC 6855 §3), once that is agreed on.
    Utf8,
}

impl Naming {
    /// A mailbox's name as a command has it.
    pub(super) fn quoted(self, name: &str) -> String {
        match self {
            Self::ModifiedUtf7 => quoted(name),
            // Control characters have no place in a quoted string; no name that was registered has one.
            Self::Utf8 => in_quotes(&name.replace(char::is_control, "")),
        }
    }
}

/// A text without control characters in quotes.
pub(super) fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A mailbox's name in modified UTF-7 (RFC 3501 §5.1.3) and in quotes. Nothing but printable ASCII comes out, so that no
/// name can end the command.
fn quoted(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    let mut shifted: Vec<u8> = Vec::new();
    out.push('"');
    for letter in name.chars() {
        if (' '..='~').contains(&letter) {
            unshift(&mut out, &mut shifted);
            match letter {
                '&' => out.push_str("&-"),
                '"' | '\\' => {
                    let _ = write!(out, "\\{letter}");
                }
                _ => out.push(letter),
            }
        } else {
            shifted.extend(letter.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    unshift(&mut out, &mut shifted);
    out.push('"');
    out
}

fn unshift(out: &mut String, shifted: &mut Vec<u8>) {
    if !shifted.is_empty() {
        out.push('&');
        MODIFIED_BASE64.encode_string(&shifted, out);
        out.push('-');
        shifted.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(name: &str, expect: &str) {
        assert_eq!(quoted(name), expect);
    }

    #[test]
    fn names() {
        check("INBOX", "\"INBOX\"");
        check("Tom & Jerry", "\"Tom &- Jerry\"");
        check("a\"b\\c", "\"a\\\"b\\\\c\"");
        check("Entw\u{fc}rfe", "\"Entw&APw-rfe\"");
        // RFC 3501 §5.1.3's own example.
        check("~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}", "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\"");
        check("\u{1f600}", "\"&2D3eAA-\"");
        check("a\r\nb", "\"a&AA0ACg-b\"");
    }

    #[test]
    fn names_in_utf_8() {
        assert_eq!(Naming::Utf8.quoted("Entw\u{fc}rfe & \"x\"\r\n\\"), "\"Entw\u{fc}rfe & \\\"x\\\"\\\\\"");
        assert_eq!(Naming::ModifiedUtf7.quoted("a&b"), "\"a&-b\"");
    }

    proptest! {
        #[test]
        fn no_name_ends_a_command(name in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
            let quoted = quoted(&name);
            prop_assert!(quoted.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
            prop_assert!(!inside.replace("\\\\", "").replace("\\\"", "").contains('"'));
        }
    }
}
