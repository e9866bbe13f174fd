//! Charts, drawn as SVG on the server: ink for what is, hatched for what is beyond the target; the same numbers stand in
//! a table behind them. Axes are HTML, so that text does not scale with the drawing.

use std::fmt::Write as _;

use leptos::prelude::*;

use super::card::{Card, soft};
use super::format::{count, share, took};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 160.0;

/// The pattern that charts hatch with; once a page.
pub(crate) fn hatch() -> AnyView {
    view! {
        <svg class="sprite" aria-hidden="true" focusable="false" inner_html=r#"<pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatchbg" width="5" height="5"/><path class="hatch" d="M0 0v5"/></pattern>"#></svg>
    }
    .into_any()
}

#[expect(clippy::cast_precision_loss, reason = "a picture of 720 by 160 units")]
const fn float(number: u64) -> f64 {
    number as f64
}

/// A round number that is not less than `most`, and the ticks up to it.
fn scale(most: u64) -> (u64, Vec<u64>) {
    let most = most.max(4);
    let mut step = 1_u64;
    // 1, 2, 5, 10, 20, 50, … until five of it are enough.
    for power in 0..19 {
        let ten = 10_u64.saturating_pow(power);
        if let Some(found) =
            [1, 2, 5].map(|lead| ten.saturating_mul(lead)).into_iter().find(|step| step.saturating_mul(5) >= most)
        {
            step = found;
            break;
        }
    }
    let top = most.div_ceil(step) * step;
    (top, (0..=top / step).map(|tick| tick * step).collect())
}

fn grid(drawing: &mut String, top: u64, ticks: &[u64]) {
    for tick in ticks {
        let y = HEIGHT - HEIGHT * float(*tick) / float(top);
        // Writing to a String can't fail, here and below.
        let _ = write!(drawing, r#"<line class="g" x1="0" x2="720" y1="{y:.1}" y2="{y:.1}"/>"#);
    }
}

fn y_axis(ticks: &[u64], unit: &'static str) -> AnyView {
    let last = ticks.len().saturating_sub(1);
    let labels = ticks
        .iter()
        .enumerate()
        .rev()
        .map(|(index, tick)| view! { <span>{format!("{}{}", count(*tick), if index == last { unit } else { "" })}</span> })
        .collect_view();
    view! { <div class="y" aria-hidden="true">{labels}</div> }.into_any()
}

/// Numbers per minute, oldest first: what was accepted, and on top of it what waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct PerMinute {
    pub(crate) accepted: Vec<u64>,
    pub(crate) waiting: Vec<u64>,
    /// Labels below the axis, from its begin to its end.
    pub(crate) times: Vec<String>,
}

fn path(points: &[(f64, f64)]) -> String {
    points.iter().fold(String::new(), |mut path, (x, y)| {
        let _ = write!(path, "{x:.1},{y:.1} ");
        path
    })
}

