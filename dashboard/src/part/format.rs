//! Times, durations and numbers as people read them. All times are UTC, and say so in their titles.

use std::time::Duration;

use domain::Timestamp;
use leptos::prelude::*;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const DAY: i64 = 86_400_000;

/// A time, taken apart, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: i64,
    month: usize,
    day: i64,
    weekday: usize,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    /// From a day's number the date follows by counting in eras of 400 years that begin on 1 March.
    fn of(at: Timestamp) -> Self {
        let (days, millis) = (at.as_millis().div_euclid(DAY), at.as_millis().rem_euclid(DAY));
        let shifted = days + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: usize::try_from(month).unwrap_or(1),
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            weekday: usize::try_from((days + 3).rem_euclid(7)).unwrap_or(0),
            hour: millis / 3_600_000,
            minute: millis / 60_000 % 60,
            second: millis / 1_000 % 60,
        }
    }

    fn month_name(&self) -> &'static str {
        MONTHS.get(self.month - 1).copied().unwrap_or_default()
    }
}

/// `09:42:14`
pub(crate) fn clock(at: Timestamp) -> String {
    let civil = Civil::of(at);
    format!("{:02}:{:02}:{:02}", civil.hour, civil.minute, civil.second)
}

/// `09:42`
pub(crate) fn clock_short(at: Timestamp) -> String {
    let civil = Civil::of(at);
    format!("{:02}:{:02}", civil.hour, civil.minute)
}

/// `19 Nov`
pub(crate) fn day(at: Timestamp) -> String {
    let civil = Civil::of(at);
    format!("{} {}", civil.day, &civil.month_name()[..3])
}

/// `Friday 20 November`, with `Today, ` before it if it is that.
pub(crate) fn day_long(at: Timestamp, now: Timestamp) -> String {
    let civil = Civil::of(at);
    let today = if same_day(at, now) { "Today, " } else { "" };
    let weekday = WEEKDAYS.get(civil.weekday).copied().unwrap_or_default();
    format!("{today}{weekday} {} {}", civil.day, civil.month_name())
}

/// Whether two times are on one day (UTC).
pub(crate) fn same_day(a: Timestamp, b: Timestamp) -> bool {
    a.as_millis().div_euclid(DAY) == b.as_millis().div_euclid(DAY)
}

/// `09:42:14` today, `19 Nov 07:58` on another day, `19 Nov 2025` in another year.
pub(crate) fn moment(at: Timestamp, now: Timestamp) -> String {
    if same_day(at, now) { clock(at) } else { dated(at, now) }
}

/// `09:42` today, and like [`moment`] on other days.
pub(crate) fn moment_short(at: Timestamp, now: Timestamp) -> String {
    if same_day(at, now) { clock_short(at) } else { dated(at, now) }
}

/// `at 09:42` or `on 19 Nov at 07:58`, for the middle of a sentence.
pub(crate) fn at_moment(at: Timestamp, now: Timestamp) -> String {
    if same_day(at, now) { format!("at {}", clock_short(at)) } else { format!("on {} at {}", day(at), clock_short(at)) }
}

/// `09:42` or `19 Nov, 07:58`, after “since” or “until”.
fn dated(at: Timestamp, now: Timestamp) -> String {
    let civil = Civil::of(at);
    if civil.year == Civil::of(now).year {
        format!("{} {}", day(at), clock_short(at))
    } else {
        format!("{} {}", day(at), civil.year)
    }
}

/// `2026-11-20 09:42:14 UTC`
pub(crate) fn utc(at: Timestamp) -> String {
    let civil = Civil::of(at);
    format!("{:04}-{:02}-{:02} {} UTC", civil.year, civil.month, civil.day, clock(at))
}

/// `2026-11-20T09:42:14Z`
pub(crate) fn iso(at: Timestamp) -> String {
    let civil = Civil::of(at);
    format!("{:04}-{:02}-{:02}T{}Z", civil.year, civil.month, civil.day, clock(at))
}

/// `in 31 s`, `in 14 min`, `in 3 h`, `in 2 days`; `now` if it is over. For the future only.
pub(crate) fn until(at: Timestamp, now: Timestamp) -> String {
    if at <= now { "now".to_owned() } else { format!("in {}", span(at.since(now))) }
}

/// `31 s ago`, `14 min ago`; `now` if it is not over. As the browser counts it on.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    if at >= now { "now".to_owned() } else { format!("{} ago", span(now.since(at))) }
}

