//! No future of a watch loses anything when it is dropped: here each one is polled once, and dropped.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use domain::Mailbox;
use futures_util::FutureExt as _;
use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::Notify;

use super::connection::{Patience, Watch};
use super::examine::Opened;
use super::host::Host;
use super::wire::Wire;

/// A mailbox, and what its server has told the client of it.
struct Mailboxes {
    uids: Vec<u32>,
    uid_next: u32,
    told: usize,
    changed: Rc<Notify>,
}

impl Mailboxes {
    fn deliver(&mut self, gap: u32) {
        self.uid_next += gap;
        self.uids.push(self.uid_next);
        self.uid_next += 1;
        self.changed.notify_one();
    }

    /// Only what the client knows of can be expunged without telling it.
    fn expunge(&mut self) -> Option<String> {
        (self.uid_next.is_multiple_of(3) && self.told > 0 && self.told == self.uids.len()).then(|| {
            self.uids.remove(0);
            self.told -= 1;
            "* 1 EXPUNGE\r\n".to_owned()
        })
    }

    fn news(&mut self) -> String {
        if self.told == self.uids.len() {
            return String::new();
        }
        self.told = self.uids.len();
        format!("* {} EXISTS\r\n* 1 RECENT\r\n", self.told)
    }
}

async fn serve(stream: DuplexStream, mailbox: Rc<RefCell<Mailboxes>>) {
    let changed = Rc::clone(&mailbox.borrow().changed);
    let mut stream = BufReader::new(stream);
    let mut command = String::new();
    loop {
        command.clear();
        if stream.read_line(&mut command).await.unwrap() == 0 {
            return;
        }
        let (tag, verb) = command.trim_end().split_once(' ').unwrap();
        let mut answer = String::new();
        match verb {
            "IDLE" => {
                stream.write_all(b"+ idling\r\n").await.unwrap();
                // Unlike `read_line`, `read_until` keeps what it has read when it is dropped.
                let mut done = Vec::new();
                loop {
                    let news = mailbox.borrow_mut().news();
                    stream.write_all(news.as_bytes()).await.unwrap();
                    tokio::select! {
                        _ = stream.read_until(b'\n', &mut done) => break,
                        () = changed.notified() => {}
                    }
                    let expunged = mailbox.borrow_mut().expunge();
                    stream.write_all(expunged.unwrap_or_default().as_bytes()).await.unwrap();
                }
                assert_eq!(done, b"DONE\r\n");
            }
            "NOOP" => {}
            verb => {
                let from: u32 = verb
                    .strip_prefix("UID FETCH ")
                    .and_then(|rest| rest.strip_suffix(":* (UID)"))
                    .unwrap()
                    .parse()
                    .unwrap();
                // What the client was not told of is not in its view yet.
                let mailbox = mailbox.borrow();
                let known = &mailbox.uids[..mailbox.told];
                let last = known.last().copied();
                for (number, uid) in known.iter().enumerate() {
                    if *uid >= from || Some(*uid) == last {
                        answer.push_str(&format!("* {} FETCH (UID {uid})\r\n", number + 1));
                    }
                }
            }
        }
        if !verb.starts_with("UID") {
            answer.push_str(&mailbox.borrow_mut().news());
        }
        answer.push_str(&format!("{tag} OK done\r\n"));
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Deliver(u32),
    Next,
    Ping,
}

async fn play(pipe: usize, idle: bool, acts: Vec<Act>) {
    let (ours, theirs) = tokio::io::duplex(pipe);
    let mailbox =
        Rc::new(RefCell::new(Mailboxes { uids: vec![4], uid_next: 5, told: 1, changed: Rc::new(Notify::new()) }));
    let opened = Opened {
        mailbox: Mailbox { uid_validity: NonZeroU32::MIN, uid_next: NonZeroU32::new(5).unwrap(), highest_modseq: None },
        exists: 1,
        news: false,
    };
    let patience = Patience { command: Duration::from_secs(3600), poll_every: Duration::from_secs(1) };
    let mut watch = Watch::new(Wire::new(ours, 0), opened, "\"INBOX\"".into(), idle, patience, Host::unknown());
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            tokio::task::spawn_local(serve(theirs, Rc::clone(&mailbox)));
            let renew = Duration::from_secs(30);
            let mut seen = 5;
            let mut acts = acts.into_iter();
            let mut polls = 0;
            loop {
                let heard = match acts.next() {
                    Some(Act::Deliver(gap)) => {
                        mailbox.borrow_mut().deliver(gap);
                        None
                    }
                    Some(Act::Ping) => watch.ping().now_or_never(),
                    Some(Act::Next) => watch.next(renew).now_or_never(),
                    // All that was delivered has to come out, in however many pieces.
                    None if seen == mailbox.borrow().uid_next => break,
                    None => watch.next(renew).now_or_never(),
                };
                if let Some(heard) = heard {
                    let uid_next = heard.unwrap().uid_next.get();
                    assert!(uid_next >= seen, "went back from {seen} to {uid_next}");
                    seen = uid_next;
                }
                polls += 1;
                assert!(polls < 20_000, "stuck at {seen}, with {} in the mailbox", mailbox.borrow().uid_next);
                // The clock is ours, and runs on by 10 ms a turn.
                tokio::time::advance(Duration::from_millis(10)).await;
            }
        })
        .await;
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => (0_u32..3).prop_map(Act::Deliver),
        20 => Just(Act::Next),
        1 => Just(Act::Ping),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn nothing_is_lost(pipe in 1_usize..64, idle: bool, acts in proptest::collection::vec(act(), 0..400)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(pipe, idle, acts));
    }
}
