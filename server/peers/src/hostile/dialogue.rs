//! What the hostile server says on one connection.

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::script::{Moment, Script, Trick};
use super::{Event, Shared, Stream};
use crate::imap_server::command::{Command, Token};
use crate::imap_server::wire::{Said, Wire};

/// A flood comes in pieces of this size.
const FLOOD_CHUNK: usize = 16 * 1024;

/// Where a flood ends even if the client takes all of it: an error of the client's, but no reason to run for ever.
const FLOOD_LIMIT: u64 = 1 << 30;

/// Whether the connection goes on.
type Flow = ControlFlow<()>;

struct Dialogue<'a, S> {
    wire: Wire<S>,
    connection: u64,
    shared: &'a Shared,
    encrypted: bool,
    exists: u32,
}

/// The dialogue before STARTTLS; the stream, if the client wants TLS on it.
pub(super) async fn in_clear(stream: TcpStream, connection: u64, shared: &Shared) -> io::Result<Option<TcpStream>> {
    let mut dialogue = Dialogue { wire: Wire::new(stream), connection, shared, encrypted: false, exists: 0 };
    if dialogue.greet().await?.is_break() || !dialogue.run().await? {
        return Ok(None);
    }
    Ok(Some(dialogue.wire.stream))
}

/// The dialogue over TLS.
pub(super) async fn encrypted(
    stream: Box<dyn Stream + '_>,
    connection: u64,
    shared: &Shared,
    greet: bool,
) -> io::Result<()> {
    let mut dialogue = Dialogue { wire: Wire::new(stream), connection, shared, encrypted: true, exists: 0 };
    if !greet || dialogue.greet().await?.is_continue() {
        dialogue.run().await?;
    }
    Ok(())
}

