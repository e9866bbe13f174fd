//! HTTP/1.1 as a long poll needs it: one request, and a bounded answer that is read as it comes.
//!
//! A client library keeps what it has sent in its buffers for as long as its connection lives, and ours live for half an hour
//! with a password in each request. So the request is one buffer that is wiped when it is written, and the answer is read
//! by a machine that knows neither socket nor clock; the head is parsed by httparse.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{EasRequest, EasUrl};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::vault::{Credential, Secret};

/// The most bytes of a head, of a line before a chunk, and of a body that are kept.
const HEAD: usize = 16 * 1024;
const LINE: usize = 1024;
const BODY: usize = 64 * 1024;

/// The most headers of an answer.
const HEADERS: usize = 64;

/// Headers that say what a server is and why it answers so.
const TELLING: [&str; 6] =
    ["Server", "MS-Server-ActiveSync", "WWW-Authenticate", "Retry-After", "X-MS-Location", "Content-Type"];

/// Answers that announce another one (1xx), one after the other.
const INTERIM: usize = 4;

/// A POST with the account's name in its query, wiped when it is dropped.
pub(super) fn request(url: &EasUrl, request: &EasRequest, credential: &Credential) -> Zeroizing<Vec<u8>> {
    let name = credential.username.expose_secret();
    // Whole from the start: a buffer that grows leaves copies of itself behind.
    let mut out = Zeroizing::new(Vec::with_capacity(32 * 1024 + request.body().len()));
    out.extend_from_slice(b"POST ");
    out.extend_from_slice(url.path().as_bytes());
    out.extend_from_slice(if url.path().contains('?') { b"&User=" } else { b"?User=" });
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.push(b'%');
            out.extend(format!("{byte:02X}").bytes());
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(url.authority().as_bytes());
    match &credential.secret {
        Secret::Password(password) => {
            let pair = Zeroizing::new([name.as_bytes(), b":", password.expose_secret().as_bytes()].concat());
            out.extend_from_slice(b"\r\nAuthorization: Basic ");
            out.extend_from_slice(Zeroizing::new(STANDARD.encode(&*pair)).as_bytes());
        }
        Secret::AccessToken(token) => {
            out.extend_from_slice(b"\r\nAuthorization: Bearer ");
            out.extend_from_slice(token.expose_secret().as_bytes());
        }
    }
    for header in request.headers() {
        out.extend_from_slice(format!("\r\n{}: {}", header.name(), header.value()).as_bytes());
    }
    if !request.headers().iter().any(|header| header.name().eq_ignore_ascii_case("content-type")) {
        out.extend_from_slice(b"\r\nContent-Type: application/vnd.ms-sync.wbxml");
    }
    out.extend_from_slice(format!("\r\nContent-Length: {}\r\n\r\n", request.body().len()).as_bytes());
    out.extend_from_slice(request.body());
    out
}

/// An answer, as much of it as matters here.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    /// How long the server asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// `X-MS-Location`: where a server of the account is.
    pub(super) location: Option<String>,
    /// The headers that say what the server is and why it answers so, as they came.
    pub(super) telling: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The body was longer than what is kept of it.
    pub(super) cut: bool,
    /// The connection can take another request.
    pub(super) keeps: bool,
}

/// Why an answer can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("the answer is not HTTP")]
    NotHttp,
    #[error("the answer has a head without an end")]
    TooLong,
    #[error("the connection ended in the middle of the answer")]
    Half,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Counted(usize),
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    Trailer,
    ToEnd,
    Done,
}

/// Reads one answer.
pub(super) struct Reader {
    raw: Vec<u8>,
    stage: Stage,
    interim: usize,
    trailer: usize,
    response: Response,
}

impl Default for Reader {
    fn default() -> Self {
        let response = Response { keeps: true, ..Response::default() };
        Self { raw: Vec::new(), stage: Stage::Head, interim: 0, trailer: 0, response }
    }
}

