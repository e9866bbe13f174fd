//! The list of sessions: what staff search by, page by page, newest first.
//!
//! Ids are UUIDs of version 7, so they sort by the time of registration, and a page is a range of ids. Each filter has an
//! index that ends in the id; the most selective one drives the query, and the others are looked at row by row.

use std::fmt;

use domain::{EndReason, FailureCode, Life, NodeId, State, Timestamp};
use sea_orm::sea_query::{Alias, Expr, Query, SelectStatement, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait as _, EntityTrait, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    QueryTrait as _, Select,
};
use uuid::Uuid;

use crate::dialect::{by_row, is_storable};
use crate::entity::session::{Column, Entity};
use crate::view::{self, SessionRow};
use crate::{Store, StoreError};

/// The most rows of one page.
pub(crate) const PAGE_MAX: u64 = 200;

/// The most rows that are counted.
pub(crate) const COUNT_MAX: u64 = 10_000;

/// Why a session is in its state: why it ended, or else what went wrong last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateReason {
    /// It ended.
    Ended(EndReason),
    /// It failed, and has not gone well since.
    Failed(FailureCode),
}

impl StateReason {
    /// The reason of a life; none while all is well.
    pub fn of(life: &Life) -> Option<Self> {
        let failed = || life.failure.as_ref().map(|failure| Self::Failed(failure.code));
        life.end_reason().map(Self::Ended).or_else(failed)
    }

    /// The stable name: an end's is in lower case, a failure's in capitals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ended(reason) => reason.as_str(),
            Self::Failed(code) => code.as_str(),
        }
    }

    /// Finds a reason by its stable name, or else in any case: `request_refused` is an end, `REQUEST_REFUSED` why.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(named) = Self::all().find(|reason| reason.as_str() == text) {
            return Some(named);
        }
        let ended = || EndReason::parse(&text.to_ascii_lowercase()).map(Self::Ended);
        FailureCode::parse(&text.to_ascii_uppercase()).map(Self::Failed).or_else(ended)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let ended = EndReason::ALL.iter().copied().map(Self::Ended);
        FailureCode::ALL.iter().copied().map(Self::Failed).chain(ended)
    }
}

/// What to look for. All that is given must hold; texts are compared as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// The keyed hash of the account's address.
    pub address_hash: Option<String>,
    /// The device.
    pub device: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The account, by the app's name.
    pub context: Option<String>,
    /// The mail server's host, in lower case.
    pub host: Option<String>,
    /// The state.
    pub state: Option<State>,
    /// Why it is in its state.
    pub reason: Option<StateReason>,
    /// Registered then or later.
    pub since: Option<Timestamp>,
    /// The node that runs it.
    pub node: Option<NodeId>,
    /// In its state since then or later. Lists of many sessions take it together with the order by that time only:
    /// see [`SessionFilter::serves`](crate::SessionFilter::serves).
    pub changed_since: Option<Timestamp>,
}

/// A place in a list whose rows have ids that sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cursor(pub(crate) Uuid);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_simple().fmt(f)
    }
}

impl Cursor {
    /// Reads a cursor as [`Display`](fmt::Display) writes it.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The newest rows.
    #[default]
    Newest,
    /// The rows that come after this one.
    OlderThan(Cursor),
    /// The rows that come right before this one.
    NewerThan(Cursor),
}

/// A page that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Which part of the list.
    pub start: Start,
    /// How many rows at the most; at most 200 are given.
    pub limit: u64,
}

impl Page {
    /// The newest rows.
    pub const fn newest(limit: u64) -> Self {
        Self { start: Start::Newest, limit }
    }

    /// A page for `start`.
    pub const fn new(start: Start, limit: u64) -> Self {
        Self { start, limit }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit.clamp(1, PAGE_MAX)
    }
}

/// A page of a list, newest first.
#[derive(Clone, Debug)]
pub struct Paged<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the older rows begin, if there are any.
    pub older: Option<Cursor>,
    /// Where the newer rows begin, if there may be any.
    pub newer: Option<Cursor>,
}

/// A page of sessions.
pub type SessionPage = Paged<SessionRow>;

impl<T> Paged<T> {
    /// Makes a page of rows as [`ordered`] gives them, of which there is one more than asked for if the list goes on.
    pub(crate) fn cut(mut rows: Vec<T>, page: &Page, id: impl Fn(&T) -> Uuid) -> Self {
        let limit = usize::try_from(page.limit()).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let backwards = matches!(page.start, Start::NewerThan(_));
        if backwards {
            rows.reverse();
        }
        let (first, last) = (rows.first().map(|row| Cursor(id(row))), rows.last().map(|row| Cursor(id(row))));
        let (older, newer) = match page.start {
            Start::Newest => (last.filter(|_| more), None),
            Start::OlderThan(from) => (last.filter(|_| more), Some(first.unwrap_or(from))),
            // The row that we come from is the next of the older ones.
            Start::NewerThan(_) => (last, first.filter(|_| more)),
        };
        Self { rows, older, newer }
    }

    fn empty() -> Self {
        Self { rows: Vec::new(), older: None, newer: None }
    }
}

/// How many rows there are, without counting a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Exactly(u64),
    /// More than so many.
    MoreThan(u64),
}

