use proptest::prelude::*;

use super::*;

const HALF: Dice = Dice(1 << 31);

fn at(hours: f64) -> Timestamp {
    // The epoch began at midnight.
    Timestamp::from_millis(0).after(Duration::from_secs_f64(hours * HOUR))
}

fn minutes(rhythm: &Rhythm, hours: f64) -> f64 {
    rhythm.pause(PollBounds::default(), at(hours), HALF).as_secs_f64() / 60.0
}

#[test]
fn it_is_small() {
    assert!(size_of::<Rhythm>() <= 40, "{}", size_of::<Rhythm>());
}

#[test]
fn shorter_where_mail_comes_longer_where_none_does() {
    let mut rhythm = Rhythm::new(at(0.0));
    let start = minutes(&rhythm, 0.0);
    assert!((3.8..3.95).contains(&start), "{start}");
    assert!((14.9..15.1).contains(&minutes(&rhythm, 6.0)));
    for poll in 1..=12 {
        rhythm.polled(at(6.0 + f64::from(poll) / 12.0), 2);
    }
    assert!(minutes(&rhythm, 7.0) < 1.1, "{}", minutes(&rhythm, 7.0));
    assert!(minutes(&rhythm, 9.0) > 1.5 * minutes(&rhythm, 7.0));
}

#[test]
fn an_hour_that_is_usually_busy_is_watched_from_its_beginning() {
    let mut rhythm = Rhythm::new(at(0.0));
    for day in 0..4 {
        for mail in 0..8 {
            rhythm.polled(at(f64::from(day * 24 + 9) + f64::from(mail) / 10.0), 1);
        }
    }
    // At night it is as quiet as ever.
    assert!(minutes(&rhythm, 4.0 * 24.0 + 4.0) > 14.0);
    assert!(minutes(&rhythm, 4.0 * 24.0 + 9.0) < 2.0);
    // A pause that begins ten minutes before it ends soon after it has begun.
    let before = minutes(&rhythm, 4.0 * 24.0 + 9.0 - 1.0 / 6.0);
    assert!((10.0..12.0).contains(&before), "{before}");
    // What no longer happens is forgotten.
    for day in 4..20 {
        rhythm.polled(at(f64::from(day * 24 + 12)), 0);
    }
    assert!(minutes(&rhythm, 20.0 * 24.0 + 9.0) > 14.0);
}

#[test]
fn a_burst_is_one_event() {
    let (mut one, mut many) = (Rhythm::new(at(0.0)), Rhythm::new(at(0.0)));
    one.polled(at(3.0), BURST);
    many.polled(at(3.0), 100_000);
    assert_eq!(one, many);
}

#[test]
fn sessions_that_began_together_part() {
    let rhythm = Rhythm::new(at(0.0));
    let pauses = [0, 1 << 30, 1 << 31, u32::MAX].map(|dice| rhythm.pause(PollBounds::default(), at(0.0), Dice(dice)));
    assert!(pauses.is_sorted() && pauses.windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
}

fn bounds() -> impl Strategy<Value = PollBounds> {
    (0_u64..3600, 0_u64..86_400)
        .prop_map(|(min, max)| PollBounds::new(Duration::from_secs(min), Duration::from_secs(max)))
}

proptest! {
    /// Whatever happened, and whatever the clock does, a pause is within its bounds, give or take a tenth.
    #[test]
    fn a_pause_is_within_its_bounds(
        bounds in bounds(),
        polls in proptest::collection::vec((any::<i64>(), any::<u32>()), 0..20),
        near in proptest::collection::vec((0_i64..400_000_000, 0_u32..5), 0..200),
        now in prop_oneof![any::<i64>(), 0_i64..400_000_000],
        dice in any::<u32>(),
    ) {
        let mut rhythm = Rhythm::new(Timestamp::from_millis(0));
        for (at, mails) in near.into_iter().chain(polls) {
            rhythm.polled(Timestamp::from_millis(at), mails);
        }
        let pause = rhythm.pause(bounds, Timestamp::from_millis(now), Dice(dice));
        prop_assert!(pause >= bounds.min().mul_f64(0.899) && pause <= bounds.max().mul_f64(1.101), "{pause:?}");
    }

    /// More mail never makes the next pause longer.
    #[test]
    fn more_mail_is_no_reason_to_look_less(
        polls in proptest::collection::vec((1_i64..7_200_000, 0_u32..6), 1..100),
        more in any::<prop::sample::Index>(),
    ) {
        let (mut less, mut greater, mut now) = (Rhythm::new(at(0.0)), Rhythm::new(at(0.0)), 0);
        let more = more.index(polls.len());
        for (number, (pause, mails)) in polls.into_iter().enumerate() {
            now += pause;
            less.polled(Timestamp::from_millis(now), mails);
            greater.polled(Timestamp::from_millis(now), mails + u32::from(number == more));
        }
        let now = Timestamp::from_millis(now);
        let pause = |rhythm: &Rhythm| rhythm.pause(PollBounds::default(), now, HALF);
        prop_assert!(pause(&greater) <= pause(&less));
    }
}
