//! One client's dialogue.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Shared;
use super::command::{Command, Token, in_set};
use super::mailbox::{Mailbox, User};
use super::wire::{Said, Wire};
use crate::clock::monotonic_ns;

/// How a dialogue ended.
pub(super) enum End<S> {
    Closed,
    /// The client wants TLS on this stream.
    StartTls(S),
}

/// What the connection's TLS allows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// In clear, with STARTTLS on offer and nothing else before it.
    StartTls,
    /// Either encrypted, or in clear by the test's wish.
    Done,
}

/// Counts while it lives.
pub(super) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    pub(super) fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Selected {
    /// How many messages the client was told of.
    exists: usize,
    /// After a renewal, this client's mailbox is another one, of which it hears by selecting it.
    uid_validity: u32,
}

struct Dialogue<S> {
    shared: Arc<Shared>,
    security: Security,
    wire: Wire<S>,
    user: Option<Arc<User>>,
    selected: Option<Selected>,
}

/// Serves a client until it leaves. `greet` is false after STARTTLS.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    shared: Arc<Shared>,
    security: Security,
    greet: bool,
) -> io::Result<End<S>> {
    let mut dialogue = Dialogue { shared, security, wire: Wire::new(stream), user: None, selected: None };
    if greet {
        let greeting = format!("* OK [CAPABILITY {}] pinger-mock-imap is ready", dialogue.capabilities());
        dialogue.wire.say(&greeting);
        dialogue.wire.flush().await?;
    }
    match dialogue.run().await {
        Ok(true) => Ok(End::StartTls(dialogue.wire.stream)),
        Ok(false) => Ok(End::Closed),
        Err(error) => {
            // It may well be that nobody hears this.
            dialogue.wire.say(&format!("* BYE {error}"));
            dialogue.wire.flush().await?;
            Err(error)
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    /// Answers commands; true if the client wants TLS.
    async fn run(&mut self) -> io::Result<bool> {
        while let Some(said) = self.wire.command().await? {
            let command = match said {
                Said::Command(command) => command,
                Said::Nonsense(wrong) => {
                    self.wire.say(&format!("* BAD {wrong}"));
                    self.wire.flush().await?;
                    continue;
                }
            };
            let tag = &command.tag;
            match command.name.as_str() {
                "LOGOUT" => {
                    self.wire.say("* BYE see you");
                    self.wire.say(&format!("{tag} OK logged out"));
                    self.wire.flush().await?;
                    return Ok(false);
                }
                "STARTTLS" if self.security == Security::StartTls => {
                    self.wire.say(&format!("{tag} OK begin TLS"));
                    self.wire.flush().await?;
                    return Ok(true);
                }
                "AUTHENTICATE" => self.authenticate(&command).await?,
                "IDLE" if self.shared.idle && self.selected.is_some() => self.idle(tag).await?,
                _ => {
                    let answer = self.answer(&command);
                    self.tell_changes();
                    self.wire.say(&format!("{tag} {answer}"));
                }
            }
            self.wire.flush().await?;
        }
        Ok(false)
    }

    fn capabilities(&self) -> String {
        let mut capabilities = "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE NAMESPACE UNSELECT".to_owned();
        if self.shared.idle {
            capabilities.push_str(" IDLE");
        }
        capabilities.push_str(match self.security {
            Security::StartTls => " STARTTLS LOGINDISABLED",
            Security::Done => " AUTH=PLAIN",
        });
        capabilities
    }

    /// Says the untagged part, and returns the tagged one.
    fn answer(&mut self, command: &Command) -> String {
        let done = format!("OK {} done", command.name);
        let arguments = &command.arguments;
        match (command.name.as_str(), &self.user) {
            ("CAPABILITY", _) => {
                let capabilities = self.capabilities();
                self.wire.say(&format!("* CAPABILITY {capabilities}"));
            }
            ("NOOP", _) => {}
            ("ID", _) => self.wire.say("* ID (\"name\" \"pinger-mock-imap\")"),
            ("LOGIN", _) => return self.log_in(arguments),
            ("LIST" | "LSUB", Some(_)) => self.list(arguments),
            ("NAMESPACE", Some(_)) => self.wire.say("* NAMESPACE ((\"\" \"/\")) NIL NIL"),
            ("ENABLE", Some(_)) => self.wire.say("* ENABLED"),
            ("SELECT" | "EXAMINE", Some(user)) => {
                let (user, read_only) = (Arc::clone(user), command.name == "EXAMINE");
                return self.select(&user, arguments, read_only);
            }
            ("STATUS", Some(user)) => {
                let user = Arc::clone(user);
                return self.status(&user, arguments).map_or_else(str::to_owned, |()| done);
            }
            ("CHECK", Some(_)) if self.selected.is_some() => {}
            ("CLOSE" | "UNSELECT", Some(_)) if self.selected.is_some() => self.selected = None,
            ("FETCH" | "UID FETCH" | "SEARCH" | "UID SEARCH", Some(user)) if self.selected.is_some() => {
                let user = Arc::clone(user);
                return self.look(&user, command).map_or_else(|wrong| format!("BAD {wrong}"), |()| done);
            }
            _ => return "BAD unknown command, or not now".to_owned(),
        }
        done
    }

    /// Messages that came since the client was last told.
    fn tell_changes(&mut self) {
        if let (Some(user), Some(selected)) = (&self.user, &mut self.selected) {
            let (exists, uid_validity) = {
                let mailbox = user.mailbox.borrow();
                (mailbox.exists(), mailbox.uid_validity)
            };
            if exists != selected.exists && uid_validity == selected.uid_validity {
                selected.exists = exists;
                self.wire.say(&format!("* {exists} EXISTS"));
            }
        }
    }

    fn log_in(&mut self, arguments: &[Token]) -> String {
        let [name, password] = arguments else {
            return "BAD LOGIN wants a name and a password".to_owned();
        };
        match (name.text(), password.text()) {
            (Some(name), Some(password)) => self.admit(name, password),
            _ => "BAD LOGIN wants a name and a password".to_owned(),
        }
    }

    fn admit(&mut self, name: &str, password: &str) -> String {
        if self.security == Security::StartTls {
            return "NO [PRIVACYREQUIRED] STARTTLS first".to_owned();
        }
        if self.user.is_some() {
            return "BAD logged in already".to_owned();
        }
        let Some(user) = self.shared.users.log_in(name, password) else {
            self.shared.refused_logins.fetch_add(1, Ordering::Relaxed);
            return "NO [AUTHENTICATIONFAILED] name or password is wrong".to_owned();
        };
        self.shared.logins.fetch_add(1, Ordering::Relaxed);
        self.user = Some(user);
        format!("OK [CAPABILITY {}] welcome", self.capabilities())
    }

    async fn authenticate(&mut self, command: &Command) -> io::Result<()> {
        let tag = &command.tag;
        let (mechanism, initial) = match command.arguments.as_slice() {
            [mechanism] => (mechanism.text(), None),
            [mechanism, initial] => (mechanism.text(), initial.text()),
            _ => (None, None),
        };
        if !mechanism.is_some_and(|mechanism| mechanism.eq_ignore_ascii_case("PLAIN")) {
            self.wire.say(&format!("{tag} NO no such mechanism"));
            return Ok(());
        }
        let response = match initial {
            Some(initial) => initial.to_owned(),
            None => {
                self.wire.say("+ ");
                self.wire.flush().await?;
                let Some(response) = self.wire.line().await? else {
                    return Ok(());
                };
                response
            }
        };
        let answer = match plain_credential(&response) {
            Some((name, password)) => self.admit(&name, &password),
            None => "BAD no PLAIN response".to_owned(),
        };
        self.wire.say(&format!("{tag} {answer}"));
        Ok(())
    }

    fn list(&mut self, arguments: &[Token]) {
        match arguments.get(1).and_then(Token::text) {
            Some("") => self.wire.say("* LIST (\\Noselect) \"/\" \"\""),
            Some(pattern) if pattern.contains(['*', '%']) || is_inbox(pattern) => {
                self.wire.say("* LIST (\\HasNoChildren) \"/\" INBOX");
            }
            _ => {}
        }
    }

    fn select(&mut self, user: &User, arguments: &[Token], read_only: bool) -> String {
        self.selected = None;
        if !arguments.first().and_then(Token::text).is_some_and(is_inbox) {
            return "NO [NONEXISTENT] there is INBOX only".to_owned();
        }
        let (exists, uid_validity, uid_next) = {
            let mailbox = user.mailbox.borrow();
            (mailbox.exists(), mailbox.uid_validity, mailbox.uid_next)
        };
        self.wire.say("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)");
        self.wire.say("* OK [PERMANENTFLAGS ()] none can be set");
        self.wire.say(&format!("* {exists} EXISTS"));
        self.wire.say("* 0 RECENT");
        self.wire.say(&format!("* OK [UIDVALIDITY {uid_validity}] UIDs are valid"));
        self.wire.say(&format!("* OK [UIDNEXT {uid_next}] the next UID"));
        self.selected = Some(Selected { exists, uid_validity });
        format!("OK [READ-{}] selected", if read_only { "ONLY" } else { "WRITE" })
    }

    fn status(&mut self, user: &User, arguments: &[Token]) -> Result<(), &'static str> {
        let [mailbox, Token::Open, items @ .., Token::Close] = arguments else {
            return Err("BAD odd STATUS");
        };
        if !mailbox.text().is_some_and(is_inbox) {
            return Err("NO [NONEXISTENT] there is INBOX only");
        }
        let mailbox = user.mailbox.borrow();
        let mut values = Vec::new();
        for item in items {
            let item = item.text().ok_or("BAD odd STATUS")?.to_ascii_uppercase();
            let value = match item.as_str() {
                "MESSAGES" | "UNSEEN" => mailbox.exists().to_string(),
                "RECENT" => "0".to_owned(),
                "UIDNEXT" => mailbox.uid_next.to_string(),
                "UIDVALIDITY" => mailbox.uid_validity.to_string(),
                _ => return Err("BAD unknown item of STATUS"),
            };
            values.push(format!("{item} {value}"));
        }
        drop(mailbox);
        self.wire.say(&format!("* STATUS INBOX ({})", values.join(" ")));
        Ok(())
    }

    /// FETCH and SEARCH, with and without UID.
    fn look(&mut self, user: &User, command: &Command) -> Result<(), &'static str> {
        let mailbox = user.mailbox.borrow();
        let by_uid = command.name.starts_with("UID");
        if command.name.ends_with("SEARCH") {
            let found = search(&mailbox, &command.arguments)?;
            let mut line = "* SEARCH".to_owned();
            for position in found {
                let number = if by_uid { mailbox.uids[position] as usize } else { position + 1 };
                // Writing to a String never fails.
                let _ = write!(line, " {number}");
            }
            drop(mailbox);
            self.wire.say(&line);
            return Ok(());
        }
        let [set, items @ ..] = command.arguments.as_slice() else {
            return Err("FETCH what?");
        };
        let set = set.text().ok_or("odd FETCH")?;
        let found = if by_uid { in_set(set, &mailbox.uids)? } else { in_set(set, &numbers(&mailbox))? };
        let mut lines = Vec::new();
        for position in found {
            let fetched = fetch(mailbox.uids[position], items, by_uid)?;
            lines.push(format!("* {} FETCH ({fetched})", position + 1));
        }
        drop(mailbox);
        for line in lines {
            self.wire.say(&line);
        }
        Ok(())
    }

    /// IDLE until the client says something.
    async fn idle(&mut self, tag: &str) -> io::Result<()> {
        let Some(user) = self.user.clone() else {
            return Ok(());
        };
        let mut changes = user.mailbox.subscribe();
        self.wire.say("+ idling");
        // What came before the subscription.
        self.tell_changes();
        self.wire.flush().await?;
        let shared = Arc::clone(&self.shared);
        let _idling = Counted::new(&shared.idling);
        let line = loop {
            tokio::select! {
                line = self.wire.line() => break line?,
                changed = changes.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let uid_next = changes.borrow_and_update().uid_next;
                    self.tell_changes();
                    let at_ns = monotonic_ns();
                    self.wire.flush().await?;
                    user.told(uid_next, at_ns);
                }
            }
        };
        drop(changes);
        match line {
            Some(line) if line.eq_ignore_ascii_case("DONE") => self.wire.say(&format!("{tag} OK IDLE done")),
            Some(_) => self.wire.say(&format!("{tag} BAD DONE was expected")),
            None => {}
        }
        Ok(())
    }
}

