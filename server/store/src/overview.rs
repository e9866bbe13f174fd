//! What there is at a glance: counts, failures, hosts, pushes. It walks whole indexes, so it is computed in the background
//! and not for a page.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::{EndReason, FailureCode, NodeId, State, Timestamp};
use sea_orm::sea_query::{Expr, Query, SelectStatement, SimpleExpr};
use sea_orm::{ConnectionTrait as _, QueryResult};

use crate::entity::{outbox, session};
use crate::{PushStatus, Store, StoreError};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// How many minutes are read again although they are over: another node's clock may be behind.
const READ_AGAIN: i64 = 3;

/// The hosts that are listed, the worst first.
const HOSTS: usize = 200;

/// What there is at a glance.
#[derive(Clone, Debug)]
pub struct Overview {
    /// When it was computed.
    pub at: Timestamp,
    /// How many sessions are in each state; of those that ended, the ones of the last 24 hours.
    pub states: StateCounts,
    /// Why sessions ended in the last 24 hours, the most frequent first.
    pub ended: Vec<(EndReason, u64)>,
    /// Sessions that live and fail, by host and failure, the most sessions first.
    pub failures: Vec<FailureGroup>,
    /// Mail servers, the worst first: at most 200.
    pub hosts: Vec<HostHealth>,
    /// How many mail servers there are with sessions that live.
    pub host_count: u64,
    /// The nodes that run sessions, each with how many, the most first.
    pub nodes: Vec<(NodeId, u64)>,
    /// Pushes on their way.
    pub queued: u64,
    /// Pushes of the last hour by minute, the oldest first: 60, the last of which is not over.
    pub minutes: Vec<PushMinute>,
    /// From mail to push, for what was accepted in the last 24 hours.
    pub latency: Latency,
}

/// How many sessions are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// The device is awake.
    pub waiting: u64,
    /// Watched.
    pub watching: u64,
    /// A push was sent.
    pub holding: u64,
    /// Failing.
    pub retrying: u64,
    /// Over, for less than 24 hours. Of a host: not counted.
    pub ended: u64,
}

impl StateCounts {
    /// How many are in `state`.
    pub const fn of(&self, state: State) -> u64 {
        match state {
            State::Waiting => self.waiting,
            State::Watching => self.watching,
            State::Holding => self.holding,
            State::Retrying => self.retrying,
            State::Ended => self.ended,
        }
    }

    /// How many live.
    pub const fn live(&self) -> u64 {
        self.waiting + self.watching + self.holding + self.retrying
    }

    fn add(&mut self, state: State, sessions: u64) {
        *match state {
            State::Waiting => &mut self.waiting,
            State::Watching => &mut self.watching,
            State::Holding => &mut self.holding,
            State::Retrying => &mut self.retrying,
            State::Ended => &mut self.ended,
        } += sessions;
    }
}

/// Sessions that fail in the same way at the same host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    /// The mail server.
    pub host: String,
    /// What is wrong.
    pub code: FailureCode,
    /// How many sessions.
    pub sessions: u64,
    /// Since when the longest of them has been in its state.
    pub since: Timestamp,
    /// When it last went wrong.
    pub last: Timestamp,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostHealth {
    /// Its name.
    pub host: String,
    /// Its sessions.
    pub states: StateCounts,
    /// What fails most there, and for how many sessions.
    pub worst: Option<(FailureCode, u64)>,
}

impl HostHealth {
    /// The share of its live sessions that do not fail, from 0 to 1; 1 without any.
    pub fn healthy(&self) -> f64 {
        let live = self.states.live();
        if live == 0 { 1.0 } else { 1.0 - share(self.states.retrying, live) }
    }
}

/// What became of pushes in one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushMinute {
    /// When it began.
    pub at: Timestamp,
    /// The push service took them.
    pub accepted: u64,
    /// The push service refused them, or they were too late.
    pub refused: u64,
    /// Their token was dead.
    pub gone: u64,
    /// Written before it was over, and not done then.
    pub waiting: u64,
}

