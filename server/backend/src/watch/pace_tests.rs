use futures_util::future::join_all;
use futures_util::{FutureExt as _, StreamExt as _};
use proptest::prelude::*;

use super::*;
use crate::clock::session_id;

const RULES: PaceRules = PaceRules { at_once: 64, host_at_once: 16, host_per_second: 100, host_burst: 100 };

fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

/// Connects that each take so long; answers how long after the beginning each of them was done.
async fn connects(pace: &Pace, host: &HostName, count: usize, each: Duration) -> Vec<Duration> {
    let began = Instant::now();
    let one = async || {
        let turn = pace.turn(session_id(), host).await;
        tokio::time::sleep(each).await;
        drop(turn);
        began.elapsed()
    };
    join_all((0..count).map(|_| one())).await
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_delays_nobody_else() {
    let pace = Pace::new(RULES);
    let (hole, good) = (host("hole.example.org"), host("good.example.org"));
    let (holes, goods) =
        tokio::join!(connects(&pace, &hole, 200, Duration::from_secs(60)), connects(&pace, &good, 10, Duration::ZERO));
    assert!(goods.iter().all(|took| *took < Duration::from_secs(1)), "{goods:?}");
    // Sixteen at a time: 13 rounds.
    let last = holes.iter().max().unwrap().as_secs();
    assert_eq!(last, 13 * 60);
}

#[tokio::test(start_paused = true)]
async fn a_host_is_not_stormed() {
    let pace = Pace::new(PaceRules { host_at_once: 1000, at_once: 1000, ..RULES });
    let mut done = connects(&pace, &host("a.example.org"), 500, Duration::ZERO).await;
    done.sort();
    assert!(done[99] < Duration::from_millis(5), "{:?}", done[99]);
    assert!((3990..=4010).contains(&done[499].as_millis()), "{:?}", done[499]);
}

#[tokio::test(start_paused = true)]
async fn names_of_one_address_share_its_pace() {
    let pace = Pace::new(PaceRules { at_once: 1000, ..RULES });
    let names: Vec<_> = (0..20).map(|number| host(&format!("mail{number}.example.org"))).collect();
    for name in &names {
        pace.learn(name, "192.0.2.1".parse().unwrap());
    }
    let each = Duration::from_secs(60);
    let done = join_all(names.iter().map(|name| connects(&pace, name, 16, each))).await.concat();
    assert_eq!(done.iter().max().unwrap().as_secs(), 20 * 60, "320 connects, sixteen at a time");
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_told() {
    let pace = Pace::new(RULES);
    let name = host("slow.example.org");
    // It learns how long they take.
    connects(&pace, &name, 16, Duration::from_secs(16)).await;
    let held: Vec<_> = join_all((0..16).map(|_| pace.turn(session_id(), &name))).await;
    let waiters: Vec<_> = (0..3).map(|_| session_id()).collect();
    let mut turns: Vec<_> = waiters.iter().map(|id| Box::pin(pace.turn(*id, &name))).collect();
    for turn in &mut turns {
        assert!(turn.now_or_never().is_none());
    }
    let told: Vec<_> = waiters.iter().map(|id| pace.wait(*id).unwrap().as_secs()).collect();
    assert_eq!(told, [0, 1, 2], "one place becomes free each second");
    assert_eq!(pace.wait(session_id()), None);
    // Whoever leaves is in nobody's way.
    drop(turns.remove(0));
    assert_eq!((pace.wait(waiters[0]), pace.wait(waiters[1]).unwrap().as_secs()), (None, 0));
    drop(held);
    let turns: Vec<_> = futures_util::stream::iter(turns).buffered(2).collect().await;
    assert_eq!(turns.len(), 2);
    assert_eq!(pace.wait(waiters[1]), None);
}

#[tokio::test(start_paused = true)]
async fn idle_hosts_are_forgotten() {
    let pace = Pace::new(RULES);
    for number in 0..10_000 {
        drop(pace.turn(session_id(), &host(&format!("{number}.example.org"))).await);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let known = pace.lanes.lock().unwrap().by_key.len();
    assert!(known <= 2 * SWEEP_MIN, "{known}");
}

proptest! {
    /// In no stretch of time are there more tokens than a burst and one for each interval of it.
    #[test]
    fn buckets_hold(pauses in proptest::collection::vec(0_u64..200, 1..300), burst in 1_u32..20) {
        let interval = Duration::from_millis(50);
        let mut now = Instant::now();
        let mut bucket = Bucket { full_at: now };
        let mut used = Vec::new();
        for pause in pauses {
            now += Duration::from_millis(pause);
            let at = bucket.take(now, interval, burst);
            prop_assert!(at >= now);
            used.push(at);
        }
        for (first, begin) in used.iter().enumerate() {
            for (last, end) in used.iter().enumerate().skip(first) {
                let tokens = u128::from(burst) + (*end - *begin).as_millis() / interval.as_millis();
                prop_assert!(tokens > (last - first) as u128, "{first} to {last}");
            }
        }
    }
}
