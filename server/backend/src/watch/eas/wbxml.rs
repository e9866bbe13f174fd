//! WBXML as ActiveSync uses it (MS-ASWBXML), for reading only: tags by code page and number, and text. The bytes are a
//! stranger's: nothing is copied, nesting is bounded, and whatever ActiveSync has no use for is malformed.

/// How deep tags may be in each other. An answer with changes has about ten levels.
const DEEPEST: usize = 32;

/// A tag: its code page and its number there.
pub(super) type Tag = (u8, u8);

/// What a document is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A tag that has content, up to its [`Close`](Self::Close).
    Open(Tag),
    /// A tag without content.
    Empty(Tag),
    /// The end of the tag that was opened last.
    Close,
    /// Text, or opaque bytes.
    Text(&'a [u8]),
}

/// The bytes are no document, or end in the middle of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not WBXML as ActiveSync has it")]
pub(super) struct Malformed;

/// Reads a document, token by token.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    page: u8,
    depth: usize,
    ended: bool,
}

impl<'a> Reader<'a> {
    /// Reads the head: version, public id, character set, and an empty string table.
    pub(super) fn new(document: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Self { rest: document, page: 0, depth: 0, ended: false };
        let (version, public_id) = (reader.byte()?, reader.number()?);
        let (charset, table) = (reader.number()?, reader.number()?);
        // 106 is UTF-8 (IANA's MIBenum); servers write nothing else.
        let fine = (1..=3).contains(&version) && public_id != 0 && charset == 106 && table == 0;
        if fine { Ok(reader) } else { Err(Malformed) }
    }

    /// The next token; none at the end of the document.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, Malformed> {
        loop {
            if self.ended {
                return if self.rest.is_empty() { Ok(None) } else { Err(Malformed) };
            }
            let token = match self.byte()? {
                // SWITCH_PAGE
                0x00 => {
                    self.page = self.byte()?;
                    continue;
                }
                // END
                0x01 => {
                    self.depth = self.depth.checked_sub(1).ok_or(Malformed)?;
                    self.ended = self.depth == 0;
                    Token::Close
                }
                // STR_I
                0x03 if self.depth > 0 => {
                    let end = self.rest.iter().position(|byte| *byte == 0).ok_or(Malformed)?;
                    let text = self.take(end)?;
                    self.take(1)?;
                    Token::Text(text)
                }
                // OPAQUE
                0xc3 if self.depth > 0 => {
                    let len = usize::try_from(self.number()?).map_err(|_| Malformed)?;
                    Token::Text(self.take(len)?)
                }
                // Entities, literals, extensions, instructions, and tags with attributes.
                0x02..=0x04 | 0x40..=0x44 | 0x80.. => return Err(Malformed),
                byte if byte & 0x40 == 0 => {
                    self.ended = self.depth == 0;
                    Token::Empty((self.page, byte))
                }
                byte => {
                    self.depth += 1;
                    if self.depth > DEEPEST {
                        return Err(Malformed);
                    }
                    Token::Open((self.page, byte & 0x3f))
                }
            };
            return Ok(Some(token));
        }
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let (byte, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    /// An integer of seven bits a byte, the highest first, with at most five bytes.
    fn number(&mut self) -> Result<u32, Malformed> {
        let mut number: u32 = 0;
        for _ in 0..5 {
            let byte = self.byte()?;
            if number > u32::MAX >> 7 {
                return Err(Malformed);
            }
            number = number << 7 | u32::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }
}

#[cfg(test)]
#[path = "wbxml_tests.rs"]
mod tests;
