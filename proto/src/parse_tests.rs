use super::*;

fn valid() -> v1::RegisterRequest {
    v1::RegisterRequest {
        user_id: "user-1".to_owned(),
        device: Some(v1::Device {
            device_id: "device-1".to_owned(),
            platform: v1::Platform::Ios.into(),
            os_version: "19.1".to_owned(),
            app_version: "4.2".to_owned(),
        }),
        context: "account-1".to_owned(),
        push_target: Some(v1::PushTarget {
            service: Some(v1::push_target::Service::Apns(v1::ApnsTarget {
                token: "ab".repeat(32),
                topic: "org.example.mail".to_owned(),
                environment: v1::ApnsEnvironment::Production.into(),
                push_type: v1::ApnsPushType::Background.into(),
            })),
        }),
        mail_target: Some(v1::MailTarget {
            server: Some(v1::mail_target::Server::Imap(v1::ImapTarget {
                host: "imap.example.org".to_owned(),
                port: 993,
                security: v1::ImapSecurity::Tls.into(),
                mailbox: String::new(),
                mechanism: v1::ImapMechanism::Plain.into(),
            })),
        }),
        credential: Some(v1::SealedCredential {
            key_id: "key-1".to_owned(),
            encapsulated_key: vec![1; 32].into(),
            ciphertext: vec![2; 272].into(),
        }),
        timings: None,
        baseline: None,
    }
}

fn imap(request: &mut v1::RegisterRequest) -> &mut v1::ImapTarget {
    match request.mail_target.as_mut().unwrap().server.as_mut().unwrap() {
        v1::mail_target::Server::Imap(imap) => imap,
        v1::mail_target::Server::Eas(_) => unreachable!("it is an IMAP target"),
    }
}

/// The same registration, of an ActiveSync server.
fn eas(change: impl FnOnce(&mut v1::EasTarget)) -> impl FnOnce(&mut v1::RegisterRequest) {
    let header = |name: &str, value: &str| v1::EasHeader { name: name.to_owned(), value: value.to_owned() };
    let mut target = v1::EasTarget {
        url: "https://eas.example.org/Microsoft-Server-ActiveSync?Cmd=Ping&DeviceId=A1&DeviceType=Phone".to_owned(),
        command: v1::EasCommand::Ping.into(),
        authentication: v1::EasAuthentication::Basic.into(),
        request: Some(v1::EasRequest {
            headers: vec![header("MS-ASProtocolVersion", "14.1"), header("X-MS-PolicyKey", "307199232")],
            body: vec![3, 1, 0x6a, 0].into(),
            no_change_body: vec![3, 1, 0x6a, 0].into(),
        }),
    };
    change(&mut target);
    |request| request.mail_target = Some(v1::MailTarget { server: Some(v1::mail_target::Server::Eas(target)) })
}

fn apns(request: &mut v1::RegisterRequest) -> &mut v1::ApnsTarget {
    let v1::push_target::Service::Apns(apns) = request.push_target.as_mut().unwrap().service.as_mut().unwrap();
    apns
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

#[track_caller]
fn check(change: impl FnOnce(&mut v1::RegisterRequest), expect: &[&str]) {
    let mut request = valid();
    change(&mut request);
    let fields = match registration(&request, &Limits::default()) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.into_iter().map(|violation| violation.field).collect(),
    };
    assert_eq!(fields, expect);
}

