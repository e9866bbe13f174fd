//! Servers that are wrong in one way each: one stable failure for each, soon, and in bounded memory.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod imap_support;

use std::time::{Duration, Instant};

use backend::watch::imap::{Connection, Dialer};
use domain::{Failure, FailureCode, HostName, ImapTarget, Mechanism, Security};
use imap_support::{dialer, next, next_or_renew, password, short_deadlines, target, token, uid_next};
use peers::hostile::{HostileImap, Moment, Script, Transport, Trick};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const POLL: Duration = Duration::from_secs(60);

async fn server(script: Script, transport: Transport) -> (HostileImap, Dialer, ImapTarget) {
    let server = HostileImap::start_with(script, transport, None).await.unwrap();
    let dialer = dialer(server.authority(), server.address().port(), short_deadlines(), POLL);
    let security = match transport {
        Transport::Tls => Security::Tls,
        Transport::StartTls => Security::StartTls,
    };
    let target = target(server.address(), security, Mechanism::Plain);
    (server, dialer, target)
}

async fn connect(dialer: &Dialer, target: &ImapTarget) -> Result<Connection, Failure> {
    dialer.connect(target, &password("alice", "correct horse")).await
}

#[track_caller]
fn expect(failure: Option<Failure>, code: FailureCode, what: &dyn std::fmt::Debug) -> Failure {
    let failure = failure.unwrap_or_else(|| panic!("{what:?} passed"));
    assert_eq!(failure.code, code, "{what:?}: {failure}");
    for secret in ["alice", "correct horse"] {
        assert!(!failure.evidence.as_str().contains(secret), "{failure}");
    }
    failure
}

