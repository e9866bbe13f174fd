use std::num::NonZeroU32;

use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream};

use super::*;

const PATIENCE: Patience = Patience { command: Duration::from_secs(30), poll_every: Duration::from_secs(60) };
const RENEW: Duration = Duration::from_secs(28 * 60);

impl<S: AsyncRead + AsyncWrite + Unpin> Watch<S> {
    /// Waits until UIDNEXT has moved, as a driver does.
    pub(in super::super) async fn next(&mut self, renew_after: Duration) -> Result<Mailbox, Failure> {
        let told = self.told;
        loop {
            self.changed(renew_after).await?;
            let mailbox = self.news().await?;
            if mailbox.uid_next != told {
                return Ok(mailbox);
            }
        }
    }
}

/// The server's end, which speaks in whole lines.
struct Server(BufReader<DuplexStream>);

impl Server {
    async fn expect(&mut self, line: &str) {
        let mut read = String::new();
        self.0.read_line(&mut read).await.unwrap();
        assert_eq!(read.trim_end(), line);
    }

    async fn say(&mut self, lines: &[&str]) {
        for line in lines {
            self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        }
    }
}

fn watch(idle: bool) -> (Watch<DuplexStream>, Server) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let number = |number| NonZeroU32::new(number).unwrap();
    let mailbox = Mailbox { uid_validity: number(7), uid_next: number(5), highest_modseq: None };
    let opened = Opened { mailbox, exists: 4, news: false };
    let watch = Watch::new(Wire::new(ours, 0), opened, "\"INBOX\"".into(), idle, PATIENCE, Host::unknown());
    (watch, Server(BufReader::new(theirs)))
}

#[tokio::test(start_paused = true)]
async fn idle_is_renewed_and_checked() {
    let (mut watch, mut server) = watch(true);
    let begin = Instant::now();
    let script = async {
        server.expect("b1 IDLE").await;
        server.say(&["+ idling"]).await;
        server.expect("DONE").await;
        assert_eq!(begin.elapsed().as_secs(), RENEW.as_secs());
        server.say(&["b1 OK"]).await;
        server.expect("b2 NOOP").await;
        server.say(&["b2 OK"]).await;
        server.expect("b3 UID FETCH 5:* (UID)").await;
        // Mail that its IDLE never told of.
        server.say(&["* 4 FETCH (UID 5)", "b3 OK"]).await;
    };
    let (mailbox, ()) = tokio::join!(watch.next(RENEW), script);
    assert_eq!(mailbox.unwrap().uid_next.get(), 6);
}

