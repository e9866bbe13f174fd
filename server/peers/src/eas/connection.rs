//! One connection: HTTP/1.1 by hand, so that every way to get it wrong is at hand too.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

use super::{Asked, EasEvent, Mailbox, Manner, SeenRequest, Shared, ping_answer, read_request, sync_answer};

pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    connection: u64,
    shared: &Shared,
) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut request = read(&mut stream, connection).await?;
        request.authorized = authorized(&request, shared);
        let (asked, authorized) = (read_request(&request.body), request.authorized);
        shared.record.push(EasEvent::Request(request));
        let manner = shared.manner.borrow().clone();
        match manner {
            Manner::Status(status, headers) => answer(&mut stream, status, &headers, b"").await?,
            Manner::Body(body) => answer(&mut stream, 200, &[], &body).await?,
            Manner::Half => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n\x03\x01").await?;
                stream.flush().await?;
                return Ok(());
            }
            Manner::EndlessBody => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n").await?;
                loop {
                    stream.write_all(&[b'x'; 4096]).await?;
                }
            }
            Manner::EndlessHead => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
                loop {
                    stream.write_all(b"X-Padding: and there is more where this comes from\r\n").await?;
                }
            }
            Manner::Hang => given_up(&mut stream, connection, shared).await?,
            Manner::Healthy | Manner::TooFast if !authorized => {
                let headers = [("WWW-Authenticate".to_owned(), "Basic realm=\"mail\"".to_owned())];
                answer(&mut stream, 401, &headers, b"").await?;
            }
            Manner::Healthy | Manner::TooFast => match asked {
                Some((asked, heartbeat)) => {
                    let heartbeat = if manner == Manner::TooFast { Duration::ZERO } else { heartbeat };
                    poll(&mut stream, connection, asked, heartbeat, shared).await?;
                }
                None => answer(&mut stream, 400, &[], b"").await?,
            },
        }
    }
}

/// Waits for news and answers, unless the client leaves first.
async fn poll<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    connection: u64,
    asked: Asked,
    heartbeat: Duration,
    shared: &Shared,
) -> Result<()> {
    let mut mailbox = shared.mailbox.subscribe();
    let news = |mailbox: &Mailbox| match asked {
        Asked::Ping => mailbox.came > mailbox.synced,
        Asked::Sync { key } => mailbox.came > key,
    };
    let changed = tokio::select! {
        changed = tokio::time::timeout(heartbeat, mailbox.wait_for(news)) => matches!(changed, Ok(Ok(_))),
        left = given_up(stream, connection, shared) => return left,
    };
    let body = match (asked, changed) {
        (Asked::Ping, true) => ping_answer(2, &["5"]),
        (Asked::Ping, false) => ping_answer(1, &[]),
        (Asked::Sync { .. }, true) => sync_answer(1, 1, true),
        (Asked::Sync { .. }, false) => Vec::new(),
    };
    answer(stream, 200, &[], &body).await
}

/// Until the client hangs up. It must not say anything meanwhile.
async fn given_up<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    connection: u64,
    shared: &Shared,
) -> Result<()> {
    let more = stream.fill_buf().await.map(<[u8]>::len).unwrap_or(0);
    if more == 0 {
        shared.record.push(EasEvent::GivenUp { connection });
    }
    bail!("the client has left, or talks into its poll");
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<()> {
    let mut head = format!("HTTP/1.1 {status} \r\nContent-Type: application/vnd.ms-sync.wbxml\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    stream.flush().await?;
    Ok(())
}

async fn read<S: AsyncRead + Unpin>(stream: &mut BufReader<S>, connection: u64) -> Result<SeenRequest> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let path = line.strip_prefix("POST ").and_then(|rest| rest.split(' ').next()).context("not a POST")?.to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").context("no length")?.1.parse()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(SeenRequest { connection, path, headers, body, authorized: false })
}

/// Whether the credential is right, and the `User` of the query is the account's name.
fn authorized(request: &SeenRequest, shared: &Shared) -> bool {
    let Some(authorization) = request.header("authorization") else { return false };
    if let Some(token) = authorization.strip_prefix("Bearer ") {
        return shared.options.tokens.iter().any(|known| known == token);
    }
    let Some(basic) = authorization.strip_prefix("Basic ") else { return false };
    shared.options.users.iter().any(|(name, password)| {
        let user = name.replace('@', "%40").replace('\\', "%5C");
        basic == STANDARD.encode(format!("{name}:{password}"))
            && request.path.split(['?', '&']).any(|parameter| parameter == format!("User={user}"))
    })
}
