//! The breaker of a push channel: scripts, and what holds for all of them.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::time::Duration;

use backend::push::breaker::{Breaker, BreakerRules, Cause, Change};
use domain::{ApnsEnvironment, ApnsPushType, ApnsTarget, PushOutcome, PushReason, PushTarget, Timestamp};
use proptest::prelude::*;

fn target(number: u8) -> PushTarget {
    let token = format!("{number:064x}");
    let environment = ApnsEnvironment::Production;
    PushTarget::Apns(ApnsTarget::new(&token, "org.example.mail", environment, ApnsPushType::Background).unwrap())
}

fn reason() -> PushReason {
    PushReason::new("BecauseOfTheTest")
}

fn accepted() -> PushOutcome {
    PushOutcome::Accepted { provider_id: String::new() }
}

fn fault() -> PushOutcome {
    PushOutcome::OurFault { reason: reason() }
}

fn refused() -> PushOutcome {
    PushOutcome::Refused { reason: reason() }
}

fn retry() -> PushOutcome {
    PushOutcome::Retry { reason: reason(), after: None }
}

fn gone() -> PushOutcome {
    PushOutcome::Gone { reason: reason(), since: None }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

/// A script: `+` accepted, `f` our fault, `r` retry, `g` gone, `0`–`9`, `a` refused for that target. All of it at second 0.
/// `O` is expected where it opens, `C` where it closes, `.` where nothing happens.
#[track_caller]
fn check(script: &str, expect: &str) {
    let mut breaker = Breaker::new(BreakerRules::default());
    let mut changes = String::new();
    for letter in script.chars() {
        let (number, outcome) = match letter {
            '+' => (0, accepted()),
            'f' => (0, fault()),
            'r' => (0, retry()),
            'g' => (0, gone()),
            digit => (u8::try_from(digit.to_digit(16).unwrap()).unwrap(), refused()),
        };
        changes.push(match breaker.record(at(0), &target(number), &outcome) {
            Some(Change::Opened(_)) => 'O',
            Some(Change::Closed) => 'C',
            None => '.',
        });
        assert_eq!(breaker.cause().is_none(), breaker.allows(at(0)), "after {changes} of {script}");
    }
    assert_eq!(changes, expect, "for {script}");
}

#[test]
fn opens_for_what_is_our_fault_only() {
    check("ffff", "....");
    check("fffff", "....O");
    check("ffffffff", "....O...");
    check("ffff+ffff", ".........");
    check("ffff+fffff", ".........O");
    check("frfgfrfgf", "........O");
    check("rrrrrrrrrrrr", "............");
    check("gggggggggggg", "............");
    check("fffff+", "....OC");
    check("fffff+fffff", "....OC....O");
}

#[test]
fn one_bad_token_is_not_many() {
    check("000000000000000", "...............");
    check("012345678", ".........");
    check("0123456789", ".........O");
    check("01234+56789a", "............");
    check("0f1f2f3f4f", ".........O");
}

#[test]
fn the_cause_says_what_the_service_said() {
    let mut breaker = Breaker::new(BreakerRules { faults: 1, ..BreakerRules::default() });
    let opened = breaker.record(at(0), &target(0), &fault());
    assert_eq!(opened, Some(Change::Opened(Cause::OurFault(reason()))));
    assert_eq!(breaker.cause().unwrap().to_string(), "the push service finds fault with us: BecauseOfTheTest");
    let mut breaker = Breaker::new(BreakerRules { refused_targets: 1, ..BreakerRules::default() });
    let opened = breaker.record(at(0), &target(0), &refused());
    assert_eq!(opened, Some(Change::Opened(Cause::Refusals(reason()))));
}

/// Opens a breaker at second 0.
fn opened() -> Breaker {
    let mut breaker = Breaker::new(BreakerRules { faults: 1, ..BreakerRules::default() });
    breaker.record(at(0), &target(0), &fault());
    breaker
}

#[test]
fn probes_go_one_at_a_time_and_ever_more_slowly() {
    let mut breaker = opened();
    let mut now = 0;
    for pause in [30, 60, 120, 240, 480, 600, 600, 600] {
        assert_eq!(breaker.probe_at(), Some(at(now + pause)));
        assert!(!breaker.allows(at(now + pause - 1)));
        now += pause;
        assert!(breaker.allows(at(now)), "the probe after {pause} s");
        assert!(!breaker.allows(at(now)), "a second probe beside the first");
        assert_eq!(breaker.record(at(now), &target(0), &fault()), None);
    }
    now += 600;
    assert!(breaker.allows(at(now)));
    assert_eq!(breaker.record(at(now), &target(0), &accepted()), Some(Change::Closed));
    assert!(breaker.allows(at(now)) && breaker.allows(at(now)) && breaker.cause().is_none());
}

#[test]
fn a_probe_that_says_nothing_about_us_does_not_lengthen_the_pause() {
    for outcome in [retry(), gone()] {
        let mut breaker = opened();
        assert!(breaker.allows(at(30)));
        assert_eq!(breaker.record(at(31), &target(0), &outcome), None);
        assert_eq!(breaker.probe_at(), Some(at(61)));
    }
}

#[test]
fn outcomes_of_pushes_from_before_do_not_lengthen_the_pause() {
    let mut breaker = opened();
    for _ in 0..100 {
        breaker.record(at(1), &target(0), &fault());
    }
    assert_eq!(breaker.probe_at(), Some(at(30)));
}

#[test]
fn a_probe_that_got_lost_is_followed_by_another() {
    let mut breaker = opened();
    assert!(breaker.allows(at(30)));
    assert!(!breaker.allows(at(89)));
    assert!(breaker.allows(at(90)));
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u16),
    Ask,
    Record(u8, PushOutcome),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        1 => Just(accepted()),
        6 => Just(fault()),
        6 => Just(refused()),
        1 => Just(retry()),
        1 => Just(gone())
    ];
    prop_oneof![
        (0..700_u16).prop_map(Step::Wait),
        Just(Step::Ask),
        (0..20_u8, outcome).prop_map(|(number, outcome)| Step::Record(number, outcome)),
    ]
}

