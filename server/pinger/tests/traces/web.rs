//! A browser's call, by hand: gRPC-web over HTTP/1.1 carries a trace as well.

use prost::Message as _;
use proto::v1;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::harness::World;
use super::{GATEWAY, PHONE_SPAN, Scene, TRACE};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_s_trace_goes_on() {
    let scene = Scene::new(World::new().await, &[], &[]).await;
    let mut phone = scene.phone().await;
    phone.traceparent = None;
    phone.register().await.unwrap();
    let message = v1::GetSessionRequest { session_id: phone.session.clone() }.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let body = [&[0][..], &length, &message].concat();
    let head = format!(
        "POST /pinger.v1.DeviceService/GetSession HTTP/1.1\r\nhost: pinger\r\norigin: https://app.example.org\r\n\
         connection: close\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n\
         authorization: Bearer {}\r\ntraceparent: 00-{TRACE}-{PHONE_SPAN}-01\r\ncontent-length: {}\r\n\r\n",
        phone.token,
        body.len()
    );
    let mut stream = TcpStream::connect(scene.server.device_api.trim_start_matches("http://")).await.unwrap();
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("grpc-status:0"), "{answer}");

    let name = "pinger.v1.DeviceService/GetSession";
    let edge = scene.span(name, |span| span.name == name && span.trace_id == TRACE).await;
    assert_eq!((edge.service.as_str(), edge.parent_id.as_deref()), (GATEWAY, Some(PHONE_SPAN)));
    let internal = "pinger.internal.v1.BackendService/GetSession";
    scene.child(&scene.child(&edge, internal).await, internal).await;

    // A caller without a trace has one of its own.
    let name = "pinger.v1.DeviceService/Register";
    let register = scene.span(name, |span| span.name == name).await;
    assert_eq!(register.parent_id, None);
    assert_ne!(register.trace_id, TRACE);
}
