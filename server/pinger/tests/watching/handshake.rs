//! The last handshake on a session's page: with a real server, and with one that would like to do harm by it.

use base64::Engine as _;
use peers::dovecot::{Dovecot, DovecotOptions, User};
use peers::hostile::{HostileImap, Moment, Script, Transport, Trick};
use proto::v1;

use super::browser::{Browser, with_dashboard};
use super::harness::{Account, Phone, World};

const NAME: &str = "anna.bell@example.org";
const PASSWORD: &str = "a very secret word";

/// What must be on no page: name and password, and both as SASL PLAIN has them, and how SCRAM's two messages begin.
#[track_caller]
fn is_clean(page: &str) {
    let base64 = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
    let sasl = base64(format!("\0{NAME}\0{PASSWORD}"));
    let first = base64(format!("n,,n={NAME},r="));
    for secret in [NAME, "anna.bell", PASSWORD, sasl.trim_end_matches('='), &first[..20], &base64("c=biws".to_owned())]
    {
        assert!(!page.to_lowercase().contains(&secret.to_lowercase()), "{secret} is on the page: {page}");
    }
}

/// The part of a page that tells of the handshake.
fn card(page: &str) -> &str {
    page.split("id=\"handshake\"").nth(1).unwrap().split("</section>").next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_s_handshake_is_shown() {
    let world = World::new().await;
    let users = vec![User::new(NAME, PASSWORD)];
    let options = DovecotOptions { users, authority: Some(world.authority.clone()), ..DovecotOptions::default() };
    let dovecot = Dovecot::start(options).await.unwrap();
    let (tls, clear) = (dovecot.imaps_address(), dovecot.starttls_only_address());
    with_dashboard(&world.configure(&[tls.port(), clear.port()], "", ""), "");
    let server = world.serve().await;
    let staff = Browser::sign_up(&server.ready).await;

    let mut phone = Phone::new(&server, &Account::imaps(tls, NAME, PASSWORD)).await;
    let login = Account { mechanism: v1::ImapMechanism::Login, ..Account::imaps(clear, NAME, PASSWORD) };
    let mut second = phone.another(&Account { security: v1::ImapSecurity::Starttls, ..login });
    let mut third =
        phone.another(&Account { mechanism: v1::ImapMechanism::ScramSha256, ..Account::imaps(tls, NAME, PASSWORD) });
    for phone in [&mut phone, &mut second, &mut third] {
        phone.register().await.unwrap();
        phone.is_watched().await;
    }
    for (session, commands) in [
        (&phone.session, &["connects to 127.0.0.1", "TLS 1.3", "AUTHENTICATE PLAIN [credential]", "EXAMINE"][..]),
        (&second.session, &["STARTTLS", "TLS 1.3", "LOGIN [credential]", "EXAMINE"]),
        (&third.session, &["AUTHENTICATE SCRAM-SHA-256 [credential]", "+ [challenge]", "[answer]", "EXAMINE"]),
    ] {
        let page = staff.get_until(&format!("/sessions/{session}"), |page| page.contains("UIDVALIDITY")).await;
        let card = card(&page);
        for text in commands.iter().chain(&["Dovecot", "* OK [CAPABILITY", "IDLE", "UIDNEXT"]) {
            assert!(card.contains(text), "{text} is not in {card}");
        }
        // Capabilities before and after the login.
        assert!(card.matches("CAPABILITY ").count() >= 2, "{card}");
        assert!(!card.contains("gave up"), "{card}");
        is_clean(&page);
    }

    // A failure shows how far it came, and what was kept before it is replaced.
    dovecot.set_user(&User::new(NAME, "another one")).await.unwrap();
    let mut refused = phone.another(&Account::imaps(tls, NAME, PASSWORD));
    refused.register().await.unwrap();
    let page = format!("/sessions/{}", refused.session);
    let page = staff.get_until(&page, |page| page.contains("gave up: LOGIN_REFUSED")).await;
    assert!(card(&page).contains("[AUTHENTICATIONFAILED]"), "{page}");
    is_clean(&page);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_server_s_words_are_text_and_short() {
    let world = World::new().await;
    let say = |moment, line: String| Script::At(moment, Trick::Say(line));
    let html = format!("* OK <script>alert(1)</script> {NAME} {}", "x".repeat(6000));
    let echo = format!("NO [AUTHENTICATIONFAILED] {} is not {}", NAME.to_uppercase(), PASSWORD.to_uppercase());
    let flood = Script::At(Moment::AfterLogin, Trick::EndlessLines);
    let cases = [
        (say(Moment::Greeting, html), "&lt;script>alert(1)"),
        (say(Moment::Login, echo), "withheld: the server repeated the credential"),
        (flood, "gave up: FLOOD_REFUSED"),
    ];
    let mut servers = Vec::new();
    for (script, shown) in cases {
        let server = HostileImap::start_with(script, Transport::Tls, Some(world.authority.clone())).await.unwrap();
        servers.push((server, shown));
    }
    let ports: Vec<_> = servers.iter().map(|(server, _)| server.address().port()).collect();
    with_dashboard(&world.configure(&ports, "", ""), "");
    let server = world.serve().await;
    let staff = Browser::sign_up(&server.ready).await;
    let first = Phone::new(&server, &Account::imaps(servers[0].0.address(), NAME, PASSWORD)).await;
    for (mail, shown) in &servers {
        let mut phone = first.another(&Account::imaps(mail.address(), NAME, PASSWORD));
        phone.register().await.unwrap();
        let path = format!("/sessions/{}", phone.session);
        // `>` need not be escaped in text.
        let page = staff.get_until(&path, |page| page.replace("&gt;", ">").contains(shown)).await;
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(!page.contains(&"x".repeat(401)), "{page}");
        assert!(card(&page).len() < 16_000, "{}", card(&page).len());
        is_clean(&page);
    }
    assert!(!server.log().contains("panicked"));
}