/// Says nothing until the client leaves.
pub(super) async fn hang<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<'_, S> {
    fn script(&self) -> Script {
        self.shared.script.borrow().clone()
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        self.wire.say(line);
        self.wire.flush().await
    }

    async fn greet(&mut self) -> io::Result<Flow> {
        let played = self.play(Moment::Greeting, None).await?;
        if let Some(flow) = played {
            return Ok(flow);
        }
        let greeting = format!("* OK [CAPABILITY {}] hostile but polite", self.capabilities());
        self.say(&greeting).await?;
        Ok(Flow::Continue(()))
    }

    fn capabilities(&self) -> String {
        let script = self.script();
        let mut capabilities = "IMAP4rev1 SASL-IR LITERAL+ ID".to_owned();
        if script != Script::NoIdle {
            capabilities.push_str(" IDLE");
        }
        capabilities.push_str(match script {
            Script::LoginDisabled => " LOGINDISABLED",
            Script::NoStartTls => " AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2",
            _ if self.encrypted => " AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2",
            _ => " STARTTLS LOGINDISABLED",
        });
        capabilities
    }

    /// Plays the script's trick, if this is its moment. `tag` is that of the command which waits for an answer.
    async fn play(&mut self, moment: Moment, tag: Option<&str>) -> io::Result<Option<Flow>> {
        let script = self.script();
        let Some(trick) = script.trick_at(moment) else { return Ok(None) };
        match trick {
            Trick::Say(line) => {
                let line = tag.map_or_else(|| line.clone(), |tag| format!("{tag} {line}"));
                self.say(&line).await?;
                return Ok(Some(Flow::Continue(())));
            }
            Trick::Hang => hang(&mut self.wire.stream).await?,
            Trick::Close => {}
            Trick::CloseInMidLine => self.write(b"* OK half a li").await?,
            Trick::Bye => self.say("* BYE we are closing").await?,
            Trick::Garbage => self.write(&[0xFF, 0x00, 0x16, 0x03, b'\n', 0x80, b'\r', b'\n', 0xC0, b'{']).await?,
            Trick::EndlessLine => self.flood(b"* OK ", b"endless ").await?,
            Trick::EndlessLines => self.flood(b"", b"* 1 FETCH (UID 1 FLAGS ())\r\n").await?,
            Trick::EndlessLiteral => self.flood(b"* 1 FETCH (BODY[] {4294967295}\r\n", b"literally ").await?,
        }
        // With TLS, the client hears that this is the end; not so after half a line.
        if *trick != Trick::CloseInMidLine {
            self.wire.stream.shutdown().await?;
        }
        Ok(Some(Flow::Break(())))
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.stream.write_all(bytes).await?;
        self.wire.stream.flush().await
    }

    async fn flood(&mut self, begin: &[u8], again: &[u8]) -> io::Result<()> {
        self.write(begin).await?;
        let chunk = again.repeat(FLOOD_CHUNK / again.len());
        while self.shared.flooded.load(Ordering::Relaxed) < FLOOD_LIMIT {
            let written = self.wire.stream.write(&chunk).await?;
            self.shared.flooded.fetch_add(written.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
            self.wire.stream.flush().await?;
        }
        Ok(())
    }

    /// Answers commands; true if the client wants TLS.
    async fn run(&mut self) -> io::Result<bool> {
        while let Some(said) = self.wire.command().await? {
            let command = match said {
                Said::Command(command) => command,
                Said::Nonsense(wrong) => {
                    self.say(&format!("* BAD {wrong}")).await?;
                    continue;
                }
            };
            self.witness(&command);
            let tag = &command.tag;
            if command.name == "STARTTLS" && !self.encrypted && !self.is_without_starttls() {
                let mut answer = format!("{tag} OK begin TLS\r\n");
                if self.script() == Script::InjectAfterStartTls {
                    answer.push_str("* CAPABILITY IMAP4rev1 AUTH=PLAIN X-INJECTED\r\n* 7 EXISTS\r\n");
                }
                self.write(answer.as_bytes()).await?;
                return Ok(true);
            }
            if self.answer(&command).await?.is_break() {
                return Ok(false);
            }
        }
        Ok(false)
    }

    fn is_without_starttls(&self) -> bool {
        matches!(self.script(), Script::NoStartTls | Script::LoginDisabled)
    }

    fn witness(&self, command: &Command) {
        let mut line = command.name.clone();
        for text in command.arguments.iter().filter_map(Token::text) {
            line.push(' ');
            line.push_str(text);
        }
        let (connection, encrypted) = (self.connection, self.encrypted);
        self.shared.events.push(Event::Command { connection, encrypted, line });
    }

    async fn answer(&mut self, command: &Command) -> io::Result<Flow> {
        let tag = command.tag.as_str();
        let done = format!("{tag} OK {} done", command.name);
        match command.name.as_str() {
            "CAPABILITY" => {
                let capabilities = self.capabilities();
                self.wire.say(&format!("* CAPABILITY {capabilities}"));
            }
            "ID" => self.wire.say("* ID NIL"),
            "LOGIN" | "AUTHENTICATE" => return self.log_in(command).await,
            "EXAMINE" | "SELECT" => {
                if let Some(flow) = self.play(Moment::Examine, Some(tag)).await? {
                    return Ok(flow);
                }
                self.examine();
            }
            "STATUS" => {
                if let Some(flow) = self.play(Moment::Status, Some(tag)).await? {
                    return Ok(flow);
                }
                let (uid_next, uid_validity) = self.mailbox();
                let exists = uid_next - 1;
                self.wire.say(&format!(
                    "* STATUS INBOX (MESSAGES {exists} UIDNEXT {uid_next} UIDVALIDITY {uid_validity} UNSEEN {exists})"
                ));
            }
            "UID FETCH" => {
                for number in 1..*self.shared.uid_next.borrow() {
                    self.wire.say(&format!("* {number} FETCH (UID {number} FLAGS ())"));
                }
            }
            "UID SEARCH" => {
                let found: Vec<_> = (1..*self.shared.uid_next.borrow()).map(|uid| uid.to_string()).collect();
                self.wire.say(format!("* SEARCH {}", found.join(" ")).trim_end());
            }
            "IDLE" => return self.idle(tag).await,
            "NOOP" => self.tell_exists(),
            "LOGOUT" => {
                self.wire.say("* BYE see you");
                self.say(&done).await?;
                return Ok(Flow::Break(()));
            }
            _ => {
                self.say(&format!("{tag} BAD unknown command")).await?;
                return Ok(Flow::Continue(()));
            }
        }
        self.say(&done).await?;
        Ok(Flow::Continue(()))
    }

    /// Lets in whoever asks.
    async fn log_in(&mut self, command: &Command) -> io::Result<Flow> {
        let mechanism = command.arguments.first().and_then(Token::text).unwrap_or_default().to_ascii_uppercase();
        let prompts = match (command.name.as_str(), command.arguments.len(), mechanism.as_str()) {
            ("AUTHENTICATE", 1, "LOGIN") => 2,
            ("AUTHENTICATE", 1, _) | ("AUTHENTICATE", 2, "LOGIN") => 1,
            _ => 0,
        };
        for _ in 0..prompts {
            self.say("+ ").await?;
            if self.wire.line().await?.is_none() {
                return Ok(Flow::Break(()));
            }
        }
        let tag = command.tag.as_str();
        if let Some(flow) = self.play(Moment::Login, Some(tag)).await? {
            return Ok(flow);
        }
        let answer = format!("{tag} OK [CAPABILITY {}] come in", self.capabilities());
        self.say(&answer).await?;
        Ok(self.play(Moment::AfterLogin, None).await?.unwrap_or(Flow::Continue(())))
    }

    /// UIDNEXT and UIDVALIDITY. Nothing is ever expunged, so there are UIDNEXT - 1 messages.
    fn mailbox(&self) -> (u32, u32) {
        (*self.shared.uid_next.borrow(), self.shared.uid_validity.load(Ordering::Relaxed))
    }

    fn examine(&mut self) {
        let (uid_next, uid_validity) = self.mailbox();
        self.exists = uid_next - 1;
        self.wire.say("* FLAGS (\\Seen)");
        self.wire.say(&format!("* {} EXISTS", self.exists));
        self.wire.say("* 0 RECENT");
        self.wire.say(&format!("* OK [UIDVALIDITY {uid_validity}] UIDs are valid"));
        self.wire.say(&format!("* OK [UIDNEXT {uid_next}] the next UID"));
    }

    fn tell_exists(&mut self) {
        let exists = self.mailbox().0 - 1;
        if exists != self.exists && self.script() != Script::LyingIdle {
            self.exists = exists;
            self.wire.say(&format!("* {exists} EXISTS"));
        }
    }

    async fn idle(&mut self, tag: &str) -> io::Result<Flow> {
        if self.script() == Script::NoIdle {
            self.say(&format!("{tag} BAD unknown command")).await?;
            return Ok(Flow::Continue(()));
        }
        if let Some(flow) = self.play(Moment::Idle, Some(tag)).await? {
            return Ok(flow);
        }
        let (mut scripts, mut mail) = (self.shared.script.subscribe(), self.shared.uid_next.subscribe());
        self.wire.say("+ idling");
        loop {
            self.tell_exists();
            self.wire.flush().await?;
            if let Some(Flow::Break(())) = self.play(Moment::Idling, None).await? {
                return Ok(Flow::Break(()));
            }
            tokio::select! {
                line = self.wire.line() => {
                    let Some(line) = line? else { return Ok(Flow::Break(())) };
                    let answer = if line.eq_ignore_ascii_case("DONE") { "OK IDLE done" } else { "BAD DONE was expected" };
                    self.say(&format!("{tag} {answer}")).await?;
                    return Ok(Flow::Continue(()));
                }
                changed = scripts.changed() => {
                    if changed.is_err() {
                        return Ok(Flow::Break(()));
                    }
                }
                changed = mail.changed() => {
                    if changed.is_err() {
                        return Ok(Flow::Break(()));
                    }
                }
            }
        }
    }
}
