//! Documentation that is made from code, so that it can't say anything else.
//!
//! `UPDATE_DOCS=1 cargo test -p pinger --test docs` writes it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::{EndReason, FailureClass, FailureCode, LoginRules, Rules};
use proto::Reason;
use tonic::Code;

const INTRODUCTION: &str = "\
# Errors
*This page is made from the code: change that, then run `UPDATE_DOCS=1 cargo test -p pinger --test docs`.*

An app meets errors in three places, and each has its list here:

| where | what | list |
| --- | --- | --- |
| a call is refused | a gRPC status with `google.rpc` details | [Reasons](#reasons-why-a-call-is-refused) |
| a session goes on, but its mail server gives trouble | `last_error` of a `Session` | [Failures](#failures-why-a-mail-server-cant-be-watched) |
| a session is over | `end_reason` of a `Session` | [Ends](#ends-why-a-session-is-over) |

The names are part of the API: one that was released is never renamed and never gets another meaning. There may be new
ones, so treat a name that you don't know by its gRPC code, or as a fault that the server deals with. The sentences are for
people, and may become better.

## Reading a refusal
Next to its code and message, the status carries up to three details, as `google.rpc.Status` in the trailing metadata
`grpc-status-details-bin`, with gRPC and with gRPC-web:

| detail | what is in it |
| --- | --- |
| `ErrorInfo` | always: `reason`, a name from the list below, with `domain` = `pinger.v1` |
| `BadRequest` | the fields that are wrong, by their path (`mail_target.imap.port`), each with what it should be |
| `RetryInfo` | where trying again helps: how long to wait before that |

| language | from a caught error to its details |
| --- | --- |
| Swift (grpc-swift 2, grpc-swift-protobuf) | `try error.unpackGoogleRPCStatus()?.details`, then `.errorInfo`, `.badRequest`, `.retryInfo` of each |
| Kotlin, Java (grpc-protobuf) | `StatusProto.fromThrowable(error)`, then `unpack(ErrorInfo::class.java)` of each in `detailsList` |
| JavaScript, TypeScript (Connect) | `ConnectError.from(error).findDetails(ErrorInfoSchema)`; [clients.md](clients.md) has a whole example |
| Go | `status.Convert(err).Details()`, then a type switch on `*errdetails.ErrorInfo` |
| Python (grpcio-status) | `rpc_status.from_call(error).details`, then `Unpack` of each |
| Rust (tonic-types) | `status.get_error_details().error_info()` |

Decide by `reason`, never by the message. Wait as long as `RetryInfo` says, and a little more by chance, so that not all devices
come back at once. Registering again is always safe: it replaces the session that there was.
";

#[test]
fn errors_md_is_up_to_date() {
    up_to_date("errors.md", &errors());
}

#[test]
fn failures_md_is_up_to_date() {
    up_to_date("failures.md", &failure_table());
}

#[test]
fn names_are_unique_and_sentences_are_sentences() {
    let reasons: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(reasons.len(), Reason::ALL.len());
    let failures: BTreeSet<_> = FailureCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(failures.len(), FailureCode::ALL.len());
    let ends: BTreeSet<_> = EndReason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(ends.len(), EndReason::ALL.len());
    for name in reasons.iter().chain(&failures) {
        assert!(name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{name}");
    }
    let sentences = Reason::ALL
        .iter()
        .flat_map(|reason| [reason.message(), reason.cure()])
        .chain(FailureCode::ALL.iter().flat_map(|code| [code.message(), code.remedy()]));
    for sentence in sentences {
        let begins_well = sentence.starts_with(|first: char| first.is_ascii_uppercase());
        assert!(begins_well && sentence.ends_with('.') && !sentence.contains('|'), "{sentence}");
    }
}

/// Compares `docs/NAME` with what it should be, or writes it.
#[track_caller]
fn up_to_date(name: &str, expected: &str) {
    let path = docs().join(name);
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(&path, expected).unwrap();
        return;
    }
    let actual = std::fs::read_to_string(&path).unwrap_or_default();
    if actual == expected {
        return;
    }
    let differs = actual.lines().zip(expected.lines()).position(|(actual, expected)| actual != expected);
    let line = differs.unwrap_or_else(|| actual.lines().count().min(expected.lines().count())) + 1;
    panic!(
        "docs/{name} is not what the code says, from line {line} on.\n\
         Write it anew with:\n\n    UPDATE_DOCS=1 cargo test -p pinger --test docs\n"
    );
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn errors() -> String {
    let mut page = INTRODUCTION.to_owned();
    reasons(&mut page);
    failures(&mut page);
    ends(&mut page);
    page
}

fn reasons(page: &mut String) {
    page.push_str("\n## Reasons: why a call is refused\n| reason | gRPC code | what is wrong | what helps |\n| --- | --- | --- | --- |\n");
    for reason in Reason::ALL {
        let (name, code, message, cure) = (reason.as_str(), code(reason.code()), reason.message(), reason.cure());
        writeln!(page, "| `{name}` | {code} | {message} | {cure} |").unwrap();
    }
}

fn failures(page: &mut String) {
    page.push_str(
        "\n## Failures: why a mail server can't be watched\n\
         `last_error` of a `Session` has `code`, `message` and `remedy` as they are here, and stays until it has gone well again.\n\n\
         | code | what happened | what helps | what Pinger does |\n| --- | --- | --- | --- |\n",
    );
    for code in FailureCode::ALL {
        let (name, message, remedy) = (code.as_str(), code.message(), code.remedy());
        writeln!(page, "| `{name}` | {message} | {remedy} | {} |", class(code.class()).0).unwrap();
    }
    page.push_str("\nWhat Pinger does, with the figures of a server that is configured as it comes:\n\n");
    for class_of_failure in classes() {
        let (name, words) = class(class_of_failure);
        writeln!(page, "- **{name}**: {words}").unwrap();
    }
}

fn ends(page: &mut String) {
    page.push_str(
        "\n## Ends: why a session is over\n\
         The credential is destroyed with the session. To be watched again, an app registers again.\n\n\
         | `end_reason` | what happened | what the app should do |\n| --- | --- | --- |\n",
    );
    for reason in EndReason::ALL {
        let (happened, cure) = end(*reason);
        let name = format!("END_REASON_{}", reason.as_str().to_uppercase());
        assert!(proto::v1::EndReason::from_str_name(&name).is_some(), "{name} is not what the wire has");
        writeln!(page, "| `{name}` | {happened} | {cure} |").unwrap();
    }
}

const FAILURES: &str = "\
# Failures
*This page is made from the code: change that, then run `UPDATE_DOCS=1 cargo test -p pinger --test docs`.*

What can go wrong with a mail server, for support staff and SREs; [errors.md](errors.md) says what an app does about it. Each
failure has one code, one sentence and one remedy, and they are the same everywhere:

| who | is told |
| --- | --- |
| the device | code, sentence and remedy, as `last_error` of its session; a `register` push where the session ends. Never the evidence |
| staff | the sentence in the head of the session's page, the evidence and what to do under “Why no push?”, an entry of the timeline, the last handshake as far as it came |
| the log | one line at the level WARN: “the mail server can't be watched”, with session, code and evidence |
| the trace | the episode `session.connect` or `session.mail` with the code as `pinger.failure` and the status *error* |

Evidence has no mail address, no account's name and no control characters in it, and at most 200 characters; where a server
repeats the credential, nothing of it is kept.

## All of them
| code | what happened | evidence | by itself | what helps |
| --- | --- | --- | --- | --- |
";

const FAILURES_END: &str = "
## Throttled is not refused
A server that is busy must not be taken for one that refuses the password: that would end sessions and wake devices for
nothing. The response code decides where there is one that is known (RFC 5530); else the words do. The table is
`server/backend/src/watch/imap/refusal.rs`, and `server/backend/tests/imap_refusals.rs` has a server say each of them.
Where a server asked for patience, a plain “LOGIN failed.” of the next quarter of an hour is taken for the same.

## No account is locked by us
";

fn failure_table() -> String {
    let mut page = FAILURES.to_owned();
    for code in FailureCode::ALL {
        let (name, message, remedy) = (code.as_str(), code.message(), code.remedy());
        let (evidence, by_itself) = (code.evidence_kept(), code.by_itself());
        writeln!(page, "| `{name}` | {message} | {evidence} | {by_itself} | {remedy} |").unwrap();
    }
    page.push_str(FAILURES_END);
    let (rules, logins) = (Rules::default(), LoginRules::default());
    let bullets = [
        format!("A session gives up after {} refused log-ins in a row.", rules.max_refusals),
        format!(
            "An account, with all its sessions on a node, gets no further log-in after {} refusals within {}, those under way \
             counted in. A new credential begins anew, but not beyond {} refusals within that time. The others wait as \
             `LOGIN_PAUSED`, and look every quarter of an hour whether they may again.",
            logins.per_account,
            words(logins.account_window),
            logins.per_account_in_all
        ),
        format!(
            "A host that refuses {} log-ins within {}, of whomever, and accepts none between them is left alone until the \
             oldest of them is that long ago: then it is the provider, and not so many passwords.",
            logins.per_host,
            words(logins.host_window)
        ),
    ];
    for bullet in bullets {
        writeln!(page, "- {bullet}").unwrap();
    }
    page
}

/// The code's name and number, as gRPC's own documentation has them.
fn code(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    format!("`{name}` ({})", i32::from(code))
}

fn classes() -> Vec<FailureClass> {
    let mut classes = Vec::new();
    for code in FailureCode::ALL {
        if !classes.contains(&code.class()) {
            classes.push(code.class());
        }
    }
    classes
}

/// What we do about a failure: in a word or two, and in sentences.
fn class(class: FailureClass) -> (&'static str, String) {
    let rules = Rules::default();
    let (first, last, slow) = (words(rules.retry_min), words(rules.retry_max), words(rules.slow_retry));
    match class {
        FailureClass::Transport => (
            "tries again",
            format!(
                "it connects again after a random pause of up to about {first}; that doubles with each fault in a row, to at most \
                 {last}."
            ),
        ),
        FailureClass::Throttled => (
            "waits",
            format!(
                "it leaves the server alone for as long as that asks, at most {slow}, or {} if it doesn't say, and up to half as \
                 long again.",
                words(rules.retry_min * 30)
            ),
        ),
        FailureClass::Misconfigured => (
            "tries again slowly",
            format!("it connects again after {} to {slow}: somebody has to mend something first.", words(rules.slow_retry / 4)),
        ),
        FailureClass::CredentialRefused => (
            "tries once more, then ends the session",
            format!(
                "after {} refused log-ins in a row, with a pause of up to {} between them, the session ends with \
                 `END_REASON_CREDENTIAL_REFUSED` and a `register` push. More would lock the account.",
                rules.max_refusals,
                words(rules.refusal_pause)
            ),
        ),
        FailureClass::CredentialUnusable => (
            "ends the session at once",
            "the session ends with `END_REASON_CREDENTIAL_REFUSED` and a `register` push; the mail server is not asked.".to_owned(),
        ),
        FailureClass::Unresolved => (
            "tries again for a day",
            format!(
                "it tries again as with any other fault; if the name hasn't resolved for {}, the session ends with \
                 `END_REASON_MAIL_SERVER_GONE` and a `register` push.",
                words(rules.gone_after)
            ),
        ),
    }
}

/// What happened, and what the app should do.
const fn end(reason: EndReason) -> (&'static str, &'static str) {
    match reason {
        EndReason::Stopped => ("The device called Stop.", "Nothing."),
        EndReason::Revoked => (
            "Staff destroyed the credential. A `register` push was sent.",
            "Ask the user to sign in to the account, and register again.",
        ),
        EndReason::Replaced => (
            "The device registered the same account again.",
            "Forget this session and its token; the new one has its own.",
        ),
        EndReason::Expired => ("Its lifetime is over. A `register` push was sent.", "Register again."),
        EndReason::CredentialRefused => (
            "The mail server refused the credential, or it can't be used. A `register` push was sent.",
            "Look at `last_error`; ask the user to sign in to the account, and register again.",
        ),
        EndReason::MailServerGone => (
            "The mail server's name did not resolve for a day. A `register` push was sent.",
            "Ask the user to check the mail server's name, and register again.",
        ),
        EndReason::PushTargetGone => (
            "The push service said that the push target is gone. `push_token_rejected` is set.",
            "Ask the platform for a new push token, and register again.",
        ),
        EndReason::Quota => {
            ("A limit of the server's was reached.", "Register again later; tell the operator if it stays.")
        }
    }
}

/// A duration of whole seconds, in words.
fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (number, unit) = match seconds {
        _ if seconds.is_multiple_of(86400) => (seconds / 86400, "day"),
        _ if seconds.is_multiple_of(3600) => (seconds / 3600, "hour"),
        _ if seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}