/// The chart of pushes per minute.
#[component]
pub(crate) fn PushesPerMinute(data: PerMinute) -> impl IntoView {
    let PerMinute { accepted, waiting, times } = data;
    let waits = |index: usize| waiting.get(index).copied().unwrap_or(0);
    let most = accepted.iter().enumerate().map(|(index, number)| number + waits(index)).max().unwrap_or(0);
    let (top, ticks) = scale(most);
    let last = accepted.len().saturating_sub(1).max(1);
    let place = |index: usize, number: u64| {
        #[expect(clippy::cast_precision_loss, reason = "an index of sixty")]
        let x = WIDTH * index as f64 / last as f64;
        (x, HEIGHT - HEIGHT * float(number) / float(top))
    };
    let low: Vec<_> = accepted.iter().enumerate().map(|(index, number)| place(index, *number)).collect();
    let line = path(&low);
    let mut drawing = String::new();
    grid(&mut drawing, top, &ticks);
    let _ = write!(drawing, r#"<polygon class="a" points="0,160 {line}720,160"/>"#);
    if waiting.iter().any(|number| *number > 0) {
        let first = waiting.iter().position(|number| *number > 0).unwrap_or(0).saturating_sub(1);
        let mut high: Vec<_> = accepted
            .iter()
            .enumerate()
            .skip(first)
            .map(|(index, number)| place(index, number + waits(index)))
            .collect();
        high.extend(low.iter().skip(first).rev());
        let _ = write!(drawing, r#"<polygon class="over" points="{}"/>"#, path(&high));
    }
    let _ = write!(drawing, r#"<polyline class="l" points="{line}"/>"#);

    let newest = accepted.last().copied().unwrap_or(0);
    let waiting_now = waiting.last().copied().unwrap_or(0);
    let (least, greatest) = (accepted.iter().min().copied().unwrap_or(0), accepted.iter().max().copied().unwrap_or(0));
    let from = times.first().cloned().unwrap_or_default();
    let label = format!(
        "Pushes per minute since {from}: accepted between {} and {}, now {}; {} wait",
        count(least),
        count(greatest),
        count(newest),
        count(waiting_now)
    );
    let rows = accepted
        .chunks(10)
        .zip(times.clone())
        .enumerate()
        .map(|(index, (chunk, time))| {
            let waits: u64 = waiting.iter().skip(index * 10).take(10).sum();
            let cells = [count(chunk.iter().sum()), count(waits)];
            (time, cells.to_vec())
        })
        .collect();
    let waiting_key = (waiting_now > 0).then(|| {
        view! { <li>{swatch(r#"<rect class="sw" x=".5" y=".5" width="19" height="11"/>"#)}"Waiting "<strong>{count(waiting_now)}</strong></li> }
    });
    let labels = times
        .into_iter()
        .enumerate()
        .map(|(index, time)| view! { <span class=if index % 2 == 1 { "alt" } else { "" }>{time}</span> })
        .collect_view();
    view! {
        <Card id="per-minute" title="Pushes per minute" remark=soft("Last hour")>
            <div class="chart">
                <ul class="key">
                    <li>{swatch(r#"<path d="M0 6h20"/>"#)}"Accepted "<strong>{count(newest)}</strong></li>
                    {waiting_key}
                </ul>
                <div class="plot">
                    {y_axis(&ticks, "")}
                    <svg viewBox="0 0 720 160" preserveAspectRatio="none" role="img" aria-label=label inner_html=drawing></svg>
                    <div class="x" aria-hidden="true">{labels}</div>
                </div>
            </div>
            {as_table("Pushes in ten minutes", vec!["Ten minutes from", "Accepted", "Waiting"], rows)}
        </Card>
    }
}

/// How long it took from mail to push.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latency {
    /// Upper bounds in milliseconds and how many were below them; the last has no bound.
    pub(crate) bins: Vec<(Option<u64>, u64)>,
    pub(crate) p50: Option<u64>,
    pub(crate) p95: Option<u64>,
    pub(crate) p99: Option<u64>,
}

/// What we promise, in milliseconds.
const TARGET: u64 = 1_000;

fn is_over(lower: u64) -> bool {
    lower >= TARGET
}

/// The histogram of latencies.
#[component]
pub(crate) fn MailToPush(data: Latency) -> impl IntoView {
    let Latency { bins, p50, p95, p99 } = data;
    let total: u64 = bins.iter().map(|(_, number)| number).sum();
    let percent = |number: u64| if total == 0 { 0.0 } else { 100.0 * float(number) / float(total) };
    let most = bins.iter().map(|(_, number)| (number * 100).div_ceil(total.max(1))).max().unwrap_or(0);
    let (top, ticks) = scale(most);
    let mut drawing = String::new();
    grid(&mut drawing, top, &ticks);
    let width = WIDTH / float(u64::try_from(bins.len().max(1)).unwrap_or(1));
    let lowers: Vec<u64> =
        std::iter::once(0).chain(bins.iter().map(|(upper, _)| upper.unwrap_or(u64::MAX))).take(bins.len()).collect();
    let mut over = 0;
    for (index, ((_, number), lower)) in bins.iter().zip(&lowers).enumerate() {
        let class = if is_over(*lower) { "over" } else { "barx" };
        if is_over(*lower) {
            over += number;
        }
        let height = HEIGHT * percent(*number) / float(top);
        let _ = write!(
            drawing,
            r#"<rect class="{class}" x="{:.1}" width="{:.1}" y="{:.1}" height="{height:.1}"/>"#,
            float(u64::try_from(index).unwrap_or(0)) * width + 4.0,
            width - 8.0,
            HEIGHT - height
        );
    }
    for (value, class) in [(p50, ""), (p95, "d2"), (p99, "d3")] {
        let Some(x) = value.and_then(|value| position(value, &bins, &lowers, width)) else { continue };
        let _ = write!(drawing, r#"<line class="p {class}" x1="{x:.1}" x2="{x:.1}" y1="0" y2="160"/>"#);
    }
    let text = |value: Option<u64>| value.map_or_else(|| "—".to_owned(), took);
    let label = format!(
        "Share of pushes by time from mail to push: half within {}, 95 % within {}, 99 % within {}, {} over the target of 1 s",
        text(p50),
        text(p95),
        text(p99),
        share(over, total)
    );
    let rows = bins
        .iter()
        .zip(&lowers)
        .map(|((upper, number), lower)| {
            let name = match upper {
                Some(upper) if *lower == 0 => format!("under {}", took(*upper)),
                Some(upper) => format!("{} to {}", took(*lower), took(*upper)),
                None => format!("over {}", took(*lower)),
            };
            (name, vec![share(*number, total)])
        })
        .collect();
    let labels = bins
        .iter()
        .enumerate()
        .map(|(index, (upper, _))| {
            let text = upper.map_or_else(String::new, |upper| {
                if upper < TARGET { upper.to_string() } else { took(upper).replace(".0", "") }
            });
            view! { <span class=if index % 2 == 1 { "alt" } else { "" }>{text}</span> }
        })
        .collect_view();
    let key = [
        (r#"<path d="M0 6h20"/>"#, "p50 ", text(p50)),
        (r#"<path class="d2" d="M0 6h20"/>"#, "p95 ", text(p95)),
        (r#"<path class="d3" d="M0 6h20"/>"#, "p99 ", text(p99)),
        (r#"<rect class="sw" x=".5" y=".5" width="19" height="11"/>"#, "Over 1 s ", share(over, total)),
    ]
    .map(|(drawing, name, value)| view! { <li>{swatch(drawing)}{name}<strong>{value}</strong></li> })
    .collect_view();
    view! {
        <Card id="latency" title="Mail to push" remark=soft(format!("Last 24 hours, {} pushes", count(total)))>
            <div class="chart">
                <ul class="key">{key}</ul>
                <div class="plot">
                    {y_axis(&ticks, " %")}
                    <svg viewBox="0 0 720 160" preserveAspectRatio="none" role="img" aria-label=label inner_html=drawing></svg>
                    <div class=format!("x bins n{}", bins.len()) aria-hidden="true">{labels}</div>
                </div>
            </div>
            {as_table("Mail to push, shares", vec!["Time from mail to push", "Share of pushes"], rows)}
        </Card>
    }
}

/// Where a value stands on an axis whose bins are of one width.
fn position(value: u64, bins: &[(Option<u64>, u64)], lowers: &[u64], width: f64) -> Option<f64> {
    let index = bins.iter().position(|(upper, _)| upper.is_none_or(|upper| value < upper))?;
    let lower = *lowers.get(index)?;
    let within = match bins.get(index)?.0 {
        Some(upper) if upper > lower => float(value.saturating_sub(lower)) / float(upper - lower),
        _ => 0.5,
    };
    Some(width * (float(u64::try_from(index).ok()?) + within))
}

fn swatch(drawing: &'static str) -> AnyView {
    view! { <svg viewBox="0 0 20 12" aria-hidden="true" inner_html=drawing></svg> }.into_any()
}

fn as_table(label: &'static str, heads: Vec<&'static str>, rows: Vec<(String, Vec<String>)>) -> AnyView {
    let heads = heads
        .into_iter()
        .enumerate()
        .map(|(index, head)| {
            let class = if index == 0 { "" } else { "num" };
            view! { <th scope="col" class=class>{head}</th> }
        })
        .collect_view();
    let rows = rows
        .into_iter()
        .map(|(name, cells)| {
            let cells = cells.into_iter().map(|cell| view! { <td class="num">{cell}</td> }).collect_view();
            view! { <tr><th scope="row">{name}</th>{cells}</tr> }
        })
        .collect_view();
    view! {
        <details class="fall">
            <summary>"As a table"</summary>
            <div class="scroll" tabindex="0" role="region" aria-label=label>
                <table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>
            </div>
        </details>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(most: u64, top: u64, ticks: usize) {
        let scale = scale(most);
        assert_eq!((scale.0, scale.1.len()), (top, ticks), "{most}");
    }

    #[test]
    fn scales_are_round_and_hold_everything() {
        check(0, 4, 5);
        check(1_310, 1_500, 4);
        check(25, 25, 6);
        check(24, 25, 6);
        check(99, 100, 6);
        check(7, 8, 5);
        check(1_000_001, 1_500_000, 4);
    }

    #[test]
    fn values_stand_between_their_bounds() {
        let bins = [(Some(100), 1), (Some(200), 1), (None, 1)];
        assert_eq!(position(150, &bins, &[0, 100, 200], 10.0), Some(15.0));
        assert_eq!(position(9_999, &bins, &[0, 100, 200], 10.0), Some(25.0));
    }
}