#[tokio::test(start_paused = true)]
async fn polls_without_idle() {
    let (mut watch, mut server) = watch(false);
    let begin = Instant::now();
    let script = async {
        server.expect("b1 NOOP").await;
        let waited = begin.elapsed().as_secs_f64();
        assert!((53.9..66.1).contains(&waited), "{waited}");
        server.say(&["b1 OK"]).await;
        server.expect("b2 UID FETCH 5:* (UID)").await;
        server.say(&["* 4 FETCH (UID 4)", "b2 OK"]).await;
        server.expect("b3 NOOP").await;
        let waited = begin.elapsed().as_secs_f64();
        assert!((107.9..132.1).contains(&waited), "{waited}");
        server.say(&["* 5 EXISTS", "b3 OK"]).await;
        server.expect("b4 UID FETCH 5:* (UID)").await;
        server.say(&["* 5 FETCH (UID 8)", "b4 OK"]).await;
    };
    let (mailbox, ()) = tokio::join!(watch.next(RENEW), script);
    assert_eq!(mailbox.unwrap().uid_next.get(), 9);
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_failure() {
    for renewed in [false, true] {
        let (mut watch, mut server) = watch(true);
        let begin = Instant::now();
        let script = async {
            server.expect("b1 IDLE").await;
            if renewed {
                server.say(&["+ idling", "* OK Still here"]).await;
                server.expect("DONE").await;
                // A byte now and then is no answer.
                server.0.write_all(b"* OK").await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let failure =
            tokio::select! { answer = watch.next(RENEW) => answer.unwrap_err(), () = script => unreachable!() };
        assert_eq!(failure.code, FailureCode::CommandTimeout);
        let expect = PATIENCE.command + if renewed { RENEW } else { Duration::ZERO };
        assert_eq!(begin.elapsed().as_secs(), expect.as_secs());
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_asks_at_once() {
    let (mut watch, mut server) = watch(true);
    // Idling, and nobody waits.
    tokio::select! {
        _ = watch.next(RENEW) => unreachable!(),
        () = async { server.expect("b1 IDLE").await; server.say(&["+"]).await; tokio::task::yield_now().await } => {}
    }
    for (uid, expect) in [(4, 5), (5, 6)] {
        let script = async {
            for _ in 0..10 {
                let mut line = String::new();
                server.0.read_line(&mut line).await.unwrap();
                let tag = line.split(' ').next().unwrap().to_owned();
                match line.trim_end() {
                    "DONE" => server.say(&["b1 OK"]).await,
                    line if line.contains("IDLE") => server.say(&["+"]).await,
                    line if line.contains("NOOP") => server.say(&[&format!("{tag} OK")]).await,
                    _ => {
                        server.say(&[&format!("* 4 FETCH (UID {uid})"), &format!("{tag} OK")]).await;
                        break;
                    }
                }
            }
        };
        let (mailbox, ()) = tokio::join!(watch.ping(), script);
        assert_eq!(mailbox.unwrap().uid_next.get(), expect);
    }
    // What ping told is told.
    assert!(timeout(Duration::from_secs(1), watch.next(RENEW)).await.is_err());
}

/// A server that always has something to tell gets bounded attention.
#[tokio::test(start_paused = true)]
async fn a_busy_server_is_paced() {
    let (mut watch, mut server) = watch(true);
    let begin = Instant::now();
    let mut commands = 0_u32;
    let script = async {
        loop {
            let mut line = String::new();
            server.0.read_line(&mut line).await.unwrap();
            commands += 1;
            let tag = line.split(' ').next().unwrap().to_owned();
            match line.trim_end() {
                line if line.contains("IDLE") => server.say(&["* 9 EXISTS", "+"]).await,
                "DONE" => server.say(&[&format!("b{} OK", (commands - 2) / 3 * 2 + 1)]).await,
                _ => server.say(&["* 4 FETCH (UID 1)", &format!("{tag} OK")]).await,
            }
        }
    };
    tokio::select! {
        failure = watch.next(RENEW) => panic!("{failure:?}"),
        () = script => {}
        () = tokio::time::sleep(Duration::from_secs(100)) => {}
    }
    assert!(begin.elapsed() >= Duration::from_secs(100));
    assert!((900..1100).contains(&commands), "{commands}");
}

/// What the server hints at is asked for by the second half alone, so that whoever opens an episode can do so in between.
#[tokio::test(start_paused = true)]
async fn a_hint_is_told_before_it_is_followed() {
    let (mut watch, mut server) = watch(true);
    let script = async {
        server.expect("b1 IDLE").await;
        server.say(&["+ idling", "* 5 EXISTS"]).await;
    };
    let (told, ()) = tokio::join!(watch.changed(RENEW), script);
    told.unwrap();
    assert_eq!(watch.dialogue.mailbox().uid_next.get(), 5);
    let script = async {
        server.expect("DONE").await;
        server.say(&["b1 OK"]).await;
        server.expect("b2 UID FETCH 5:* (UID)").await;
        // A hint to the next question, which is not waited for.
        server.say(&["* 5 FETCH (UID 9)", "* 6 EXISTS", "b2 OK"]).await;
    };
    let (mailbox, ()) = tokio::join!(watch.news(), script);
    assert_eq!(mailbox.unwrap().uid_next.get(), 10);
    watch.changed(RENEW).await.unwrap();
    let script = async {
        server.expect("b3 UID FETCH 10:* (UID)").await;
        server.say(&["* 6 FETCH (UID 10)", "b3 OK"]).await;
    };
    let (mailbox, ()) = tokio::join!(watch.news(), script);
    assert_eq!(mailbox.unwrap().uid_next.get(), 11);
}

/// A renewal finds nothing, and nobody hears of it.
#[tokio::test(start_paused = true)]
async fn a_renewal_without_news_is_quiet() {
    let (mut watch, mut server) = watch(true);
    let script = async {
        for tag in [1, 4] {
            server.expect(&format!("b{tag} IDLE")).await;
            server.say(&["+ idling"]).await;
            server.expect("DONE").await;
            server.say(&[&format!("b{tag} OK")]).await;
            server.expect(&format!("b{} NOOP", tag + 1)).await;
            server.say(&[&format!("b{} OK", tag + 1)]).await;
            server.expect(&format!("b{} UID FETCH 5:* (UID)", tag + 2)).await;
            server.say(&["* 4 FETCH (UID 4)", &format!("b{} OK", tag + 2)]).await;
        }
    };
    tokio::select! { told = watch.changed(RENEW) => panic!("{told:?}"), () = script => {} }
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_refused() {
    let (mut watch, mut server) = watch(true);
    let flood = async {
        server.expect("b1 IDLE").await;
        server.say(&["+"]).await;
        let flags = "* 1 FETCH (FLAGS (\\Seen))\r\n".repeat(1000);
        while server.0.write_all(flags.as_bytes()).await.is_ok() {}
    };
    let failure = tokio::select! { answer = watch.next(RENEW) => answer.unwrap_err(), () = flood => unreachable!() };
    assert_eq!(failure.code, FailureCode::FloodRefused);
    assert!(watch.wire.buffered() < 64 * 1024);
}

#[tokio::test(start_paused = true)]
async fn closing_takes_a_second_at_most() {
    let (mut idle, mut server) = watch(true);
    tokio::select! {
        _ = idle.next(RENEW) => unreachable!(),
        () = async { server.expect("b1 IDLE").await; server.say(&["+"]).await; tokio::task::yield_now().await } => {}
    }
    let begin = Instant::now();
    let _ = timeout(Duration::from_millis(1), idle.next(RENEW)).await;
    tokio::join!(idle.close(), async {
        server.expect("DONE").await;
        server.expect("b2 LOGOUT").await;
    });
    assert!(begin.elapsed() <= Duration::from_millis(1100), "{:?}", begin.elapsed());
}

#[test]
fn a_watch_is_small() {
    let (ours, _theirs) = tokio::io::duplex(16);
    let watch = Watch::new(
        Wire::new(Box::new(ours), 0),
        Opened {
            mailbox: Mailbox { uid_validity: NonZeroU32::MIN, uid_next: NonZeroU32::MIN, highest_modseq: None },
            exists: 0,
            news: false,
        },
        "\"INBOX\"".into(),
        true,
        PATIENCE,
        Host::unknown(),
    );
    assert!(size_of_val(&watch) <= 320, "{}", size_of_val(&watch));
}

/// IDLE that keeps quiet about mail twice in a row is given up; a poll that finds nothing says so.
#[tokio::test(start_paused = true)]
async fn an_idle_that_lies_twice_is_given_up() {
    let (mut watch, mut server) = watch(true);
    let mut tag = 0;
    for uid in [5, 6] {
        assert!(watch.dialogue.idles());
        let script = async {
            server.expect(&format!("b{} IDLE", tag + 1)).await;
            server.say(&["+ idling"]).await;
            server.expect("DONE").await;
            server.say(&[&format!("b{} OK", tag + 1)]).await;
            server.expect(&format!("b{} NOOP", tag + 2)).await;
            server.say(&[&format!("* {uid} EXISTS"), &format!("b{} OK", tag + 2)]).await;
            server.expect(&format!("b{} UID FETCH {uid}:* (UID)", tag + 3)).await;
            server.say(&[&format!("* {uid} FETCH (UID {uid})"), &format!("b{} OK", tag + 3)]).await;
        };
        let (mailbox, ()) = tokio::join!(watch.next(RENEW), script);
        assert_eq!(mailbox.unwrap().uid_next.get(), uid + 1);
        tag += 3;
    }
    assert!(!watch.dialogue.idles() && watch.lies == LIES);
    let begin = Instant::now();
    watch.pause = Duration::from_secs(100);
    let script = async {
        server.expect("b7 NOOP").await;
        assert_eq!(begin.elapsed().as_secs(), 100);
        server.say(&["b7 OK"]).await;
        server.expect("b8 UID FETCH 7:* (UID)").await;
        server.say(&["* 6 FETCH (UID 6)", "b8 OK"]).await;
    };
    let (polled, ()) = tokio::join!(watch.changed(RENEW), script);
    assert_eq!(polled.unwrap(), Changed::Polled);
}

/// A server that tells, if only on DONE, is no liar; and one lie is forgiven by the truth.
#[tokio::test(start_paused = true)]
async fn an_idle_that_tells_late_is_trusted() {
    let (mut watch, mut server) = watch(true);
    watch.lies = 1;
    let script = async {
        server.expect("b1 IDLE").await;
        server.say(&["+ idling"]).await;
        server.expect("DONE").await;
        server.say(&["* 5 EXISTS", "b1 OK"]).await;
        for tag in [2, 3] {
            let mut line = String::new();
            server.0.read_line(&mut line).await.unwrap();
            let fetched = if line.contains("FETCH") { "* 5 FETCH (UID 5)" } else { "* 0 RECENT" };
            server.say(&[fetched, &format!("b{tag} OK")]).await;
        }
    };
    let (mailbox, ()) = tokio::join!(watch.next(RENEW), script);
    assert_eq!(mailbox.unwrap().uid_next.get(), 6);
    assert_eq!(watch.lies, 0);
    assert!(watch.dialogue.idles());
}

/// Messages that go while IDLE lasts are no news, and hide none.
#[tokio::test(start_paused = true)]
async fn expunge_in_idle() {
    let (mut watch, mut server) = watch(true);
    let script = async {
        server.expect("b1 IDLE").await;
        server.say(&["+ idling", "* 1 EXPUNGE", "* 1 EXPUNGE", "* 2 EXISTS", "* 3 EXISTS"]).await;
        server.expect("DONE").await;
        server.say(&["b1 OK"]).await;
        server.expect("b2 UID FETCH 5:* (UID)").await;
        server.say(&["* 3 FETCH (UID 5)", "b2 OK"]).await;
    };
    let (mailbox, ()) = tokio::join!(watch.next(RENEW), script);
    assert_eq!(mailbox.unwrap().uid_next.get(), 6);
}

/// Two connections that were cut after the same silence teach the host's next ones to renew IDLE before that.
#[tokio::test(start_paused = true)]
async fn cuts_are_learnt_from() {
    let host = Host::unknown();
    for bye in [false, true] {
        let (mut watch, mut server) = watch(true);
        watch.host = Arc::clone(&host);
        let script = async {
            server.expect("b1 IDLE").await;
            server.say(&["+ idling"]).await;
            tokio::time::sleep(Duration::from_secs(600)).await;
            if bye {
                server.say(&["* BYE idle for too long"]).await;
            }
            drop(server);
        };
        let (failure, ()) = tokio::join!(watch.next(RENEW), script);
        let expect = if bye { FailureCode::ServerBye } else { FailureCode::ConnectionLost };
        assert_eq!(failure.unwrap_err().code, expect);
    }
    assert_eq!(host.renew().as_secs(), 480);
}