#[tokio::test]
async fn defects_of_the_connect() {
    use FailureCode as Code;
    let say = |line: &str| Trick::Say(line.to_owned());
    let at = Script::At;
    let tls = Transport::Tls;
    let cases = [
        (tls, Script::PlainTextOnTlsPort, Code::TlsFailed),
        (tls, Script::HangInTls, Code::GreetingTimeout),
        (tls, Script::WrongHostCertificate, Code::CertificateInvalid),
        (tls, Script::SelfSignedCertificate, Code::CertificateInvalid),
        (tls, Script::ExpiredCertificate, Code::CertificateInvalid),
        (tls, Script::LoginDisabled, Code::LoginDisabled),
        (Transport::StartTls, Script::WrongHostCertificate, Code::CertificateInvalid),
        (Transport::StartTls, Script::NoStartTls, Code::StartTlsMissing),
        (Transport::StartTls, Script::LoginDisabled, Code::StartTlsMissing),
        (Transport::StartTls, Script::InjectAfterStartTls, Code::ProtocolError),
        (Transport::StartTls, at(Moment::Greeting, say("* PREAUTH come in")), Code::ProtocolError),
        (tls, at(Moment::Greeting, say("* PREAUTH come in")), Code::ProtocolError),
        (tls, at(Moment::Greeting, Trick::Hang), Code::GreetingTimeout),
        (tls, at(Moment::Greeting, Trick::Close), Code::ConnectionLost),
        (tls, at(Moment::Greeting, Trick::CloseInMidLine), Code::ConnectionLost),
        (tls, at(Moment::Greeting, Trick::Garbage), Code::ProtocolError),
        (tls, at(Moment::Greeting, say("220 mail.example.org ESMTP")), Code::ProtocolError),
        (tls, at(Moment::Greeting, Trick::EndlessLine), Code::FloodRefused),
        (tls, at(Moment::Greeting, Trick::EndlessLiteral), Code::FloodRefused),
        (tls, Script::bye_at_greeting(), Code::ServerBye),
        (tls, at(Moment::Greeting, say("* BYE [ALERT] Too many connections")), Code::Throttled),
        (tls, Script::refuse_login(), Code::LoginRefused),
        (tls, at(Moment::Login, say("NO")), Code::LoginRefused),
        (tls, at(Moment::Login, say("NO alice, correct horse is wrong")), Code::LoginRefused),
        (tls, at(Moment::Login, say("NO [ALERT]\u{e9} no")), Code::LoginRefused),
        (tls, at(Moment::Login, say("BAD what?")), Code::ProtocolError),
        (tls, Script::unavailable(), Code::Throttled),
        (tls, Script::too_many_connections(), Code::Throttled),
        (tls, at(Moment::Login, Trick::Bye), Code::ServerBye),
        (tls, at(Moment::Login, Trick::Hang), Code::CommandTimeout),
        (tls, at(Moment::Login, Trick::Close), Code::ConnectionLost),
        (tls, at(Moment::Login, Trick::CloseInMidLine), Code::ConnectionLost),
        (tls, at(Moment::Login, Trick::Garbage), Code::ProtocolError),
        (tls, at(Moment::Login, Trick::EndlessLine), Code::FloodRefused),
        (tls, at(Moment::Login, Trick::EndlessLines), Code::FloodRefused),
        (tls, at(Moment::Login, Trick::EndlessLiteral), Code::FloodRefused),
        (tls, at(Moment::AfterLogin, Trick::Hang), Code::CommandTimeout),
        (tls, at(Moment::AfterLogin, Trick::Close), Code::ConnectionLost),
        (tls, at(Moment::AfterLogin, Trick::CloseInMidLine), Code::ConnectionLost),
        (tls, at(Moment::AfterLogin, Trick::Bye), Code::ServerBye),
        (tls, at(Moment::AfterLogin, Trick::Garbage), Code::ProtocolError),
        (tls, at(Moment::AfterLogin, Trick::EndlessLine), Code::FloodRefused),
        (tls, at(Moment::AfterLogin, Trick::EndlessLines), Code::FloodRefused),
        (tls, Script::refuse_examine(), Code::MailboxMissing),
        (tls, at(Moment::Examine, say("NO [UNAVAILABLE] later")), Code::Throttled),
        (tls, at(Moment::Examine, say("OK nothing to tell")), Code::CommandTimeout),
        (tls, at(Moment::Examine, Trick::Hang), Code::CommandTimeout),
        (tls, at(Moment::Examine, Trick::Bye), Code::ServerBye),
        (tls, at(Moment::Examine, Trick::EndlessLine), Code::FloodRefused),
        (tls, at(Moment::Examine, Trick::EndlessLines), Code::FloodRefused),
        (tls, at(Moment::Examine, Trick::EndlessLiteral), Code::FloodRefused),
    ];
    for (transport, script, code) in cases {
        // EXAMINE without UIDVALIDITY is made good by STATUS.
        if script == at(Moment::Examine, say("OK nothing to tell")) {
            let (_server, dialer, target) = server(script, transport).await;
            let connection = connect(&dialer, &target).await.unwrap();
            assert_eq!(uid_next(connection.mailbox()), 1);
            continue;
        }
        let (server, dialer, target) = server(script.clone(), transport).await;
        let begin = Instant::now();
        expect(connect(&dialer, &target).await.err(), code, &script);
        assert!(begin.elapsed() < Duration::from_secs(10), "{script:?} took {:?}", begin.elapsed());
        // What was read is bounded by us; the rest is in the kernel's buffers.
        assert!(server.flooded_bytes() < 16 << 20, "{script:?}: {} bytes", server.flooded_bytes());
        // Nothing secret in clear, and never a second try.
        for event in server.events() {
            if let peers::hostile::Event::Command { encrypted: false, line, .. } = event {
                assert!(!line.starts_with("LOGIN") && !line.starts_with("AUTH"), "{script:?}: {line}");
            }
        }
        assert!(server.connects() == 1 && server.logins() <= 1, "{script:?}");
    }
}