/// How long pushes took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many were measured.
    pub pushes: u64,
    /// Half of them were faster.
    pub p50: Duration,
    /// 95 % were faster.
    pub p95: Duration,
    /// 99 % were faster.
    pub p99: Duration,
    /// How many there are in each of [`Latency::EDGES`]' intervals: the first from zero, the last without an end.
    pub histogram: Vec<u64>,
}

impl Latency {
    /// Where the histogram's intervals end, in milliseconds; there is one more, from the last on.
    pub const EDGES: &'static [u32] = &[50, 100, 150, 200, 300, 400, 600, 800, 1000, 2000, 5000];
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below where a float loses anything")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// What became of pushes in a minute that was read.
#[derive(Clone, Debug, Default)]
struct Minute {
    accepted: u64,
    refused: u64,
    gone: u64,
    /// How many of the accepted took how long, in ms, rounded down.
    took: Vec<(i64, u64)>,
    /// How many were written in an earlier minute, and in which.
    waited: Vec<(i64, u64)>,
}

/// The minutes of the last day, by their number since the epoch. A minute that is over does not change, so that a day of
/// pushes is read once.
#[derive(Debug, Default)]
pub(crate) struct PushHistory {
    minutes: Mutex<BTreeMap<i64, Minute>>,
}

impl PushHistory {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<i64, Minute>> {
        self.minutes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From which minute on the store is to be read.
    fn read_from(&self, now: i64) -> i64 {
        let day = (now - DAY) / MINUTE;
        let last = self.lock().last_key_value().map(|(minute, _)| *minute);
        last.filter(|last| *last <= now / MINUTE).map_or(day, |last| (last - READ_AGAIN).max(day))
    }

    /// Takes what was read from minute `from` on.
    fn put(&self, now: i64, from: i64, read: BTreeMap<i64, Minute>) {
        let mut minutes = self.lock();
        let _ = minutes.split_off(&from);
        minutes.extend(read);
        *minutes = minutes.split_off(&((now - DAY) / MINUTE));
        // So that the next reader begins here, though there were no pushes.
        minutes.entry(now / MINUTE).or_default();
    }

    /// `queued`: how many of the pushes that wait now were written in which minute.
    fn last_hour(&self, now: i64, queued: &BTreeMap<i64, u64>) -> Vec<PushMinute> {
        let (minutes, last) = (self.lock(), now / MINUTE);
        let none = Minute::default();
        (last - 59..=last)
            .map(|number| {
                let minute = minutes.get(&number).unwrap_or(&none);
                let at = Timestamp::from_millis(number * MINUTE);
                let waited = minutes.range(number + 1..).flat_map(|(_, later)| &later.waited);
                let waited = waited.filter(|(made, _)| *made <= number).map(|(_, pushes)| pushes);
                let waiting = waited.chain(queued.range(..=number).map(|(_, pushes)| pushes)).sum();
                PushMinute { at, accepted: minute.accepted, refused: minute.refused, gone: minute.gone, waiting }
            })
            .collect()
    }