/// `31 s`, `14 min`, `3 h`, `2 days`
pub(crate) fn span(span: Duration) -> String {
    match span.as_secs() {
        0 => "1 s".to_owned(),
        seconds @ 1..=99 => format!("{seconds} s"),
        seconds @ 100..=5_999 => format!("{} min", (seconds + 30) / 60),
        seconds @ 6_000..=172_799 => format!("{} h", (seconds + 1_800) / 3_600),
        seconds => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

/// `214 ms`, `5.3 s`, `2 min`
pub(crate) fn took(millis: u64) -> String {
    match millis {
        0..=999 => format!("{millis} ms"),
        1_000..=9_949 => format!("{}.{} s", (millis + 50) / 1_000, (millis + 50) / 100 % 10),
        _ => span(Duration::from_millis(millis.saturating_add(500))),
    }
}

/// `98,412`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `one session`, `24 sessions`; the plural is the singular with an s.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{} {thing}s", count(number)) }
}

/// `1,204`, and words for the numbers up to twelve, for the start of a sentence.
pub(crate) fn spelled(number: u64) -> String {
    const WORDS: [&str; 13] =
        ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve"];
    usize::try_from(number).ok().and_then(|index| WORDS.get(index)).map_or_else(|| count(number), |word| (*word).into())
}

/// A share as `99.3 %`; an exact hundred or nought has no decimals.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "—".to_owned();
    }
    let tenths = (u128::from(part) * 1_000 + u128::from(whole) / 2) / u128::from(whole);
    match tenths {
        0 if part == 0 => "0 %".to_owned(),
        1_000 if part == whole => "100 %".to_owned(),
        // Rounding must not turn “nearly” into “all” or “none”.
        0 => "0.1 %".to_owned(),
        1_000.. => "99.9 %".to_owned(),
        tenths => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// An id's first eight and last four characters: `019aa3c1…7kf3`.
pub(crate) fn short_id(id: &str) -> String {
    let chars: Vec<char> = id.chars().collect();
    if chars.len() <= 16 {
        return id.to_owned();
    }
    chars[..8].iter().chain(&['…']).chain(&chars[chars.len() - 4..]).collect()
}

/// An exact time: a text of the caller's, with the full date and UTC for machines and in the title.
#[component]
pub(crate) fn Time(
    at: Timestamp,
    #[prop(into)] text: String,
    /// Counted on in the browser, as `in 31 s` and `3 min ago`.
    #[prop(optional)]
    counts: bool,
) -> impl IntoView {
    view! { <time datetime=iso(at) title=utc(at) data-counts=counts>{text}</time> }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_168_694_000); // 2026-11-20 09:58:14 UTC

    #[track_caller]
    fn check(millis: i64, expect: &str) {
        assert_eq!(utc(Timestamp::from_millis(millis)), expect);
    }

    #[test]
    fn dates() {
        check(0, "1970-01-01 00:00:00 UTC");
        check(951_782_400_000, "2000-02-29 00:00:00 UTC");
        check(1_795_168_694_000, "2026-11-20 09:58:14 UTC");
        check(4_107_542_399_999, "2100-02-28 23:59:59 UTC");
        check(-1, "1969-12-31 23:59:59 UTC");
    }

    #[test]
    fn moments() {
        let at = |millis: i64| Timestamp::from_millis(NOW.as_millis() + millis);
        assert_eq!(moment(at(-1_000), NOW), "09:58:13");
        assert_eq!(moment(at(-DAY), NOW), "19 Nov 09:58");
        assert_eq!(moment(at(-365 * DAY), NOW), "20 Nov 2025");
        assert_eq!(day_long(NOW, NOW), "Today, Friday 20 November");
        assert_eq!(day_long(at(-DAY), NOW), "Thursday 19 November");
        assert_eq!(until(at(31_000), NOW), "in 31 s");
        assert_eq!(until(at(14 * 60_000), NOW), "in 14 min");
        assert_eq!(until(at(2 * DAY), NOW), "in 2 days");
        assert_eq!(until(at(-5), NOW), "now");
    }

    #[test]
    fn numbers() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_410_000), "1,410,000");
        assert_eq!(counted(1, "session"), "1 session");
        assert_eq!(took(214), "214 ms");
        assert_eq!(took(5_340), "5.3 s");
        assert_eq!(took(1_459), "1.5 s");
        assert_eq!(took(9_999), "10 s");
        assert_eq!(share(993, 1_000), "99.3 %");
        assert_eq!(share(99_999, 100_000), "99.9 %");
        assert_eq!(share(1, 100_000), "0.1 %");
        assert_eq!(share(5, 5), "100 %");
        assert_eq!(share(0, 0), "—");
        assert_eq!(spelled(4), "Four");
        assert_eq!(short_id("019aa3c1-8f2c-7d41-b5c0-77f3c90a7kf3"), "019aa3c1…7kf3");
    }
}
