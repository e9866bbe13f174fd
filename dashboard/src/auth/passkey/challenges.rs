//! What authenticators are asked to sign: in memory, for five minutes, each once, and for the one who was asked. A restart
//! forgets them, and the browser asks again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::Timestamp;

use crate::auth::secret::Token;

/// How long an answer is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How many may be out at once.
const MOST: usize = 4_096;

/// What a passkey is asked for, and who is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    /// To be registered, by a sign-in.
    Register(String),
    /// As the second factor, by a sign-in that waits for it.
    Second(String),
    /// As all there is to a sign-in, by a browser.
    Alone(String),
}

/// The challenges that are out. Whoever asks again makes the one before worthless.
#[derive(Default)]
pub(crate) struct Challenges {
    all: Mutex<HashMap<Asked, (String, Timestamp)>>,
}

impl Challenges {
    /// A new one. None if too many are out.
    pub(crate) fn begin(&self, asked: Asked, now: Timestamp) -> Option<String> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, (_, until)| now < *until);
        }
        if all.len() >= MOST {
            return None;
        }
        let challenge = Token::random().text();
        all.insert(asked, (challenge.clone(), now.after(PATIENCE)));
        Some(challenge)
    }

    /// Takes the one that is out: it counts once, whatever comes of it.
    pub(crate) fn take(&self, asked: &Asked, now: Timestamp) -> Option<String> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(asked).filter(|(_, until)| now < *until).map(|(challenge, _)| challenge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn alone(key: &str) -> Asked {
        Asked::Alone(key.to_owned())
    }

    #[test]
    fn a_challenge_counts_once_for_whom_it_was_made_and_not_for_long() {
        let challenges = Challenges::default();
        let first = challenges.begin(alone("a"), NOW).unwrap();
        let second = challenges.begin(alone("a"), NOW).unwrap();
        assert_ne!(first, second);
        assert_eq!(challenges.take(&alone("b"), NOW), None);
        assert_eq!(challenges.take(&Asked::Second("a".to_owned()), NOW), None);
        assert_eq!(challenges.take(&alone("a"), NOW), Some(second));
        assert_eq!(challenges.take(&alone("a"), NOW), None);
        challenges.begin(alone("a"), NOW).unwrap();
        assert_eq!(challenges.take(&alone("a"), NOW.after(PATIENCE)), None);
    }

    #[test]
    fn not_all_the_world_is_remembered() {
        let challenges = Challenges::default();
        let made = (0..10_000).filter(|key| challenges.begin(alone(&key.to_string()), NOW).is_some()).count();
        assert_eq!(made, MOST);
        assert!(challenges.begin(alone("later"), NOW.after(PATIENCE)).is_some());
    }
}
