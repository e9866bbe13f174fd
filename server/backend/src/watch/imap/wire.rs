//! A stream of lines, with a bound on everything that the other end may send.
//!
//! Every piece of state is in the [`Wire`], never in a future, so that a future may be dropped at any await. While nothing
//! moves, it holds no buffer at all: bytes are read into the stack first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use domain::{Failure, FailureCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::line;
use super::refusal::failure;

/// The longest line, literals included, in bytes.
pub(super) const MAX_LINE: usize = 8 * 1024;

/// Most lines are far shorter, and a stack frame of this size harms nobody.
const CHUNK: usize = 2 * 1024;

/// Why no line came.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The other end closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The stream failed.
    #[error("the connection broke: {0}")]
    Io(io::Error),
    /// A line is longer than [`MAX_LINE`].
    #[error("a line of more than {MAX_LINE} bytes")]
    LongLine,
    /// More came than was allowed.
    #[error("more bytes than any answer needs")]
    Flood,
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        // TLS without close_notify, which many servers leave out.
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Closed } else { Self::Io(error) }
    }
}

impl WireError {
    /// As a failure of the session.
    pub(super) fn into_failure(self) -> Failure {
        let code = match &self {
            Self::Closed => FailureCode::ConnectionLost,
            Self::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                FailureCode::TlsFailed
            }
            Self::Io(_) => FailureCode::ConnectionLost,
            Self::LongLine | Self::Flood => FailureCode::FloodRefused,
        };
        failure(code, &self.to_string())
    }
}

/// A stream, what was received of the next lines, and what is still to be sent.
pub(super) struct Wire<S> {
    stream: S,
    received: Vec<u8>,
    /// Where to look for the next line's end: what is before it has been looked at, or is a literal.
    looked: usize,
    unsent: Vec<u8>,
    flushed: bool,
    /// How many more bytes the other end may send.
    allowance: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A wire on which `allowance` bytes may come in.
    pub(super) fn new(stream: S, allowance: usize) -> Self {
        Self { stream, received: Vec::new(), looked: 0, unsent: Vec::new(), flushed: true, allowance }
    }

    /// Sets anew how many bytes may come in.
    pub(super) fn allow(&mut self, allowance: usize) {
        self.allowance = allowance;
    }

    /// Sends this with the next turn.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        self.flushed = false;
    }

    /// Sends what there is to send, and answers the next line. It may be dropped at any moment; nothing is lost.
    pub(super) async fn turn(&mut self) -> Result<Vec<u8>, WireError> {
        std::future::poll_fn(|cx| {
            let sent = self.poll_flush_unsent(cx);
            // Read even if nothing can be sent: the other end may be waiting for just that, or have said why it hangs up.
            match (self.poll_line(cx), sent) {
                (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
                (line, _) => line,
            }
        })
        .await
    }

    /// The stream, if nothing was received beyond the last line.
    pub(super) fn into_stream(self) -> Option<S> {
        self.received.is_empty().then_some(self.stream)
    }

    /// The stream.
    pub(super) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    fn poll_flush_unsent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        while !self.unsent.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(WireError::Closed));
            }
            self.unsent.drain(..sent);
        }
        self.unsent = Vec::new();
        if !self.flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// The next line, without its end.
    pub(super) fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, WireError>> {
        loop {
            if let Some(line) = self.take_line()? {
                return Poll::Ready(Ok(line));
            }
            let mut chunk = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
            let filled = chunk.filled();
            if filled.is_empty() {
                return Poll::Ready(Err(WireError::Closed));
            }
            self.allowance = self.allowance.checked_sub(filled.len()).ok_or(WireError::Flood)?;
            self.received.extend_from_slice(filled);
        }
    }

    fn take_line(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        while let Some(unseen) = self.received.get(self.looked..) {
            let Some(end) = unseen.iter().position(|byte| *byte == b'\n').map(|at| self.looked + at) else {
                self.looked = self.received.len();
                break;
            };
            let line = &self.received[..end];
            if let Some(len) = line::literal(line)
                && !line::is_free_text(line)
            {
                self.looked = (end + 1).saturating_add(len);
                if self.looked > MAX_LINE {
                    return Err(WireError::LongLine);
                }
                continue;
            }
            if end > MAX_LINE {
                return Err(WireError::LongLine);
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
            self.received.drain(..=end);
            if self.received.is_empty() {
                // An empty buffer is memory all the same, once for each of many sessions.
                self.received = Vec::new();
            }
            self.looked = 0;
            return Ok(Some(line));
        }
        if self.received.len() > MAX_LINE { Err(WireError::LongLine) } else { Ok(None) }
    }
}

