use domain::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::super::Deadlines;
use super::super::handshake::{Handshake, Recorder};
use super::*;
use crate::vault::{Credential, Secret};

fn password(secret: &str) -> Credential {
    Credential { username: "anna".into(), secret: Secret::Password(secret.into()) }
}

fn token() -> Credential {
    Credential { username: "anna".into(), secret: Secret::AccessToken("token-1".into()) }
}

/// Logs in to a server that offers `offered`, against a script: `C:` is what we must say, `S:` what the server says.
async fn login(
    mechanism: Mechanism,
    credential: &Credential,
    offered: &str,
    doubted: bool,
    script: &str,
) -> Result<Capabilities, Failure> {
    recorded(mechanism, credential, offered, doubted, script).await.0
}

/// The same, and what is kept for staff to see: nothing of the credential, whatever the script says.
async fn recorded(
    mechanism: Mechanism,
    credential: &Credential,
    offered: &str,
    doubted: bool,
    script: &str,
) -> (Result<Capabilities, Failure>, Vec<String>) {
    let secrets: Vec<&str> = script
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("C: ")?.split(' ').next_back())
        .filter(|word| word.len() >= 8 && !matches!(*word, "OAUTHBEARER" | "SCRAM-SHA-256"))
        .collect();
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let script: Vec<String> = script.lines().map(|line| line.trim_start().to_owned()).collect();
    let greeting = format!("* OK [CAPABILITY IMAP4rev1 {offered}] hello\r\n");
    let server = async move {
        let mut server = BufReader::new(theirs);
        server.write_all(greeting.as_bytes()).await.unwrap();
        for line in script {
            if let Some(expect) = line.strip_prefix("C: ") {
                let mut said = String::new();
                server.read_line(&mut said).await.unwrap();
                assert_eq!(said.trim_end_matches("\r\n"), expect.replace("\\0", "\0"));
            } else if let Some(line) = line.strip_prefix("S: ") {
                server.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
            }
        }
        server
    };
    let deadlines = Deadlines::default();
    let login = Login::new(mechanism, credential).unwrap();
    let handshake = Handshake::begin(Timestamp::from_millis(0));
    let recorder = Recorder { handshake: &handshake, login: &login };
    let client = async move {
        let mut tap = Tap::new(ours, recorder);
        tap.greeting(&deadlines).await?;
        tap.login(&deadlines, doubted).await
    };
    let answer = tokio::join!(client, server).0;
    let kept = kept(&handshake);
    for secret in secrets {
        assert!(!kept.iter().any(|line| line.contains(secret)), "{secret} is in {kept:?}");
    }
    (answer, kept)
}

/// The lines of a record, each with who said it.
fn kept(handshake: &Handshake) -> Vec<String> {
    let lines = handshake.take_lines().unwrap_or_default();
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|line| format!("{}: {}", &line["who"].as_str().unwrap()[..1], line["text"].as_str().unwrap())).collect()
}

const DONE: &str = "S: s1 OK [CAPABILITY IMAP4rev1 IDLE] welcome";

#[tokio::test]
async fn an_initial_answer_only_where_it_is_taken() {
    let plain = password("sesame");
    let script = format!("C: s1 AUTHENTICATE PLAIN AGFubmEAc2VzYW1l\n{DONE}");
    assert!(login(Mechanism::Plain, &plain, "SASL-IR AUTH=PLAIN", false, &script).await.unwrap().idle);
    let script = format!("C: s1 AUTHENTICATE PLAIN\nS: + \nC: AGFubmEAc2VzYW1l\n{DONE}");
    login(Mechanism::Plain, &plain, "AUTH=PLAIN", false, &script).await.unwrap();
    // One too long for a line.
    let long = password(&"x".repeat(4000));
    let script = format!(
        "C: s1 AUTHENTICATE PLAIN\nS: +\nC: {}\n{DONE}",
        BASE64_STANDARD.encode(format!("\0anna\0{}", "x".repeat(4000)))
    );
    login(Mechanism::Plain, &long, "SASL-IR AUTH=PLAIN", false, &script).await.unwrap();
}

