//! How often somebody may try to sign in: token buckets, one for each account and each address, in memory that no flood can
//! make grow. A name that nobody has is counted like any other, so that being slowed down tells nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::Timestamp;

/// Accounts and addresses are spread over this many buckets each, by a hash that nobody outside can foresee. Two that
/// share one share its tries.
const BUCKETS: u64 = 1 << 15;

/// How many tries at once, and after how long there is one more.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    every: Duration,
}

/// Five typing mistakes, then two tries a minute.
const ACCOUNT: Rate = Rate { burst: 5, every: Duration::from_secs(30) };

/// An office may share an address.
const ADDRESS: Rate = Rate { burst: 20, every: Duration::from_secs(6) };

/// No try is left; there is one after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Throttled {
    pub(crate) wait: Duration,
    /// The first refusal since the last try: worth a line in the audit.
    pub(crate) first: bool,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Milliseconds of waiting that have been saved up, at `at`.
    saved: u64,
    at: Timestamp,
    refused: bool,
}

struct Buckets {
    rate: Rate,
    all: Mutex<HashMap<u64, Bucket>>,
}

impl Buckets {
    fn new(rate: Rate) -> Self {
        Self { rate, all: Mutex::default() }
    }

    fn full(&self) -> u64 {
        self.price() * u64::from(self.rate.burst)
    }

    fn price(&self) -> u64 {
        u64::try_from(self.rate.every.as_millis()).unwrap_or(u64::MAX)
    }

    /// With what a bucket has saved up by now.
    fn with<T>(&self, key: u64, now: Timestamp, change: impl FnOnce(&mut Bucket) -> T) -> T {
        // A panic while it was held left a map that is whole all the same.
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let full = self.full();
        let bucket = all.entry(key % BUCKETS).or_insert(Bucket { saved: full, at: now, refused: false });
        let since = u64::try_from(now.since(bucket.at).as_millis()).unwrap_or(u64::MAX);
        bucket.saved = bucket.saved.saturating_add(since).min(full);
        // A clock that was set back gives nothing, and takes nothing.
        bucket.at = now;
        change(bucket)
    }

    fn take(&self, key: u64, now: Timestamp) -> Result<(), Throttled> {
        let price = self.price();
        self.with(key, now, |bucket| {
            if bucket.saved >= price {
                bucket.saved -= price;
                bucket.refused = false;
                return Ok(());
            }
            let first = !std::mem::replace(&mut bucket.refused, true);
            Err(Throttled { wait: Duration::from_millis(price - bucket.saved), first })
        })
    }

    fn give_back(&self, key: u64, now: Timestamp) {
        let (price, full) = (self.price(), self.full());
        self.with(key, now, |bucket| bucket.saved = bucket.saved.saturating_add(price).min(full));
    }

    fn refill(&self, key: u64) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&(key % BUCKETS));
    }
}

/// Counts tries to sign in.
pub(crate) struct Throttle {
    accounts: Buckets,
    addresses: Buckets,
    hasher: RandomState,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { accounts: Buckets::new(ACCOUNT), addresses: Buckets::new(ADDRESS), hasher: RandomState::new() }
    }
}

impl Throttle {
    /// Takes a try of an address on an account, or says after how long there is one.
    pub(crate) fn take(&self, account: &str, address: IpAddr, now: Timestamp) -> Result<(), Throttled> {
        self.take_address(address, now)?;
        self.accounts.take(self.key(&account.to_lowercase()), now)
    }

    /// Takes a try of an address, on nothing in particular.
    pub(crate) fn take_address(&self, address: IpAddr, now: Timestamp) -> Result<(), Throttled> {
        self.addresses.take(self.key(&network(address)), now)
    }

    /// Whoever got in has not guessed: the account has all its tries again, the address the one that was taken.
    pub(crate) fn succeeded(&self, account: &str, address: IpAddr, now: Timestamp) {
        self.accounts.refill(self.key(&account.to_lowercase()));
        self.addresses.give_back(self.key(&network(address)), now);
    }

    fn key(&self, of: &impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }
}

/// An IPv4 address, or the /64 of IPv6 that one customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_account_has_five_tries_then_two_a_minute() {
        let throttle = Throttle::default();
        let host = |number: u8| IpAddr::from([192, 0, 2, number]);
        for number in 0..5 {
            assert_eq!(throttle.take("Kim", host(number), NOW), Ok(()));
        }
        let refused = throttle.take("kim", host(9), NOW);
        assert_eq!(refused, Err(Throttled { wait: Duration::from_secs(30), first: true }));
        assert!(!throttle.take("kim", host(10), NOW).unwrap_err().first);
        assert_eq!(throttle.take("amara", host(11), NOW), Ok(()));
        let later = NOW.after(Duration::from_secs(30));
        assert_eq!(throttle.take("kim", host(12), later), Ok(()));
        assert!(throttle.take("kim", host(13), later).unwrap_err().first, "a new row of refusals");
        throttle.succeeded("kim", host(1), later);
        assert_eq!(throttle.take("kim", host(14), later), Ok(()));
    }

    #[test]
    fn an_address_has_twenty_tries() {
        let throttle = Throttle::default();
        let taken = (0..1000).filter(|name| throttle.take(&format!("name-{name}"), address("192.0.2.1"), NOW).is_ok());
        assert_eq!(taken.count(), 20);
        assert!(throttle.take("another", address("192.0.2.2"), NOW).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let throttle = Throttle::default();
        let host = |number: u128| IpAddr::V6((0x2001_0db8_u128 << 96 | number).into());
        let taken =
            (0..1000_u128).filter(|number| throttle.take(&format!("name-{number}"), host(*number), NOW).is_ok());
        assert_eq!(taken.count(), 20);
        assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }

    #[test]
    fn a_clock_that_goes_back_harms_nobody() {
        let throttle = Throttle::default();
        for _ in 0..5 {
            assert!(throttle.take("kim", address("192.0.2.1"), NOW).is_ok());
        }
        assert!(throttle.take("kim", address("192.0.2.1"), Timestamp::from_millis(0)).is_err());
        assert!(throttle.take("kim", address("192.0.2.1"), Timestamp::from_millis(30_000)).is_ok());
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        for number in 0..200_000_u32 {
            let _ = throttle.take(&number.to_string(), std::net::Ipv4Addr::from_bits(number).into(), NOW);
        }
        assert!(throttle.accounts.all.lock().unwrap().len() <= usize::try_from(BUCKETS).unwrap());
        assert!(throttle.addresses.all.lock().unwrap().len() <= usize::try_from(BUCKETS).unwrap());
    }
}
