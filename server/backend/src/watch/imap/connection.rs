//! An open mailbox on a live connection: the dialogue, driven over the wire by the clock.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use domain::{Failure, FailureCode, Mailbox, PollBounds};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::client::TlsStream;
use tracing::Instrument;

use super::dialogue::{Dialogue, Turn};
use super::examine::{COMMAND_ALLOWANCE, Opened};
use super::host::{Host, LIES};
use super::refusal::failure;
use super::span;
use super::wire::{Wire, WireError};

/// How long a farewell may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);

/// How fast we speak to a server that keeps us busy: so many commands at once, then one in each interval. A mail costs
/// three of them; mail that comes faster is gathered.
const BURST: u32 = 30;
const INTERVAL: Duration = Duration::from_millis(100);

/// The longest pause that the clock is asked for.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// An IMAP connection with a mailbox open.
///
/// Between two mails it is little more than its TLS stream. All its state is in itself: the futures of its methods may be
/// dropped at any await, and a method be called again later, without losing anything.
pub struct Connection {
    watch: Watch<Box<TlsStream<TcpStream>>>,
}

/// What there is after a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// There may be news.
    News,
    /// The server was asked, as it doesn't tell by itself, and what it said is known. How long to rest until the next time is
    /// up to the caller.
    Polled,
}

impl Connection {
    pub(super) fn new(watch: Watch<Box<TlsStream<TcpStream>>>) -> Self {
        Self { watch }
    }

    /// Whether the server is asked every now and then, as it offers no IDLE or one that isn't worth it.
    pub fn polls(&self) -> bool {
        !self.watch.dialogue.idles()
    }

    /// Whether IDLE was given up, because it twice kept quiet about mail.
    pub fn is_distrusted(&self) -> bool {
        self.watch.lies >= LIES
    }

    /// Has the server asked from now on: its IDLE kept quiet about mail on an earlier connection.
    pub fn distrust(&mut self) {
        self.watch.distrust();
    }

    /// How long the pause lasts which has begun, and each one after it.
    pub fn rest_for(&mut self, pause: Duration) {
        self.watch.pause = pause;
    }

    /// Between which bounds this server wants to be asked, if it is not as everybody.
    pub fn poll_bounds(&self) -> Option<PollBounds> {
        self.watch.host.polls()
    }

    /// What is known of the mailbox now: what EXAMINE answered, or what was learnt later. HIGHESTMODSEQ may be older than
    /// the rest.
    pub fn mailbox(&self) -> Mailbox {
        self.watch.dialogue.mailbox()
    }

    /// Waits until there may be news, and says no more than that: [`news`](Self::news) asks what they are. With IDLE the
    /// server tells; without, it is asked every now and then.
    ///
    /// IDLE is renewed after `renew_after`, or sooner where the host wants that, after 28 minutes at the latest (RFC 2177 §3
    /// has 29); at each renewal the server is asked as well, so that an IDLE that lies delays mail by no more than that. As
    /// long as such questions find nothing, nobody hears of them. After the second lie in a row, IDLE is given up.
    ///
    /// # Errors
    /// `CONNECTION_LOST`, `SERVER_BYE`, `THROTTLED`, `COMMAND_TIMEOUT`, `FLOOD_REFUSED`, `PROTOCOL_ERROR`, `TLS_FAILED`: the
    /// connection is of no further use.
    pub async fn changed(&mut self, renew_after: Duration) -> Result<Changed, Failure> {
        let renew_after = renew_after.min(self.watch.host.renew());
        self.watch.changed(renew_after).await
    }

    /// Has the server answer what it has hinted at, and answers the mailbox as it then is. If it has hinted at nothing, it
    /// is not asked.
    ///
    /// # Errors
    /// As [`changed`](Self::changed).
    pub async fn news(&mut self) -> Result<Mailbox, Failure> {
        if !self.watch.dialogue.is_told() {
            // A question at a renewal has found it, before anybody could know that there was something to find.
            return self.watch.news().await;
        }
        let span = span!("imap.ping", self.watch.host.name, self.watch.host.port);
        let answer = self.watch.news().instrument(span.clone()).await;
        super::note(&span, &answer);
        answer
    }