#[tokio::test]
async fn literals_by_what_the_server_takes() {
    let odd = password("p\u{e4}ss");
    let script = format!("C: s1 LOGIN \"anna\" {{5+}}\nC: p\u{e4}ss\n{DONE}");
    login(Mechanism::Login, &odd, "LITERAL+", false, &script).await.unwrap();
    login(Mechanism::Login, &odd, "LITERAL-", false, &script).await.unwrap();
    let script = format!("C: s1 LOGIN \"anna\" {{5}}\nS: + go on\nC: p\u{e4}ss\n{DONE}");
    login(Mechanism::Login, &odd, "", false, &script).await.unwrap();
    let both = Credential { username: "\u{e4}nna".into(), secret: Secret::Password("a\r\nb".into()) };
    let script = format!("C: s1 LOGIN {{5}}\nS: +\nC: \u{e4}nna {{4}}\nS: +\nC: a\nC: b\n{DONE}");
    login(Mechanism::Login, &both, "", false, &script).await.unwrap();
    // What LITERAL- doesn't take unasked.
    let long = password(&"\u{e4}".repeat(2049));
    let script = format!("C: s1 LOGIN \"anna\" {{4098}}\nS: +\nC: {}\n{DONE}", "\u{e4}".repeat(2049));
    login(Mechanism::Login, &long, "LITERAL-", false, &script).await.unwrap();
    // A server that refuses the literal.
    let refused = login(Mechanism::Login, &odd, "", false, "C: s1 LOGIN \"anna\" {5}\nS: s1 NO too long").await;
    assert_eq!(refused.unwrap_err().code, FailureCode::LoginRefused);
    let script = format!("C: s1 LOGIN \"anna\" \"a\\\"b\\\\c\"\n{DONE}");
    login(Mechanism::Login, &password("a\"b\\c"), "", false, &script).await.unwrap();
}

#[tokio::test]
async fn oauth_errors_are_read_and_answered() {
    let initial = BASE64_STANDARD.encode("n,a=anna,\x01auth=Bearer token-1\x01\x01");
    let error = BASE64_STANDARD.encode("{\"status\":\"invalid_token\",\"scope\":\"mail\"}");
    let script =
        format!("C: s1 AUTHENTICATE OAUTHBEARER {initial}\nS: + {error}\nC: AQ==\nS: s1 NO [AUTHENTICATIONFAILED] no");
    let failure =
        login(Mechanism::OAuthBearer, &token(), "SASL-IR AUTH=OAUTHBEARER", false, &script).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::LoginRefused);
    assert!(failure.evidence.as_str().ends_with("no (status invalid_token)"), "{failure}");
    // The provider's own fault is none of the token's.
    let initial = BASE64_STANDARD.encode("user=anna\x01auth=Bearer token-1\x01\x01");
    let error = BASE64_STANDARD.encode("{\"status\":\"503\",\"schemes\":\"bearer\"}");
    let script = format!("C: s1 AUTHENTICATE XOAUTH2 {initial}\nS: + {error}\nC: \nS: s1 NO failed");
    let failure = login(Mechanism::XOAuth2, &token(), "SASL-IR AUTH=XOAUTH2", false, &script).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Throttled, "{failure}");
    // An error that is none, and one that repeats the token.
    for odd in ["not json", "{\"status\":\"a b\"}", "{\"status\":\"token-1\"}", "{\"status\":7}"] {
        let error = BASE64_STANDARD.encode(odd);
        let script = format!("C: s1 AUTHENTICATE XOAUTH2 {initial}\nS: + {error}\nC: \nS: s1 NO failed");
        let failure = login(Mechanism::XOAuth2, &token(), "SASL-IR AUTH=XOAUTH2", false, &script).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::LoginRefused);
        assert!(!failure.evidence.as_str().contains("token-1"), "{failure}");
    }
}

#[tokio::test]
async fn a_server_that_asks_more_of_plain_hears_no_more() {
    let script = "C: s1 AUTHENTICATE PLAIN AGFubmEAc2VzYW1l\nS: + bW9yZQ==\nC: *\nS: s1 BAD cancelled";
    let failure = login(Mechanism::Plain, &password("sesame"), "SASL-IR AUTH=PLAIN", false, script).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ProtocolError, "{failure}");
}