proptest! {
    #[test]
    fn whatever_happens(steps in proptest::collection::vec(step(), 0..200)) {
        let rules = BreakerRules::default();
        let mut breaker = Breaker::new(rules.clone());
        let mut now = at(0);
        let (mut faults, mut refused) = (0_u32, std::collections::BTreeSet::new());
        let mut probed_at: Option<Timestamp> = None;
        for step in steps {
            let was_open = breaker.cause().is_some();
            match step {
                Step::Wait(seconds) => now = now.after(Duration::from_secs(seconds.into())),
                Step::Ask => {
                    let allowed = breaker.allows(now);
                    prop_assert!(allowed || was_open, "a closed breaker lets everything through");
                    if allowed && was_open {
                        if let Some(before) = probed_at {
                            prop_assert!(now.since(before) >= rules.pause_min, "probes follow each other slowly");
                        }
                        probed_at = Some(now);
                    }
                }
                Step::Record(number, outcome) => {
                    let change = breaker.record(now, &target(number), &outcome);
                    match &outcome {
                        PushOutcome::Accepted { .. } => {
                            (faults, probed_at) = (0, None);
                            refused.clear();
                            prop_assert!(breaker.cause().is_none(), "an accepted push closes it");
                        }
                        PushOutcome::OurFault { .. } => faults += 1,
                        PushOutcome::Refused { .. } => { refused.insert(number); }
                        PushOutcome::Retry { .. } | PushOutcome::Gone { .. } => {}
                    }
                    let enough = faults >= rules.faults || refused.len() >= rules.refused_targets;
                    prop_assert_eq!(breaker.cause().is_some(), enough, "open exactly if enough went wrong in a row");
                    let is_open = breaker.cause().is_some();
                    prop_assert_eq!(matches!(change, Some(Change::Opened(_))), is_open && !was_open);
                    prop_assert_eq!(matches!(change, Some(Change::Closed)), was_open && !is_open);
                }
            }
            if let Some(probe_at) = breaker.probe_at() {
                prop_assert!(probe_at.since(now) <= rules.pause_max, "there is always a probe to come");
            }
        }
    }
}
