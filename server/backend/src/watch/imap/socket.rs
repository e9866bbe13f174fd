//! What is set on the socket of a mail server.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// After so much silence, the other end is asked whether it is still there. Less than any NAT forgets a connection after.
const KEEP_ALIVE_TIME: Duration = Duration::from_secs(60);

/// How soon it is asked again.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// After so many questions without an answer the connection is broken: two minutes after the other end went away.
const KEEP_ALIVE_RETRIES: u32 = 4;

/// Commands are small and each waits for its answer, so nothing is held back; and a connection of which only our end is left
/// is found out long before IDLE is renewed.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keep_alive = TcpKeepalive::new()
        .with_time(KEEP_ALIVE_TIME)
        .with_interval(KEEP_ALIVE_INTERVAL)
        .with_retries(KEEP_ALIVE_RETRIES);
    SockRef::from(stream).set_tcp_keepalive(&keep_alive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn half_open_connections_are_found_out_by_the_kernel() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        prepare(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), 60);
        assert_eq!(socket.tcp_keepalive_interval().unwrap().as_secs(), 15);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
    }
}