#[tokio::test]
async fn defects_of_the_watch() {
    use FailureCode as Code;
    let say = |line: &str| Trick::Say(line.to_owned());
    let cases = [
        (Moment::Idle, Trick::Hang, Code::CommandTimeout),
        (Moment::Idle, Trick::Close, Code::ConnectionLost),
        (Moment::Idle, say("NO [UNAVAILABLE] later"), Code::Throttled),
        (Moment::Idle, Trick::Garbage, Code::ProtocolError),
        (Moment::Idle, Trick::EndlessLine, Code::FloodRefused),
        (Moment::Idling, Trick::Close, Code::ConnectionLost),
        (Moment::Idling, Trick::CloseInMidLine, Code::ConnectionLost),
        (Moment::Idling, Trick::Bye, Code::ServerBye),
        (Moment::Idling, say("* BYE [UNAVAILABLE] overload"), Code::Throttled),
        (Moment::Idling, say("* OK [UIDVALIDITY 99] renumbered"), Code::ConnectionLost),
        (Moment::Idling, Trick::Garbage, Code::ProtocolError),
        (Moment::Idling, Trick::EndlessLine, Code::FloodRefused),
        (Moment::Idling, Trick::EndlessLines, Code::FloodRefused),
        (Moment::Idling, Trick::EndlessLiteral, Code::FloodRefused),
    ];
    for (moment, trick, code) in cases {
        let script = Script::At(moment, trick);
        let (server, dialer, target) = server(script.clone(), Transport::Tls).await;
        let mut connection = connect(&dialer, &target).await.unwrap();
        expect(next(&mut connection).await.err(), code, &script);
        assert!(server.flooded_bytes() < 16 << 20, "{script:?}: {} bytes", server.flooded_bytes());
    }
}

#[tokio::test]
async fn an_idle_that_hangs_is_found_out_at_its_renewal() {
    let (server, dialer, target) = server(Script::Healthy, Transport::Tls).await;
    let mut connection = connect(&dialer, &target).await.unwrap();
    let renew = Duration::from_millis(500);
    assert!(tokio::time::timeout(Duration::from_millis(200), next_or_renew(&mut connection, renew)).await.is_err());
    server.play(Script::At(Moment::Idling, Trick::Hang));
    let failure = next_or_renew(&mut connection, renew).await.err();
    let failure = expect(failure, FailureCode::CommandTimeout, &"DONE");
    assert!(failure.evidence.as_str().contains("DONE"), "{failure}");
}

#[tokio::test]
async fn an_idle_that_lies_is_found_out_at_its_renewal() {
    let (server, dialer, target) = server(Script::LyingIdle, Transport::Tls).await;
    let mut connection = connect(&dialer, &target).await.unwrap();
    server.deliver();
    let mailbox =
        tokio::time::timeout(Duration::from_secs(5), next_or_renew(&mut connection, Duration::from_millis(300))).await;
    assert_eq!(uid_next(mailbox.unwrap().unwrap()), 2);
    server.deliver();
    assert_eq!(uid_next(connection.ping().await.unwrap()), 3);
}

#[tokio::test]
async fn an_idle_that_is_refused_becomes_polls() {
    let script = Script::At(Moment::Idle, Trick::Say("BAD not really".to_owned()));
    let server = HostileImap::start(script).await.unwrap();
    let poll = Duration::from_millis(200);
    let dialer = dialer(server.authority(), server.address().port(), short_deadlines(), poll);
    let mut connection = connect(&dialer, &target(server.address(), Security::Tls, Mechanism::Plain)).await.unwrap();
    for expect in 2..5 {
        server.deliver();
        assert_eq!(uid_next(next(&mut connection).await.unwrap()), expect);
    }
}

#[tokio::test]
async fn addresses_and_ports() {
    let closed = peers::closed_port().unwrap();
    let (server, dialer, mut target) = server(Script::Healthy, Transport::Tls).await;
    let here = target.host.clone();
    for (host, port, code) in [
        ("absent.invalid", target.port, FailureCode::HostNotFound),
        ("10.0.0.1", target.port, FailureCode::AddressBlocked),
        ("169.254.169.254", target.port, FailureCode::AddressBlocked),
        (here.as_str(), 22, FailureCode::AddressBlocked),
    ] {
        let wrong = ImapTarget { host: HostName::parse(host).unwrap(), port, ..target.clone() };
        expect(connect(&dialer, &wrong).await.err(), code, &host);
    }
    assert_eq!(server.connects(), 0);
    let other = imap_support::dialer(server.authority(), closed.port(), short_deadlines(), POLL);
    target.port = closed.port();
    expect(connect(&other, &target).await.err(), FailureCode::ConnectRefused, &"closed");
}

