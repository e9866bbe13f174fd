//! Reads one line of a server's, as far as a watch cares.
//!
//! It is not `imap-proto` on purpose: that parser (0.17) panics where a response code is followed by a letter beyond ASCII,
//! and recurses as deep as a FETCH line has parentheses, which a hostile server can turn into a stack overflow, the end of
//! the whole process. This one makes a single pass, allocates nothing and never fails: what it doesn't know is
//! [`Line::Other`], what can't be IMAP is [`Line::NotImap`].

/// One line, or more with literals between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// `+ …`: the server waits for us.
    Continue,
    /// The end of a command.
    Tagged { tag: &'a [u8], outcome: Outcome, text: &'a [u8] },
    /// `* OK`, `* NO`, `* BAD`: a remark.
    Remark { text: &'a [u8] },
    /// `* PREAUTH`.
    PreAuth,
    /// `* BYE`: the server hangs up.
    Bye { text: &'a [u8] },
    /// `* CAPABILITY …`
    Capability(Capabilities),
    /// `* n EXISTS`
    Exists(u32),
    /// `* n EXPUNGE`
    Expunge,
    /// `* n FETCH (…)`, and its UID if it has one.
    Fetch { uid: Option<u32> },
    /// `* STATUS mailbox (…)`
    Status { uid_validity: Option<u32>, uid_next: Option<u32> },
    /// Something else that a server may say.
    Other,
    /// Nothing that an IMAP server may say.
    NotImap,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    No,
    Bad,
}

/// What a server offers, as far as we use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Capabilities {
    pub(super) idle: bool,
    pub(super) starttls: bool,
    pub(super) login_disabled: bool,
    pub(super) auth_plain: bool,
    pub(super) auth_xoauth2: bool,
    pub(super) auth_scram_sha_256: bool,
    pub(super) auth_oauthbearer: bool,
    /// A first answer may stand in the line of AUTHENTICATE (RFC 4959).
    pub(super) sasl_ir: bool,
    /// Literals need not be asked for (RFC 7888), with `-` short ones.
    pub(super) literal_plus: bool,
    pub(super) literal_minus: bool,
    /// It wants to know who we are (RFC 2971).
    pub(super) id: bool,
    /// Names may be UTF-8 (RFC 6855), once that is enabled; or must be.
    pub(super) utf8: bool,
    pub(super) utf8_only: bool,
}

impl Capabilities {
    fn parse(words: &[u8]) -> Self {
        let mut found = Self::default();
        for word in words.split(|byte| *byte == b' ') {
            match word.to_ascii_uppercase().as_slice() {
                b"IDLE" => found.idle = true,
                b"STARTTLS" => found.starttls = true,
                b"LOGINDISABLED" => found.login_disabled = true,
                b"AUTH=PLAIN" => found.auth_plain = true,
                b"AUTH=XOAUTH2" => found.auth_xoauth2 = true,
                b"AUTH=SCRAM-SHA-256" => found.auth_scram_sha_256 = true,
                b"AUTH=OAUTHBEARER" => found.auth_oauthbearer = true,
                b"SASL-IR" => found.sasl_ir = true,
                b"LITERAL+" => found.literal_plus = true,
                b"LITERAL-" => found.literal_minus = true,
                b"ID" => found.id = true,
                b"UTF8=ACCEPT" => found.utf8 = true,
                b"UTF8=ONLY" => (found.utf8, found.utf8_only) = (true, true),
                // What RFC 9051 has built in.
                b"IMAP4REV2" => (found.idle, found.sasl_ir, found.literal_minus) = (true, true, true),
                _ => {}
            }
        }
        found
    }
}

/// A response code (RFC 3501 §7.1) that moves something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Capability(Capabilities),
    UidValidity(u32),
    UidNext(u32),
    HighestModSeq(u64),
}

impl Code {
    /// The code at the head of a text, if it is one of those.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (name, argument) = split_word(code(text)?);
        match name.to_ascii_uppercase().as_slice() {
            b"CAPABILITY" => Some(Self::Capability(Capabilities::parse(argument))),
            b"UIDVALIDITY" => number(argument).map(Self::UidValidity),
            b"UIDNEXT" => number(argument).map(Self::UidNext),
            b"HIGHESTMODSEQ" => number(argument).map(Self::HighestModSeq),
            _ => None,
        }
    }
}

/// The inside of `[…]` at the head of a text.
pub(super) fn code(text: &[u8]) -> Option<&[u8]> {
    let inside = text.strip_prefix(b"[")?;
    let end = inside.iter().position(|byte| *byte == b']')?;
    Some(&inside[..end])
}

