//! The store on a real database: what is answered is durable, one account has one live session, late changes lose.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the answer")]

mod support;

use std::num::NonZeroU32;
use std::time::Duration;

use domain::{
    ApnsEnvironment, ApnsPushType, ApnsTarget, AppId, Connect, Context, Device, DeviceId, Dice, EasAuthentication,
    EasCommand, EasHeader, EasRequest, EasTarget, EasUrl, Event, HostName, ImapTarget, KeyId, Life, LongPoll,
    MailTarget, Mailbox, Mechanism, NodeId, Platform, Poll, PushId, PushKind, PushTarget, Registration, Rules,
    SealedBox, Security, SessionId, Timestamp, Timings, UserId, VersionText,
};
use store::{Change, Claimed, Finish, NewPush, NewSession, Page, PushStatus, SessionFilter, Store, StoreError};
use support::{Database, NOW};
use uuid::Uuid;

fn session(number: u128, context: &str, hash: &str) -> NewSession {
    let lifetime = Duration::from_secs(3600);
    let mailbox = Mailbox {
        uid_validity: NonZeroU32::new(9).unwrap(),
        uid_next: NonZeroU32::new(40).unwrap(),
        highest_modseq: Some(77),
    };
    let token = "ab".repeat(32);
    NewSession {
        id: SessionId::from_uuid(Uuid::from_u128(number)),
        app: AppId::parse("app").unwrap(),
        registration: Registration {
            user: UserId::parse("user").unwrap(),
            device: Device {
                id: DeviceId::parse("device").unwrap(),
                platform: Platform::Ios,
                os_version: VersionText::default(),
                app_version: VersionText::parse("1.0").unwrap(),
            },
            context: Context::parse(context).unwrap(),
            push_target: PushTarget::Apns(
                ApnsTarget::new(&token, "org.example", ApnsEnvironment::Production, ApnsPushType::Alert).unwrap(),
            ),
            mail: MailTarget::Imap(ImapTarget {
                host: HostName::parse("imap.example.org").unwrap(),
                port: 993,
                security: Security::StartTls,
                mailbox: "INBOX".to_owned(),
                mechanism: Mechanism::XOAuth2,
            }),
            credential: SealedBox {
                key_id: KeyId::parse("key-1").unwrap(),
                encapsulated_key: [3; 32],
                ciphertext: b"SEALED-BOX-".repeat(30),
            },
            timings: Timings { wait_before_use: Duration::ZERO, response_timeout: Duration::from_secs(1680), lifetime },
            baseline: Some(mailbox),
        },
        life: Life::begin(NOW, Duration::ZERO, lifetime, Some(mailbox)),
        address_hash: "aa".repeat(32),
        registration_hash: hash.to_owned(),
        created_at: NOW,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    }
}

async fn step(store: &Store, id: SessionId, now: Timestamp, event: Event) -> Result<store::Applied, StoreError> {
    let record = store.session(id).await?.unwrap();
    let mut life = record.life;
    let effects = life.apply(&Rules::default(), now, Dice(0), event);
    let push = effects.push.map(|kind| NewPush {
        id: PushId::from_uuid(Uuid::from_u128(u128::from(now.as_millis().unsigned_abs()))),
        kind,
        expires_at: now.after(Duration::from_secs(60)),
        traceparent: None,
    });
    let token_dies = effects.token_dies;
    store
        .change(Change {
            id,
            revision: record.revision,
            now,
            life,
            token_dies,
            push_target: None,
            eas_request: None,
            push,
            notes: vec![],
        })
        .await
}

async fn what_was_stored_comes_back_after_a_restart(database: Database) {
    let store = database.open().await;
    let new = session(1, "account-1", "h1");
    let registered = store.register(new.clone()).await.unwrap();
    assert_eq!((registered.id, registered.generation, registered.replaced), (new.id, 1, None));
    store.close().await;

    let record = database.open().await.session(new.id).await.unwrap().unwrap();
    assert_eq!(record.life, new.life);
    assert_eq!(record.life.connect(), Connect::ToWatch);
    assert_eq!(record.mail, new.registration.mail);
    assert_eq!(record.push_target, new.registration.push_target);
    assert_eq!(record.credential, Some(new.registration.credential));
    assert_eq!(record.response_timeout, Duration::from_secs(1680));
    assert_eq!(record.traceparent, new.traceparent);
}

