//! What this node knows of each host: by the table of quirks, and by what it went through with it. It is kept in memory: a
//! node that starts again learns again, from the few first sessions of a host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{HostName, PollBounds};
use tokio::time::Instant;

use super::quirk::{IdleTrust, Manner, QuirkRule};

/// A session's IDLE is distrusted after so many lies in a row.
pub(super) const LIES: u8 = 2;

/// How soon the IDLE of a host that lies to many is cross-checked.
const DISTRUSTED_RENEW: Duration = Duration::from_secs(5 * 60);

/// IDLE is renewed no sooner than this, whatever was learnt.
const LEAST_RENEW: Duration = Duration::from_secs(2 * 60);

/// Cuts that come together are one outage, and say nothing of the host's time-outs.
const ONE_OUTAGE: Duration = Duration::from_secs(60);

/// How long SCRAM is doubted where it was refused: a server may offer it, and keep passwords from which it can't be done.
const SCRAM_DOUBT: Duration = Duration::from_secs(24 * 60 * 60);

/// Hosts without a session that are remembered beside those with one.
const MOST_IDLE_HOSTS: usize = 10_000;

/// A mail server, shared by all its sessions.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: HostName,
    pub(super) port: u16,
    manner: Manner,
    learnt: Mutex<Learnt>,
}

#[derive(Debug, Default)]
struct Learnt {
    /// How soon IDLE is renewed, where that turned out to be needed.
    renew: Option<Duration>,
    /// When an idle connection was last cut, and how long it had been silent.
    cut: Option<(Instant, Duration)>,
    /// Lies of its IDLE since it was last seen to tell the truth.
    lies: u8,
    scram_refused: Option<Instant>,
}

impl Host {
    fn new(name: HostName, port: u16, rules: &[QuirkRule]) -> Self {
        let manner = Manner::of(&name, rules);
        Self { name, port, manner, learnt: Mutex::default() }
    }

    fn learnt(&self) -> std::sync::MutexGuard<'_, Learnt> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How soon IDLE is renewed, by all that is known.
    pub(super) fn renew(&self) -> Duration {
        let learnt = self.learnt();
        let renew = learnt.renew.unwrap_or(self.manner.renew).min(self.manner.renew);
        if learnt.lies >= LIES { renew.min(DISTRUSTED_RENEW) } else { renew }
    }

    /// Whether IDLE is worth trying.
    pub(super) fn idles(&self) -> bool {
        self.manner.idle == IdleTrust::Trusted
    }

    /// Whether it wants to know who we are even if it doesn't offer ID.
    pub(super) fn needs_id(&self) -> bool {
        self.manner.needs_id
    }

    /// Between which bounds it is polled, if it wants others than everybody.
    pub(super) fn polls(&self) -> Option<PollBounds> {
        self.manner.polls
    }

    /// A session found mail of which its IDLE had not told.
    pub(super) fn lied(&self) {
        let mut learnt = self.learnt();
        learnt.lies = learnt.lies.saturating_add(1);
    }

    /// A session was told of mail.
    pub(super) fn told(&self) {
        self.learnt().lies = 0;
    }

    /// An idle connection was cut after `silence`. The second one after about the same time is no chance: from now on, IDLE
    /// is renewed before that.
    pub(super) fn cut(&self, silence: Duration) {
        let now = Instant::now();
        let mut learnt = self.learnt();
        let known = learnt.cut.filter(|(at, _)| now - *at >= ONE_OUTAGE);
        if learnt.cut.is_some() && known.is_none() {
            return;
        }
        learnt.cut = Some((now, silence));
        let Some((_, before)) = known else { return };
        let (short, long) = (before.min(silence), before.max(silence));
        if short >= LEAST_RENEW && long <= short.mul_f64(1.1) {
            let renew = short.mul_f64(0.8).max(LEAST_RENEW);
            learnt.renew = Some(learnt.renew.map_or(renew, |known| known.min(renew)));
            tracing::info!(
                host = %self.name,
                seconds = renew.as_secs(),
                "idle connections are cut; IDLE is renewed before that from now on"
            );
        }
    }

    /// Whether SCRAM was refused here lately, where something else might have been taken.
    pub(super) fn doubts_scram(&self) -> bool {
        self.learnt().scram_refused.is_some_and(|at| at.elapsed() < SCRAM_DOUBT)
    }