/// Lines that stop `imap-proto`: a panic, and an overflow of the stack which would end the whole process.
#[tokio::test]
async fn lines_that_are_fatal_to_others() {
    let nested = format!("* 1 FETCH (BODYSTRUCTURE {}", "(".repeat(8000));
    let long = "* OK ".to_owned() + &"\u{e9}".repeat(4000);
    for line in [nested.as_str(), "* OK [ALERT]\u{e9}", "* 1 FETCH (UID", "* NO [ALERT]\u{e9}", &long] {
        for moment in [Moment::AfterLogin, Moment::Idling] {
            let script = Script::At(moment, Trick::Say(line.to_owned()));
            let (server, dialer, target) = server(script, Transport::Tls).await;
            let mut connection = connect(&dialer, &target).await.unwrap();
            server.deliver();
            assert_eq!(uid_next(next(&mut connection).await.unwrap()), 2);
        }
    }
    // Before the greeting's end and in the middle of a login, over a server of its own.
    for line in [nested.as_str(), "* OK [ALERT]\u{e9}", "+ \u{e9}"] {
        let code = scripted_login(line).await;
        assert_eq!(code, FailureCode::LoginRefused, "{}", line.get(..20).unwrap_or(line));
    }
}

/// Logs in by XOAUTH2 to a server that says `line` before it refuses.
async fn scripted_login(line: &str) -> FailureCode {
    let authority = peers::certificate::Authority::new().unwrap();
    let config = authority.issue_server().unwrap().server_config(&[]).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let line = line.to_owned();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = tokio_rustls::TlsAcceptor::from(config).accept(stream).await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(b"* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2]\r\n").await.unwrap();
        let mut command = String::new();
        stream.read_line(&mut command).await.unwrap();
        let tag = command.split(' ').next().unwrap().to_owned();
        if line.starts_with('+') {
            stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        } else {
            stream.write_all(format!("+\r\n{line}\r\n").as_bytes()).await.unwrap();
        }
        stream.read_line(&mut command).await.unwrap();
        // The error comes as a challenge, to be answered with an empty line (XOAUTH2).
        stream.write_all(b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n").await.unwrap();
        command.clear();
        stream.read_line(&mut command).await.unwrap();
        assert_eq!(command, "\r\n");
        stream.write_all(format!("{tag} NO [ALERT]\u{e9} no\r\n").as_bytes()).await.unwrap();
        let _ = stream.read_line(&mut command).await;
    });
    let dialer = dialer(&authority, address.port(), short_deadlines(), POLL);
    let target = target(address, Security::Tls, Mechanism::XOAuth2);
    let failure = dialer.connect(&target, &token("alice", "token-1")).await.err().unwrap();
    server.await.unwrap();
    failure.code
}

/// What makes an idle session small: its own size, and that of the futures which its task keeps.
#[tokio::test]
async fn sizes() {
    let (_server, dialer, target) = server(Script::Healthy, Transport::Tls).await;
    let credential = password("alice", "correct horse");
    let connecting = dialer.connect(&target, &credential);
    let connect_size = size_of_val(&connecting);
    let mut connection = connecting.await.unwrap();
    let connection_size = size_of_val(&connection);
    let changed_size = size_of_val(&connection.changed(imap_support::RENEW));
    let news_size = size_of_val(&connection.news());
    let ping_size = size_of_val(&connection.ping());
    println!(
        "connect {connect_size}, connection {connection_size}, changed {changed_size}, news {news_size}, ping {ping_size} bytes"
    );
    assert!(connect_size <= 1024, "{connect_size}");
    assert!(connection_size <= 384, "{connection_size}");
    assert!(changed_size <= 512, "{changed_size}");
    assert!(news_size <= 1024, "{news_size}");
    assert!(ping_size <= 1024, "{ping_size}");
}