impl Reader {
    /// Whether not a byte has come yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.stage == Stage::Head && self.raw.is_empty() && self.interim == 0
    }

    /// Whether the head is read, and the body is under way.
    pub(super) fn has_head(&self) -> bool {
        self.stage != Stage::Head
    }

    /// The answer, if it is whole, or as much as is kept of it.
    pub(super) fn take(&mut self) -> Option<Response> {
        (self.stage == Stage::Done).then(|| {
            self.response.keeps &= self.raw.is_empty();
            std::mem::take(self).response
        })
    }

    /// Takes what came, however it is cut.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let from = self.raw.len();
        self.raw.extend_from_slice(bytes);
        let mut searched = from.saturating_sub(3);
        loop {
            match self.stage {
                Stage::Head => {
                    let end = self.raw[searched..].windows(4).position(|four| four == b"\r\n\r\n");
                    let Some(end) = end.map(|end| searched + end + 4) else {
                        return if self.raw.len() > HEAD { Err(Broken::TooLong) } else { Ok(()) };
                    };
                    if end > HEAD {
                        return Err(Broken::TooLong);
                    }
                    let head: Vec<u8> = self.raw.drain(..end).collect();
                    self.head(&head)?;
                    searched = 0;
                }
                Stage::Counted(0) => self.stage = Stage::Done,
                Stage::Counted(left) | Stage::Chunk(left) => {
                    let taken = left.min(self.raw.len());
                    if taken == 0 && left > 0 {
                        return Ok(());
                    }
                    self.body(taken);
                    let left = left - taken;
                    self.stage = match self.stage {
                        _ if self.response.cut => Stage::Done,
                        Stage::Counted(_) => Stage::Counted(left),
                        _ if left == 0 => Stage::ChunkEnd,
                        _ => Stage::Chunk(left),
                    };
                }
                Stage::ChunkEnd => match self.raw.get(..2) {
                    None => return Ok(()),
                    Some(b"\r\n") => {
                        self.raw.drain(..2);
                        self.stage = Stage::ChunkSize;
                    }
                    Some(_) => return Err(Broken::NotHttp),
                },
                Stage::ChunkSize => {
                    let Some(line) = self.line()? else { return Ok(()) };
                    let size = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
                    let size =
                        std::str::from_utf8(size).ok().filter(|size| size.bytes().all(|b| b.is_ascii_hexdigit()));
                    let size = size.and_then(|size| usize::from_str_radix(size, 16).ok()).ok_or(Broken::NotHttp)?;
                    self.stage = if size == 0 { Stage::Trailer } else { Stage::Chunk(size) };
                }
                Stage::Trailer => {
                    let Some(line) = self.line()? else { return Ok(()) };
                    self.trailer += line.len() + 2;
                    if self.trailer > HEAD {
                        return Err(Broken::TooLong);
                    }
                    if line.is_empty() {
                        self.stage = Stage::Done;
                    }
                }
                Stage::ToEnd => {
                    self.body(self.raw.len());
                    if self.response.cut {
                        self.stage = Stage::Done;
                    }
                    return Ok(());
                }
                Stage::Done => return Ok(()),
            }
        }
    }

    /// The connection has ended.
    pub(super) fn end(&mut self) -> Result<(), Broken> {
        match self.stage {
            Stage::ToEnd => self.stage = Stage::Done,
            Stage::Done => {}
            _ => return Err(Broken::Half),
        }
        self.response.keeps = false;
        Ok(())
    }

    fn body(&mut self, len: usize) {
        let room = BODY - self.response.body.len();
        if len > room {
            self.response.cut = true;
            self.response.keeps = false;
        }
        self.response.body.extend_from_slice(&self.raw[..len.min(room)]);
        self.raw.drain(..len);
    }

    /// A line without its end, if there is one.
    fn line(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        match self.raw.windows(2).position(|two| two == b"\r\n") {
            Some(end) if end <= LINE => {
                let line = self.raw.drain(..end + 2).take(end).collect();
                Ok(Some(line))
            }
            None if self.raw.len() <= LINE => Ok(None),
            _ => Err(Broken::TooLong),
        }
    }

    fn head(&mut self, head: &[u8]) -> Result<(), Broken> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) | Err(_) => return Err(Broken::NotHttp),
        }
        let status = parsed.code.ok_or(Broken::NotHttp)?;
        if (100..200).contains(&status) {
            self.interim += 1;
            return if self.interim > INTERIM || status == 101 { Err(Broken::NotHttp) } else { Ok(()) };
        }
        let all = |name: &str| {
            let name = name.to_owned();
            let fits = move |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(&name);
            parsed
                .headers
                .iter()
                .filter(fits)
                .filter_map(|header| std::str::from_utf8(header.value).ok().map(str::trim))
        };
        let lists = |name: &str, word: &str| {
            all(name).flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
        };
        let response = &mut self.response;
        response.status = status;
        response.retry_after = all("retry-after").find_map(|value| value.parse().ok()).map(Duration::from_secs);
        response.location = all("x-ms-location").next().map(str::to_owned);
        let first = |name: &&str| all(name).next().map(|value| ((*name).to_owned(), value.to_owned()));
        response.telling = TELLING.iter().filter_map(first).collect();
        response.keeps =
            if parsed.version == Some(0) { lists("connection", "keep-alive") } else { !lists("connection", "close") };
        let mut lengths = all("content-length");
        let length = lengths.next();
        let same = lengths.all(|other| Some(other) == length);
        self.stage = match length {
            _ if matches!(status, 204 | 304) => Stage::Done,
            // Whoever says both is up to something (RFC 9112 §6.3).
            Some(_) if all("transfer-encoding").next().is_some() => return Err(Broken::NotHttp),
            _ if lists("transfer-encoding", "chunked") => Stage::ChunkSize,
            None if all("transfer-encoding").next().is_some() => return Err(Broken::NotHttp),
            Some(length) if same && length.bytes().all(|byte| byte.is_ascii_digit()) => {
                Stage::Counted(length.parse().map_err(|_| Broken::NotHttp)?)
            }
            Some(_) => return Err(Broken::NotHttp),
            None => Stage::ToEnd,
        };
        Ok(())
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
