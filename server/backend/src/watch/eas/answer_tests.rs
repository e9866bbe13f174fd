use std::time::Duration;

use peers::eas::{ping_answer, sync_answer};

use super::*;

fn answer(status: u16, body: Vec<u8>) -> Response {
    Response { status, body, keeps: true, ..Response::default() }
}

/// What an answer comes to, as a word.
fn word(response: &Response, command: EasCommand, no_change_body: &[u8]) -> &'static str {
    match meaning(response, command, no_change_body) {
        Ok(Meaning::Poll(Poll::Changed)) => "changed",
        Ok(Meaning::Poll(Poll::Unchanged)) => "unchanged",
        Ok(Meaning::Moved(_)) => "moved",
        Err(failure) => failure.code.as_str(),
    }
}

#[test]
fn statuses_of_ping() {
    let expected = [
        (1, "unchanged"),
        (2, "changed"),
        (3, "REQUEST_REFUSED"),
        (4, "REQUEST_REFUSED"),
        (5, "REQUEST_REFUSED"),
        (6, "REQUEST_REFUSED"),
        (7, "REQUEST_REFUSED"),
        (8, "SERVER_ERROR"),
        (110, "SERVER_ERROR"),
        (129, "ACCESS_DENIED"),
        (142, "PROVISION_NEEDED"),
        (177, "ACCESS_DENIED"),
    ];
    for (status, expect) in expected {
        assert_eq!(word(&answer(200, ping_answer(status, &["5"])), EasCommand::Ping, b""), expect, "{status}");
    }
    let failure = meaning(&answer(200, ping_answer(7, &[])), EasCommand::Ping, b"").unwrap_err();
    assert_eq!(failure.evidence.as_str(), "HTTP 200, Ping status 7");
}

#[test]
fn statuses_of_sync() {
    let expected = [
        (1, 1, false, "unchanged"),
        (1, 1, true, "changed"),
        (1, 3, false, "REQUEST_REFUSED"),
        (12, 1, false, "REQUEST_REFUSED"),
        (5, 1, false, "SERVER_ERROR"),
        (16, 1, false, "SERVER_ERROR"),
        (1, 12, true, "REQUEST_REFUSED"),
    ];
    for (status, collection, changes, expect) in expected {
        let body = sync_answer(status, collection, changes);
        assert_eq!(word(&answer(200, body), EasCommand::Sync, b""), expect, "{status} {collection} {changes}");
    }
    assert_eq!(word(&answer(200, Vec::new()), EasCommand::Sync, b"x"), "unchanged");
    // More changes than we keep are changes; more of anything else is a flood.
    let body = sync_answer(1, 1, true);
    let half = body[..body.len() - 8].to_vec();
    let cut = |body| Response { cut: true, ..answer(200, body) };
    assert_eq!(word(&cut(half), EasCommand::Sync, b""), "changed");
    assert_eq!(word(&cut(b"<html>".to_vec()), EasCommand::Sync, b""), "FLOOD_REFUSED");
    assert_eq!(word(&cut(Vec::new()), EasCommand::Sync, b""), "FLOOD_REFUSED");
}

#[test]
fn the_devices_own_word_for_nothing_new_counts() {
    assert_eq!(word(&answer(200, b"quiet".to_vec()), EasCommand::Ping, b"quiet"), "unchanged");
    assert_eq!(word(&answer(200, b"louder".to_vec()), EasCommand::Ping, b"quiet"), "NOT_ACTIVESYNC");
    assert_eq!(word(&answer(200, ping_answer(2, &[])), EasCommand::Ping, &ping_answer(1, &[])), "changed");
    assert_eq!(word(&answer(200, ping_answer(2, &[])), EasCommand::Sync, b""), "NOT_ACTIVESYNC");
}

#[test]
fn statuses_of_http() {
    for (status, expect) in [
        (204, "NOT_ACTIVESYNC"),
        (302, "REDIRECT_REFUSED"),
        (400, "NOT_ACTIVESYNC"),
        (401, "LOGIN_REFUSED"),
        (403, "ACCESS_DENIED"),
        (404, "NOT_ACTIVESYNC"),
        (429, "THROTTLED"),
        (449, "PROVISION_NEEDED"),
        (451, "REDIRECT_REFUSED"),
        (500, "SERVER_ERROR"),
        (503, "THROTTLED"),
        (507, "THROTTLED"),
    ] {
        assert_eq!(word(&answer(status, Vec::new()), EasCommand::Ping, b""), expect, "{status}");
    }
    let moved = |location: &str| Response { location: Some(location.to_owned()), ..answer(451, Vec::new()) };
    assert_eq!(word(&moved("https://eas2.example.org/M"), EasCommand::Ping, b""), "moved");
    assert_eq!(word(&moved("http://eas2.example.org/M"), EasCommand::Ping, b""), "REDIRECT_REFUSED");
    let busy = Response { retry_after: Some(Duration::from_secs(7)), ..answer(503, Vec::new()) };
    assert_eq!(meaning(&busy, EasCommand::Ping, b"").unwrap_err().retry_after, Some(Duration::from_secs(7)));
}
