use domain::EasHeader;
use proptest::prelude::*;

use super::*;

/// Reads an answer that comes in pieces, and its end if `end`.
fn read(bytes: &[u8], piece: usize, end: bool) -> Result<Option<Response>, Broken> {
    let mut reader = Reader::default();
    for piece in bytes.chunks(piece.max(1)) {
        reader.feed(piece)?;
    }
    if end {
        reader.end()?;
    }
    Ok(reader.take())
}

#[track_caller]
fn check(text: &str, expect: Result<(u16, &str, bool), Broken>) {
    for piece in [1, 2, 7, 10_000] {
        let read = read(text.as_bytes(), piece, false);
        let seen = read.map(|response| response.map(|got| (got.status, got.body, got.keeps)));
        let expect = expect.map(|(status, body, keeps)| Some((status, body.as_bytes().to_vec(), keeps)));
        assert_eq!(seen, expect, "{text:?} in pieces of {piece}");
    }
}

#[test]
fn answers() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", Ok((200, "ab", true)));
    check("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", Ok((200, "", false)));
    check("HTTP/1.0 401 No\r\nContent-Length: 0\r\n\r\n", Ok((401, "", false)));
    check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 None\r\n\r\n", Ok((204, "", true)));
    check(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n",
        Ok((200, "abc", true)),
    );
    check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Err(Broken::NotHttp));
    check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Err(Broken::NotHttp));
    check("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", Err(Broken::NotHttp));
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Err(Broken::NotHttp));
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", Err(Broken::NotHttp));
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", Err(Broken::NotHttp));
    check("HTTP/1.1 101 Switch\r\n\r\n", Err(Broken::NotHttp));
    check("* OK IMAP4rev1\r\n\r\n", Err(Broken::NotHttp));
    check(&"x".repeat(HEAD + 4), Err(Broken::TooLong));
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(&format!("{chunks}{}", "0".repeat(LINE + 3)), Err(Broken::TooLong));
    assert_eq!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", 9, true), Err(Broken::Half));
    assert_eq!(read(b"", 9, true), Err(Broken::Half));
}

#[test]
fn a_body_without_a_length_ends_with_the_connection_and_one_without_an_end_is_cut() {
    let whole = read(b"HTTP/1.1 200 OK\r\n\r\nabc", 5, true).unwrap().unwrap();
    assert_eq!((whole.body.as_slice(), whole.keeps, whole.cut), (b"abc".as_slice(), false, false));
    for head in ["", "Content-Length: 99999999\r\n", "Transfer-Encoding: chunked\r\n"] {
        let size = if head.contains("chunked") { "5f5e0ff\r\n" } else { "" };
        let endless = [format!("HTTP/1.1 200 OK\r\n{head}\r\n{size}").into_bytes(), vec![b'x'; BODY + 1]].concat();
        let cut = read(&endless, 4096, false).unwrap().unwrap();
        assert_eq!((cut.body.len(), cut.cut, cut.keeps), (BODY, true, false), "{head}");
    }
}

#[test]
fn what_is_said_after_the_answer_spoils_the_connection() {
    let two = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n";
    assert!(!read(two, 1000, false).unwrap().unwrap().keeps);
}

#[test]
fn a_request_has_the_account_and_the_devices_own_headers() {
    let url = EasUrl::parse("https://eas.example.org/M?Cmd=Ping").unwrap();
    let headers = vec![EasHeader::parse("X-MS-PolicyKey", "42").unwrap()];
    let own = EasRequest::new(headers, b"BODY".to_vec(), Vec::new()).unwrap();
    let credential = |secret| Credential { username: "a\\b@c.org".into(), secret };
    let basic = request(&url, &own, &credential(Secret::Password("p".into())));
    assert_eq!(
        String::from_utf8_lossy(&basic),
        "POST /M?Cmd=Ping&User=a%5Cb%40c.org HTTP/1.1\r\nHost: eas.example.org\r\nAuthorization: Basic \
         YVxiQGMub3JnOnA=\r\nX-MS-PolicyKey: 42\r\nContent-Type: application/vnd.ms-sync.wbxml\r\nContent-Length: \
         4\r\n\r\nBODY"
    );
    let bearer = request(&url, &own, &credential(Secret::AccessToken("t.o.k".into())));
    assert!(String::from_utf8_lossy(&bearer).contains("\r\nAuthorization: Bearer t.o.k\r\n"));
}

proptest! {
    /// However an answer is cut, and whatever it is, the same comes of it.
    #[test]
    fn pieces_do_not_matter(
        start in prop_oneof![
            Just("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
            Just("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Just("HTTP/1.1 200 OK\r\n\r\n"),
            Just(""),
        ],
        rest in "[0-9a-f\r\n:;x]{0,60}",
        piece in 1usize..20,
        end in any::<bool>(),
    ) {
        let text = format!("{start}{rest}");
        let told = |read: Result<Option<Response>, Broken>| read.map(|got| got.map(|got| (got.status, got.body, got.cut)));
        prop_assert_eq!(told(read(text.as_bytes(), piece, end)), told(read(text.as_bytes(), 1000, end)));
    }
}
