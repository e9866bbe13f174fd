//! Bytes on the public port that are no calls.

use std::time::Duration;

use proto::v1;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Status;

use super::harness::{APP_KEY, Phone, fields, with_app_key};
use super::{Scene, refused};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

fn address(scene: &Scene) -> &str {
    scene.server.device_api.trim_start_matches("http://")
}

/// A gRPC-web call over HTTP/1.1, by hand. Without an answer that can be read there is none.
async fn call(scene: &Scene, path: &str, body: &[u8]) -> Status {
    let mut stream = TcpStream::connect(address(scene)).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: pinger\r\nconnection: close\r\ncontent-type: application/grpc-web+proto\r\n\
         x-pinger-app-key: {APP_KEY}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut answer = Vec::new();
    timeout(super::PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer").unwrap();
    let text = String::from_utf8_lossy(&answer);
    let mut headers = http::HeaderMap::new();
    for line in text.lines().filter(|line| line.contains("grpc-")) {
        let at = line.find("grpc-").unwrap();
        if let Some((name, value)) = line[at..].split_once(':') {
            let (name, value) = (name.parse::<http::HeaderName>().unwrap(), value.trim().parse().unwrap());
            headers.insert(name, value);
        }
    }
    Status::from_header_map(&headers).unwrap_or_else(|| panic!("no status in {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_and_messages_that_are_none() {
    let scene = Scene::new(&[], "").await;
    let empty = [0, 0, 0, 0, 0];
    for path in [
        "/",
        "/pinger.v1.DeviceService/Steal",
        "/pinger.v1.DeviceService/register",
        "/pinger.internal.v1.BackendService/GetPublicKeys",
        "/pinger.internal.v1.BackendService/Register",
        "/../../etc/passwd",
    ] {
        refused::<()>(Err(call(&scene, path, &empty).await), "METHOD_UNKNOWN");
    }
    let register = "/pinger.v1.DeviceService/Register";
    let prefixed = |length: u32, bytes: &[u8]| [&[0][..], &length.to_be_bytes(), bytes].concat();
    // A message that is none; a length that never comes; a compression that we don't know.
    let status = refused::<()>(Err(call(&scene, register, &prefixed(4, &[0xff; 4])).await), "FIELD_INVALID");
    assert_eq!(fields(&status), ["request"]);
    refused::<()>(Err(call(&scene, register, &prefixed(u32::MAX, b"short")).await), "REQUEST_TOO_LARGE");
    for body in [&b""[..], &[0, 0], &prefixed(100, b"short"), &[1, 0, 0, 0, 1, 7], &[9, 0, 0, 0, 0]] {
        let status = call(&scene, register, body).await;
        assert_ne!(status.code(), tonic::Code::Ok, "{body:?}");
        assert!(!status.message().contains("panic"), "{status:?}");
    }
    scene.ends_well(&[]).await;
}

/// One frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// POST / with an authority, in HPACK's static table.
const HEADERS: &[u8] = &[0x83, 0x86, 0x84, 0x41, 0x01, b'x'];

fn garbage() -> Vec<(&'static str, Vec<u8>)> {
    let h2 = |frames: &[u8]| [PREFACE, SETTINGS, frames].concat();
    let noise: Vec<u8> = (0..20_000_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect();
    let resets =
        (0..2_000_u32).flat_map(|n| [frame(1, 4, 2 * n + 1, HEADERS), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat());
    let pings = (0..5_000).flat_map(|_| frame(6, 0, 0, &[0; 8]));
    let settings = (0..5_000).flat_map(|_| SETTINGS.to_vec());
    let empties = (0..5_000).flat_map(|_| frame(0, 0, 1, &[]));
    vec![
        ("nothing", Vec::new()),
        ("noise", noise.clone()),
        ("a TLS hello", [&[0x16, 3, 1, 2, 0][..], &noise[..200]].concat()),
        ("half a preface", PREFACE[..10].to_vec()),
        ("a preface", PREFACE.to_vec()),
        ("noise as frames", [PREFACE, &noise].concat()),
        ("a frame that is too large", h2(&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1])),
        ("an unknown frame", h2(&frame(0xee, 0xff, 1, b"?"))),
        ("data of no stream", h2(&frame(0, 0, 9, b"data"))),
        ("headers that are none", h2(&frame(1, 4, 1, &[0xff; 60]))),
        ("headers that never end", h2(&[frame(1, 0, 1, HEADERS), frame(9, 0, 1, HEADERS).repeat(5_000)].concat())),
        ("a stream of the server's", h2(&frame(1, 4, 2, HEADERS))),
        ("a call without its body", h2(&frame(1, 4, 1, HEADERS))),
        ("a window beyond its size", h2(&frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]))),
        ("streams that are reset at once", h2(&resets.collect::<Vec<_>>())),
        ("pings", h2(&pings.collect::<Vec<_>>())),
        ("settings", h2(&settings.collect::<Vec<_>>())),
        ("empty data", h2(&[frame(1, 4, 1, HEADERS), empties.collect()].concat())),
        ("half an HTTP/1.1 request", b"POST /pinger.v1.DeviceService/Register HTTP/1.1\r\nhost: x\r\nconte".to_vec()),
        ("a body that never comes", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nx".to_vec()),
        ("a chunk of no size", b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec()),
        ("two lengths", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx".to_vec()),
        ("endless headers", [&b"GET / HTTP/1.1\r\n"[..], &b"x: y\r\n".repeat(50_000)].concat()),
        ("an endless line", [&b"GET /"[..], &b"a".repeat(2_000_000)].concat()),
        ("another protocol", b"* 1 FETCH (FLAGS ())\r\nEHLO example.org\r\n\0\0\0".to_vec()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_port_bears_garbage() {
    let scene = Scene::new(&[], "").await;
    let mut open = Vec::new();
    for (what, bytes) in garbage() {
        for leave in [true, false] {
            let mut stream = TcpStream::connect(address(&scene)).await.unwrap();
            // The server may hang up in the middle of it.
            let _ = timeout(Duration::from_secs(5), stream.write_all(&bytes)).await.unwrap_or(Ok(()));
            if !leave {
                open.push(stream);
            }
        }
        // On the connection that there was, and on a new one.
        scene.healthy.status().await.unwrap_or_else(|status| panic!("after {what}: {status:?}"));
    }
    for _ in 0..200 {
        open.push(TcpStream::connect(address(&scene)).await.unwrap());
    }
    let fresh = Phone::new(&scene.server, &scene.healthy.account).await;
    fresh.client.clone().get_sealing_keys(with_app_key(v1::GetSealingKeysRequest {})).await.unwrap();
    scene.ends_well(&[]).await;
    drop(open);
}