async fn an_activesync_target_comes_back_and_its_request_is_replaced_with_a_defer(database: Database) {
    let store = database.open().await;
    let header = |name: &str, value: &str| EasHeader::parse(name, value).unwrap();
    let headers = vec![header("X-MS-PolicyKey", "307199232"), header("User-Agent", "")];
    let request = EasRequest::new(headers, vec![3, 1, 0x6a, 0], vec![]).unwrap();
    let path = "https://eas.example.org:8443/Microsoft-Server-ActiveSync?Cmd=Sync&DeviceId=1";
    let eas = EasTarget {
        url: EasUrl::parse(path).unwrap(),
        command: EasCommand::Sync,
        authentication: EasAuthentication::Bearer,
        request,
    };
    let mut new = session(1, "account-1", "h1");
    new.registration.mail = MailTarget::Eas(eas.clone());
    new.life = Life::begin_polling(NOW, Duration::from_secs(60), Duration::from_secs(3600));
    let id = new.id;
    store.register(new.clone()).await.unwrap();
    let read = store.session(id).await.unwrap().unwrap();
    assert_eq!((&read.mail, &read.life), (&new.registration.mail, &new.life));
    // Nothing is to be done before the wait is over: polls need no baseline.
    assert_eq!(store.claim(10).await.unwrap()[0].wait_until, Some(NOW.after(Duration::from_secs(60))));

    let mut life = read.life;
    let asked = Duration::from_secs(1200);
    life.phase = domain::Phase::Active;
    let hasty = Event::Polled { poll: Poll::Unchanged, took: Duration::ZERO, asked };
    life.apply(&Rules::default(), NOW, Dice(0), hasty);
    assert_eq!(life.poll, Some(LongPoll { hasty: 1 }));
    let next = EasRequest::new(vec![], vec![1; 8192], vec![2]).unwrap();
    let change = Change {
        id,
        revision: read.revision,
        now: NOW,
        life: life.clone(),
        token_dies: false,
        push_target: None,
        eas_request: Some(next.clone()),
        push: None,
        notes: vec![],
    };
    store.change(change).await.unwrap();
    let read = store.session(id).await.unwrap().unwrap();
    assert_eq!((read.mail, read.life), (MailTarget::Eas(EasTarget { request: next, ..eas.clone() }), life));
    // A list shows where it goes, and reads nothing of the request.
    let listed = store.find_sessions(&SessionFilter::default(), Page::newest(10)).await.unwrap().rows.remove(0);
    assert_eq!(listed.mail, MailTarget::Eas(EasTarget { request: EasRequest::default(), ..eas }));
}

async fn the_same_again_is_the_same_session_and_anything_else_replaces_it(database: Database) {
    let store = database.open().await;
    let first = session(1, "account-1", "h1");
    store.register(first.clone()).await.unwrap();
    let again = store.register(NewSession { id: session(2, "account-1", "h1").id, ..first.clone() }).await.unwrap();
    assert_eq!((again.id, again.replaced), (first.id, None));

    let other = store.register(session(3, "account-1", "h2")).await.unwrap();
    assert_eq!(other.replaced, Some(first.id));
    let old = store.session(first.id).await.unwrap().unwrap();
    assert_eq!(old.life.end_reason(), Some(domain::EndReason::Replaced));
    assert_eq!((old.credential, old.generation), (None, 2));
    // Another account of the same device has its own session.
    assert_eq!(store.register(session(4, "account-2", "h3")).await.unwrap().replaced, None);
    // The first request again is no longer the live session: it replaces.
    let back = store.register(NewSession { id: session(5, "account-1", "h1").id, ..first }).await.unwrap();
    assert_eq!(back.replaced, Some(other.id));
}

async fn a_hundred_registrations_of_one_account_leave_one_live_session(database: Database) {
    let store = database.open().await;
    let calls = (1..=100).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.register(session(n, "account-1", &format!("h{n}"))).await.unwrap().id })
    });
    let mut ids = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        ids.push(call.await.unwrap());
    }
    let mut live = 0;
    for id in ids {
        live += usize::from(store.session(id).await.unwrap().unwrap().life.is_live());
    }
    assert_eq!(live, 1);
    assert_eq!(store.claim(1000).await.unwrap().len(), 1);
}

async fn a_late_change_loses_and_an_end_destroys_the_box(database: Database) {
    let store = database.open().await;
    let id = store.register(session(1, "account-1", "h1")).await.unwrap().id;
    let late = store.session(id).await.unwrap().unwrap();
    // What a file of PostgreSQL's holds is its own affair; see docs/operations.md.
    let is_in_file = || database.bytes().map(|bytes| bytes.windows(11).any(|window| window == b"SEALED-BOX-"));
    assert_ne!(is_in_file(), Some(false));

    let applied = step(&store, id, NOW, Event::Stopped).await.unwrap();
    assert_eq!(applied.revision, late.revision + 1);
    let mut life = late.life.clone();
    life.apply(&Rules::default(), NOW, Dice(0), Event::Deferred { wait: Duration::from_secs(5), baseline: None });
    let change = Change {
        id,
        revision: late.revision,
        now: NOW,
        life,
        token_dies: false,
        push_target: None,
        eas_request: None,
        push: None,
        notes: vec![],
    };
    assert!(matches!(store.change(change).await, Err(StoreError::Conflict(conflict)) if conflict == id));
    let ended = store.session(id).await.unwrap().unwrap();
    assert_eq!((ended.life.is_live(), ended.credential), (false, None));
    // What was deleted is overwritten in the database, and its log is cut.
    store.purge(NOW).await.unwrap();
    assert_ne!(is_in_file(), Some(true), "the box is still in the file");
}

