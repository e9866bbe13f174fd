//! One connection of a sender: HTTP/2 over TLS.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::check::{self, header};
use super::{Answer, ReceivedPush, State};
use crate::record::lock;

/// More than this of a body isn't even read.
const READ_LIMIT: usize = 64 * 1024;

pub(super) async fn serve(stream: TcpStream, tls: TlsAcceptor, state: Arc<State>) {
    // A client that refuses our certificate, or shows none, is a test's business and not ours.
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    // Apple speaks nothing else; a sender without ALPN would get no further there.
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return;
    }
    let connection = state.connections.fetch_add(1, Ordering::Relaxed) + 1;
    let cut = CancellationToken::new();
    let service = service_fn(|request| answer(request, connection, Arc::clone(&state), cut.clone()));
    let serving =
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // How a connection ends is nothing a receiver of pushes could do something about.
        _ = serving => {}
        () = cut.cancelled() => {}
    }
}

async fn answer(
    request: Request<Incoming>,
    connection: u64,
    state: Arc<State>,
    cut: CancellationToken,
) -> Result<Response<Full<Bytes>>> {
    let (at, at_time) = (Instant::now(), SystemTime::now());
    let (head, body) = request.into_parts();
    let body = Limited::new(body, READ_LIMIT).collect().await.map(|body| body.to_bytes());
    let path = head.uri.path();
    let token = path.strip_prefix("/3/device/").unwrap_or(path).to_owned();

    let checked = check::device_token(&head.method, path).and_then(|_| check_all(&head.headers, &body, &state));
    let valid = checked.is_ok();
    let answer = checked.err().unwrap_or_else(|| state.answer_for(&token));
    let latency = *lock(&state.latency);
    if latency > Duration::ZERO {
        tokio::time::sleep(latency).await;
    }

    let payload = body.as_ref().ok().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or(Value::Null);
    let text = |name| header(&head.headers, name).map(str::to_owned);
    let apns_id = text("apns-id").unwrap_or_else(|| uuid::Uuid::new_v4().to_string().to_uppercase());
    let (status, reason) = answer.status_and_reason().map_or((None, ""), |(status, reason)| (Some(status), reason));
    state.pushes.push(ReceivedPush {
        token,
        topic: text("apns-topic"),
        push_type: text("apns-push-type"),
        priority: text("apns-priority"),
        expiration: text("apns-expiration").and_then(|seconds| seconds.parse().ok()),
        collapse_id: text("apns-collapse-id"),
        apns_id: apns_id.clone(),
        warnings: check::warnings(&head.headers, &payload),
        headers: head.headers,
        payload,
        payload_bytes: body.as_ref().map_or(READ_LIMIT, Bytes::len),
        at,
        at_time,
        connection,
        valid,
        status,
        reason: reason.to_owned(),
    });
    respond(&answer, status, &apns_id, &cut).await
}

fn check_all<E>(headers: &HeaderMap, body: &Result<Bytes, E>, state: &State) -> Result<(), Answer> {
    if let Some(token_check) = &state.token_check {
        token_check.check(header(headers, "authorization"))?;
    }
    check::headers(headers, &state.topics)?;
    check::payload(body.as_ref().map_err(|_| Answer::PayloadTooLarge)?)?;
    Ok(())
}

async fn respond(
    answer: &Answer,
    status: Option<StatusCode>,
    apns_id: &str,
    cut: &CancellationToken,
) -> Result<Response<Full<Bytes>>> {
    let Some(status) = status else {
        return match answer {
            Answer::Hang => std::future::pending().await,
            Answer::Disconnect => {
                cut.cancel();
                std::future::pending().await
            }
            _ => Err(anyhow::anyhow!("reset, as the test wants it")),
        };
    };
    let mut response = Response::builder().status(status).header("apns-id", apns_id);
    if let Answer::ServiceUnavailable { retry_after: Some(delay) } = answer {
        response = response.header("retry-after", delay.as_secs());
    }
    if status == StatusCode::OK {
        response = response.header("apns-unique-id", uuid::Uuid::new_v4().to_string());
    }
    Ok(response.body(Full::new(Bytes::from(answer.body())))?)
}
