use peers::eas::wbxml::{Element, encode};
use proptest::prelude::*;

use super::*;

fn read(document: &[u8]) -> Result<Vec<Token<'_>>, Malformed> {
    let mut reader = Reader::new(document)?;
    let mut tokens = Vec::new();
    while let Some(token) = reader.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

#[test]
fn an_answer_to_a_ping_as_exchange_writes_it() {
    // MS-ASCMD 4.5.2: <Ping><Status>2</Status><Folders><Folder>1234</Folder></Folders></Ping>
    let document = [
        0x03, 0x01, 0x6a, 0x00, 0x00, 0x0d, 0x45, 0x47, 0x03, 0x32, 0x00, 0x01, 0x49, 0x4a, 0x03, b'1', b'2', 0, 1, 1,
        1,
    ];
    let tokens = read(&document).unwrap();
    assert_eq!(tokens[..4], [Token::Open((13, 5)), Token::Open((13, 7)), Token::Text(b"2"), Token::Close]);
    assert_eq!(tokens.len(), 10);
}

#[test]
fn what_is_no_document() {
    for document in [
        b"".as_slice(),
        b"<html>",
        &[3, 1, 0x6a, 0],
        &[3, 1, 0x6a, 0, 0x45],
        &[3, 1, 0x6a, 0, 0x45, 1, 1],
        &[3, 1, 0x6a, 0, 0x45, 1, 0x05],
        &[3, 1, 0x6a, 0, 1],
        &[3, 1, 0x6a, 0, 0x45, 3, b'x', 1],
        &[3, 1, 0x6a, 0, 0x45, 0xc3, 0xff, 0xff, 0xff, 0xff, 0x7f, 1],
        &[3, 1, 0x6a, 0, 0xc5, 1],
        &[3, 1, 0x6a, 5, 0x45, 1],
    ] {
        assert_eq!(read(document), Err(Malformed), "{document:?}");
    }
    assert_eq!(read(&[&[3, 1, 0x6a, 0][..], &[0x45; 33], &[1; 33]].concat()), Err(Malformed));
    assert!(read(&[&[3, 1, 0x6a, 0][..], &[0x45; 32], &[1; 32]].concat()).is_ok());
}

fn element() -> impl Strategy<Value = Element> {
    let leaf = (0u8..26, 5u8..0x40, prop_oneof![Just(None), "[a-z0-9 ]{0,20}".prop_map(Some),]).prop_map(
        |(page, tag, text)| match text {
            None => Element::empty((page, tag)),
            Some(text) => Element::text((page, tag), &text),
        },
    );
    leaf.prop_recursive(6, 40, 5, |inner| {
        (0u8..26, 5u8..0x40, proptest::collection::vec(inner, 1..5))
            .prop_map(|(page, tag, children)| Element::with((page, tag), children))
    })
}

/// The tokens of an element, as the reader should find them.
fn expected(element: &Element, out: &mut Vec<(Option<Tag>, Vec<u8>)>) {
    out.push((Some(element.tag), Vec::new()));
    if let Some(text) = &element.text {
        out.push((None, text.clone().into_bytes()));
    }
    for child in &element.children {
        expected(child, out);
    }
}

proptest! {
    /// Whatever comes, it ends, and nothing panics.
    #[test]
    fn any_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), headed in any::<bool>()) {
        if headed {
            bytes.splice(0..0, [3, 1, 0x6a, 0]);
        }
        let len = bytes.len();
        prop_assert!(read(&bytes).map_or(0, |tokens| tokens.len()) <= len);
    }

    /// What a server of ActiveSync writes is read as it is; what is cut off is never taken for a whole.
    #[test]
    fn what_was_written_is_read(element in element(), cut in any::<proptest::sample::Index>()) {
        let document = encode(&element);
        let mut wanted = Vec::new();
        expected(&element, &mut wanted);
        let found: Vec<_> = read(&document).unwrap().into_iter().filter_map(|token| match token {
            Token::Open(tag) | Token::Empty(tag) => Some((Some(tag), Vec::new())),
            Token::Text(text) => Some((None, text.to_vec())),
            Token::Close => None,
        }).collect();
        prop_assert_eq!(found, wanted);
        prop_assert!(read(&document[..cut.index(document.len())]).is_err());
    }
}
