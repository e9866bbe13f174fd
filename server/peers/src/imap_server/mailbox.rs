//! The mailboxes: one INBOX a user, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::record::lock;

/// How long a delivery waits for an idling connection to have told its client.
const TOLD_PATIENCE: Duration = Duration::from_secs(5);

/// An INBOX. Its messages have a UID and nothing else: whoever watches a mailbox reads no mail.
#[derive(Clone)]
pub(super) struct Mailbox {
    pub(super) uid_validity: u32,
    pub(super) uid_next: u32,
    /// The UIDs, ascending.
    pub(super) uids: Vec<u32>,
}

impl Mailbox {
    pub(super) fn exists(&self) -> usize {
        self.uids.len()
    }
}

/// Which delivery an idling client was told of, and when.
#[derive(Clone, Copy, Default)]
struct Told {
    uid_next: u32,
    at_ns: u64,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The new message's UID.
    pub uid: u32,
    /// CLOCK_MONOTONIC in nanoseconds just before the first `* n EXISTS` was written; `None` if nobody idled.
    pub told_at_ns: Option<u64>,
}

/// A user with their INBOX. Every idling connection is subscribed to it.
pub(super) struct User {
    password: Mutex<String>,
    pub(super) mailbox: watch::Sender<Mailbox>,
    told: watch::Sender<Told>,
}

impl User {
    fn new(password: &str) -> Self {
        let mailbox = Mailbox { uid_validity: 1, uid_next: 1, uids: Vec::new() };
        Self {
            password: Mutex::new(password.to_owned()),
            mailbox: watch::Sender::new(mailbox),
            told: watch::Sender::default(),
        }
    }

    pub(super) async fn deliver(&self) -> Delivery {
        let mut told = self.told.subscribe();
        let mut uid = 0;
        self.mailbox.send_modify(|mailbox| {
            uid = mailbox.uid_next;
            mailbox.uids.push(uid);
            mailbox.uid_next += 1;
        });
        if self.mailbox.receiver_count() == 0 {
            return Delivery { uid, told_at_ns: None };
        }
        // A connection that leaves IDLE just now tells its client by another way.
        let told = tokio::time::timeout(TOLD_PATIENCE, told.wait_for(|told| told.uid_next > uid)).await;
        Delivery { uid, told_at_ns: told.ok().and_then(Result::ok).map(|told| told.at_ns) }
    }

    /// Empties the mailbox and gives it another UIDVALIDITY. Nobody is told.
    pub(super) fn renew_uid_validity(&self) -> u32 {
        let mut renewed = 0;
        self.mailbox.send_if_modified(|mailbox| {
            mailbox.uid_validity += 1;
            mailbox.uid_next = 1;
            mailbox.uids.clear();
            renewed = mailbox.uid_validity;
            false
        });
        self.told.send_replace(Told::default());
        renewed
    }

    /// An idling connection wrote EXISTS at this time, knowing the mailbox up to `uid_next`.
    pub(super) fn told(&self, uid_next: u32, at_ns: u64) {
        self.told.send_if_modified(|told| {
            let newer = uid_next > told.uid_next;
            if newer {
                *told = Told { uid_next, at_ns };
            }
            newer
        });
    }
}

/// All users.
pub(super) struct Users {
    by_name: Mutex<HashMap<String, Arc<User>>>,
    /// Whoever knows this password is let in, by any name, and gets a mailbox.
    open_password: Option<String>,
}

impl Users {
    pub(super) fn new(open_password: Option<String>) -> Self {
        Self { by_name: Mutex::default(), open_password }
    }

    pub(super) fn set(&self, name: &str, password: &str) {
        let mut users = lock(&self.by_name);
        match users.get(name) {
            Some(user) => password.clone_into(&mut lock(&user.password)),
            None => {
                users.insert(name.to_owned(), Arc::new(User::new(password)));
            }
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<User>> {
        lock(&self.by_name).get(name).cloned()
    }

    /// The user, if the password is right.
    pub(super) fn log_in(&self, name: &str, password: &str) -> Option<Arc<User>> {
        if self.open_password.as_deref() == Some(password) {
            let mut users = lock(&self.by_name);
            let user = users.entry(name.to_owned()).or_insert_with(|| Arc::new(User::new(password)));
            return Some(Arc::clone(user));
        }
        self.find(name).filter(|user| *lock(&user.password) == password)
    }
}
