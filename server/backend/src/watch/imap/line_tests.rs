use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(line: &str, expect: Line<'_>) {
    assert_eq!(Line::parse(line.as_bytes()), expect, "{line:?}");
}

#[test]
fn lines() {
    check("+ idling", Line::Continue);
    check("+", Line::Continue);
    check("+idling", Line::Continue);
    check("b7 OK done", Line::Tagged { tag: b"b7", outcome: Outcome::Ok, text: b"done" });
    check("b7 no [X] y", Line::Tagged { tag: b"b7", outcome: Outcome::No, text: b"[X] y" });
    check("b7 BAD", Line::Tagged { tag: b"b7", outcome: Outcome::Bad, text: b"" });
    check("b7 FINE", Line::NotImap);
    check("* OK hello", Line::Remark { text: b"hello" });
    check("* ok [ALERT]\u{e9}", Line::Remark { text: "[ALERT]\u{e9}".as_bytes() });
    check("* PREAUTH hello", Line::PreAuth);
    check("* BYE bye", Line::Bye { text: b"bye" });
    check("* 23 EXISTS", Line::Exists(23));
    check("* 23 exists ", Line::Exists(23));
    check("* 23 RECENT", Line::Other);
    check("* 5 EXPUNGE", Line::Expunge);
    check("* FLAGS (\\Seen)", Line::Other);
    check("* 99999999999 EXISTS", Line::NotImap);
    check("*", Line::NotImap);
    check("* ", Line::NotImap);
    check("", Line::NotImap);
    check("HTTP/1.1 400 Bad Request", Line::NotImap);
    check("220 mail.example.org ESMTP", Line::NotImap);
    check("\u{1}\u{2}", Line::NotImap);
}

#[test]
fn fetches() {
    check("* 1 FETCH (UID 7)", Line::Fetch { uid: Some(7) });
    check("* 1 FETCH (FLAGS (\\Seen UID 3) UID 7)", Line::Fetch { uid: Some(7) });
    check("* 1 FETCH (FLAGS (\\Seen))", Line::Fetch { uid: None });
    check("* 1 FETCH (X \"UID 3 \\\" (\" UID 7 MODSEQ (9))", Line::Fetch { uid: Some(7) });
    check("* 1 FETCH (BODY[HEADER (UID 3)] {5}\r\nUID 3 UID 7)", Line::Fetch { uid: Some(7) });
    check("* 1 FETCH (UID)", Line::Fetch { uid: None });
    check("* 1 FETCH (UID x)", Line::Fetch { uid: None });
    check("* 1 FETCH", Line::Fetch { uid: None });
    check(&format!("* 1 FETCH ({}", "(".repeat(8000)), Line::Fetch { uid: None });
}

#[test]
fn statuses_and_codes() {
    let both = Line::Status { uid_validity: Some(3), uid_next: Some(9) };
    check("* STATUS INBOX (UIDNEXT 9 UIDVALIDITY 3)", both);
    check("* STATUS \"a (b) c\" (MESSAGES 1 uidvalidity 3 UIDNEXT 9) ", both);
    check("* STATUS {5}\r\na(b)c (UIDVALIDITY 3 UIDNEXT 9)", both);
    check("* STATUS INBOX ()", Line::Status { uid_validity: None, uid_next: None });
    check("* STATUS", Line::Status { uid_validity: None, uid_next: None });
    check("* STATUS ) (", Line::Status { uid_validity: None, uid_next: None });
    assert_eq!(Code::parse(b"[UIDNEXT 9] hi"), Some(Code::UidNext(9)));
    assert_eq!(Code::parse(b"[uidvalidity 3]"), Some(Code::UidValidity(3)));
    assert_eq!(Code::parse(b"[HIGHESTMODSEQ 18446744073709551615] x"), Some(Code::HighestModSeq(u64::MAX)));
    assert_eq!(Code::parse(b"[UIDNEXT -9] hi"), None);
    assert_eq!(Code::parse(b"[UIDNEXT 9"), None);
    let Some(Code::Capability(found)) = Code::parse(b"[CAPABILITY IMAP4rev1 idle AUTH=PLAIN] hi") else { panic!() };
    assert_eq!(found, Capabilities { idle: true, auth_plain: true, ..Capabilities::default() });
}

#[test]
fn literals() {
    assert_eq!(literal(b"* STATUS {12}\r"), Some(12));
    assert_eq!(literal(b"* STATUS {12}"), Some(12));
    assert_eq!(literal(b"* STATUS {99999999999}"), Some(usize::MAX));
    assert_eq!(literal(b"* STATUS {}"), None);
    assert_eq!(literal(b"* STATUS 12}"), None);
    assert!(is_free_text(b"* OK wait {12}"));
    assert!(!is_free_text(b"* STATUS {12}"));
}

proptest! {
    /// Random bytes, and random pieces of IMAP: no panic, and the parts are parts of the line.
    #[test]
    fn anything_can_be_read(line in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = (Line::parse(&line), literal(&line), is_free_text(&line), Code::parse(&line));
    }

    #[test]
    fn anything_alike_can_be_read(pieces in proptest::collection::vec(piece(), 0..40)) {
        let line = format!("* {}", pieces.concat());
        let _ = (Line::parse(line.as_bytes()), literal(line.as_bytes()), is_free_text(line.as_bytes()));
    }

    /// Where imap-proto reads a line, it reads the same.
    #[test]
    fn agrees_with_imap_proto(number in 0_u32.., uid in 1_u32.., seen: bool, verb in "EXISTS|EXPUNGE|RECENT|FETCH") {
        let flags = if seen { "\\Seen" } else { "" };
        let line = match verb.as_str() {
            "FETCH" => format!("* {number} FETCH (FLAGS ({flags}) UID {uid} MODSEQ (5))"),
            verb => format!("* {number} {verb}"),
        };
        let theirs = format!("{line}\r\n");
        let expect = match imap_proto::Response::parse(theirs.as_bytes()).unwrap().1 {
            imap_proto::Response::MailboxData(imap_proto::MailboxDatum::Exists(n)) => Line::Exists(n),
            imap_proto::Response::Expunge(_) => Line::Expunge,
            imap_proto::Response::Fetch(_, items) => Line::Fetch {
                uid: items.iter().find_map(|item| match item {
                    imap_proto::AttributeValue::Uid(uid) => Some(*uid),
                    _ => None,
                }),
            },
            _ => Line::Other,
        };
        prop_assert_eq!(Line::parse(line.as_bytes()), expect);
    }
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("(".to_owned()),
        Just(")".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just(" ".to_owned()),
        Just("{3}\r\n".to_owned()),
        Just("{4000000000}\r\n".to_owned()),
        Just("UID".to_owned()),
        Just("FETCH".to_owned()),
        Just("STATUS".to_owned()),
        "[0-9]{1,12}",
        "\\PC{0,5}",
    ]
}
