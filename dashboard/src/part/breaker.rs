//! A breaker that is open: what and since when, that nothing is deleted, the vendor's words, what an admin has to do.

use domain::Timestamp;
use leptos::prelude::*;

use super::card::fact;
use super::format::{Time, counted, moment, until};
use super::icon::Icon;

/// A breaker, open or closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Breaker {
    /// What it is open for; none if it is closed.
    pub(crate) open: Option<OpenBreaker>,
}

/// An open breaker.
#[derive(Clone, Debug)]
pub(crate) struct OpenBreaker {
    /// The vendor's own word.
    pub(crate) reason: String,
    /// What it is, in ours.
    pub(crate) cause: String,
    pub(crate) since: Option<Timestamp>,
    pub(crate) probe_at: Option<Timestamp>,
    pub(crate) waiting: u64,
    /// When the first push is given up.
    pub(crate) first_lost_at: Option<Timestamp>,
}

/// The title: what the vendor refuses, and why.
fn title(reason: &str) -> (&'static str, &'static str) {
    // A status may stand before the word.
    match reason.rsplit(' ').next().unwrap_or(reason) {
        "ExpiredProviderToken" | "InvalidProviderToken" | "MissingProviderToken" => {
            ("APNs refuses our key:", "it is expired, revoked, or not ours")
        }
        "TopicDisallowed" | "BadTopic" | "MissingTopic" | "DeviceTokenNotForTopic" => {
            ("APNs refuses our topic:", "the key does not cover this app")
        }
        "BadDeviceToken" | "BadEnvironmentKeyInToken" | "BadEnvironmentKeyIdInToken" => {
            ("APNs refuses one device after the other:", "it looks like the wrong environment")
        }
        _ => ("APNs refuses our pushes:", "it finds fault with us"),
    }
}

fn steps(reason: &str) -> [&'static str; 3] {
    match title(reason).0 {
        "APNs refuses our key:" => [
            "Make a new key in Apple’s developer account, for the team of the app.",
            "Put its file where the configuration’s push.apns section points, with its key id, and restart the backend.",
            "Nothing else: the breaker closes at the next try, and what waits goes out, oldest first.",
        ],
        "APNs refuses our topic:" => [
            "Compare the app’s bundle id with the topics that the key may use, in Apple’s developer account.",
            "Allow the topic there, or put in the key of the right team, and restart the backend.",
            "Nothing else: the breaker closes at the next try, and what waits goes out, oldest first.",
        ],
        "APNs refuses one device after the other:" => [
            "Ask whether a new version of the app sends tokens of the other environment (development, production).",
            "If so, have the app register with the environment that its tokens are for.",
            "Nobody’s token is deleted. The breaker closes at the first push that is accepted.",
        ],
        _ => [
            "Look up the reason in Apple’s documentation of notification responses.",
            "Mend it in the configuration’s push.apns section, and restart the backend.",
            "Nothing else: the breaker closes at the next try, and what waits goes out, oldest first.",
        ],
    }
}

/// The card of an open breaker.
#[component]
pub(crate) fn BreakerCard(open: OpenBreaker, now: Timestamp) -> impl IntoView {
    let OpenBreaker { reason, cause, since, probe_at, waiting, first_lost_at } = open;
    let (lead, rest) = title(&reason);
    let steps = steps(&reason).map(|step| view! { <li><span>{step}</span></li> }).collect_view();
    let time = move |at: Timestamp, and: String| view! { <Time at=at text=moment(at, now)/>{and} };
    view! {
        <section class="card breaker bad" aria-labelledby="breaker">
            <div class="top2">
                {Icon::Fault.named("Breaker open")}
                <div>
                    <h2 id="breaker"><b>{lead}</b>{format!(" {rest}")}</h2>
                    <p>{format!("Nothing is deleted; {} wait. No device has to do anything.", counted(waiting, "push").replace("pushs", "pushes"))}</p>
                </div>
                <div class="acts"><a class="b" href="/pushes?show=waiting">"Show what waits"</a></div>
            </div>
            <div class="body">
                <div>
                    <h3>"What Apple said"</h3>
                    <p class="ev">{reason}</p>
                    <dl class="facts wide">
                        {fact("What it means", cause)}
                        {since.map(|at| fact("Open since", time(at, String::new())))}
                        {probe_at.map(|at| fact("Next try", time(at, format!(", {}, with one push", until(at, now)))))}
                        {first_lost_at.map(|at| fact("First given up", time(at, ", when its time is over".to_owned())))}
                    </dl>
                </div>
                <div>
                    <h3>"What an admin has to do"</h3>
                    <ol class="steps">{steps}</ol>
                </div>
            </div>
        </section>
    }
}