/// A login by SCRAM to a server that says `after` once it has heard the proof. In it, `FIRST` and `PROOF` are what it heard,
/// `BARE` is the proof out of its message.
async fn scram(after: &str) -> (Failure, Vec<String>) {
    let offered = "SASL-IR AUTH=SCRAM-SHA-256";
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let server = async move {
        let mut server = BufReader::new(theirs);
        server.write_all(format!("* OK [CAPABILITY IMAP4rev1 {offered}] hello\r\n").as_bytes()).await.unwrap();
        let mut said = String::new();
        server.read_line(&mut said).await.unwrap();
        let heard = said.trim_end().strip_prefix("s1 AUTHENTICATE SCRAM-SHA-256 ").unwrap().to_owned();
        let first = String::from_utf8(BASE64_STANDARD.decode(&heard).unwrap()).unwrap();
        let (_, nonce) = first.split_once("r=").unwrap();
        let challenge = BASE64_STANDARD.encode(format!("r={nonce}more,s=c2FsdA==,i=4096"));
        server.write_all(format!("+ {challenge}\r\n").as_bytes()).await.unwrap();
        said.clear();
        server.read_line(&mut said).await.unwrap();
        let proof = said.trim_end();
        let message = String::from_utf8(BASE64_STANDARD.decode(proof).unwrap()).unwrap();
        let (_, bare) = message.split_once(",p=").unwrap();
        let after = after.replace("FIRST", &heard).replace("PROOF", proof).replace("BARE", bare);
        server.write_all(after.as_bytes()).await.unwrap();
        (server, [heard, proof.to_owned(), bare.to_owned()])
    };
    let (deadlines, credential) = (Deadlines::default(), password("sesame"));
    let login = Login::new(Mechanism::ScramSha256, &credential).unwrap();
    let handshake = Handshake::begin(Timestamp::from_millis(0));
    let recorder = Recorder { handshake: &handshake, login: &login };
    let client = async {
        let mut tap = Tap::new(ours, recorder);
        tap.greeting(&deadlines).await?;
        tap.login(&deadlines, false).await
    };
    let (answer, (_server, secrets)) = tokio::join!(client, server);
    let (failure, kept) = (answer.unwrap_err(), kept(&handshake));
    for secret in secrets {
        let shown = kept.iter().map(String::as_str).chain([failure.evidence.as_str()]);
        assert!(!shown.into_iter().any(|line| line.contains(secret.trim_end_matches('='))), "{kept:?} {failure}");
    }
    (failure, kept)
}

/// A server that lets everybody in has not proved that it is the account's.
#[tokio::test]
async fn scram_without_the_server_s_proof_is_no_login() {
    let (failure, _) = scram("s1 OK come in\r\n").await;
    assert_eq!(failure.code, FailureCode::ProtocolError);
    assert!(failure.evidence.as_str().contains("did not prove"), "{failure}");
}

/// From a proof and what goes with it, passwords can be guessed.
#[tokio::test]
async fn a_proof_that_is_repeated_is_not_shown() {
    let after = "* OK FIRST\r\n* OK is it PROOF?\r\n* OK or BARE?\r\ns1 NO [AUTHENTICATIONFAILED] not by PROOF\r\n";
    let (failure, kept) = scram(after).await;
    assert_eq!(failure.code, FailureCode::LoginRefused);
    assert_eq!(failure.evidence.as_str(), "[AUTHENTICATIONFAILED] withheld: the server repeated the credential");
    let withheld = "s: [withheld: the server repeated the credential]";
    let expect = [
        "s: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256] hello",
        "c: AUTHENTICATE SCRAM-SHA-256 [credential]",
        "s: + [challenge]",
        "c: [answer]",
        withheld,
        withheld,
        withheld,
        withheld,
    ];
    assert_eq!(kept, expect);
}

