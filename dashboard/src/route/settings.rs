//! The page about this installation.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use backend::Installed;
use backend::watch::imap::quirk::{IdleTrust, KnownQuirk};

use super::{Asker, Data, node};
use crate::auth::Failure;
use crate::page::settings::{App, Quirk, SealingKey, Settings};
use crate::part::format::span;
use crate::shell::Section;

pub(super) async fn page(State(data): State<Data>, asker: Asker) -> Result<Response, Failure> {
    let seen = data.glance.latest(&data.auth).await?;
    let installed = data.handle.as_ref().map_or_else(Installed::default, |handle| handle.installed().clone());
    let Installed { limits, rules, retention, push_lifetime, quirks } = installed;
    let settings = Settings {
        now: data.now(),
        nodes: node::nodes(&data, &seen).await?,
        keys: sealing_keys(&data).await?,
        apps: data.app_keys.as_ref().map(|keys| {
            keys.iter().map(|key| App { id: key.id.clone(), fingerprint: key.fingerprint.clone() }).collect()
        }),
        quirks: quirks.into_iter().map(quirk).collect(),
        kept: vec![
            ("Sessions that live", format!("{} at the most, as below", span(limits.lifetime))),
            ("Ended sessions", format!("{}, with their timelines", span(retention))),
            ("Pushes that are done", span(retention)),
            ("Acts on many that are over", span(retention)),
            ("Nodes that are gone", span(retention)),
            ("Audit", "for ever".to_owned()),
        ],
        rules: vec![
            ("Lifetime", format!("{} at the most", span(limits.lifetime))),
            ("Wait before use", format!("{} at the most", span(limits.wait))),
            ("Wait at a server", format!("{} at the most", span(limits.response_timeout))),
            ("Hold after a push", format!("{}, doubling to {}", span(rules.hold_min), span(rules.hold_max))),
            ("A push is worth sending", format!("for {}", span(push_lifetime))),
            ("After a fault", format!("{} doubling to {}, with jitter", span(rules.retry_min), span(rules.retry_max))),
            ("Refused logins", format!("{}, then the session ends", rules.max_refusals)),
            ("Host not found", format!("for {}, then the session ends", span(rules.gone_after))),
        ],
    };
    Ok(asker.show(&data, Section::Settings, "Settings", || settings.view()))
}

fn quirk(known: KnownQuirk) -> Quirk {
    let polls = known.poll_seconds.map(|(min, max)| {
        let seconds = |seconds: u32| span(Duration::from_secs(seconds.into()));
        format!("{} to {}", seconds(min), seconds(max))
    });
    Quirk {
        hosts: known.hosts,
        renewed: known.renew.map(span),
        idle: match known.idle {
            Some(IdleTrust::Never) => Some("Never used"),
            Some(IdleTrust::Trusted) => Some("Used"),
            None => None,
        },
        polls,
        asks_for_id: known.needs_id == Some(true),
        source: known.source.unwrap_or("the configuration of this installation"),
    }
}

/// The keys of this node, the one to seal for first, and whatever else stored credentials are sealed for.
async fn sealing_keys(data: &Data) -> Result<Vec<SealingKey>, Failure> {
    let Some(handle) = &data.handle else { return Ok(Vec::new()) };
    let mut boxes = data.glance.boxes(&data.auth).await?;
    let mut keys: Vec<SealingKey> = handle
        .keys()
        .sealing_keys()
        .enumerate()
        .map(|(at, (id, created))| {
            let id = id.to_string();
            let found = boxes.iter().position(|(key, _)| *key == id);
            let sessions = found.map_or(0, |found| boxes.swap_remove(found).1);
            let (is_current, is_here) = (at == 0, true);
            SealingKey { id, created: Some(created), is_current, is_here, sessions: Some(sessions) }
        })
        .collect();
    keys.extend(boxes.into_iter().map(|(id, sessions)| SealingKey {
        id,
        created: None,
        is_current: false,
        is_here: false,
        sessions: Some(sessions),
    }));
    Ok(keys)
}