impl<'a> Line<'a> {
    /// Reads a line without its end.
    pub(super) fn parse(line: &'a [u8]) -> Self {
        let (first, rest) = split_word(line);
        match first {
            b"*" => Self::untagged(rest),
            // Some servers leave out the space.
            _ if first.first() == Some(&b'+') => Self::Continue,
            _ if !first.is_empty() && first.iter().all(u8::is_ascii_alphanumeric) => Self::tagged(first, rest),
            _ => Self::NotImap,
        }
    }

    fn tagged(tag: &'a [u8], rest: &'a [u8]) -> Self {
        let (word, text) = split_word(rest);
        let outcome = match word.to_ascii_uppercase().as_slice() {
            b"OK" => Outcome::Ok,
            b"NO" => Outcome::No,
            b"BAD" => Outcome::Bad,
            _ => return Self::NotImap,
        };
        Self::Tagged { tag, outcome, text }
    }

    fn untagged(rest: &'a [u8]) -> Self {
        let (word, text) = split_word(rest);
        match word.to_ascii_uppercase().as_slice() {
            b"OK" | b"NO" | b"BAD" => Self::Remark { text },
            b"PREAUTH" => Self::PreAuth,
            b"BYE" => Self::Bye { text },
            b"CAPABILITY" => Self::Capability(Capabilities::parse(text)),
            b"STATUS" => Self::status(text),
            [b'0'..=b'9', ..] => match number(word) {
                Some(number) => Self::numbered(number, text),
                None => Self::NotImap,
            },
            [b'A'..=b'Z', ..] => Self::Other,
            _ => Self::NotImap,
        }
    }

    fn numbered(number: u32, rest: &'a [u8]) -> Self {
        let (word, rest) = split_word(rest);
        match word.to_ascii_uppercase().as_slice() {
            b"EXISTS" => Self::Exists(number),
            b"EXPUNGE" => Self::Expunge,
            b"FETCH" => Self::Fetch { uid: fetched_uid(rest) },
            [b'A'..=b'Z', ..] => Self::Other,
            _ => Self::NotImap,
        }
    }

    /// The attributes are the last thing in parentheses, whatever the mailbox's name before them looks like.
    fn status(text: &[u8]) -> Self {
        let (mut uid_validity, mut uid_next) = (None, None);
        let from = text.iter().rposition(|byte| *byte == b'(').map_or(text.len(), |at| at + 1);
        let to = text.iter().rposition(|byte| *byte == b')').unwrap_or(text.len());
        let mut words =
            text.get(from..to).unwrap_or_default().split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            match name.to_ascii_uppercase().as_slice() {
                b"UIDVALIDITY" => uid_validity = number(value),
                b"UIDNEXT" => uid_next = number(value),
                _ => {}
            }
        }
        Self::Status { uid_validity, uid_next }
    }
}

/// The value of `UID` among a FETCH's items: in the outermost parentheses, and in no string.
fn fetched_uid(items: &[u8]) -> Option<u32> {
    let (mut depth, mut at, mut after_name) = (0_usize, 0, false);
    while let Some(byte) = items.get(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                at += 1;
                while *items.get(at)? != b'"' {
                    at += if items[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' => at = after_literal(items, at)?,
            b' ' => {}
            _ => {
                let len = items[at..].iter().position(|byte| b" ()[]\"{".contains(byte)).unwrap_or(items.len() - at);
                let word = &items[at..at + len];
                if after_name && depth == 1 {
                    return number(word);
                }
                after_name = depth == 1 && word.eq_ignore_ascii_case(b"UID");
                at += len;
                continue;
            }
        }
        at += 1;
    }
    None
}

/// The place of a literal's last byte, given that of its `{`.
fn after_literal(items: &[u8], at: usize) -> Option<usize> {
    let end = at + items[at..].iter().position(|byte| *byte == b'\n')?;
    let len = literal(&items[at..end])?;
    Some(end.saturating_add(len))
}

/// The length of a literal (RFC 3501 §4.3) that a line, without its LF, ends by announcing.
pub(super) fn literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"}")?;
    let from = line.iter().rposition(|byte| *byte == b'{')?;
    // A number too big for us is a literal all the same.
    let digits = &line[from + 1..];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(number(digits).and_then(|len: u32| usize::try_from(len).ok()).unwrap_or(usize::MAX))
}

/// Whether a line is free text to its end, so that no literal can be in it (RFC 3501 §7.1).
pub(super) fn is_free_text(line: &[u8]) -> bool {
    !matches!(
        Line::parse(line),
        Line::Exists(_) | Line::Expunge | Line::Fetch { .. } | Line::Status { .. } | Line::Other
    )
}

fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    (&text[..end], text.get(end + 1..).unwrap_or_default())
}

fn number<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
