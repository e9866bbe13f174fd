//! A real SQLite file or a real PostgreSQL, and sessions to put into it.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a panic is the answer")]

use std::num::NonZeroU32;
use std::time::Duration;

use domain::{
    ApnsEnvironment, ApnsPushType, ApnsTarget, AppId, Context, Device, DeviceId, Dice, Event, HostName, ImapTarget,
    KeyId, Life, MailTarget, Mailbox, Mechanism, NodeId, Platform, PushId, PushTarget, Registration, Rules, SealedBox,
    Security, SessionId, Timestamp, Timings, UserId, VersionText,
};
use peers::postgres::Postgres;
use store::{Change, NewPush, NewSession, Note, Store, StoreError};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
pub(crate) const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Makes a test of each named function, for each database: `async fn name(database: Database)`. A function that is named
/// nowhere is dead code, which clippy refuses, so that none is forgotten.
#[allow(unused_macros, reason = "the bench has no tests")]
macro_rules! on_each_database {
    ($($name:ident,)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Database::sqlite()).await;
            })*
        }

        mod postgresql {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Database::postgresql().await).await;
            })*
        }
    };
}
#[allow(unused_imports, reason = "the bench has no tests")]
pub(crate) use on_each_database;

/// A database of a test's own. It goes when this is dropped.
pub(crate) enum Database {
    Sqlite(TempDir),
    Postgresql { server: Box<Postgres>, url: String },
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) async fn postgresql() -> Self {
        let server = Postgres::start().await.unwrap();
        let url = server.database().await.unwrap();
        Self::Postgresql { server: Box::new(server), url }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}", folder.path().join("pinger.db").display()),
            Self::Postgresql { url, .. } => url.clone(),
        }
    }

    pub(crate) async fn open(&self) -> Store {
        self.open_as(7).await
    }

    /// Opens it as another node.
    pub(crate) async fn open_as(&self, node: u128) -> Store {
        Store::open(&self.url(), NodeId::from_uuid(Uuid::from_u128(node))).await.unwrap()
    }

    /// What is in SQLite's files.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        let Self::Sqlite(folder) = self else { return None };
        let files = std::fs::read_dir(folder.path()).unwrap();
        Some(files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect())
    }
}

pub(crate) fn mailbox(uid_next: u32) -> Mailbox {
    Mailbox {
        uid_validity: NonZeroU32::new(9).unwrap(),
        uid_next: NonZeroU32::new(uid_next).unwrap(),
        highest_modseq: None,
    }
}

/// A session that is registered at [`NOW`], whose mailbox has UIDNEXT 40.
pub(crate) fn session(number: u128, context: &str, hash: &str) -> NewSession {
    let new = named(number, NOW, ["user", "device", context], "imap.example.org");
    NewSession { registration_hash: hash.to_owned(), ..new }
}

/// A session of a user, a device and an account.
pub(crate) fn named(number: u128, at: Timestamp, [user, device, context]: [&str; 3], host: &str) -> NewSession {
    let lifetime = Duration::from_secs(3600);
    let token = "ab".repeat(32);
    let random = number.to_be_bytes();
    let random = [
        random[6], random[7], random[8], random[9], random[10], random[11], random[12], random[13], random[14],
        random[15],
    ];
    let id = uuid::Builder::from_unix_timestamp_millis(at.as_millis().unsigned_abs(), &random).into_uuid();
    NewSession {
        id: SessionId::from_uuid(id),
        app: AppId::parse("app").unwrap(),
        registration: Registration {
            user: UserId::parse(user).unwrap(),
            device: Device {
                id: DeviceId::parse(device).unwrap(),
                platform: Platform::Ios,
                os_version: VersionText::parse("iOS 19.1").unwrap(),
                app_version: VersionText::parse("1.0").unwrap(),
            },
            context: Context::parse(context).unwrap(),
            push_target: PushTarget::Apns(
                ApnsTarget::new(&token, "org.example", ApnsEnvironment::Production, ApnsPushType::Alert).unwrap(),
            ),
            mail: MailTarget::Imap(ImapTarget {
                host: HostName::parse(host).unwrap(),
                port: 993,
                security: Security::Tls,
                mailbox: "INBOX".to_owned(),
                mechanism: Mechanism::Plain,
            }),
            credential: SealedBox {
                key_id: KeyId::parse("key-1").unwrap(),
                encapsulated_key: [3; 32],
                ciphertext: vec![1; 272],
            },
            timings: Timings { wait_before_use: Duration::ZERO, response_timeout: Duration::from_secs(1680), lifetime },
            baseline: Some(mailbox(40)),
        },
        life: Life::begin(at, Duration::ZERO, lifetime, Some(mailbox(40))),
        address_hash: "aa".repeat(32),
        registration_hash: number.to_string(),
        created_at: at,
        traceparent: Some(TRACE.to_owned()),
    }
}

/// Lets an event happen to a session, told by `notes`.
pub(crate) async fn told(
    store: &Store,
    id: SessionId,
    now: Timestamp,
    event: Event,
    notes: impl FnOnce(&Life) -> Vec<Note>,
) -> Result<store::Applied, StoreError> {
    let record = store.session(id).await?.unwrap();
    let mut life = record.life;
    let effects = life.apply(&Rules::default(), now, Dice(0), event);
    let push = effects.push.map(|kind| NewPush {
        id: PushId::from_uuid(Uuid::now_v7()),
        kind,
        expires_at: now.after(Duration::from_secs(60)),
        traceparent: Some(TRACE.to_owned()),
    });
    let (token_dies, notes) = (effects.token_dies, notes(&life));
    store.change(Change { id, revision: record.revision, now, life, token_dies, push_target: None, push, notes }).await
}

/// Lets an event happen to a session.
pub(crate) async fn step(
    store: &Store,
    id: SessionId,
    now: Timestamp,
    event: Event,
) -> Result<store::Applied, StoreError> {
    told(store, id, now, event, |_| Vec::new()).await
}

/// Lets a mail come, which is pushed.
pub(crate) async fn mail(store: &Store, id: SessionId, now: Timestamp) {
    told(store, id, now, Event::Checked(mailbox(41)), |_| vec![Note::mail_seen(40, 41)]).await.unwrap();
}