#[test]
fn each_wrong_field_is_named() {
    check(|_| {}, &[]);
    check(|r| r.user_id.clear(), &["user_id"]);
    check(|r| r.user_id = "anna@example.org".to_owned(), &["user_id"]);
    check(|r| r.user_id = "x".repeat(65), &["user_id"]);
    check(|r| r.context = "1234".to_owned(), &["context"]);
    check(|r| r.device = None, &["device"]);
    check(|r| r.device.as_mut().unwrap().device_id.clear(), &["device.device_id"]);
    check(|r| r.device.as_mut().unwrap().platform = 0, &["device.platform"]);
    check(|r| r.device.as_mut().unwrap().platform = 99, &["device.platform"]);
    check(|r| r.device.as_mut().unwrap().os_version = "\n".to_owned(), &["device.os_version"]);
    check(|r| r.device.as_mut().unwrap().app_version = "x".repeat(65), &["device.app_version"]);
    check(|r| r.push_target = None, &["push_target"]);
    check(|r| r.push_target.as_mut().unwrap().service = None, &["push_target"]);
    check(|r| apns(r).token = "xyz".to_owned(), &["push_target.apns.token"]);
    check(|r| apns(r).topic = "a b".to_owned(), &["push_target.apns.topic"]);
    check(|r| apns(r).environment = 7, &["push_target.apns.environment"]);
    check(|r| apns(r).push_type = 7, &["push_target.apns.push_type"]);
    check(|r| r.mail_target = None, &["mail_target"]);
    check(|r| r.mail_target.as_mut().unwrap().server = None, &["mail_target.imap"]);
    check(|r| imap(r).host = "a b".to_owned(), &["mail_target.imap.host"]);
    check(|r| imap(r).port = 0, &["mail_target.imap.port"]);
    check(|r| imap(r).port = 70_000, &["mail_target.imap.port"]);
    check(|r| imap(r).security = 0, &["mail_target.imap.security"]);
    check(|r| imap(r).security = 3, &["mail_target.imap.security"]);
    check(|r| imap(r).mechanism = -1, &["mail_target.imap.mechanism"]);
    check(|r| imap(r).mailbox = "a\r\nb".to_owned(), &["mail_target.imap.mailbox"]);
    check(|r| r.credential = None, &["credential"]);
    check(|r| r.credential.as_mut().unwrap().key_id.clear(), &["credential.key_id"]);
    check(|r| r.credential.as_mut().unwrap().encapsulated_key = vec![0; 31].into(), &["credential.encapsulated_key"]);
    check(|r| r.credential.as_mut().unwrap().ciphertext = vec![0; 271].into(), &["credential.ciphertext"]);
    check(|r| r.credential.as_mut().unwrap().ciphertext = vec![0; 16_656].into(), &["credential.ciphertext"]);
    let timings =
        |wait, response, lifetime| Some(v1::Timings { wait_before_use: wait, response_timeout: response, lifetime });
    check(|r| r.timings = timings(seconds(601), None, None), &["timings.wait_before_use"]);
    check(|r| r.timings = timings(seconds(-1), None, None), &["timings.wait_before_use"]);
    check(|r| r.timings = timings(None, seconds(3601), None), &["timings.response_timeout"]);
    check(|r| r.timings = timings(None, None, seconds(172_801)), &["timings.lifetime"]);
    check(|r| r.timings = timings(None, None, seconds(1)), &["timings.lifetime"]);
    check(|r| r.timings = timings(seconds(600), seconds(3600), seconds(172_800)), &[]);
    let baseline =
        |uid_validity, uid_next, highest_modseq| Some(v1::Baseline { uid_validity, uid_next, highest_modseq });
    check(|r| r.baseline = baseline(0, 1, 0), &["baseline.uid_validity"]);
    check(|r| r.baseline = baseline(1, 0, 0), &["baseline.uid_next"]);
    check(|r| r.baseline = baseline(1, 1, u64::MAX), &["baseline.highest_modseq"]);
}

#[test]
fn each_wrong_field_of_an_activesync_target_is_named() {
    const URL: &str = "mail_target.eas.url";
    check(eas(|_| {}), &[]);
    check(eas(|eas| eas.url.clear()), &[URL]);
    check(eas(|eas| eas.url = eas.url.replace("https", "http")), &[URL]);
    check(eas(|eas| eas.url.push_str("&User=anna")), &[URL]);
    check(eas(|eas| eas.url = eas.url.replace("Cmd=Ping", "Cmd=Sync")), &[URL]);
    check(eas(|eas| eas.url.push_str(&"x".repeat(2048))), &[URL]);
    check(eas(|eas| eas.command = 0), &["mail_target.eas.command"]);
    check(eas(|eas| eas.command = 9), &["mail_target.eas.command"]);
    check(eas(|eas| eas.authentication = 0), &["mail_target.eas.authentication"]);
    check(eas(|eas| eas.request = None), &["mail_target.eas.request"]);
    let request = |change: fn(&mut v1::EasRequest)| eas(move |eas| change(eas.request.as_mut().unwrap()));
    check(request(|request| request.headers[1].name = "Cookie".to_owned()), &["mail_target.eas.request.headers[1]"]);
    check(request(|request| request.headers[0].value = "a\r\nb".to_owned()), &["mail_target.eas.request.headers[0]"]);
    check(request(|request| request.headers = vec![request.headers[0].clone(); 17]), &["mail_target.eas.request"]);
    check(request(|request| request.body = vec![0; 8193].into()), &["mail_target.eas.request"]);
    check(request(|request| request.no_change_body = vec![0; 1025].into()), &["mail_target.eas.request"]);
    let baseline = v1::Baseline { uid_validity: 1, uid_next: 1, highest_modseq: 0 };
    check(
        |request| {
            eas(|_| {})(request);
            request.baseline = Some(baseline);
        },
        &["baseline"],
    );
}

#[test]
fn all_wrong_fields_are_named_at_once() {
    check(
        |r| {
            *r = v1::RegisterRequest::default();
        },
        &["user_id", "device", "context", "push_target", "mail_target", "credential"],
    );
}

#[test]
fn defers_have_limits() {
    let check = |wait: i64, fine: bool| {
        let request = v1::DeferRequest { wait: seconds(wait), ..Default::default() };
        assert_eq!(defer(&request, &Limits::default()).is_ok(), fine, "{wait}");
    };
    check(0, true);
    check(600, true);
    check(601, false);
    check(-5, false);
    check(i64::MAX, false);
    assert!(session_id("nonsense").is_err());
}
