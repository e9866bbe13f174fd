//! The page about this installation.

use axum::extract::State;
use axum::response::Response;
use domain::{Limits, Rules};

use super::{Asker, Data, overview};
use crate::auth::Failure;
use crate::page::settings::Settings;
use crate::part::format::span;
use crate::shell::Section;

pub(super) async fn page(State(data): State<Data>, asker: Asker) -> Result<Response, Failure> {
    let seen = data.glance.latest(&data.auth).await?;
    let (limits, rules) = (Limits::default(), Rules::default());
    let settings = Settings {
        now: data.now(),
        nodes: overview::nodes(&data, &seen),
        keys: Vec::new(),
        rules: vec![
            ("Lifetime", format!("{} at the most", span(limits.lifetime))),
            ("Wait before use", format!("{} at the most", span(limits.wait))),
            ("Wait at a server", format!("{} at the most", span(limits.response_timeout))),
            ("Hold after a push", format!("{}, doubling to {}", span(rules.hold_min), span(rules.hold_max))),
            ("After a fault", format!("{} doubling to {}, with jitter", span(rules.retry_min), span(rules.retry_max))),
            ("Refused logins", format!("{}, then the session ends", rules.max_refusals)),
            ("Host not found", format!("for {}, then the session ends", span(rules.gone_after))),
        ],
    };
    Ok(asker.show(&data, Section::Settings, "Settings", || settings.view()))
}