async fn nodes_claim_what_nobody_runs(database: Database) {
    let store = database.open().await;
    for n in 1..=5 {
        store.register(session(n, &format!("account-{n}"), "h")).await.unwrap();
    }
    step(&store, session(5, "account-5", "h").id, NOW, Event::Stopped).await.unwrap();
    assert_eq!(store.claim(3).await.unwrap().len(), 3);
    assert_eq!(store.claim(3).await.unwrap().len(), 1);
    assert_eq!(store.claim(3).await.unwrap().len(), 0);
    assert_eq!(store.release().await.unwrap(), 4);
    assert_eq!(store.claim(10).await.unwrap().len(), 4);
}

async fn a_claim_says_until_when_there_is_nothing_to_do(database: Database) {
    let store = database.open().await;
    let (wait, lifetime) = (Duration::from_secs(600), Duration::from_secs(3600));
    let session_1 = session(1, "account-1", "h1");
    let life = Life::begin(NOW, wait, lifetime, session_1.registration.baseline);
    let waiting = NewSession { life, ..session_1 };
    store.register(waiting.clone()).await.unwrap();
    let due = store.register(session(2, "account-2", "h2")).await.unwrap().id;
    let claimed = store.claim(10).await.unwrap();
    let said: Vec<_> = claimed.iter().map(|claimed| (claimed.id, claimed.wait_until)).collect();
    assert_eq!(said, [(waiting.id, Some(NOW.after(wait))), (due, None)]);
    for Claimed { id, host, .. } in claimed {
        assert_eq!(store.mail_host(id).await.unwrap(), host);
        assert!(host.is_some());
    }
}

async fn a_push_is_queued_with_the_baseline_and_survives_until_it_is_done(database: Database) {
    let store = database.open().await;
    let id = store.register(session(1, "account-1", "h1")).await.unwrap().id;
    let seen = Mailbox {
        uid_validity: NonZeroU32::new(9).unwrap(),
        uid_next: NonZeroU32::new(41).unwrap(),
        highest_modseq: None,
    };
    step(&store, id, NOW, Event::Connected(seen)).await.unwrap();
    store.close().await;

    let store = database.open().await;
    assert_eq!(store.next_push().await.unwrap(), Some(NOW));
    let due = store.due_pushes(NOW, 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].session, due[0].kind, due[0].attempts), (id, PushKind::NewMail, 0));
    let later = NOW.after(Duration::from_secs(2));
    let again = Finish::Again { at: later, reason: "TooManyRequests".to_owned() };
    store.finish_push(due[0].id, NOW, again).await.unwrap();
    assert!(store.due_pushes(NOW, 10).await.unwrap().is_empty());
    assert_eq!(store.due_pushes(later, 10).await.unwrap()[0].attempts, 1);
    let done = Finish::Done { status: PushStatus::Accepted, provider_id: Some("x".to_owned()), reason: None };
    store.finish_push(due[0].id, later, done).await.unwrap();
    assert_eq!(store.next_push().await.unwrap(), None);
    assert_eq!(
        store.pushes_of(id).await.unwrap(),
        [("accepted".to_owned(), Some("TooManyRequests".to_owned()))].map(|(status, _)| (status, None))
    );

    assert_eq!(store.purge(later).await.unwrap(), 0);
    step(&store, id, later, Event::Stopped).await.unwrap();
    assert_eq!(store.purge(later.after(Duration::from_secs(1))).await.unwrap(), 2);
    assert!(store.session(id).await.unwrap().is_none());
}

#[tokio::test]
async fn what_cannot_be_opened_is_said_without_its_password() {
    let node = NodeId::from_uuid(Uuid::from_u128(7));
    let closed = peers::closed_port().unwrap();
    for url in [
        "sqlite:///nowhere/at/all/pinger.db".to_owned(),
        format!("postgres://pinger:hunter2@{closed}/pinger"),
        "mysql://pinger:hunter2@localhost/pinger".to_owned(),
        "pinger.db".to_owned(),
    ] {
        let error = Store::open(&url, node).await.err().unwrap();
        assert!(matches!(error, StoreError::Open { .. }), "{url}: {error:?}");
        let said = format!("{error} {error:?} {}", std::error::Error::source(&error).unwrap());
        assert!(!said.contains("hunter2"), "{said}");
    }
}

support::on_each_database![
    what_was_stored_comes_back_after_a_restart,
    an_activesync_target_comes_back_and_its_request_is_replaced_with_a_defer,
    the_same_again_is_the_same_session_and_anything_else_replaces_it,
    a_hundred_registrations_of_one_account_leave_one_live_session,
    a_late_change_loses_and_an_end_destroys_the_box,
    nodes_claim_what_nobody_runs,
    a_claim_says_until_when_there_is_nothing_to_do,
    a_push_is_queued_with_the_baseline_and_survives_until_it_is_done,
];
