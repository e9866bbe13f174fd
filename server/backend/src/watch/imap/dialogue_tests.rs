use super::*;

fn mailbox(uid_next: u32) -> Mailbox {
    Mailbox {
        uid_validity: NonZeroU32::new(7).unwrap(),
        uid_next: NonZeroU32::new(uid_next).unwrap(),
        highest_modseq: None,
    }
}

/// A script: `C:` is what we say next, `S:` what the server says, `=` what UIDNEXT is then.
#[track_caller]
fn play(dialogue: &mut Dialogue, script: &str) {
    let mut reply = None;
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(expect) = line.strip_prefix("C: ") {
            let said = reply.take().or_else(|| dialogue.is_eager().then(|| dialogue.speak()).flatten());
            assert_eq!(said.as_deref().map(str::trim_end), Some(expect));
        } else if let Some(heard) = line.strip_prefix("S: ") {
            reply = dialogue.hear(heard.as_bytes()).unwrap();
        } else if let Some(expect) = line.strip_prefix("= ") {
            assert_eq!(dialogue.mailbox().uid_next.to_string(), expect);
        }
    }
    assert_eq!(reply, None);
}

fn opened(uid_next: u32, exists: u32) -> Dialogue {
    Dialogue::new(Opened { mailbox: mailbox(uid_next), exists, news: false }, "\"INBOX\"".into(), true)
}

const IDLE: &str = "C: b1 IDLE
    S: + idling";

#[test]
fn mail_in_idle() {
    let mut dialogue = opened(5, 4);
    play(&mut dialogue, IDLE);
    assert!(!dialogue.is_eager());
    play(
        &mut dialogue,
        "S: * OK Still here
        S: * 2 FETCH (FLAGS (\\Seen))",
    );
    assert!(!dialogue.is_eager(), "nothing new");
    play(
        &mut dialogue,
        "S: * 5 EXISTS
        S: * 1 RECENT
        C: DONE
        S: b1 OK Idle completed.
        C: b2 UID FETCH 5:* (UID)
        S: * 5 FETCH (UID 5)
        S: b2 OK
        = 6
        C: b3 IDLE",
    );
}

#[test]
fn mail_at_every_other_moment() {
    let mut dialogue = opened(5, 4);
    play(
        &mut dialogue,
        "C: b1 IDLE
        S: * 5 EXISTS
        S: + idling
        C: DONE
        S: * 6 EXISTS
        S: b1 OK
        C: b2 UID FETCH 5:* (UID)
        S: * 5 FETCH (UID 5)
        S: * 6 FETCH (UID 9 FLAGS (\\Recent))
        S: * 7 EXISTS
        S: b2 OK
        = 10
        C: b3 UID FETCH 10:* (UID)
        S: * 7 FETCH (UID 12)
        S: b3 OK
        = 13
        C: b4 IDLE",
    );
}

#[test]
fn the_last_message_is_not_news() {
    let mut dialogue = opened(5, 4);
    play(&mut dialogue, IDLE);
    play(
        &mut dialogue,
        "S: * 4 EXISTS
        C: DONE
        S: b1 OK
        C: b2 UID FETCH 5:* (UID)
        S: * 4 FETCH (UID 3)
        S: b2 OK
        = 5
        C: b3 IDLE",
    );
}

#[test]
fn expunge_is_not_news_and_does_not_hide_any() {
    let mut dialogue = opened(5, 4);
    play(&mut dialogue, IDLE);
    play(
        &mut dialogue,
        "S: * 4 EXPUNGE
        S: * 3 EXPUNGE",
    );
    assert!(!dialogue.is_eager());
    play(
        &mut dialogue,
        "S: * 3 EXISTS
        C: DONE
        S: b1 OK
        C: b2 UID FETCH 5:* (UID)
        S: * 3 FETCH (UID 5)
        S: b2 OK
        = 6",
    );
}