    fn latency(&self) -> Latency {
        let mut took: BTreeMap<i64, u64> = BTreeMap::new();
        for (millis, pushes) in self.lock().values().flat_map(|minute| &minute.took) {
            *took.entry(*millis).or_default() += pushes;
        }
        let pushes: u64 = took.values().sum();
        let mut histogram = vec![0; Latency::EDGES.len() + 1];
        for (millis, pushes) in &took {
            histogram[Latency::EDGES.partition_point(|edge| i64::from(*edge) <= *millis)] += pushes;
        }
        let percentile = |percent: u64| {
            let (mut seen, wanted) = (0, (pushes * percent).div_ceil(100));
            let found = took.iter().find(|(_, pushes)| {
                seen += **pushes;
                seen >= wanted
            });
            Duration::from_millis(found.map_or(0, |(millis, _)| millis.unsigned_abs()))
        };
        Latency { pushes, p50: percentile(50), p95: percentile(95), p99: percentile(99), histogram }
    }
}

pub(crate) fn states_by_host() -> SelectStatement {
    use sea_orm::sea_query::ExprTrait as _;

    let live = State::ALL.iter().filter(|state| **state != State::Ended);

    Query::select()
        .column(session::Column::MailHost)
        .column(session::Column::State)
        .expr_as(Expr::col(session::Column::Id).count(), "sessions")
        .from(session::Entity)
        .and_where(Expr::col(session::Column::State).is_in(live.map(|state| state.as_str())))
        .group_by_col(session::Column::State)
        .group_by_col(session::Column::MailHost)
        .to_owned()
}

pub(crate) fn failures() -> SelectStatement {
    use sea_orm::sea_query::ExprTrait as _;

    // A failure as the reason means that the session lives: an ended one has its end for a reason.
    Query::select()
        .column(session::Column::MailHost)
        .column(session::Column::Reason)
        .expr_as(Expr::col(session::Column::Id).count(), "sessions")
        .expr_as(Expr::col(session::Column::StateSince).min(), "since")
        .expr_as(Expr::col(session::Column::FailedAt).max(), "last")
        .from(session::Entity)
        .and_where(Expr::col(session::Column::Reason).is_in(FailureCode::ALL.iter().map(|code| code.as_str())))
        .group_by_col(session::Column::Reason)
        .group_by_col(session::Column::MailHost)
        .to_owned()
}

pub(crate) fn ended(since: i64) -> SelectStatement {
    use sea_orm::sea_query::ExprTrait as _;

    Query::select()
        .column(session::Column::EndReason)
        .expr_as(Expr::col(session::Column::EndedAt).count(), "sessions")
        .from(session::Entity)
        .and_where(Expr::col(session::Column::EndedAt).gte(since))
        .group_by_col(session::Column::EndReason)
        .to_owned()
}

pub(crate) fn queued() -> SelectStatement {
    use sea_orm::sea_query::ExprTrait as _;

    Query::select()
        .expr_as(Expr::col(outbox::Column::Id).count(), "pushes")
        .from(outbox::Entity)
        .and_where(Expr::col(outbox::Column::Status).eq(PushStatus::Queued.as_str()))
        .to_owned()
}

/// Pushes on their way, by the minute in which they were written.
pub(crate) fn queued_by_minute() -> SelectStatement {
    use sea_orm::sea_query::ExprTrait as _;

    Query::select()
        .expr_as(Expr::col(outbox::Column::CreatedAt).div(MINUTE), "minute")
        .expr_as(Expr::col(outbox::Column::Id).count(), "pushes")
        .from(outbox::Entity)
        .and_where(Expr::col(outbox::Column::Status).eq(PushStatus::Queued.as_str()))
        .add_group_by([Expr::col("minute")])
        .to_owned()
}

pub(crate) fn nodes() -> SelectStatement {
    use sea_orm::sea_query::ExprTrait as _;

    Query::select()
        .column(session::Column::NodeId)
        .expr_as(Expr::col(session::Column::Id).count(), "sessions")
        .from(session::Entity)
        .and_where(Expr::col(session::Column::NodeId).is_not_null())
        .group_by_col(session::Column::NodeId)
        .to_owned()
}

pub(crate) fn boxes() -> SelectStatement {
    use sea_orm::sea_query::ExprTrait as _;

    Query::select()
        .column(session::Column::BoxKeyId)
        .expr_as(Expr::col(session::Column::Id).count(), "boxes")
        .from(session::Entity)
        .and_where(Expr::col(session::Column::BoxKeyId).is_not_null())
        .group_by_col(session::Column::BoxKeyId)
        .to_owned()
}

/// Pushes that were done since, by the minutes in which they were done and written, status and how long they took: to 10 ms below a second, to 100 ms below ten, else
/// to a second.
pub(crate) fn pushes(since: i64) -> SelectStatement {
    use sea_orm::sea_query::ExprTrait as _;

    use outbox::Column::{CreatedAt, DoneAt, Status};
    let took = || Expr::col(DoneAt).sub(Expr::col(CreatedAt));
    let to = |step: i64| -> SimpleExpr { took().div(step).mul(step) };
    let rounded = Expr::case(Expr::col(Status).ne(PushStatus::Accepted.as_str()), Expr::val(0i64))
        .case(took().lt(1000i64), to(10))
        .case(took().lt(10_000i64), to(100))
        .finally(to(1000));
    Query::select()
        .expr_as(Expr::col(DoneAt).div(MINUTE), "minute")
        .expr_as(Expr::col(CreatedAt).div(MINUTE), "made")
        .column(Status)
        .expr_as(rounded, "took")
        .expr_as(Expr::col(DoneAt).count(), "pushes")
        .from(outbox::Entity)
        .and_where(Expr::col(DoneAt).gte(since))
        .add_group_by([Expr::col("minute"), Expr::col("made"), Expr::col(Status), Expr::col("took")])
        .to_owned()
}

fn count(row: &QueryResult, column: &str) -> Result<u64, StoreError> {
    Ok(row.try_get::<i64>("", column)?.unsigned_abs())
}

fn corrupt(column: &'static str) -> impl Fn() -> StoreError {
    move || StoreError::Corrupt { row: "of the overview".to_owned(), column }
}

impl Store {
    /// What there is at a glance, at `now`. It takes as long as walking an index over all sessions does, so it is for a task
    /// in the background; pushes that were read once are not read again.
    pub async fn overview(&self, now: Timestamp) -> Result<Overview, StoreError> {
        let failures = self.failure_groups().await?;
        let (mut states, hosts) = self.hosts(&failures).await?;
        let millis = now.as_millis();
        let ended = self.ended_since(millis - DAY).await?;
        states.ended = ended.iter().map(|(_, sessions)| sessions).sum();
        self.read_pushes(millis).await?;
        let queued =
            self.reader().query_one(&queued()).await?.map(|row| count(&row, "pushes")).transpose()?.unwrap_or(0);
        // Mostly none waits, and this looks at each that does.
        let waiting = if queued == 0 { BTreeMap::new() } else { self.queued_by_minute().await? };
        let nodes = self.sessions_by_node().await?;
        let history = self.push_history();
        Ok(Overview {
            at: now,
            states,
            ended,
            failures,
            host_count: u64::try_from(hosts.len()).unwrap_or(u64::MAX),
            hosts: hosts.into_iter().take(HOSTS).collect(),
            nodes,
            queued,
            minutes: history.last_hour(millis, &waiting),
            latency: history.latency(),
        })
    }

