//! Each thing that servers say when they say no, said by one: none that asks for patience is taken for a wrong password.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod imap_support;

use std::time::Duration;

use domain::{FailureCode, Mechanism, Security};
use imap_support::{dialer, password, short_deadlines, target};
use peers::hostile::{HostileImap, Moment, Script, Trick};

#[track_caller]
fn check(moment: Moment, line: &'static str, expect: FailureCode) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let failure = runtime.block_on(async {
        let script = Script::At(moment, Trick::Say(line.to_owned()));
        let server = HostileImap::start(script).await.unwrap();
        let dialer = dialer(server.authority(), server.address().port(), short_deadlines(), Duration::from_secs(60));
        let target = target(server.address(), Security::Tls, Mechanism::Plain);
        dialer.connect(&target, &password("alice", "correct horse")).await.err().unwrap()
    });
    assert_eq!(failure.code, expect, "{line:?}: {failure}");
    // The server's own words are the evidence.
    let words = line.split(' ').next_back().unwrap();
    assert!(failure.evidence.as_str().ends_with(words), "{failure}");
}

macro_rules! refusals {
    ($($name:ident: $moment:ident, $line:literal => $code:ident;)*) => {
        $(
            #[test]
            fn $name() {
                check(Moment::$moment, $line, FailureCode::$code);
            }
        )*
    };
}

refusals! {
    // RFC 5530 §3.
    code_unavailable: Login, "NO [UNAVAILABLE] Temporary authentication failure." => Throttled;
    code_authenticationfailed: Login, "NO [AUTHENTICATIONFAILED] Authentication failed." => LoginRefused;
    code_authorizationfailed: Login, "NO [AUTHORIZATIONFAILED] No such authorization-ID." => LoginRefused;
    code_expired: Login, "NO [EXPIRED] That password isn't valid any more." => LoginRefused;
    code_privacyrequired: Login, "NO [PRIVACYREQUIRED] Not without privacy." => LoginDisabled;
    code_contactadmin: Login, "NO [CONTACTADMIN] Call the help desk." => LoginHeld;
    code_inuse: Login, "NO [INUSE] Mailbox in use." => Throttled;
    code_limit: Login, "NO [LIMIT] Too much." => Throttled;
    code_overquota: Login, "NO [OVERQUOTA] Sorry." => Throttled;
    code_serverbug: Login, "NO [SERVERBUG] This should not happen." => Throttled;
    code_limit_at_examine: Examine, "NO [LIMIT] Too many open mailboxes." => Throttled;
    code_unavailable_at_examine: Examine, "NO [UNAVAILABLE] Backend down." => Throttled;
    code_nonexistent_at_examine: Examine, "NO [NONEXISTENT] Unknown mailbox." => MailboxMissing;
    // Exchange and Outlook.
    exchange_throttled: Login, "NO [THROTTLED] Request is throttled." => Throttled;
    exchange_backoff: Login, "NO Suggested Backoff Time: 200 milliseconds, Server Busy." => Throttled;
    exchange_unavailable: Login, "NO Server Unavailable. 15" => Throttled;
    exchange_busy: Login, "NO Server busy, disconnecting." => Throttled;
    exchange_not_connected: Examine, "BAD User is authenticated but not connected." => Throttled;
    exchange_plain_no: Login, "NO LOGIN failed." => LoginRefused;
    // Gmail.
    gmail_password: Login, "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)" => LoginRefused;
    gmail_app_password: Login, "NO [ALERT] Application-specific password required" => LoginRefused;
    gmail_web_login: Login, "NO [ALERT] Web login required: https://support.example.com/ (Failure)" => LoginHeld;
    gmail_web_alert: Login, "NO [WEBALERT https://accounts.example.com/] Web login required." => LoginHeld;
    gmail_browser: Login, "NO [ALERT] Please log in via your web browser (Failure)" => LoginHeld;
    gmail_lookup: Login, "NO Lookup failed x1mb123" => Throttled;
    gmail_bandwidth: Login, "NO [ALERT] Account exceeded command or bandwidth limits. (Failure)" => Throttled;
    gmail_connections: Login, "NO [ALERT] Too many simultaneous connections. (Failure)" => Throttled;
    gmail_system: Login, "NO System Error: temporarily unavailable (Failure)" => Throttled;
    // Yahoo and AOL.
    yahoo_rate: Login, "NO [LIMIT] LOGIN Rate limit hit" => Throttled;
    yahoo_server: Login, "NO [UNAVAILABLE] LOGIN Server error - Please try again later" => Throttled;
    yahoo_password: Login, "NO [AUTHENTICATIONFAILED] LOGIN Invalid credentials" => LoginRefused;
    // iCloud.
    icloud_busy: Login, "NO [UNAVAILABLE] Service temporarily unavailable" => Throttled;
    icloud_password: Login, "NO [AUTHENTICATIONFAILED] Authentication Failed" => LoginRefused;
    // NetEase.
    netease_unsafe: Examine, "NO EXAMINE Unsafe Login. Please contact the help desk" => LoginHeld;
    netease_frequency: Login, "NO LOGIN Login error, rate exceeded" => Throttled;
    // Courier, Cyrus, Dovecot.
    courier_connections: Login, "NO maximum number of connections exceeded" => Throttled;
    dovecot_connections: Greeting, "* BYE Maximum number of connections from user+IP exceeded" => Throttled;
    dovecot_internal: Login, "NO [UNAVAILABLE] Internal error occurred." => Throttled;
    a_locked_account: Login, "NO Your account has been locked." => LoginHeld;
    a_plain_no: Login, "NO no" => LoginRefused;
}