impl Page {
    /// The rows of this page, and one more, in the order in which [`Paged::cut`] wants them.
    pub(crate) fn ordered<E: EntityTrait>(&self, query: Select<E>, id: E::Column) -> Select<E> {
        let query = match self.start {
            Start::Newest => query.order_by_desc(id),
            Start::OlderThan(from) => query.filter(id.lt(from.0)).order_by_desc(id),
            Start::NewerThan(from) => query.filter(id.gt(from.0)).order_by_asc(id),
        };
        query.limit(self.limit() + 1)
    }
}

/// The least id that was made at `at` or later.
fn least_id(at: Timestamp) -> Uuid {
    Uuid::from_u128(u128::from(at.as_millis().max(0).unsigned_abs()) << 80)
}

/// A comparison with a node that no index is used for, like [`by_row`].
fn node_by_row(node: NodeId) -> SimpleExpr {
    use sea_orm::sea_query::{ExprTrait as _, Func};

    let column = || Expr::col((Entity, Column::NodeId));
    Expr::expr(Func::coalesce([column(), column()])).eq(node.as_uuid())
}

/// The same for the time of a change.
fn since_by_row(since: Timestamp) -> SimpleExpr {
    use sea_orm::sea_query::ExprTrait as _;

    Expr::col((Entity, Column::StateSince)).add(0i64).gte(since.as_millis())
}

impl SessionFilter {
    /// Whether no session can match.
    pub(crate) fn is_contradiction(&self) -> bool {
        if !self.comparisons().0.iter().all(|(_, value)| is_storable(value)) {
            return true;
        }
        match (self.state, self.reason) {
            (Some(state), Some(StateReason::Ended(_))) => state != State::Ended,
            (Some(state), Some(StateReason::Failed(_))) => state == State::Ended,
            _ => false,
        }
    }

    /// The comparisons, the most selective first, and how many of them drive the query by an index that has them all.
    fn comparisons(&self) -> (Vec<(Column, &str)>, usize) {
        let all = [
            (Column::AddressHash, self.address_hash.as_deref()),
            (Column::DeviceId, self.device.as_deref()),
            (Column::Context, self.context.as_deref()),
            (Column::UserId, self.user.as_deref()),
            (Column::MailHost, self.host.as_deref()),
            (Column::Reason, self.reason.map(StateReason::as_str)),
            (Column::State, self.state.map(State::as_str)),
        ];
        let mut given: Vec<_> = all.into_iter().filter_map(|(column, value)| Some((column, value?))).collect();
        let driving = match given.as_slice() {
            [] => 0,
            [(Column::MailHost, _), (Column::Reason | Column::State, _), ..] => 2,
            // An end has one state.
            [(Column::Reason, _), (Column::State, _)] if matches!(self.reason, Some(StateReason::Ended(_))) => {
                given.truncate(1);
                1
            }
            _ => 1,
        };
        (given, driving)
    }

    /// The sessions that match.
    pub(crate) fn select(&self) -> Select<Entity> {
        let (comparisons, driving) = self.comparisons();
        let mut query = Entity::find();
        for (place, (column, value)) in comparisons.into_iter().enumerate() {
            query = query.filter(if place < driving { column.eq(value) } else { by_row(column, value) });
        }
        if let Some(node) = self.node {
            query = query.filter(if driving == 0 { Column::NodeId.eq(node.as_uuid()) } else { node_by_row(node) });
        }
        if let Some(since) = self.changed_since {
            query = query.filter(if self.names_somebody() {
                since_by_row(since)
            } else {
                Column::StateSince.gte(since.as_millis())
            });
        }
        match self.since {
            Some(since) => query.filter(Column::Id.gte(least_id(since))),
            None => query,
        }
    }

    /// Whether it is about one customer: what such a filter finds is few.
    pub(crate) fn names_somebody(&self) -> bool {
        [&self.address_hash, &self.device, &self.user, &self.context].iter().any(|name| name.is_some())
    }

    /// Counts the sessions that match, up to one more than `at_most`.
    pub(crate) fn count(&self, at_most: u64) -> SelectStatement {
        use sea_orm::sea_query::ExprTrait as _;

        let found = self.select().select_only().expr_as(Expr::val(1), "one").limit(at_most.saturating_add(1));
        let rows = Expr::col(Alias::new("one")).count();
        Query::select().expr_as(rows, "rows").from_subquery(found.into_query(), "found").to_owned()
    }
}

impl Store {
    /// A page of the sessions that match, newest first.
    pub async fn find_sessions(&self, filter: &SessionFilter, page: Page) -> Result<SessionPage, StoreError> {
        if filter.is_contradiction() {
            return Ok(Paged::empty());
        }
        let rows = view::rows(self.reader(), page.ordered(filter.select(), Column::Id)).await?;
        let Paged { rows, older, newer } = Paged::cut(rows, &page, |row| row.id);
        let rows = rows.into_iter().map(SessionRow::read).collect::<Result<_, _>>()?;
        Ok(Paged { rows, older, newer })
    }

    /// How many sessions match; what is beyond `at_most` is not counted. At most 10,000 are.
    pub async fn count_sessions(&self, filter: &SessionFilter, at_most: u64) -> Result<Count, StoreError> {
        if filter.is_contradiction() {
            return Ok(Count::Exactly(0));
        }
        let at_most = at_most.min(COUNT_MAX);
        let row = self.reader().query_one(&filter.count(at_most)).await?;
        let counted: i64 = row.map(|row| row.try_get("", "rows")).transpose()?.unwrap_or(0);
        let counted = counted.unsigned_abs();
        Ok(if counted > at_most { Count::MoreThan(at_most) } else { Count::Exactly(counted) })
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