    async fn queued_by_minute(&self) -> Result<BTreeMap<i64, u64>, StoreError> {
        let mut minutes = BTreeMap::new();
        for row in self.reader().query_all(&queued_by_minute()).await? {
            minutes.insert(row.try_get("", "minute")?, count(&row, "pushes")?);
        }
        Ok(minutes)
    }

    async fn sessions_by_node(&self) -> Result<Vec<(NodeId, u64)>, StoreError> {
        let mut all = Vec::new();
        for row in self.reader().query_all(&nodes()).await? {
            let node: uuid::Uuid = row.try_get("", "node_id")?;
            all.push((NodeId::from_uuid(node), count(&row, "sessions")?));
        }
        all.sort_by_key(|(_, sessions)| std::cmp::Reverse(*sessions));
        Ok(all)
    }

    /// How many boxes there are for each sealing key. It walks an index over all sessions that live.
    pub async fn boxes_by_key(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut all = Vec::new();
        for row in self.reader().query_all(&boxes()).await? {
            all.push((row.try_get("", "box_key_id")?, count(&row, "boxes")?));
        }
        Ok(all)
    }

    async fn failure_groups(&self) -> Result<Vec<FailureGroup>, StoreError> {
        let mut groups = Vec::new();
        for row in self.reader().query_all(&failures()).await? {
            let code: String = row.try_get("", "reason")?;
            groups.push(FailureGroup {
                host: row.try_get("", "mail_host")?,
                code: FailureCode::parse(&code).ok_or_else(corrupt("reason"))?,
                sessions: count(&row, "sessions")?,
                since: Timestamp::from_millis(row.try_get("", "since")?),
                last: Timestamp::from_millis(row.try_get::<Option<i64>>("", "last")?.unwrap_or_default()),
            });
        }
        groups.sort_by(|a, b| b.sessions.cmp(&a.sessions).then_with(|| a.host.cmp(&b.host)));
        Ok(groups)
    }