#[test]
fn doubts_are_settled_by_status() {
    let mut dialogue = opened(5, 4);
    dialogue.check();
    play(
        &mut dialogue,
        "C: b1 NOOP
        S: b1 OK
        C: b2 UID FETCH 5:* (UID)
        S: b2 BAD Invalid messageset
        C: b3 STATUS \"INBOX\" (UIDNEXT UIDVALIDITY)
        S: * STATUS INBOX (UIDNEXT 8 UIDVALIDITY 7)
        S: b3 OK
        = 8",
    );
    dialogue.check();
    play(
        &mut dialogue,
        "C: b4 NOOP
        S: b4 OK
        C: b5 UID FETCH 8:* (UID)
        S: b5 OK
        C: b6 STATUS \"INBOX\" (UIDNEXT UIDVALIDITY)",
    );
    let failure = dialogue.hear(b"* STATUS INBOX (UIDNEXT 1 UIDVALIDITY 8)").unwrap_err();
    assert_eq!(failure.code, FailureCode::ConnectionLost);
}

#[test]
fn an_empty_mailbox_is_no_doubt() {
    let mut dialogue = opened(5, 0);
    let goal = dialogue.check();
    play(
        &mut dialogue,
        "C: b1 NOOP
        S: b1 OK
        C: b2 UID FETCH 5:* (UID)
        S: b2 OK
        = 5
        C: b3 IDLE",
    );
    assert_eq!(dialogue.answers(), goal);
}

#[test]
fn a_check_needs_a_question_after_it() {
    let mut dialogue = opened(5, 4);
    dialogue.hint = true;
    play(&mut dialogue, "C: b1 UID FETCH 5:* (UID)");
    let goal = dialogue.check();
    play(
        &mut dialogue,
        "S: * 4 FETCH (UID 4)
        S: b1 OK",
    );
    assert_ne!(dialogue.answers(), goal);
    play(
        &mut dialogue,
        "C: b2 NOOP
        S: * 5 EXISTS
        S: b2 OK
        C: b3 UID FETCH 5:* (UID)
        S: * 5 FETCH (UID 5)
        S: b3 OK
        = 6",
    );
    assert_eq!(dialogue.answers(), goal);
}

#[test]
fn idle_that_ends_by_itself_or_is_refused() {
    let mut dialogue = opened(5, 4);
    play(&mut dialogue, IDLE);
    play(
        &mut dialogue,
        "S: b1 OK I have better things to do
        C: b2 UID FETCH 5:* (UID)
        S: * 4 FETCH (UID 4)
        S: b2 OK
        C: b3 IDLE
        S: b3 NO can't",
    );
    assert!(!dialogue.is_eager(), "polls from now on");
    assert_eq!(dialogue.turn(), Turn::Ours);
}

#[test]
fn hostile_lines() {
    let hear = |line: &str| {
        let mut dialogue = opened(5, 4);
        play(&mut dialogue, IDLE);
        dialogue.hear(line.as_bytes()).map_err(|failure| failure.code)
    };
    assert_eq!(hear("* BYE shutting down"), Err(FailureCode::ServerBye));
    assert_eq!(hear("* BYE [UNAVAILABLE] x"), Err(FailureCode::Throttled));
    assert_eq!(hear("b9 OK what?"), Err(FailureCode::ProtocolError));
    assert_eq!(hear("nonsense"), Err(FailureCode::ProtocolError));
    assert_eq!(hear("* PREAUTH"), Err(FailureCode::ProtocolError));
    assert_eq!(hear("* OK [UIDVALIDITY 8]"), Err(FailureCode::ConnectionLost));
    assert_eq!(hear("* OK [UIDVALIDITY 7]"), Ok(None));
    assert_eq!(hear("* STATUS INBOX (UIDNEXT 4000000000)"), Ok(None));
    let mut dialogue = opened(u32::MAX, 4);
    dialogue.hint = true;
    play(
        &mut dialogue,
        "C: b1 UID FETCH 4294967295:* (UID)
        S: * 1 FETCH (UID 4294967295)
        S: b1 OK
        = 4294967295",
    );
    assert_eq!(dialogue.hear(b"b1 OK again").map_err(|failure| failure.code), Err(FailureCode::ProtocolError));
}