    /// Asks the server now, whether or not it told of anything, and answers the mailbox as it is.
    ///
    /// # Errors
    /// As [`changed`](Self::changed).
    pub async fn ping(&mut self) -> Result<Mailbox, Failure> {
        let span = span!("imap.ping", self.watch.host.name, self.watch.host.port);
        let answer = self.watch.ping().instrument(span.clone()).await;
        super::note(&span, &answer);
        answer
    }

    /// Logs out, within a second.
    pub async fn close(self) {
        self.watch.close().await;
    }
}

/// How patient a watch is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For each command.
    pub(super) command: Duration,
    /// Between polls, give or take a tenth.
    pub(super) poll_every: Duration,
}

/// A connection over any stream.
pub(super) struct Watch<S> {
    wire: Wire<S>,
    dialogue: Dialogue,
    patience: Patience,
    /// The UIDNEXT that the caller knows.
    told: NonZeroU32,
    /// When the last command was sent, or IDLE or the pause between polls began.
    since: Instant,
    /// How long this pause is.
    pause: Duration,
    pace: Pace,
    host: Arc<Host>,
    /// A question that nobody asked for, on its way.
    question: Option<Question>,
    /// A poll was answered.
    polled: bool,
    /// How often in a row a renewal found mail of which IDLE had not told.
    lies: u8,
}

