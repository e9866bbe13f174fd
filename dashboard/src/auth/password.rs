//! Passwords: Argon2id (RFC 9106), hashed off the async threads, a few at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::config::Argon2Config;

/// The least characters of a password.
pub(crate) const SHORTEST: usize = 12;

/// The most bytes of a password: enough for a sentence, and no work for whoever sends a novel.
pub(crate) const LONGEST: usize = 256;

/// How many may wait for their turn.
const QUEUE: usize = 32;

/// Why a password could not be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordError {
    /// Too many are being looked at.
    #[error("too many passwords are being checked at once")]
    Busy,
    /// The hash could not be made.
    #[error("a password could not be hashed")]
    Hash,
}

/// What came of comparing a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is wrong, or there is nobody of that name: the same work was done for both.
    Wrong,
    /// It is right.
    Right {
        /// It was hashed in another way than it would be now.
        outdated: bool,
    },
}

/// Hashes and compares passwords. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Passwords {
    inner: Arc<Inner>,
}

struct Inner {
    argon2: Argon2<'static>,
    /// Compared with where there is nothing to compare with.
    decoy: String,
    turns: Semaphore,
    places: Semaphore,
    computed: AtomicU64,
}

impl Passwords {
    /// Fails if Argon2 doesn't take the parameters.
    pub(crate) fn new(config: &Argon2Config) -> Result<Self, PasswordError> {
        let params = Params::new(config.memory_kib, config.iterations, config.parallelism, None)
            .map_err(|_| PasswordError::Hash)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        // Nobody's password: 32 random bytes.
        let decoy = hash(&argon2, &rand::random::<[u8; 32]>())?;
        let turns = Semaphore::new(usize::try_from(config.concurrent.get()).unwrap_or(1));
        let inner = Inner { argon2, decoy, turns, places: Semaphore::new(QUEUE), computed: AtomicU64::new(0) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// How many hashes have been computed since the start.
    pub(crate) fn computed(&self) -> u64 {
        self.inner.computed.load(Ordering::Relaxed)
    }

    /// Hashes a new password, with a salt of its own, into PHC's form.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        self.work(move |inner| hash(&inner.argon2, password.expose_secret().as_bytes())).await?
    }

    /// Compares a password with a hash; without one, with a decoy, so that it takes the same work.
    pub(crate) async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<Verdict, PasswordError> {
        self.work(move |inner| inner.verify(password.expose_secret().as_bytes(), hash.as_deref())).await
    }

    async fn work<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = self.inner.places.try_acquire().map_err(|_| PasswordError::Busy)?;
        let _turn = self.inner.turns.acquire().await.map_err(|_| PasswordError::Busy)?;
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || {
            inner.computed.fetch_add(1, Ordering::Relaxed);
            job(&inner)
        })
        .await
        .map_err(|_| PasswordError::Hash)
    }
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, PasswordError> {
    let salt: [u8; 16] = rand::random();
    argon2.hash_password_with_salt(password, &salt).map(|hash| hash.to_string()).map_err(|_| PasswordError::Hash)
}

impl Inner {
    fn verify(&self, password: &[u8], hash: Option<&str>) -> Verdict {
        let stored = hash.and_then(|hash| PasswordHash::new(hash).ok());
        let Some(stored) = stored else {
            let decoy = PasswordHash::new(&self.decoy);
            // Whatever it says: there is nobody to let in.
            let _ = std::hint::black_box(decoy.map(|decoy| self.argon2.verify_password(password, &decoy).is_ok()));
            return Verdict::Wrong;
        };
        if self.argon2.verify_password(password, &stored).is_err() {
            return Verdict::Wrong;
        }
        let params = Params::try_from(&stored).ok();
        let ours = self.argon2.params();
        let same = stored.algorithm == Algorithm::Argon2id.ident()
            && params.is_some_and(|params| {
                (params.m_cost(), params.t_cost(), params.p_cost()) == (ours.m_cost(), ours.t_cost(), ours.p_cost())
            });
        Verdict::Right { outdated: !same }
    }
}

/// What is wrong with a new password, as a sentence.
pub(crate) fn problem(password: &str, name: &str) -> Option<String> {
    let characters = password.chars().count();
    let mut different: Vec<char> = password.chars().collect();
    different.sort_unstable();
    different.dedup();
    if characters < SHORTEST {
        return Some(format!("A password has at least {SHORTEST} characters. A few words are easy to remember."));
    }
    if password.len() > LONGEST {
        return Some(format!("A password has at most {LONGEST} bytes."));
    }
    if different.len() < 5 {
        return Some("This password repeats a few characters. Take a few words.".to_owned());
    }
    if password.to_lowercase().contains(&name.to_lowercase()) {
        return Some("A password must not have your name in it.".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn config(iterations: u32) -> Argon2Config {
        Argon2Config { memory_kib: 64, iterations, parallelism: 1, concurrent: NonZeroU32::new(2).unwrap() }
    }

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash() {
        let passwords = Passwords::new(&config(1)).unwrap();
        let hash = passwords.hash(secret("correct horse battery")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$") && hash.len() <= 255, "{hash}");
        assert_ne!(passwords.hash(secret("correct horse battery")).await.unwrap(), hash, "each has its salt");
        let verdict = passwords.verify(secret("correct horse battery"), Some(hash.clone())).await;
        assert_eq!(verdict, Ok(Verdict::Right { outdated: false }));
        assert_eq!(passwords.verify(secret("wrong horse battery"), Some(hash.clone())).await, Ok(Verdict::Wrong));
        // With other parameters it is still known, and due to be hashed anew.
        let later = Passwords::new(&config(2)).unwrap();
        let verdict = later.verify(secret("correct horse battery"), Some(hash)).await;
        assert_eq!(verdict, Ok(Verdict::Right { outdated: true }));
    }

    #[tokio::test]
    async fn nobody_takes_the_same_work_as_somebody() {
        let passwords = Passwords::new(&config(1)).unwrap();
        for (number, hash) in [(1, None), (2, Some("not a hash".to_owned())), (3, Some(String::new()))] {
            assert_eq!(passwords.verify(secret("any"), hash).await, Ok(Verdict::Wrong));
            assert_eq!(passwords.computed(), number);
        }
        // The decoy costs what a password costs now.
        assert!(passwords.inner.decoy.contains("m=64,t=1,p=1"));
    }

    #[tokio::test]
    async fn a_flood_is_turned_away() {
        let passwords = Passwords::new(&config(1)).unwrap();
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..500 {
            let passwords = passwords.clone();
            all.spawn(async move { passwords.verify(secret("any"), None).await });
        }
        let outcomes = all.join_all().await;
        assert!(outcomes.contains(&Err(PasswordError::Busy)));
        assert!(outcomes.contains(&Ok(Verdict::Wrong)));
    }

    #[test]
    fn weak_passwords_are_refused() {
        for bad in ["short", "aaaaaaaaaaaa", "abababababab", "I am kim and well", &"x1y2z".repeat(60)] {
            assert!(problem(bad, "kim").is_some(), "{bad}");
        }
        assert_eq!(problem("correct horse battery", "kim"), None);
        assert_eq!(problem("жёлтый старый дом", "kim"), None);
    }
}
