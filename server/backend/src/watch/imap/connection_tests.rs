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
    let watch = Watch::new(Wire::new(ours, 0), opened, "\"INBOX\"".into(), idle, PATIENCE);
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
    );
    assert!(size_of_val(&watch) <= 320, "{}", size_of_val(&watch));
}
