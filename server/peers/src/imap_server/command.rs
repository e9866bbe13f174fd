//! Commands as they come over the wire: a tag, a name, and arguments that are words, quoted strings or literals.

/// A command's longest line, and its longest literal. Nothing that a client has to say to this server is longer.
pub(crate) const LINE_LIMIT: usize = 8192;

/// One piece of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    /// A quoted string or a literal.
    Text(String),
    Open,
    Close,
}

impl Token {
    /// The content, in whichever way it was written.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Word(text) | Self::Text(text) => Some(text),
            Self::Open | Self::Close => None,
        }
    }
}

/// A whole command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) tag: String,
    /// In capital letters; `UID` commands with both words.
    pub(crate) name: String,
    pub(crate) arguments: Vec<Token>,
}

/// A literal that a line announces at its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) bytes: usize,
    /// Whether the client waits to be asked for it.
    pub(crate) waits: bool,
}

/// Splits a line into tokens, and says which literal follows it.
pub(crate) fn tokens(line: &str) -> Result<(Vec<Token>, Option<Announced>), &'static str> {
    let mut tokens = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        match first {
            ' ' => rest = &rest[1..],
            '(' | ')' => {
                tokens.push(if first == '(' { Token::Open } else { Token::Close });
                rest = &rest[1..];
            }
            '"' => {
                let (text, after) = quoted(&rest[1..])?;
                tokens.push(Token::Text(text));
                rest = after;
            }
            '{' => return literal(rest).map(|announced| (tokens, Some(announced))),
            _ => {
                let end = rest.find([' ', '(', ')', '"', '{']).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
    }
    Ok((tokens, None))
}

/// A quoted string after its opening mark, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut content = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((content, &text[at + 1..])),
            '\\' => content.push(characters.next().ok_or("string without an end")?.1),
            _ => content.push(character),
        }
    }
    Err("string without an end")
}

fn literal(text: &str) -> Result<Announced, &'static str> {
    let number = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or("odd literal")?;
    let (number, waits) = number.strip_suffix('+').map_or((number, true), |number| (number, false));
    let bytes = number.parse().map_err(|_| "odd literal")?;
    if bytes > LINE_LIMIT { Err("literal too long") } else { Ok(Announced { bytes, waits }) }
}

/// Makes a command of its tokens.
pub(crate) fn command(tokens: Vec<Token>) -> Result<Command, &'static str> {
    let mut tokens = tokens.into_iter();
    let (Some(Token::Word(tag)), Some(Token::Word(name))) = (tokens.next(), tokens.next()) else {
        return Err("no command");
    };
    let mut name = name.to_ascii_uppercase();
    if name == "UID" {
        let Some(Token::Word(second)) = tokens.next() else {
            return Err("UID what?");
        };
        name = format!("UID {}", second.to_ascii_uppercase());
    }
    Ok(Command { tag, name, arguments: tokens.collect() })
}

/// Which of `numbers`, ascending, are in a set such as `1,3:5,7:*`; as positions in `numbers`.
pub(crate) fn in_set(set: &str, numbers: &[u32]) -> Result<Vec<usize>, &'static str> {
    let last = numbers.last().copied().unwrap_or_default();
    let number = |text: &str| match text {
        "*" => Ok(last),
        _ => text.parse::<u32>().ok().filter(|number| *number > 0).ok_or("odd number in a set"),
    };
    let mut wanted = Vec::new();
    for range in set.split(',') {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        let (from, to) = (number(from)?, number(to)?);
        wanted.push(from.min(to)..=from.max(to));
    }
    let positions = numbers.iter().enumerate().filter(|(_, number)| wanted.iter().any(|range| range.contains(number)));
    Ok(positions.map(|(position, _)| position).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Token {
        Token::Word(text.to_owned())
    }

    fn text(text: &str) -> Token {
        Token::Text(text.to_owned())
    }

    #[test]
    fn splits_lines() {
        let line = r#"a STATUS "my \"box\"" (UIDNEXT MESSAGES)"#;
        let expected = vec![
            word("a"),
            word("STATUS"),
            text(r#"my "box""#),
            Token::Open,
            word("UIDNEXT"),
            word("MESSAGES"),
            Token::Close,
        ];
        assert_eq!(tokens(line), Ok((expected, None)));
        let announced = Announced { bytes: 5, waits: true };
        assert_eq!(tokens("a LOGIN {5}"), Ok((vec![word("a"), word("LOGIN")], Some(announced))));
        assert_eq!(tokens("{5+}").map(|(_, literal)| literal.map(|literal| literal.waits)), Ok(Some(false)));
    }

    #[test]
    fn refuses_odd_lines() {
        for line in ["\"", "\"\\", "{", "{x}", "{99999999}", "{-1}", "a {5} b"] {
            assert!(tokens(line).is_err(), "{line}");
        }
        assert!(command(vec![word("a")]).is_err());
        assert!(command(vec![text("a"), word("NOOP")]).is_err());
        assert!(command(vec![word("a"), word("uid")]).is_err());
    }

    #[test]
    fn understands_sets() {
        let uids = [2, 4, 6, 8];
        assert_eq!(in_set("2,6:*", &uids), Ok(vec![0, 2, 3]));
        assert_eq!(in_set("9:*", &uids), Ok(vec![3]), "the last message is in any n:*");
        assert_eq!(in_set("5:3", &uids), Ok(vec![1]));
        assert_eq!(in_set("1:*", &[]), Ok(vec![]));
        for odd in ["", "0", "x", "1:", "1,,2", "99999999999"] {
            assert!(in_set(odd, &uids).is_err(), "{odd}");
        }
    }
}
