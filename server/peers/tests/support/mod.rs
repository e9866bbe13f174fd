#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]
//! An IMAP client of the plainest kind, over any stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What may pass on a busy machine before a test fails.
pub const SHORTLY: Duration = Duration::from_secs(20);

/// Any stream.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A client that has read the greeting.
pub struct Client {
    stream: BufReader<Box<dyn Stream>>,
    commands: usize,
    /// The server's first line.
    pub greeting: String,
}

impl Client {
    /// Connects in clear.
    pub async fn plain(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        Self::greeted(Box::new(stream)).await
    }

    /// Connects over TLS.
    pub async fn tls(address: SocketAddr, config: Arc<ClientConfig>) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        Self::greeted(Box::new(handshake(stream, config).await?)).await
    }

    /// Connects in clear, then says STARTTLS.
    pub async fn starttls(address: SocketAddr, config: Arc<ClientConfig>) -> Result<Self> {
        let mut plain = Self::plain(address).await?;
        plain.ok("STARTTLS").await?;
        let greeting = plain.greeting.clone();
        let stream = handshake(plain.stream.into_inner(), config).await?;
        Ok(Self { stream: BufReader::new(Box::new(stream)), commands: 0, greeting })
    }

    async fn greeted(stream: Box<dyn Stream>) -> Result<Self> {
        let mut client = Self { stream: BufReader::new(stream), commands: 0, greeting: String::new() };
        client.greeting = client.line().await?;
        Ok(client)
    }

    /// The next line, without its end.
    pub async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = tokio::time::timeout(SHORTLY, self.stream.read_line(&mut line));
        ensure!(read.await.context("no line in time")?? > 0, "the server closed the connection");
        Ok(line.trim_end().to_owned())
    }

    /// The next line that contains this.
    pub async fn line_with(&mut self, part: &str) -> Result<String> {
        loop {
            let line = self.line().await?;
            if line.contains(part) {
                return Ok(line);
            }
        }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Sends a command; returns all lines up to its tagged one, which is the last.
    pub async fn command(&mut self, command: &str) -> Result<Vec<String>> {
        self.commands += 1;
        let tag = format!("t{}", self.commands);
        self.send(format!("{tag} {command}\r\n").as_bytes()).await?;
        self.until_tagged(&tag).await
    }

    async fn until_tagged(&mut self, tag: &str) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let end = line.starts_with(&format!("{tag} "));
            lines.push(line);
            if end {
                return Ok(lines);
            }
        }
    }

    /// A command that has to succeed.
    pub async fn ok(&mut self, command: &str) -> Result<Vec<String>> {
        let lines = self.command(command).await?;
        match lines.last() {
            Some(last) if last.contains(" OK") => Ok(lines),
            last => bail!("{command}: {last:?}"),
        }
    }

    /// IDLE, up to the continuation.
    pub async fn idle(&mut self) -> Result<()> {
        self.send(b"idling IDLE\r\n").await?;
        ensure!(self.line().await?.starts_with('+'));
        Ok(())
    }

    /// DONE, up to the tagged line.
    pub async fn done(&mut self) -> Result<Vec<String>> {
        self.send(b"DONE\r\n").await?;
        self.until_tagged("idling").await
    }
}

async fn handshake<S: Stream>(stream: S, config: Arc<ClientConfig>) -> Result<tokio_rustls::client::TlsStream<S>> {
    let handshake = TlsConnector::from(config).connect(ServerName::try_from("localhost")?, stream);
    Ok(tokio::time::timeout(SHORTLY, handshake).await??)
}