fn is_inbox(name: &str) -> bool {
    name.eq_ignore_ascii_case("INBOX")
}

/// The name and password of a SASL PLAIN response.
fn plain_credential(response: &str) -> Option<(String, String)> {
    let response = String::from_utf8(BASE64_STANDARD.decode(response).ok()?).ok()?;
    let mut parts = response.split('\0').skip(1);
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}

fn numbers(mailbox: &Mailbox) -> Vec<u32> {
    (1..).take(mailbox.exists()).collect()
}

/// The positions of the messages that fit: all criteria must. No message here has been seen.
fn search(mailbox: &Mailbox, criteria: &[Token]) -> Result<Vec<usize>, &'static str> {
    let mut found: Vec<usize> = (0..mailbox.exists()).collect();
    let mut criteria = criteria.iter();
    while let Some(criterion) = criteria.next() {
        let criterion = criterion.text().ok_or("odd SEARCH")?.to_ascii_uppercase();
        let fitting = match criterion.as_str() {
            "ALL" | "UNSEEN" | "UNDELETED" => continue,
            "SEEN" | "DELETED" | "ANSWERED" | "FLAGGED" | "RECENT" | "NEW" => Vec::new(),
            "UID" => in_set(criteria.next().and_then(Token::text).ok_or("odd SEARCH")?, &mailbox.uids)?,
            set => in_set(set, &numbers(mailbox))?,
        };
        found.retain(|position| fitting.contains(position));
    }
    Ok(found)
}

/// The answer to FETCH for one message.
fn fetch(uid: u32, items: &[Token], by_uid: bool) -> Result<String, &'static str> {
    let mut parts = Vec::new();
    for item in items.iter().filter_map(Token::text) {
        match item.to_ascii_uppercase().as_str() {
            "UID" => parts.push(format!("UID {uid}")),
            "FLAGS" => parts.push("FLAGS ()".to_owned()),
            "RFC822.SIZE" => parts.push("RFC822.SIZE 1000".to_owned()),
            "INTERNALDATE" => parts.push("INTERNALDATE \"01-Jan-2026 00:00:00 +0000\"".to_owned()),
            "FAST" => parts.push("FLAGS () RFC822.SIZE 1000".to_owned()),
            _ => return Err("messages have no content here"),
        }
    }
    if parts.is_empty() {
        return Err("FETCH what?");
    }
    let uid_part = format!("UID {uid}");
    if by_uid && !parts.contains(&uid_part) {
        parts.insert(0, uid_part);
    }
    Ok(parts.join(" "))
}
