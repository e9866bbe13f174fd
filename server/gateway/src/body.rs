//! Bodies: of requests, with a limit; of responses, with what they hold until they end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use proto::{MAX_REQUEST_BYTES, Reason, Refusal};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;
use tonic::body::Body;

/// A message is led by one byte of flags and four of length.
const PREFIX: usize = 5;

/// The body of a request. It ends in REQUEST_TOO_LARGE as soon as it is, or says that it will be: tonic takes memory
/// for what the prefix announces, so it must not see one that announces too much.
pub(crate) struct Limited {
    inner: Body,
    prefix: [u8; PREFIX],
    seen: usize,
}

impl Limited {
    pub(crate) fn new(inner: Body) -> Self {
        Self { inner, prefix: [0; PREFIX], seen: 0 }
    }

    fn check(&mut self, data: &[u8]) -> Result<(), Status> {
        if let Some(missing) = self.prefix.get_mut(self.seen..) {
            for (byte, seen) in missing.iter_mut().zip(data) {
                *byte = *seen;
            }
        }
        self.seen = self.seen.saturating_add(data.len());
        let [_, length @ ..] = self.prefix;
        let announced = if self.seen < PREFIX { 0 } else { u32::from_be_bytes(length) };
        let fits = usize::try_from(announced).is_ok_and(|announced| announced <= MAX_REQUEST_BYTES);
        if fits && self.seen <= PREFIX + MAX_REQUEST_BYTES {
            Ok(())
        } else {
            Err(Refusal::new(Reason::RequestTooLarge).into())
        }
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx)).transpose()?;
        if let Some(data) = frame.as_ref().and_then(Frame::data_ref) {
            self.check(data)?;
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a response that keeps a place taken until it has been sent, or the caller is gone.
pub(crate) struct Held {
    inner: Body,
    _place: OwnedSemaphorePermit,
}

impl Held {
    pub(crate) fn new(inner: Body, place: OwnedSemaphorePermit) -> Self {
        Self { inner, _place: place }
    }
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(announced: usize, sent: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(u32::try_from(announced).unwrap().to_be_bytes());
        bytes.resize(PREFIX + sent, 7);
        bytes
    }

    #[track_caller]
    fn check(bytes: &[u8], chunk: usize, expect: bool) {
        let mut limited = Limited::new(Body::empty());
        let fits = bytes.chunks(chunk).all(|chunk| limited.check(chunk).is_ok());
        assert_eq!(fits, expect, "{} bytes by {chunk}", bytes.len());
    }

    #[test]
    fn what_is_too_large_is_refused_however_it_comes() {
        for chunk in [1, 2, 5, 6, 1000, 100_000] {
            check(&[], chunk, true);
            check(&message(0, 0), chunk, true);
            check(&message(MAX_REQUEST_BYTES, MAX_REQUEST_BYTES), chunk, true);
            check(&message(MAX_REQUEST_BYTES + 1, 0), chunk, false);
            check(&message(4_000_000_000, 0), chunk, false);
            check(&message(3, MAX_REQUEST_BYTES + 1), chunk, false);
        }
    }
}