    async fn hosts(&self, failures: &[FailureGroup]) -> Result<(StateCounts, Vec<HostHealth>), StoreError> {
        let mut all = StateCounts::default();
        let mut by_host: BTreeMap<String, StateCounts> = BTreeMap::new();
        for row in self.reader().query_all(&states_by_host()).await? {
            let state: String = row.try_get("", "state")?;
            let state = State::parse(&state).ok_or_else(corrupt("state"))?;
            let sessions = count(&row, "sessions")?;
            all.add(state, sessions);
            by_host.entry(row.try_get("", "mail_host")?).or_default().add(state, sessions);
        }
        // The groups are in order, so the first of a host is its worst.
        let mut worst: HashMap<&str, (FailureCode, u64)> = HashMap::new();
        for group in failures {
            worst.entry(&group.host).or_insert((group.code, group.sessions));
        }
        let health = |(host, states): (String, StateCounts)| {
            let worst = worst.get(host.as_str()).copied();
            HostHealth { host, states, worst }
        };
        let mut hosts: Vec<_> = by_host.into_iter().map(health).collect();
        hosts.sort_by_key(|host| std::cmp::Reverse((host.states.retrying, host.states.live())));
        Ok((all, hosts))
    }

    async fn ended_since(&self, since: i64) -> Result<Vec<(EndReason, u64)>, StoreError> {
        let mut all = Vec::new();
        for row in self.reader().query_all(&ended(since)).await? {
            let reason: String = row.try_get("", "end_reason")?;
            let reason = EndReason::parse(&reason).ok_or_else(corrupt("end_reason"))?;
            all.push((reason, count(&row, "sessions")?));
        }
        all.sort_by_key(|(_, sessions)| std::cmp::Reverse(*sessions));
        Ok(all)
    }

    async fn read_pushes(&self, now: i64) -> Result<(), StoreError> {
        let from = self.push_history().read_from(now);
        let mut read: BTreeMap<i64, Minute> = BTreeMap::new();
        for row in self.reader().query_all(&pushes(from * MINUTE)).await? {
            let status: String = row.try_get("", "status")?;
            let pushes = count(&row, "pushes")?;
            let (done, made): (i64, i64) = (row.try_get("", "minute")?, row.try_get("", "made")?);
            let minute = read.entry(done).or_default();
            if made < done {
                minute.waited.push((made, pushes));
            }
            match PushStatus::parse(&status).ok_or_else(corrupt("status"))? {
                PushStatus::Accepted => {
                    minute.accepted += pushes;
                    minute.took.push((row.try_get::<i64>("", "took")?.max(0), pushes));
                }
                PushStatus::Refused | PushStatus::Expired => minute.refused += pushes,
                PushStatus::Gone => minute.gone += pushes,
                PushStatus::Queued => {}
            }
        }
        self.push_history().put(now, from, read);
        Ok(())
    }
}
