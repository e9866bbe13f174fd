use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::{Connect, Evidence, FailureCode, State};

const START: Timestamp = Timestamp::from_millis(1_000_000);
const RULES: fn() -> Rules = Rules::default;

fn mailbox(validity: u32, next: u32) -> Mailbox {
    Mailbox {
        uid_validity: NonZeroU32::new(validity).unwrap(),
        uid_next: NonZeroU32::new(next).unwrap(),
        highest_modseq: None,
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A life whose clock is moved by hand.
struct Story {
    life: Life,
    now: Timestamp,
}

impl Story {
    fn begin(wait: u64, baseline: Option<Baseline>) -> Self {
        Self { life: Life::begin(START, secs(wait), secs(3600), baseline), now: START }
    }

    fn later(mut self, seconds: u64) -> Self {
        self.now = self.now.after(secs(seconds));
        self
    }

    #[track_caller]
    fn on(mut self, event: Event, push: Option<PushKind>, state: State) -> Self {
        let effects = self.life.apply(&RULES(), self.now, Dice(1 << 31), event);
        assert_eq!((effects.push, self.life.state()), (push, state));
        self
    }

    #[track_caller]
    fn fails(self, code: FailureCode, lived: u64, push: Option<PushKind>, state: State) -> Self {
        let failure = Failure::new(code, Evidence::default());
        self.on(Event::Failed { failure, lived: secs(lived) }, push, state)
    }
}

#[test]
fn mail_that_came_while_waiting_is_pushed() {
    Story::begin(60, Some(mailbox(1, 10)))
        .on(Event::Tick, None, State::Waiting)
        .later(60)
        .on(Event::Tick, None, State::Watching)
        .on(Event::Connected(mailbox(1, 11)), Some(PushKind::NewMail), State::Holding);
}

#[test]
fn without_a_baseline_it_is_read_at_once_and_the_wait_goes_on() {
    let story = Story::begin(60, None);
    assert_eq!(story.life.connect(), Connect::ForBaseline);
    let story = story.on(Event::Connected(mailbox(1, 10)), None, State::Waiting);
    assert_eq!(story.life.connect(), Connect::No);
    story.later(60).on(Event::Tick, None, State::Watching).on(
        Event::Connected(mailbox(1, 12)),
        Some(PushKind::NewMail),
        State::Holding,
    );
}

#[test]
fn a_burst_is_one_push_and_holds_double_while_the_device_is_silent() {
    Story::begin(0, Some(mailbox(1, 10)))
        .on(Event::Connected(mailbox(1, 10)), None, State::Watching)
        .on(Event::Checked(mailbox(1, 11)), Some(PushKind::NewMail), State::Holding)
        .on(Event::Checked(mailbox(1, 12)), None, State::Holding)
        .later(29)
        .on(Event::Tick, None, State::Holding)
        .later(1)
        .on(Event::Tick, Some(PushKind::NewMail), State::Holding)
        .later(59)
        .on(Event::Tick, None, State::Holding)
        .later(1)
        .on(Event::Tick, None, State::Watching)
        .on(Event::Checked(mailbox(1, 13)), Some(PushKind::NewMail), State::Holding)
        .later(60)
        .on(Event::Tick, None, State::Holding)
        .on(Event::Deferred { wait: secs(0), baseline: None }, None, State::Watching)
        .on(Event::Checked(mailbox(1, 14)), Some(PushKind::NewMail), State::Holding)
        .later(30)
        .on(Event::Tick, None, State::Watching);
}

#[test]
fn mail_gathered_in_a_hold_outlives_a_defer_that_has_not_seen_it() {
    let held = || {
        Story::begin(0, Some(mailbox(1, 10)))
            .on(Event::Connected(mailbox(1, 11)), Some(PushKind::NewMail), State::Holding)
            .on(Event::Checked(mailbox(1, 12)), None, State::Holding)
    };
    held().on(Event::Deferred { wait: secs(10), baseline: Some(mailbox(1, 11)) }, None, State::Waiting).later(10).on(
        Event::Tick,
        Some(PushKind::NewMail),
        State::Holding,
    );
    held().on(Event::Deferred { wait: secs(10), baseline: Some(mailbox(1, 12)) }, None, State::Waiting).later(10).on(
        Event::Tick,
        None,
        State::Watching,
    );
}

#[test]
fn a_fault_in_a_hold_keeps_the_hold() {
    Story::begin(0, Some(mailbox(1, 10)))
        .on(Event::Connected(mailbox(1, 11)), Some(PushKind::NewMail), State::Holding)
        .fails(FailureCode::ConnectionLost, 90, None, State::Retrying)
        .later(2)
        .on(Event::Tick, None, State::Holding)
        .on(Event::Connected(mailbox(1, 12)), None, State::Holding)
        .later(28)
        .on(Event::Tick, Some(PushKind::NewMail), State::Holding);
}

#[test]
fn renumbered_mailboxes_count_as_new_mail_and_a_wrong_baseline_is_mended() {
    Story::begin(0, Some(mailbox(1, 10))).on(Event::Connected(mailbox(2, 3)), Some(PushKind::NewMail), State::Holding);
    Story::begin(0, Some(mailbox(1, 10))).on(Event::Connected(mailbox(1, 5)), None, State::Watching).on(
        Event::Checked(mailbox(1, 6)),
        Some(PushKind::NewMail),
        State::Holding,
    );
}

#[test]
fn two_refused_logins_end_it() {
    Story::begin(0, None)
        .fails(FailureCode::LoginRefused, 0, None, State::Retrying)
        .later(60)
        .on(Event::Tick, None, State::Watching)
        .fails(FailureCode::LoginRefused, 0, Some(PushKind::Register), State::Ended)
        .on(Event::Connected(mailbox(1, 1)), None, State::Ended);
}

#[test]
fn a_box_that_does_not_open_ends_it_at_once() {
    Story::begin(0, None).fails(FailureCode::CredentialUnreadable, 0, Some(PushKind::Register), State::Ended);
}

#[test]
fn a_host_that_does_not_resolve_for_a_day_ends_it() {
    let mut story = Story::begin(0, None);
    story.life.expires_at = START.after(secs(48 * 3600));
    story
        .fails(FailureCode::HostNotFound, 0, None, State::Retrying)
        .later(3600 * 23)
        .fails(FailureCode::HostNotFound, 0, None, State::Retrying)
        .later(3600)
        .fails(FailureCode::HostNotFound, 0, Some(PushKind::Register), State::Ended);
}

#[test]
fn backoff_is_reset_by_survival_and_not_by_the_connect() {
    let mut story = Story::begin(0, Some(mailbox(1, 1)));
    for _ in 0..9 {
        story = story.on(Event::Connected(mailbox(1, 1)), None, State::Watching).fails(
            FailureCode::ConnectionLost,
            1,
            None,
            State::Retrying,
        );
    }
    assert!(story.life.retry_at.unwrap().since(story.now) > secs(200));
    let story = story.on(Event::Connected(mailbox(1, 1)), None, State::Watching).fails(
        FailureCode::ConnectionLost,
        60,
        None,
        State::Retrying,
    );
    assert!(story.life.retry_at.unwrap().since(story.now) < secs(3));
}

#[test]
fn ends_are_final_and_only_some_kill_the_token() {
    for (event, reason, push, dies) in [
        (Event::Stopped, EndReason::Stopped, None, false),
        (Event::Revoked, EndReason::Revoked, Some(PushKind::Register), true),
        (Event::Replaced, EndReason::Replaced, None, true),
        (Event::PushTargetGone, EndReason::PushTargetGone, None, false),
    ] {
        let mut life = Life::begin(START, secs(0), secs(3600), None);
        let effects = life.apply(&RULES(), START, Dice(0), event);
        assert_eq!(effects, Effects { push, ended: true, token_dies: dies });
        assert_eq!(life.end_reason(), Some(reason));
        assert_eq!(life.apply(&RULES(), START, Dice(0), Event::Stopped), Effects::default());
        assert_eq!(life.end_reason(), Some(reason));
        assert_eq!(life.deadline(), None);
    }
    Story::begin(0, None).later(3600).on(Event::Tick, Some(PushKind::Register), State::Ended);
}

/// A life that is watched by long polls of 20 minutes.
fn polling(wait: u64) -> Story {
    let mut life = Life::begin_polling(START, secs(wait), secs(24 * 3600));
    life.apply(&RULES(), START, Dice(0), Event::Tick);
    Story { life, now: START }
}

const fn polled(poll: Poll, took: u64) -> Event {
    Event::Polled { poll, took: Duration::from_secs(took), asked: Duration::from_secs(1200) }
}

#[test]
fn a_poll_that_finds_changes_is_pushed_and_rests_until_the_device_has_answered() {
    let story = polling(0).on(Event::Polling, None, State::Watching).later(300).on(
        polled(Poll::Changed, 300),
        Some(PushKind::NewMail),
        State::Holding,
    );
    assert_eq!(story.life.connect(), Connect::No, "the server would only repeat itself");
    let story = story.on(Event::Deferred { wait: secs(0), baseline: None }, None, State::Watching);
    assert_eq!((story.life.connect(), story.life.silence), (Connect::ToWatch, 0));
    // Nobody answers: it is asked again after the hold, and what it repeats is pushed ever more seldom.
    let mut story = story;
    for hold in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600] {
        story = story
            .on(polled(Poll::Changed, 1), Some(PushKind::NewMail), State::Holding)
            .later(hold - 1)
            .on(Event::Tick, None, State::Holding)
            .later(1)
            .on(Event::Tick, None, State::Watching);
        assert_eq!(story.life.connect(), Connect::ToWatch);
    }
}

#[test]
fn nothing_is_connected_while_a_polled_device_is_awake() {
    let story = polling(60);
    assert_eq!((story.life.state(), story.life.connect()), (State::Waiting, Connect::No));
    // An answer that was on its way when the device woke up is no news: it syncs by itself.
    let story =
        story.on(polled(Poll::Changed, 400), None, State::Waiting).later(60).on(Event::Tick, None, State::Watching);
    assert_eq!(story.life.connect(), Connect::ToWatch);
}

#[test]
fn polls_that_end_too_fast_back_off_and_changes_do_not() {
    let mut story = polling(0);
    for _ in 0..2 {
        story = story.on(polled(Poll::Unchanged, 299), None, State::Watching);
    }
    // One that lasts forgives; and so does news, however fast it is.
    story = story.on(polled(Poll::Unchanged, 300), None, State::Watching);
    assert_eq!(story.life.poll, Some(crate::LongPoll { hasty: 0 }));
    let mut last = Duration::ZERO;
    for beyond in 1..=20 {
        while story.life.poll.unwrap().hasty < 2 {
            story = story.on(polled(Poll::Unchanged, 1), None, State::Watching);
        }
        story = story.on(polled(Poll::Unchanged, 1), None, State::Retrying);
        assert_eq!(story.life.failure.as_ref().map(|failure| failure.code), Some(FailureCode::PollTooFast));
        let pause = story.life.retry_at.unwrap().since(story.now);
        assert!(pause >= last && pause <= secs(660), "{beyond}: {pause:?}");
        last = pause;
        story = story.later(660).on(Event::Tick, None, State::Watching);
    }
    assert!(last > secs(300), "{last:?}");
    let story = story.on(polled(Poll::Changed, 1), Some(PushKind::NewMail), State::Holding);
    assert_eq!(story.life.poll, Some(crate::LongPoll { hasty: 0 }));
}

#[test]
fn a_poll_that_hangs_is_no_login_that_worked() {
    polling(0)
        .fails(FailureCode::LoginRefused, 0, None, State::Retrying)
        .later(60)
        .on(Event::Polling, None, State::Watching)
        .fails(FailureCode::LoginRefused, 0, Some(PushKind::Register), State::Ended);
    polling(0)
        .fails(FailureCode::LoginRefused, 0, None, State::Retrying)
        .later(60)
        .on(polled(Poll::Unchanged, 1200), None, State::Watching)
        .fails(FailureCode::LoginRefused, 0, None, State::Retrying);
}

#[test]
fn what_the_server_wants_of_the_device_ends_it_and_says_register() {
    let story = polling(0).fails(FailureCode::ProvisionNeeded, 0, Some(PushKind::Register), State::Ended);
    assert_eq!(story.life.end_reason(), Some(EndReason::RequestRefused));
}

fn any_poll_event() -> impl Strategy<Value = (u64, u32, Event)> {
    let event = prop_oneof![
        4 => Just(Event::Tick),
        2 => (0u64..600).prop_map(|wait| Event::Deferred { wait: secs(wait), baseline: None }),
        3 => Just(Event::Polling),
        8 => (any::<bool>(), 0u64..1300).prop_map(|(changed, took)| {
            polled(if changed { Poll::Changed } else { Poll::Unchanged }, took)
        }),
        3 => (0..FailureCode::ALL.len(), 0u64..120).prop_map(|(index, lived)| Event::Failed {
            failure: Failure::new(FailureCode::ALL[index], Evidence::default()),
            lived: secs(lived),
        }),
    ];
    (0u64..400, any::<u32>(), event)
}

fn any_event() -> impl Strategy<Value = (u64, u32, Event)> {
    let event = prop_oneof![
        3 => Just(Event::Tick),
        2 => (0u64..600, proptest::option::of((1u32..3, 1u32..30))).prop_map(|(wait, seen)| Event::Deferred {
            wait: secs(wait),
            baseline: seen.map(|(validity, next)| mailbox(validity, next)),
        }),
        4 => (1u32..3, 1u32..30).prop_map(|(validity, next)| Event::Connected(mailbox(validity, next))),
        6 => (1u32..3, 1u32..30).prop_map(|(validity, next)| Event::Checked(mailbox(validity, next))),
        4 => (0..FailureCode::ALL.len(), 0u64..120).prop_map(|(index, lived)| Event::Failed {
            failure: Failure::new(FailureCode::ALL[index], Evidence::default()),
            lived: secs(lived),
        }),
        1 => prop_oneof![
            Just(Event::Stopped),
            Just(Event::Revoked),
            Just(Event::Replaced),
            Just(Event::PushTargetGone)
        ],
    ];
    (0u64..400, any::<u32>(), event)
}

proptest! {
    /// Mail that was seen is pushed by the time that its hold is over, unless the device said that it has seen it or the
    /// session ended; a live session always has a deadline; a dead one does nothing.
    #[test]
    fn no_mail_is_lost(events in proptest::collection::vec(any_event(), 1..60)) {
        let rules = RULES();
        let mut life = Life::begin(START, secs(5), secs(6 * 3600), None);
        let mut now = START;
        let mut refused = 0;
        for (pause, dice, event) in events {
            now = now.after(secs(pause));
            let before = life.clone();
            let effects = life.apply(&rules, now, Dice(dice), event.clone());
            if !before.is_live() {
                prop_assert_eq!(&life, &before);
                prop_assert_eq!(effects, Effects::default());
                continue;
            }
            let news = match &event {
                Event::Connected(seen) | Event::Checked(seen) => before.baseline.is_some_and(|baseline| {
                    matches!(seen.beside(&baseline), News::NewMail | News::Renumbered)
                }),
                _ => false,
            };
            let told = effects.push == Some(PushKind::NewMail);
            if news && life.is_live() {
                prop_assert!(life.owed || told, "new mail was seen and is neither pushed nor owed");
            }
            if before.owed && !told && life.is_live() && !matches!(event, Event::Deferred { baseline: Some(_), .. }) {
                prop_assert!(life.owed, "a push that was owed is forgotten");
            }
            if life.owed {
                prop_assert!(!matches!(life.phase, Phase::Active) || life.hold_until.is_some(), "owed without a hold");
            }
            if effects.push.is_some() && effects.push != Some(PushKind::Register) {
                prop_assert!(life.is_live() && life.hold_until.is_some_and(|until| until > now));
            }
            match life.deadline() {
                Some(deadline) => prop_assert!(life.is_live() && deadline > now),
                None => prop_assert!(!life.is_live() && effects.ended),
            }
            match &event {
                Event::Failed { failure, .. } if failure.code.class() == FailureClass::CredentialRefused => refused += 1,
                Event::Connected(_) => refused = 0,
                _ => {}
            }
            prop_assert!(refused < rules.max_refusals || !life.is_live());
        }
    }

    /// Changes that a long poll finds are pushed, at once or after the hold, unless the device is awake; polls never have a
    /// baseline; there is no poll in a wait, a hold or a pause; a device that is silent is not nagged.
    #[test]
    fn no_change_is_lost(events in proptest::collection::vec(any_poll_event(), 1..60)) {
        let rules = RULES();
        let mut life = Life::begin_polling(START, secs(5), secs(6 * 3600));
        let mut now = START;
        let mut pushed: Option<Timestamp> = None;
        for (pause, dice, event) in events {
            now = now.after(secs(pause));
            let before = life.clone();
            let effects = life.apply(&rules, now, Dice(dice), event.clone());
            if !before.is_live() {
                prop_assert_eq!(&life, &before);
                continue;
            }
            prop_assert!(life.baseline.is_none() && life.poll.is_some());
            let told = effects.push == Some(PushKind::NewMail);
            let news = matches!(event, Event::Polled { poll: Poll::Changed, .. }) && before.phase == Phase::Active;
            if news && life.is_live() {
                prop_assert!(told || life.owed && life.hold_until.is_some(), "changes are neither pushed nor owed");
            }
            if matches!(event, Event::Deferred { .. }) {
                pushed = None;
            }
            if told {
                prop_assert!(pushed.is_none_or(|at| now.since(at) >= rules.hold_min), "nagged");
                pushed = Some(now);
            }
            if life.connect() != Connect::No {
                prop_assert!(life.state() == State::Watching);
            }
            prop_assert_eq!(life.deadline().is_some(), life.is_live());
            if matches!(event, Event::Polled { .. }) && life.is_live() {
                prop_assert!(life.poll.is_some_and(|poll| poll.hasty <= rules.hasty_polls) || life.retry_at.is_some());
            }
        }
    }
}
