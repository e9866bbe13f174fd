//! The parts of a page that are kept up to date while somebody looks at it.
//!
//! A region is written into its page with a fingerprint. For a stream (`route::live`), the page is made again and its regions
//! are gathered instead; those whose fingerprint is another than the browser's are sent.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use leptos::prelude::*;

/// A part of a page, as HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) id: &'static str,
    pub(crate) html: String,
    /// Two of one fingerprint say the same, but for times that the browser counts on by itself.
    pub(crate) fingerprint: String,
}

/// Where the regions of a page are gathered; in the context of whoever makes it for a stream.
#[derive(Clone, Debug, Default)]
struct Gathered(Arc<Mutex<Vec<Region>>>);

/// Makes a page's body, and gives its regions.
pub(crate) fn gather(body: impl FnOnce() -> AnyView) -> Vec<Region> {
    let gathered = Gathered::default();
    Owner::new().with(|| {
        provide_context(gathered.clone());
        body().to_html();
    });
    let mut regions = gathered.0.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *regions)
}

/// Marks a part of a page. Its id is the region's name, once a page; regions do not stand in one another.
pub(crate) fn region(id: &'static str, content: impl IntoView + 'static) -> AnyView {
    let html = content.into_any().to_html();
    let fingerprint = fingerprint(&html);
    if let Some(Gathered(regions)) = use_context::<Gathered>() {
        regions.lock().unwrap_or_else(PoisonError::into_inner).push(Region { id, html, fingerprint });
        return ().into_any();
    }
    view! { <div data-live=id data-seen=fingerprint inner_html=html></div> }.into_any()
}

/// A hash of what is said. The text of a time is left out: it is said by its `datetime`, too, and counted on in the browser. So
/// is the token of a form, which looks different each time (`auth::mask`).
fn fingerprint(html: &str) -> String {
    let mut hasher = DefaultHasher::new();
    let said = without_tokens(html);
    let mut rest = said.as_str();
    while let Some((before, time)) = rest.split_once("<time ") {
        before.hash(&mut hasher);
        let Some((attributes, after)) = time.split_once('>') else { break };
        let datetime = attributes.split("datetime=\"").nth(1).and_then(|value| value.split('"').next());
        datetime.hash(&mut hasher);
        rest = after.split_once("</time>").map_or("", |(_, after)| after);
    }
    rest.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn without_tokens(html: &str) -> String {
    let mut parts = html.split("name=\"csrf\" value=\"");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |said, part| said + part.split_once('"').map_or(part, |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(count: u32, time: &'static str) -> AnyView {
        view! {
            <h1>"Fixed"</h1>
            {region("count", view! { <p>{count}</p> })}
            {region("form", view! { <form><input type="hidden" name="csrf" value=format!("token {count}")/>"Ping"</form> })}
            {region("time", view! { <p>"in "<time datetime="2026-11-20T09:42:14Z">{time}</time></p> })}
        }
        .into_any()
    }

    #[test]
    fn regions_are_gathered_as_they_are_written() {
        let (before, after) = (gather(|| page(1, "31 s")), gather(|| page(2, "29 s")));
        let html = Owner::new().with(|| page(1, "31 s").to_html());
        assert_eq!(before.len(), 3);
        for region in &before {
            let Region { id, html: inner, fingerprint } = region;
            let written = format!("<div data-live=\"{id}\" data-seen=\"{fingerprint}\">{inner}</div>");
            assert!(html.contains(&written), "{written} is not in {html}");
        }
        assert_ne!(before[0].fingerprint, after[0].fingerprint);
        assert_ne!(before[1].html, after[1].html);
        assert_eq!(before[1].fingerprint, after[1].fingerprint, "a token looks different each time");
        assert_eq!(before[2].fingerprint, after[2].fingerprint, "the browser counts on by itself");
    }
}
