//! A sparkline: from zero, with the number beside it.

use std::fmt::Write as _;

use leptos::prelude::*;

use super::mark::Tone;

/// The line for `points`, oldest first; a tone only where the line is bad news.
pub(crate) fn spark(points: &[u64], label: String, tone: Option<Tone>) -> AnyView {
    let most = points.iter().copied().max().unwrap_or(0).max(1);
    let last = points.len().saturating_sub(1).max(1);
    let (mut line, mut end) = (String::new(), (79.0, 22.0));
    for (index, point) in points.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a picture of 80 by 24 units")]
        let place = (1.0 + 78.0 * index as f64 / last as f64, 22.0 - 20.0 * *point as f64 / most as f64);
        // Writing to a String can't fail.
        let _ = write!(line, "{:.1},{:.1} ", place.0, place.1);
        end = place;
    }
    let drawing =
        format!(r#"<polyline points="{}"/><circle cx="{:.1}" cy="{:.1}" r="2.25"/>"#, line.trim_end(), end.0, end.1);
    let class = tone.map_or_else(|| "spark".to_owned(), |tone| format!("spark c {}", tone.class()));
    view! { <svg class=class viewBox="0 0 80 24" role="img" aria-label=label inner_html=drawing></svg> }.into_any()
}
