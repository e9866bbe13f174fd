//! Whose turn it is to connect: so many at once and so many a second at one host, so many at once in all.
//!
//! A host that answers nobody holds up those who wait for it, and nobody else: whoever waits at a host has no place among
//! those who connect. Many names may lead to one host, so once a name's address is known, its turns are the address's too.
//!
//! What several hosts that are silent may hold is bounded, too. A host that isn't known to answer is tried by few at once. One
//! that has let us wait in vain is tried by one at a time, which has a place among those at silent hosts from the beginning.
//! And a connection that is in the making for longer than most costs next to nothing while it waits, so that it leaves its
//! place to the next one: so the hosts that fall silent together don't fill the places before anybody knows of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{HostName, SessionId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::standing::{Answer, Standing};
use crate::logins::Attempt;

/// How fast connections are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PaceRules {
    /// Connections in the making at once.
    pub(crate) at_once: usize,
    /// The same, at one host.
    pub(crate) host_at_once: usize,
    /// Connections that are begun in a second at one host, when more than [`host_burst`](Self::host_burst) are wanted.
    pub(crate) host_per_second: u32,
    /// Connections that are begun without a pause at a host that was left alone.
    pub(crate) host_burst: u32,
}

impl PaceRules {
    fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.host_per_second.max(1)
    }
}

/// After this long a connection in the making is counted apart. Most are made by then; sixteen full hosts that fall silent
/// together delay others by four times as much.
const LATE: Duration = Duration::from_millis(250);

/// So many times [`PaceRules::at_once`] may be late.
const LATE_SHARE: usize = 4;

/// A token bucket, kept as the time at which it will be full again.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// Takes a token, and says from when on it may be used. Each interval brings one; `burst` is how many there are at the
    /// most.
    fn take(&mut self, now: Instant, interval: Duration, burst: u32) -> Instant {
        let full_at = self.full_at.max(now);
        self.full_at = full_at + interval;
        full_at.checked_sub(interval * burst.saturating_sub(1)).map_or(now, |at| at.max(now))
    }
}

/// What shares a pace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Host(HostName),
    Address(IpAddr),
}

/// All who want to connect to one host or address.
struct Lane {
    places: Arc<Semaphore>,
    state: Mutex<LaneState>,
}

struct LaneState {
    bucket: Bucket,
    standing: Standing,
    /// How many places there are, and how many there should be: those above that end with whoever has them.
    places: usize,
    wanted: usize,
    /// Where the host was found last.
    address: Option<IpAddr>,
    /// How many have come so far, and how many of them wait no longer.
    come: u64,
    gone_on: u64,
    /// How long a place is kept, on the average.
    kept: Duration,
}

impl Lane {
    fn new(rules: &PaceRules) -> Self {
        let bucket = Bucket { full_at: Instant::now() };
        let standing = Standing::New;
        let places = standing.at_once(rules.host_at_once.max(1));
        let kept = Duration::ZERO;
        let state = LaneState { bucket, standing, places, wanted: places, address: None, come: 0, gone_on: 0, kept };
        Self { places: Arc::new(Semaphore::new(places)), state: Mutex::new(state) }
    }