impl<S> Wire<S> {
    /// The bytes that it holds beside the stream.
    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        self.received.capacity() + self.unsent.capacity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn lines(chunks: &[&[u8]], allowance: usize) -> (Vec<String>, WireError) {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let mut wire = Wire::new(ours, allowance);
        for chunk in chunks {
            theirs.write_all(chunk).await.unwrap();
        }
        drop(theirs);
        let mut lines = Vec::new();
        loop {
            match wire.turn().await {
                Ok(line) => lines.push(String::from_utf8_lossy(&line).into_owned()),
                Err(error) => return (lines, error),
            }
        }
    }

    #[tokio::test]
    async fn lines_and_literals() {
        let (lines, end) = lines(
            &[b"* OK a\r\n* OK b {3}\r\nb", b"7 OK\n", b"* STATUS {5}\r\na\r\nb", b"c (X 1)\r\n", b"* half"],
            1000,
        )
        .await;
        assert_eq!(lines, ["* OK a", "* OK b {3}", "b7 OK", "* STATUS {5}\r\na\r\nbc (X 1)"]);
        assert!(matches!(end, WireError::Closed));
    }

    #[tokio::test]
    async fn bounds() {
        let endless = vec![b'x'; MAX_LINE + 2];
        assert!(matches!(lines(&[&endless], usize::MAX).await.1, WireError::LongLine));
        let literal = format!("* STATUS {{{MAX_LINE}}}\r\n");
        assert!(matches!(lines(&[literal.as_bytes()], usize::MAX).await.1, WireError::LongLine));
        assert!(matches!(lines(&[b"* STATUS {99999999999999999999}\r\n"], usize::MAX).await.1, WireError::LongLine));
        let (read, end) = lines(&[b"* OK a\r\n", &b"* OK a\r\n".repeat(1000)], 4000).await;
        assert!(matches!(end, WireError::Flood) && read.len() < 500, "{end} after {}", read.len());
    }

    #[tokio::test]
    async fn holds_nothing_while_idle() {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let mut wire = Wire::new(ours, 10_000);
        wire.send(b"b1 IDLE\r\n");
        theirs.write_all(&b"* OK a\r\n".repeat(100)).await.unwrap();
        for _ in 0..100 {
            wire.turn().await.unwrap();
        }
        assert_eq!(wire.buffered(), 0);
        assert!(wire.into_stream().is_some());
    }

    proptest! {
        /// Random bytes in random pieces: the bytes come out again, and never more than a line of them is held.
        #[test]
        fn random_bytes(chunks in proptest::collection::vec(chunk(), 0..50)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let whole: Vec<u8> = chunks.concat();
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let (read, _) = runtime.block_on(lines(&chunks, usize::MAX));
            prop_assert!(read.iter().all(|line| line.len() <= 3 * MAX_LINE));
            let plain = !whole.contains(&b'{');
            if plain {
                let expect = whole.split(|byte| *byte == b'\n').count() - 1;
                prop_assert_eq!(read.len(), expect);
            }
        }
    }

    fn chunk() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..100),
            Just(b"\r\n".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"* STATUS {7}\r\n".to_vec()),
            Just(b"* 5 EXISTS\r\n".to_vec()),
        ]
    }
}
