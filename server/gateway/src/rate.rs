//! How many calls are taken, from one peer and from all, in memory that no flood can make grow.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed, keyed::DashMapStateStore};
use governor::{NotUntil, Quota, RateLimiter};

use crate::config::{Rate, Rates};
use crate::peer::Peer;

/// Peers are spread over this many buckets, by a hash that nobody outside can foresee. More of them are never
/// counted, however many peers there are: at about 50 bytes each, 6 MB. Two peers that share one share its rate.
const BUCKETS: u64 = 1 << 17;

/// How often buckets that are full again are forgotten.
pub(crate) const TIDY_EVERY: Duration = Duration::from_secs(30);

type Middleware<C> = NoOpMiddleware<<C as Clock>::Instant>;

/// The rates.
pub(crate) struct Limiter<C: Clock = DefaultClock> {
    peers: RateLimiter<u64, DashMapStateStore<u64>, C, Middleware<C>>,
    global: RateLimiter<NotKeyed, InMemoryState, C, Middleware<C>>,
    hasher: RandomState,
    clock: C,
}

impl Limiter {
    pub(crate) fn new(rates: Rates) -> Self {
        Self::with_clock(rates, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limiter<C> {
    fn with_clock(rates: Rates, clock: C) -> Self {
        let quota = |Rate { per_second, burst }: Rate| Quota::per_second(per_second).allow_burst(burst);
        Self {
            peers: RateLimiter::dashmap_with_clock(quota(rates.per_peer), clock.clone()),
            global: RateLimiter::direct_with_clock(quota(rates.global), clock.clone()),
            hasher: RandomState::new(),
            clock,
        }
    }

    /// Takes one call of `peer`, or says after how long it would be taken. The peer's own rate comes first, so that
    /// one that calls too much doesn't use up what belongs to all.
    pub(crate) fn take(&self, peer: Peer) -> Result<(), Duration> {
        let bucket = self.hasher.hash_one(peer) % BUCKETS;
        let wait = |until: NotUntil<C::Instant>| until.wait_time_from(self.clock.now());
        self.peers.check_key(&bucket).map_err(wait)?;
        self.global.check().map_err(wait)
    }

    /// Forgets who hasn't called for a while.
    pub(crate) fn tidy(&self) {
        self.peers.retain_recent();
        self.peers.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::num::NonZeroU32;

    use governor::clock::FakeRelativeClock;
    use http::HeaderMap;

    use super::*;

    fn peer(address: &str) -> Peer {
        crate::peer::peer(SocketAddr::new(address.parse().unwrap(), 1), &HeaderMap::new(), &[])
    }

    fn limiter(per_peer: u32, global: u32) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let rate = |number| Rate::of(NonZeroU32::new(number).unwrap());
        let rates = Rates { per_peer: rate(per_peer), global: rate(global) };
        (Limiter::with_clock(rates, clock.clone()), clock)
    }

    #[test]
    fn each_peer_has_its_rate() {
        let (limiter, clock) = limiter(2, 100);
        let (one, two) = (peer("192.0.2.1"), peer("192.0.2.2"));
        assert!(limiter.take(one).is_ok());
        assert!(limiter.take(one).is_ok());
        assert_eq!(limiter.take(one), Err(Duration::from_millis(500)));
        assert!(limiter.take(two).is_ok());
        clock.advance(Duration::from_millis(500));
        assert!(limiter.take(one).is_ok());
        assert!(limiter.take(one).is_err());
    }

    #[test]
    fn all_together_have_one_too() {
        let (limiter, _) = limiter(2, 3);
        let taken = (0..10).filter(|host| limiter.take(peer(&format!("192.0.2.{host}"))).is_ok()).count();
        assert_eq!(taken, 3);
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let (limiter, clock) = limiter(1, u32::MAX);
        for host in 0..300_000_u32 {
            let _ = limiter.take(peer(&std::net::Ipv4Addr::from_bits(host).to_string()));
        }
        assert!(limiter.peers.len() <= usize::try_from(BUCKETS).unwrap());
        clock.advance(Duration::from_secs(10));
        limiter.tidy();
        assert_eq!(limiter.peers.len(), 0);
    }
}
