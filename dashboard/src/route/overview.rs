//! The overview's page.

use std::time::Duration;

use axum::extract::State as With;
use axum::response::Response;
use domain::{FailureClass, State};
use store::Latency as Measured;

use super::{Asker, Data, node};
use crate::auth::Failure;
use crate::page::node::Node;
use crate::page::overview::{Attention, Host, Overview, StateCount};
use crate::page::search::ENDED_BY_FAULT;
use crate::part::chart::{Latency, PerMinute};
use crate::part::format::{clock_short, count, counted};
use crate::part::mark::Mark;
use crate::shell::Section;

/// The failures that are worth a line, and the mail servers that are listed.
const LINES: usize = 8;
const HOSTS: usize = 8;

/// Sessions that fail for a reason that mends itself are worth a line from this many on.
const WORTH_A_LINE: u64 = 3;

pub(super) async fn page(With(data): With<Data>, asker: Asker) -> Result<Response, Failure> {
    let overview = load(&data, asker.frame(&data, Section::Overview, "Overview").breaker_open).await?;
    Ok(asker.show(&data, Section::Overview, "Overview", || overview.view()))
}

/// Pushes per minute, as a chart wants them.
pub(super) fn per_minute(overview: &store::Overview) -> PerMinute {
    let minutes = &overview.minutes;
    let mut times: Vec<String> = minutes.iter().step_by(10).map(|minute| clock_short(minute.at)).collect();
    times.extend(minutes.last().map(|minute| clock_short(minute.at)));
    PerMinute {
        accepted: minutes.iter().map(|minute| minute.accepted).collect(),
        waiting: minutes.iter().map(|minute| minute.waiting).collect(),
        times,
    }
}

/// From mail to push, as a chart wants it.
pub(super) fn latency(measured: &Measured) -> Latency {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let known = |duration: Duration| (measured.pushes > 0).then(|| millis(duration));
    let bounds = Measured::EDGES.iter().map(|edge| Some(u64::from(*edge))).chain([None]);
    Latency {
        bins: bounds.zip(measured.histogram.iter().copied()).collect(),
        p50: known(measured.p50),
        p95: known(measured.p95),
        p99: known(measured.p99),
    }
}

/// A node that is not as it should be, as a line of what needs attention.
fn silent(node: &Node) -> Option<Attention> {
    let text = node.next.clone()?;
    let title = format!("Node {} is {}", node.name, node.state.to_lowercase());
    Some(Attention { mark: node.mark, title, text, link: (counted(node.sessions, "session"), node.href.clone()) })
}

async fn load(data: &Data, breaker_open: bool) -> Result<Overview, Failure> {
    let now = data.now();
    let seen = data.glance.latest(&data.auth).await?;
    let breaker = breaker_open.then(|| Attention {
        mark: Mark::Fault,
        title: "APNs refuses our pushes".to_owned(),
        text: format!(
            "{} wait{}. Nothing is deleted, and no device has to do anything. An admin has to act.",
            counted(seen.queued, "push").replace("pushs", "pushes"),
            data.glance.breaker_since().map(|at| format!(" since {}", clock_short(at))).unwrap_or_default()
        ),
        link: ("Open Pushes".to_owned(), "/pushes".to_owned()),
    });
    let worth = |code: domain::FailureCode, sessions: u64| {
        let mends = matches!(code.class(), FailureClass::Transport | FailureClass::Throttled);
        !mends || sessions >= WORTH_A_LINE
    };
    let failures = seen
        .failures
        .iter()
        .filter(|group| worth(group.code, group.sessions))
        .map(|group| Attention::of_failure(&group.host, group.code, group.sessions, group.since, now));
    let nodes = node::nodes(data, &seen).await?;
    let silent = nodes.iter().filter_map(silent);
    let mut attention: Vec<Attention> = breaker.into_iter().chain(silent).chain(failures).collect();
    // A person has to act before what mends itself; within each, the store's order: the most sessions first.
    attention.sort_by_key(|line| line.mark != Mark::Fault);
    attention.truncate(LINES);

    let ended: u64 = seen.ended.iter().map(|(_, number)| number).sum();
    let by_fault: u64 =
        seen.ended.iter().filter(|(reason, _)| ENDED_BY_FAULT.contains(reason)).map(|(_, number)| number).sum();
    let counts = [State::Watching, State::Waiting, State::Holding, State::Retrying, State::Ended]
        .map(|state| {
            let remark = match state {
                State::Watching => "mailboxes watched".to_owned(),
                State::Waiting => "devices awake".to_owned(),
                State::Holding => "push sent, no answer yet".to_owned(),
                State::Retrying => "after a fault".to_owned(),
                State::Ended => format!("in 24 hours, {} by fault", count(by_fault)),
            };
            let sessions = if state == State::Ended { ended } else { seen.states.of(state) };
            StateCount {
                state,
                sessions,
                trend: if state == State::Ended { Vec::new() } else { data.glance.trend(state) },
                remark,
            }
        })
        .to_vec();
    let hosts = seen
        .hosts
        .iter()
        .take(HOSTS)
        .map(|host| Host {
            name: host.host.clone(),
            live: host.states.live(),
            retrying: host.states.retrying,
            worst: host.worst,
            trend: data.glance.host_trend(&host.host),
        })
        .collect();
    Ok(Overview {
        now,
        attention,
        counts,
        fine: seen.states.live() - seen.states.retrying,
        queued: seen.queued,
        per_minute: per_minute(&seen),
        latency: latency(&seen.latency),
        hosts,
        host_count: seen.host_count,
        nodes,
    })
}