/// What staff see of each mechanism.
#[tokio::test]
async fn each_way_is_recorded_without_what_it_says() {
    let greeting = |offered: &str| format!("s: * OK [CAPABILITY IMAP4rev1 {offered}] hello");
    let done = "s: s1 OK [CAPABILITY IMAP4rev1 IDLE] welcome";
    let bearer = BASE64_STANDARD.encode("n,a=anna,\x01auth=Bearer token-1\x01\x01");
    let xoauth2 = BASE64_STANDARD.encode("user=anna\x01auth=Bearer token-1\x01\x01");
    let asked = |way: &str, answer: &str| format!("C: s1 AUTHENTICATE {way}\nS: + \nC: {answer}\n{DONE}");
    for (mechanism, credential, offered, script, expect) in [
        (
            Mechanism::Plain,
            password("sesame"),
            "AUTH=PLAIN",
            asked("PLAIN", "AGFubmEAc2VzYW1l"),
            &["c: AUTHENTICATE PLAIN [credential]", "s: +", "c: [answer]", done][..],
        ),
        (
            Mechanism::Auto,
            token(),
            "SASL-IR AUTH=OAUTHBEARER",
            format!("C: s1 AUTHENTICATE OAUTHBEARER {bearer}\n{DONE}"),
            &["c: AUTHENTICATE OAUTHBEARER [credential]", done],
        ),
        (
            Mechanism::XOAuth2,
            token(),
            "AUTH=XOAUTH2",
            asked("XOAUTH2", &xoauth2),
            &["c: AUTHENTICATE XOAUTH2 [credential]", "s: +", "c: [answer]", done],
        ),
        (
            Mechanism::Login,
            password("s\u{e9}same open"),
            "IDLE",
            format!("C: s1 LOGIN \"anna\" {{12}}\nS: + go on\nC: s\u{e9}same open\n{DONE}"),
            &["c: LOGIN [credential]", "s: + [challenge]", "c: [answer]", done],
        ),
    ] {
        let (answer, kept) = recorded(mechanism, &credential, offered, false, &script).await;
        answer.unwrap();
        let expect: Vec<String> =
            std::iter::once(greeting(offered)).chain(expect.iter().map(|line| (*line).to_owned())).collect();
        assert_eq!(kept, expect, "{mechanism:?}");
    }
}

#[test]
fn the_best_way_that_is_offered() {
    let offered = |words: &str| match super::super::line::Code::parse(format!("[CAPABILITY {words}]").as_bytes()) {
        Some(super::super::line::Code::Capability(offered)) => offered,
        other => panic!("{other:?}"),
    };
    let all = offered("AUTH=PLAIN AUTH=SCRAM-SHA-256 AUTH=XOAUTH2 AUTH=OAUTHBEARER");
    let plain = offered("AUTH=PLAIN LOGINDISABLED");
    let nothing = offered("LOGINDISABLED");
    let way = |mechanism, credential: &Credential, offered: &Capabilities, doubted| {
        let login = Login::new(mechanism, credential).unwrap();
        Way::choose(&login, offered, doubted).map_err(|failure| failure.code)
    };
    let (ascii, odd) = (password("sesame"), password("p\u{e4}ss"));
    assert_eq!(way(Mechanism::Auto, &ascii, &all, false), Ok(Way::ScramSha256));
    assert_eq!(way(Mechanism::Auto, &ascii, &all, true), Ok(Way::Plain));
    assert_eq!(way(Mechanism::Auto, &odd, &all, false), Ok(Way::Plain));
    assert_eq!(way(Mechanism::Auto, &ascii, &plain, false), Ok(Way::Plain));
    assert_eq!(way(Mechanism::Auto, &ascii, &offered("IDLE"), false), Ok(Way::Login));
    assert_eq!(way(Mechanism::Auto, &ascii, &offered("LOGINDISABLED AUTH=SCRAM-SHA-256"), true), Ok(Way::ScramSha256));
    assert_eq!(way(Mechanism::Auto, &token(), &all, false), Ok(Way::OAuthBearer));
    assert_eq!(way(Mechanism::Auto, &token(), &offered("AUTH=XOAUTH2"), false), Ok(Way::XOAuth2));
    // What a device chose is used, or nothing.
    assert_eq!(way(Mechanism::Plain, &ascii, &all, false), Ok(Way::Plain));
    for (mechanism, credential) in [
        (Mechanism::Login, &ascii),
        (Mechanism::Auto, &ascii),
        (Mechanism::ScramSha256, &ascii),
        (Mechanism::XOAuth2, &token()),
        (Mechanism::Auto, &token()),
    ] {
        assert_eq!(way(mechanism, credential, &nothing, false), Err(FailureCode::LoginDisabled), "{mechanism:?}");
    }
}
