use futures_util::future::join_all;
use futures_util::{FutureExt as _, StreamExt as _};
use proptest::prelude::*;

use super::super::standing::IN_VAIN;
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
    answers(&pace, &hole).await;
    let (holes, goods) =
        tokio::join!(connects(&pace, &hole, 200, Duration::from_secs(60)), connects(&pace, &good, 10, Duration::ZERO));
    assert!(goods.iter().all(|took| *took < Duration::from_secs(1)), "{goods:?}");
    // Sixteen at a time: 13 rounds.
    let last = holes.iter().max().unwrap().as_secs();
    assert_eq!(last, 13 * 60);
}

/// Makes a host known as one that answers.
async fn answers(pace: &Pace, name: &HostName) {
    pace.turn(session_id(), name).await.ends(Some(Answer::Came));
}

/// Connects to a host that answers after so long, or doesn't within the deadline; how long after they wanted to, their turn
/// came, and when they were done. As in `Watcher::connect`.
async fn sessions(pace: &Pace, name: &HostName, count: usize, answers_after: Option<Duration>) -> Vec<[Duration; 2]> {
    let began = Instant::now();
    let one = async || {
        let mut turn = pace.turn(session_id(), name).await;
        let came = began.elapsed();
        tokio::select! {
            () = turn.gives_way() => {}
            () = tokio::time::sleep(answers_after.unwrap_or(DEADLINE)) => {}
        }
        turn.ends(Some(if answers_after.is_some() { Answer::Came } else { Answer::Missing }));
        [came, began.elapsed()]
    };
    join_all((0..count).map(|_| one())).await
}

const DEADLINE: Duration = Duration::from_secs(30);

/// A hundred sessions of a good host beside a hundred at each of so many that are silent: when the last of the good ones
/// was connected.
async fn beside_holes(pace: &Pace, holes: &[HostName], good: &HostName) -> Duration {
    let stuck = async {
        join_all(holes.iter().map(|hole| sessions(pace, hole, 100, None))).await;
        std::future::pending().await
    };
    let good = async {
        // The holes come first.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let done = sessions(pace, good, 100, Some(Duration::from_millis(100))).await;
        done.into_iter().map(|[_, done]| done).max().unwrap()
    };
    tokio::select! {
        done = stuck => done,
        done = good => done,
    }
}

fn holes(count: usize) -> Vec<HostName> {
    (0..count).map(|number| host(&format!("hole{number}.example.org"))).collect()
}

#[tokio::test(start_paused = true)]
async fn ten_black_holes_delay_nobody_else() {
    // A hundred sessions, sixteen at a time and a tenth of a second each, take 0.7 s by themselves.
    let alone = beside_holes(&Pace::new(RULES), &[], &host("good.example.org")).await;
    let within = |took: Duration| took < alone + Duration::from_secs(1);
    // After a start, when nobody is known.
    let pace = Pace::new(RULES);
    let took = beside_holes(&pace, &holes(10), &host("good.example.org")).await;
    assert!(within(took), "new: {took:?}, alone {alone:?}");
    // When all of them did answer.
    let pace = Pace::new(RULES);
    for name in holes(10).iter().chain([&host("good.example.org")]) {
        answers(&pace, name).await;
    }
    let took = beside_holes(&pace, &holes(10), &host("good.example.org")).await;
    assert!(within(took), "fallen silent: {took:?}, alone {alone:?}");
    // When it is known who is silent, however many they are.
    let pace = Pace::new(RULES);
    for name in holes(500) {
        pace.turn(session_id(), &name).await.ends(Some(Answer::Missing));
    }
    let took = beside_holes(&pace, &holes(500), &host("good.example.org")).await;
    assert!(within(took), "silent: {took:?}, alone {alone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_host_is_tried_by_one_at_a_time_until_it_answers() {
    let pace = Pace::new(RULES);
    let name = host("mail.example.org");
    let turns = |done: Vec<[Duration; 2]>| done.into_iter().map(|[came, _]| came.as_secs()).collect::<Vec<_>>();
    // Two, of whom nobody is answered; then one after the other.
    assert_eq!(turns(sessions(&pace, &name, 4, None).await), [0, 0, 30, 60]);
    // The first is answered, and then nobody waits.
    let late = turns(sessions(&pace, &name, 17, Some(Duration::from_secs(5))).await);
    assert_eq!(late, [vec![0], vec![5; 16]].concat());
    // One lost connection, or two, are no outage.
    for _ in 1..IN_VAIN {
        pace.turn(session_id(), &name).await.ends(Some(Answer::Missing));
    }
    assert_eq!(turns(sessions(&pace, &name, 16, None).await), [0; 16]);
    // Now it is one. The sixteen places are taken down to one, though all were taken when it was noticed.
    assert_eq!(turns(sessions(&pace, &name, 2, None).await), [0, 30]);
    // Nobody learns anything from a turn that was given back.
    pace.turn(session_id(), &name).await.ends(None);
    assert_eq!(turns(sessions(&pace, &name, 2, None).await), [0, 30]);
}

#[tokio::test(start_paused = true)]
async fn all_connections_in_the_making_are_bounded() {
    let pace = Pace::new(RULES);
    for name in holes(100) {
        answers(&pace, &name).await;
    }
    let begun = std::cell::Cell::new(0);
    let one = async |name: &HostName| {
        let mut turn = pace.turn(session_id(), name).await;
        begun.set(begun.get() + 1);
        turn.gives_way().await;
    };
    let holes = holes(100);
    let all = join_all(holes.iter().flat_map(|name| (0..16).map(|_| one(name)).collect::<Vec<_>>()));
    assert!(tokio::time::timeout(Duration::from_millis(200), all).await.is_err());
    assert_eq!(begun.get(), 64);
    begun.set(0);
    let all = join_all(holes.iter().flat_map(|name| (0..16).map(|_| one(name)).collect::<Vec<_>>()));
    assert!(tokio::time::timeout(DEADLINE, all).await.is_err());
    assert_eq!(begun.get(), 64 + 4 * 64);
}

#[tokio::test(start_paused = true)]
async fn silence_is_remembered_for_longer_than_sessions_pause() {
    let pace = Pace::new(RULES);
    let name = host("silent.example.org");
    pace.turn(session_id(), &name).await.ends(Some(Answer::Missing));
    let others = async || {
        for number in 0..1_000 {
            drop(pace.turn(session_id(), &host(&format!("{number}.example.org"))).await);
            tokio::time::advance(Duration::from_millis(600)).await;
        }
    };
    others().await;
    assert!(pace.lane(Key::Host(name.clone())).state().standing.is_silent(), "ten minutes later");
    others().await;
    assert!(!pace.lane(Key::Host(name)).state().standing.is_silent(), "twenty minutes later");
}

#[tokio::test(start_paused = true)]
async fn a_host_is_not_stormed() {
    let pace = Pace::new(PaceRules { host_at_once: 1000, at_once: 1000, ..RULES });
    answers(&pace, &host("a.example.org")).await;
    tokio::time::advance(Duration::from_secs(1)).await;
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
        answers(&pace, name).await;
        pace.learn(name, "192.0.2.1".parse().unwrap());
    }
    answers(&pace, &names[0]).await;
    let each = Duration::from_secs(60);
    let done = join_all(names.iter().map(|name| connects(&pace, name, 16, each))).await.concat();
    assert_eq!(done.iter().max().unwrap().as_secs(), 20 * 60, "320 connects, sixteen at a time");
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_told() {
    let pace = Pace::new(RULES);
    let name = host("slow.example.org");
    answers(&pace, &name).await;
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