    /// A login of the best way was refused. The next one tries another way; if that is refused, too, it was the password.
    pub(super) fn refused_best_way(&self) {
        let doubted = self.doubts_scram();
        self.learnt().scram_refused = (!doubted).then(Instant::now);
    }
}

/// All hosts that this node knows.
#[derive(Debug)]
pub(super) struct Hosts {
    rules: Vec<QuirkRule>,
    known: Mutex<HashMap<(HostName, u16), Arc<Host>>>,
}

impl Hosts {
    pub(super) fn new(rules: Vec<QuirkRule>) -> Self {
        Self { rules, known: Mutex::default() }
    }

    /// A host, made known if it isn't.
    pub(super) fn get(&self, name: &HostName, port: u16) -> Arc<Host> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_IDLE_HOSTS && !known.contains_key(&(name.clone(), port)) {
            // Whoever has a session is remembered: users name hosts as they like, but not more than they have sessions.
            known.retain(|_, host| Arc::strong_count(host) > 1);
        }
        let host = known.entry((name.clone(), port));
        host.or_insert_with(|| Arc::new(Host::new(name.clone(), port, &self.rules))).clone()
    }
}

#[cfg(test)]
impl Host {
    /// A host of which nothing is known.
    pub(super) fn unknown() -> Arc<Self> {
        Arc::new(Self::new(HostName::parse("imap.example.org").unwrap(), 993, &[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Arc<Host> {
        Host::unknown()
    }

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[tokio::test(start_paused = true)]
    async fn cuts_after_the_same_silence_shorten_the_renewal() {
        let host = host();
        assert_eq!(host.renew(), minutes(28));
        host.cut(minutes(10));
        assert_eq!(host.renew(), minutes(28), "once is chance");
        tokio::time::advance(minutes(10)).await;
        host.cut(minutes(10) + Duration::from_secs(20));
        assert_eq!(host.renew(), minutes(8));
        // It never grows again by a longer one.
        for silence in [20, 20] {
            tokio::time::advance(minutes(5)).await;
            host.cut(minutes(silence));
        }
        assert_eq!(host.renew(), minutes(8));
    }

    #[tokio::test(start_paused = true)]
    async fn one_outage_teaches_nothing() {
        let host = host();
        for silence in [3, 3, 9, 10, 10, 25] {
            host.cut(minutes(silence));
        }
        tokio::time::advance(minutes(30)).await;
        host.cut(minutes(12));
        tokio::time::advance(minutes(30)).await;
        host.cut(minutes(25));
        // A restart of the server soon after the connect, twice.
        for _ in 0..2 {
            tokio::time::advance(minutes(30)).await;
            host.cut(Duration::from_secs(61));
        }
        assert_eq!(host.renew(), minutes(28));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_whose_idle_lies_is_checked_soon_until_it_tells_the_truth() {
        let host = host();
        host.lied();
        assert_eq!(host.renew(), minutes(28));
        host.lied();
        assert_eq!(host.renew(), minutes(5));
        host.told();
        assert_eq!(host.renew(), minutes(28));
    }

    #[tokio::test(start_paused = true)]
    async fn scram_is_doubted_for_a_day_at_most() {
        let host = host();
        host.refused_best_way();
        assert!(host.doubts_scram());
        host.refused_best_way();
        assert!(!host.doubts_scram(), "it was the password");
        host.refused_best_way();
        tokio::time::advance(SCRAM_DOUBT).await;
        assert!(!host.doubts_scram());
    }

    #[test]
    fn hosts_without_sessions_are_forgotten_when_there_are_too_many() {
        let hosts = Hosts::new(Vec::new());
        let kept = hosts.get(&HostName::parse("kept.example").unwrap(), 993);
        kept.lied();
        for number in 0..2 * MOST_IDLE_HOSTS {
            hosts.get(&HostName::parse(&format!("h{number}.example")).unwrap(), 993);
        }
        assert!(hosts.known.lock().unwrap().len() <= MOST_IDLE_HOSTS + 1);
        let again = hosts.get(&kept.name, 993);
        assert!(Arc::ptr_eq(&kept, &again));
    }
}