    /// Takes down what became of a connection.
    fn heard(&self, answer: Answer, rules: &PaceRules) {
        let mut state = self.state();
        state.standing = state.standing.after(answer, Instant::now());
        state.wanted = state.standing.at_once(rules.host_at_once.max(1));
        if state.wanted > state.places {
            self.places.add_permits(state.wanted - state.places);
            state.places = state.wanted;
        } else {
            state.places -= self.places.forget_permits(state.places - state.wanted);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, LaneState> {
        // Whatever a panic left is a state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One in a lane's queue.
struct Ticket {
    lane: Arc<Lane>,
    /// How many came before.
    number: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.lane.state().gone_on += 1;
    }
}

/// A place in a lane.
struct Place {
    lane: Arc<Lane>,
    since: Instant,
    permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    fn is_silent(&self) -> bool {
        self.lane.state().standing.is_silent()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let kept = self.since.elapsed();
        let mut state = self.lane.state();
        state.kept = if state.kept.is_zero() { kept } else { (state.kept * 7 + kept) / 8 };
        if state.places > state.wanted
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            state.places -= 1;
        }
    }
}

/// The right to make one connection; it ends when this is dropped. In a box, because whoever has it idles for days later,
/// and a future never becomes smaller.
pub(crate) struct Turn(Box<Held>);

struct Held {
    attempt: Option<Attempt>,
    of_all: OfAll,
    places: [Option<Place>; 2],
    rules: PaceRules,
}

/// A place among all that connect.
enum OfAll {
    /// For as long as it isn't late.
    Prompt { _permit: Option<OwnedSemaphorePermit>, late_at: Instant, late: Arc<Semaphore> },
    /// To the end: among the late ones, or those at silent hosts.
    Apart { _permit: Option<OwnedSemaphorePermit> },
}

impl Turn {
    /// The log-in that this connection is for.
    pub(super) fn is_for(&mut self, attempt: Attempt) {
        self.0.attempt = Some(attempt);
    }

    /// The same, once.
    pub(super) fn take_attempt(&mut self) -> Option<Attempt> {
        self.0.attempt.take()
    }

    /// Ends never, and is to be polled while the connection is made: leaves the place to another when it takes long.
    /// May be dropped and begun again.
    pub(super) async fn gives_way(&mut self) {
        if let OfAll::Prompt { late_at, late, .. } = &self.0.of_all {
            sleep_until(*late_at).await;
            // Never closed.
            let permit = late.clone().acquire_owned().await.ok();
            self.0.of_all = OfAll::Apart { _permit: permit };
        }
        std::future::pending().await
    }

    /// Ends the turn, and tells what became of the connection.
    pub(super) fn ends(self, answer: Option<Answer>) {
        let Some(answer) = answer else { return };
        for place in self.0.places.iter().flatten() {
            place.lane.heard(answer, &self.0.rules);
        }
    }
}

/// The pace of all connections of this node.
pub(crate) struct Pace {
    rules: PaceRules,
    all: Arc<Semaphore>,
    /// Those who take long, and those who try hosts that were silent: none of them is in anybody's way.
    late: Arc<Semaphore>,
    silent: Arc<Semaphore>,
    lanes: Mutex<Lanes>,
    /// Who waits, where.
    waiting: Mutex<HashMap<SessionId, (Arc<Lane>, u64)>>,
}

struct Lanes {
    by_key: HashMap<Key, Arc<Lane>>,
    /// When to look for what can be forgotten: at this many.
    sweep_at: usize,
}

/// So few lanes are not worth looking through.
const SWEEP_MIN: usize = 64;

impl Pace {
    pub(crate) fn new(rules: PaceRules) -> Self {
        Self {
            rules,
            all: Arc::new(Semaphore::new(rules.at_once.max(1))),
            late: Arc::new(Semaphore::new(rules.at_once.max(1).saturating_mul(LATE_SHARE).min(Semaphore::MAX_PERMITS))),
            silent: Arc::new(Semaphore::new(rules.at_once.max(1))),
            lanes: Mutex::new(Lanes { by_key: HashMap::new(), sweep_at: SWEEP_MIN }),
            waiting: Mutex::default(),
        }
    }

    /// Waits for a session's turn to connect to a host.
    pub(crate) async fn turn(&self, id: SessionId, host: &HostName) -> Turn {
        let lane = self.lane(Key::Host(host.clone()));
        let by_host = self.place(id, lane.clone()).await;
        let address = lane.state().address;
        let by_address = match address {
            Some(address) => Some(self.place(id, self.lane(Key::Address(address))).await),
            None => None,
        };
        let silent = [Some(&by_host), by_address.as_ref()].iter().flatten().any(|place| place.is_silent());
        // The semaphores are never closed.
        let of_all = if silent {
            OfAll::Apart { _permit: self.silent.clone().acquire_owned().await.ok() }
        } else {
            let _permit = self.all.clone().acquire_owned().await.ok();
            OfAll::Prompt { _permit, late_at: Instant::now() + LATE, late: self.late.clone() }
        };
        Turn(Box::new(Held { attempt: None, of_all, places: [Some(by_host), by_address], rules: self.rules }))
    }

    /// Takes down where a host was found.
    pub(crate) fn learn(&self, host: &HostName, address: IpAddr) {
        // A host that was given as an address is its own lane already.
        if host.address().is_none() {
            self.lane(Key::Host(host.clone())).state().address = Some(address);
        }
    }

    /// About how long a session has still to wait, if it waits.
    pub(crate) fn wait(&self, id: SessionId) -> Option<Duration> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (lane, number) = waiting.get(&id)?;
        let state = lane.state();
        let ahead = u32::try_from(number.saturating_sub(state.gone_on)).unwrap_or(u32::MAX);
        let places = u32::try_from(state.wanted).unwrap_or(u32::MAX);
        Some((state.kept / places).max(self.rules.interval()).saturating_mul(ahead))
    }

    async fn place(&self, id: SessionId, lane: Arc<Lane>) -> Place {
        let ticket = {
            let mut state = lane.state();
            state.come += 1;
            Ticket { lane: lane.clone(), number: state.come - 1 }
        };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, (lane.clone(), ticket.number));
        // Whoever leaves the queue before their turn is in no list either.
        let _listed = Listed { pace: self, id };
        let permit = lane.places.clone().acquire_owned().await.ok();
        let from = lane.state().bucket.take(Instant::now(), self.rules.interval(), self.rules.host_burst);
        if from > Instant::now() {
            sleep_until(from).await;
        }
        drop(ticket);
        Place { lane, since: Instant::now(), permit }
    }

    fn lane(&self, key: Key) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.by_key.len() >= lanes.sweep_at {
            let now = Instant::now();
            lanes.by_key.retain(|_, lane| {
                let needed = || {
                    let state = lane.state();
                    state.bucket.full_at > now || state.standing.is_remembered(now)
                };
                Arc::strong_count(lane) > 1 || needed()
            });
            lanes.sweep_at = SWEEP_MIN.max(2 * lanes.by_key.len());
        }
        lanes.by_key.entry(key).or_insert_with(|| Arc::new(Lane::new(&self.rules))).clone()
    }
}

/// A place in the list of those who wait.
struct Listed<'a> {
    pace: &'a Pace,
    id: SessionId,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.pace.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
