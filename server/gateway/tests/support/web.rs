//! gRPC-web by hand, as a browser's script sends it.

use std::collections::HashMap;

use prost::Message;
use tonic::Status;

/// What came back.
pub struct Answer {
    pub headers: reqwest::header::HeaderMap,
    pub message: Option<Vec<u8>>,
    pub trailers: HashMap<String, String>,
}

impl Answer {
    /// The status, wherever it stood: in the trailers of the body or, without a body, in the headers.
    pub fn status(&self) -> Option<Status> {
        let mut headers = http::HeaderMap::new();
        for (name, value) in &self.trailers {
            let name: http::HeaderName = name.parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        Status::from_header_map(&headers).or_else(|| Status::from_header_map(&self.headers))
    }
}

/// An HTTP/1.1 client.
pub fn client() -> reqwest::Client {
    peers::certificate::install_crypto_provider();
    reqwest::Client::builder().http1_only().build().unwrap()
}

/// One message with its prefix.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend(message);
    body
}

/// Sends a message and reads the answer's frames.
pub async fn post(
    client: &reqwest::Client,
    base: &str,
    method: &str,
    metadata: &[(&str, &str)],
    message: &impl Message,
) -> Answer {
    let mut request = client
        .post(format!("{base}/pinger.v1.DeviceService/{method}"))
        .header("content-type", "application/grpc-web+proto")
        .header("x-grpc-web", "1")
        .body(framed(&message.encode_to_vec()));
    for (name, value) in metadata {
        request = request.header(*name, *value);
    }
    read(request.send().await.unwrap()).await
}

/// Reads the frames of an answer.
pub async fn read(mut response: reqwest::Response) -> Answer {
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        body.extend(chunk);
    }
    let mut answer = Answer { headers, message: None, trailers: HashMap::new() };
    let mut rest = &body[..];
    while let [flags, a, b, c, d, tail @ ..] = rest {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap();
        let (frame, tail) = tail.split_at(length);
        if flags & 0x80 == 0 {
            answer.message = Some(frame.to_vec());
        } else {
            for line in std::str::from_utf8(frame).unwrap().lines() {
                let (name, value) = line.split_once(':').unwrap();
                answer.trailers.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
        rest = tail;
    }
    assert!(rest.is_empty());
    answer
}