/// A question that the clock asked.
struct Question {
    /// It is answered when so many are.
    goal: u32,
    /// UIDNEXT before it.
    before: NonZeroU32,
    /// At a renewal of IDLE; else it is a poll.
    renewal: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watch<S> {
    /// A watch over a mailbox that was just opened; `name` is in quotes.
    pub(super) fn new(
        mut wire: Wire<S>,
        opened: Opened,
        name: Box<str>,
        idle: bool,
        patience: Patience,
        host: Arc<Host>,
    ) -> Self {
        wire.allow(COMMAND_ALLOWANCE);
        let now = Instant::now();
        Self {
            wire,
            dialogue: Dialogue::new(opened, name, idle),
            patience,
            told: opened.mailbox.uid_next,
            since: now,
            pause: jittered(patience.poll_every),
            pace: Pace { spent_until: now },
            host,
            question: None,
            polled: false,
            lies: 0,
        }
    }

    pub(super) async fn changed(&mut self, renew_after: Duration) -> Result<Changed, Failure> {
        while !self.dialogue.is_told() && self.dialogue.mailbox().uid_next == self.told {
            if std::mem::take(&mut self.polled) {
                return Ok(Changed::Polled);
            }
            self.step(renew_after).await?;
        }
        Ok(Changed::News)
    }

    fn distrust(&mut self) {
        self.lies = self.lies.max(LIES);
        self.dialogue.distrust_idle();
    }

    pub(super) async fn news(&mut self) -> Result<Mailbox, Failure> {
        // One answer, and no more: a server that hints without end is heard again by the next call.
        let answers = self.dialogue.answers();
        while self.dialogue.is_told() && self.dialogue.answers() == answers {
            self.step(LONG).await?;
        }
        Ok(self.tell())
    }

    pub(super) async fn ping(&mut self) -> Result<Mailbox, Failure> {
        let goal = self.dialogue.check();
        while !self.has_answered(goal) {
            self.step(LONG).await?;
        }
        Ok(self.tell())
    }

    /// Numbers go around: what is behind us is at least half a circle ahead.
    fn has_answered(&self, goal: u32) -> bool {
        goal.wrapping_sub(self.dialogue.answers()).wrapping_sub(1) >= u32::MAX / 2
    }

    /// The mailbox, which the caller knows from now on.
    fn tell(&mut self) -> Mailbox {
        let mailbox = self.dialogue.mailbox();
        self.told = mailbox.uid_next;
        mailbox
    }

    pub(super) async fn close(mut self) {
        self.wire.allow(COMMAND_ALLOWANCE);
        self.wire.send(self.dialogue.farewell().as_bytes());
        let farewell = async {
            // Until its BYE, after which it hangs up.
            while let Ok(line) = self.wire.turn().await {
                if line.get(..5).is_some_and(|head| head.eq_ignore_ascii_case(b"* BYE")) {
                    break;
                }
            }
            // Whether the stream closes in order changes nothing.
            let _ = self.wire.stream_mut().shutdown().await;
        };
        let _ = timeout(CLOSE_DEADLINE, farewell).await;
    }

    /// Says what there is to say, or waits for one line, at most until there is something to say.
    async fn step(&mut self, renew_after: Duration) -> Result<(), Failure> {
        let now = Instant::now();
        let until = match self.dialogue.turn() {
            Turn::Theirs(command) => {
                let until = self.since + self.patience.command;
                if now >= until {
                    let patience = self.patience.command.as_secs_f32();
                    let evidence = format!("no answer to {command} within {patience} s");
                    return Err(failure(FailureCode::CommandTimeout, &evidence));
                }
                until
            }
            Turn::Ours | Turn::Idling if self.dialogue.is_eager() => match self.pace.admit(now) {
                Ok(()) => {
                    if let Some(words) = self.dialogue.speak() {
                        self.say(&words);
                    }
                    return Ok(());
                }
                Err(later) => later,
            },
            // IDLE, or the pause between polls.
            turn => {
                let rest = if turn == Turn::Idling { renew_after } else { self.pause };
                let until = self.since + rest.min(LONG);
                if now >= until {
                    let (before, renewal) = (self.dialogue.mailbox().uid_next, turn == Turn::Idling);
                    self.question = Some(Question { goal: self.dialogue.check(), before, renewal });
                    return Ok(());
                }
                until
            }
        };
        let before = self.dialogue.turn();
        let heard = match timeout_at(until, self.wire.turn()).await {
            Ok(line) => line.map_err(WireError::into_failure).and_then(|line| self.dialogue.hear(&line)),
            Err(_) => return Ok(()),
        };
        if let Err(failure) = &heard
            && before == Turn::Idling
            && matches!(failure.code, FailureCode::ConnectionLost | FailureCode::ServerBye)
        {
            self.host.cut(self.since.elapsed());
        }
        if let Some(words) = heard? {
            self.say(&words);
        } else if self.dialogue.turn() != before {
            self.since = Instant::now();
        }
        self.learn();
        Ok(())
    }

    /// What an answer, or the lack of a hint before it, says of the server.
    fn learn(&mut self) {
        if self.dialogue.take_told_in_idle() {
            self.lies = 0;
            self.host.told();
            // Late, but by itself.
            self.question = self.question.take().filter(|question| !question.renewal);
        }
        let Some(question) = &self.question else { return };
        if !self.has_answered(question.goal) {
            return;
        }
        if !question.renewal {
            self.polled = true;
        } else if self.dialogue.mailbox().uid_next != question.before {
            self.lies += 1;
            self.host.lied();
            if self.lies >= LIES {
                self.distrust();
            }
        }
        self.question = None;
    }

    fn say(&mut self, words: &str) {
        self.wire.allow(COMMAND_ALLOWANCE);
        self.wire.send(words.as_bytes());
        self.since = Instant::now();
    }
}

/// A token bucket, kept as the time at which it will be full again.
struct Pace {
    spent_until: Instant,
}

impl Pace {
    /// Takes a token, or answers when there will be one.
    fn admit(&mut self, now: Instant) -> Result<(), Instant> {
        let spent_until = self.spent_until.max(now);
        let earliest = spent_until.checked_sub(INTERVAL * BURST).unwrap_or(now);
        if earliest > now {
            return Err(earliest);
        }
        self.spent_until = spent_until + INTERVAL;
        Ok(())
    }
}

/// Sessions that began together don't poll together.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.9..1.1))
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
