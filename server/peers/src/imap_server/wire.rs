//! Bounded reading and buffered writing on one connection.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::command::{self, Command, LINE_LIMIT, Token};

/// A read asks for this much. Between lines, the buffer is given back: most connections idle.
const CHUNK: usize = 1024;

/// What a client said.
pub(crate) enum Said {
    Command(Command),
    /// Something that isn't a command, with what is wrong with it.
    Nonsense(&'static str),
}

/// A connection with its two buffers.
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, input: Vec::new(), output: Vec::new() }
    }

    /// Adds a line to what will be sent.
    pub(crate) fn say(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    /// Sends what was said.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        let output = std::mem::take(&mut self.output);
        self.stream.write_all(&output).await?;
        self.stream.flush().await
    }

    /// The next line without its end; `None` at the end of the connection. Nothing is lost if this is cancelled.
    pub(crate) async fn line(&mut self) -> io::Result<Option<String>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.input[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.take(searched + at + 1);
                return Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()));
            }
            searched = self.input.len();
            if searched > LINE_LIMIT {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "line too long"));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    async fn literal(&mut self, bytes: usize) -> io::Result<Option<String>> {
        while self.input.len() < bytes {
            if !self.read().await? {
                return Ok(None);
            }
        }
        let literal = self.take(bytes);
        Ok(Some(String::from_utf8_lossy(&literal).into_owned()))
    }

    async fn read(&mut self) -> io::Result<bool> {
        let mut chunk = [0; CHUNK];
        let read = self.stream.read(&mut chunk).await?;
        self.input.extend_from_slice(&chunk[..read]);
        Ok(read > 0)
    }

    fn take(&mut self, bytes: usize) -> Vec<u8> {
        let rest = self.input.split_off(bytes);
        std::mem::replace(&mut self.input, rest)
    }

    /// The next command with its literals; `None` at the end of the connection.
    pub(crate) async fn command(&mut self) -> io::Result<Option<Said>> {
        let mut tokens: Vec<Token> = Vec::new();
        let mut bytes = 0;
        loop {
            let Some(line) = self.line().await? else {
                return Ok(None);
            };
            let (more, announced) = match command::tokens(&line) {
                Ok(split) => split,
                Err(wrong) => return Ok(Some(Said::Nonsense(wrong))),
            };
            tokens.extend(more);
            let Some(literal) = announced else { break };
            bytes += line.len() + literal.bytes;
            if bytes > LINE_LIMIT {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "command too long"));
            }
            if literal.waits {
                self.say("+ go on");
                self.flush().await?;
            }
            let Some(text) = self.literal(literal.bytes).await? else {
                return Ok(None);
            };
            tokens.push(Token::Text(text));
        }
        Ok(Some(command::command(tokens).map_or_else(Said::Nonsense, Said::Command)))
    }
}
