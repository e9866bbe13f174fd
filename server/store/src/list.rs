//! Lists of sessions in an order of one's choice, of several filters at once.
//!
//! Each order is a walk along an index that begins with what is filtered by and goes on with what is sorted by, so that no page
//! is ever sorted, however many sessions there are. Where no index does that, the order isn't offered: see
//! [`SessionFilter::serves`]. Several values of a qualifier are several walks, of which the first rows are merged.

use std::cmp::Ordering;
use std::fmt;

use domain::State;
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{ConnectionTrait, DbErr, Order, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select};
use uuid::Uuid;

use crate::entity::session::{Column, Entity};
use crate::view::{self, SessionRow};
use crate::{Count, SessionFilter, Store, StoreError};

/// The most filters that are merged into one list.
const FILTERS: usize = 32;

/// What a list is sorted by. The id settles what is equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SortBy {
    /// When it was registered.
    #[default]
    Registered,
    /// Since when it has been in its state.
    Changed,
    /// When something happens by itself: the next try, the end of a wait or of a hold, the end. What has ended comes last.
    Next,
    /// The mail server's name.
    Host,
}

impl SortBy {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Registered, Self::Changed, Self::Next, Self::Host];

    /// The word in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Changed => "since",
            Self::Next => "next",
            Self::Host => "host",
        }
    }

    const fn column(self) -> Option<Column> {
        match self {
            Self::Registered => None,
            Self::Changed => Some(Column::StateSince),
            Self::Next => Some(Column::NextAt),
            Self::Host => Some(Column::MailHost),
        }
    }
}

/// Which way a list goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The earliest, or the first of the alphabet, first.
    Ascending,
    /// The latest first.
    Descending,
}

impl Direction {
    const fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }

    fn of(self, ordering: Ordering) -> Ordering {
        match self {
            Self::Ascending => ordering,
            Self::Descending => ordering.reverse(),
        }
    }
}

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sort {
    /// By what.
    pub by: SortBy,
    /// Which way.
    pub direction: Direction,
}

impl Default for Sort {
    fn default() -> Self {
        Self::usual(SortBy::default())
    }
}

impl Sort {
    /// The way in which such a list usually goes: the newest first; what happens soonest first; hosts from A.
    pub const fn usual(by: SortBy) -> Self {
        let direction = match by {
            SortBy::Registered | SortBy::Changed => Direction::Descending,
            SortBy::Next | SortBy::Host => Direction::Ascending,
        };
        Self { by, direction }
    }

    /// The same, the other way round.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { by: self.by, direction: self.direction.reversed() }
    }

    /// Reads an order as [`Display`](fmt::Display) writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let (text, turned) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
        let usual = SortBy::ALL.iter().copied().find(|by| by.as_str() == text).map(Self::usual)?;
        Some(if turned { usual.reversed() } else { usual })
    }
}

/// The word, with a minus before it if it is against the usual way.
impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let turned = if *self == Self::usual(self.by) { "" } else { "-" };
        write!(f, "{turned}{}", self.by.as_str())
    }
}

/// What a row is sorted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Id,
    Time(i64),
    Host(String),
}

/// A place in a sorted list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortCursor {
    key: Key,
    id: Uuid,
}

impl SortCursor {
    /// Reads a cursor of a list that is sorted by `by`, as [`Display`](fmt::Display) writes it.
    pub fn parse(by: SortBy, text: &str) -> Option<Self> {
        let (key, id) = match by {
            SortBy::Registered => (Key::Id, text),
            SortBy::Changed | SortBy::Next => {
                let (key, id) = text.split_once('.')?;
                (Key::Time(key.parse().ok()?), id)
            }
            SortBy::Host => {
                let (host, id) = text.rsplit_once('.')?;
                (Key::Host(host.to_owned()), id)
            }
        };
        Some(Self { key, id: Uuid::try_parse(id).ok()? })
    }
}

impl fmt::Display for SortCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Key::Id => {}
            Key::Time(time) => write!(f, "{time}.")?,
            Key::Host(host) => write!(f, "{host}.")?,
        }
        self.id.as_simple().fmt(f)
    }
}

/// Which part of a sorted list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListPart {
    /// Its begin.
    #[default]
    First,
    /// What comes after this place.
    After(SortCursor),
    /// What comes right before this place.
    Before(SortCursor),
}

/// A page of a sorted list.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// The rows.
    pub rows: Vec<SessionRow>,
    /// From where the list goes on, if it does.
    pub next: Option<SortCursor>,
    /// Before where it began, if there may be anything.
    pub previous: Option<SortCursor>,
}

/// Why a list can't be had in an order: no index would give it without sorting all that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    /// What names a customer finds a few sessions, which are listed as they were registered.
    #[error("the sessions of one customer are few, and listed as they were registered")]
    Few,
    /// This order and one of the filters don't go together.
    #[error("no index has this filter in this order")]
    Filter,
    /// More filters at once than are merged.
    #[error("these are more combinations than can be listed at once")]
    TooMany,
}

impl SessionFilter {
    /// Whether what it finds can be listed in the order of `by`, without sorting.
    ///
    /// | filter | registered | changed | next | host |
    /// | --- | --- | --- | --- | --- |
    /// | none, or a state | yes | yes | yes | yes |
    /// | a reason, with or without a state | yes | yes | no | yes |
    /// | a host, with or without a state | yes | no | yes | no: there is one |
    /// | a host and a reason | yes | no | no | no |
    /// | a node, or since when registered, with anything | yes | no | no | no |
    /// | a customer (address, device, user, context), with anything | yes | no | no | no |
    /// | since when in its state | for a customer's | as above | no | no |
    ///
    /// # Errors
    /// Says why not.
    pub fn serves(&self, by: SortBy) -> Result<(), NotServed> {
        let few = self.names_somebody();
        let narrow = self.node.is_some() || self.since.is_some();
        let served = match by {
            SortBy::Registered => self.changed_since.is_none() || few,
            _ if few => return Err(NotServed::Few),
            SortBy::Changed => self.host.is_none() && !narrow,
            SortBy::Next => self.reason.is_none() && self.changed_since.is_none() && !narrow,
            SortBy::Host => self.host.is_none() && self.changed_since.is_none() && !narrow,
        };
        if served { Ok(()) } else { Err(NotServed::Filter) }
    }

    /// The filters of which each has an index in the order of `by`, and which find the same together.
    fn split(self, by: SortBy) -> Vec<Self> {
        let by_state = matches!(by, SortBy::Changed | SortBy::Next) && self.state.is_none() && self.reason.is_none();
        if !by_state {
            return vec![self];
        }
        State::ALL.iter().map(|state| Self { state: Some(*state), ..self.clone() }).collect()
    }
}

/// A list of sessions: all that one of several filters finds, in an order. No two of the filters may find the same session.
/// The default is the list of none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionList {
    filters: Vec<SessionFilter>,
    sort: Sort,
}

impl SessionList {
    /// A list of all that one of `filters` finds. No two of them may find the same session.
    ///
    /// # Errors
    /// When an index for it is missing, or these are more than 32 walks.
    pub fn new(filters: Vec<SessionFilter>, sort: Sort) -> Result<Self, NotServed> {
        filters.iter().try_for_each(|filter| filter.serves(sort.by))?;
        let possible = filters.into_iter().filter(|filter| !filter.is_contradiction());
        let filters: Vec<_> =
            possible.flat_map(|filter| filter.split(sort.by)).filter(|filter| !filter.is_contradiction()).collect();
        if filters.len() > FILTERS {
            return Err(NotServed::TooMany);
        }
        Ok(Self { filters, sort })
    }

    /// Its order.
    pub fn sort(&self) -> Sort {
        self.sort
    }

    /// One walk for each filter, in the order of the list or, towards its begin, against it.
    pub(crate) fn walks(&self, part: &ListPart, limit: u64) -> Vec<Select<Entity>> {
        let direction = self.walked(part);
        self.filters.iter().map(|filter| walk(filter, self.sort.by, direction, part, limit)).collect()
    }

    fn walked(&self, part: &ListPart) -> Direction {
        match part {
            ListPart::First | ListPart::After(_) => self.sort.direction,
            ListPart::Before(_) => self.sort.direction.reversed(),
        }
    }

    /// The statements that count it.
    pub(crate) fn counted(&self) -> impl Iterator<Item = &SessionFilter> {
        self.filters.iter()
    }
}

fn walk(filter: &SessionFilter, by: SortBy, direction: Direction, part: &ListPart, limit: u64) -> Select<Entity> {
    let order = match direction {
        Direction::Ascending => Order::Asc,
        Direction::Descending => Order::Desc,
    };
    // The place of each row alone, which the index has: see `view::rows`.
    let mut query = filter.select().select_only().column(Column::Id);
    if let ListPart::After(cursor) | ListPart::Before(cursor) = part {
        query = query.filter(beyond(cursor, by, direction));
    }
    if let Some(column) = by.column() {
        query = query.column(column).order_by(column, order.clone());
    }
    query.order_by(Column::Id, order).limit(limit)
}

/// The places of the rows that a walk comes to.
async fn places(db: &impl ConnectionTrait, walk: Select<Entity>, by: SortBy) -> Result<Vec<SortCursor>, DbErr> {
    Ok(match by {
        SortBy::Registered => {
            let rows: Vec<Uuid> = walk.into_tuple().all(db).await?;
            rows.into_iter().map(|id| SortCursor { key: Key::Id, id }).collect()
        }
        SortBy::Changed | SortBy::Next => {
            let rows: Vec<(Uuid, i64)> = walk.into_tuple().all(db).await?;
            rows.into_iter().map(|(id, time)| SortCursor { key: Key::Time(time), id }).collect()
        }
        SortBy::Host => {
            let rows: Vec<(Uuid, String)> = walk.into_tuple().all(db).await?;
            rows.into_iter().map(|(id, host)| SortCursor { key: Key::Host(host), id }).collect()
        }
    })
}

/// The rows that a walk in `direction` comes to after a place.
fn beyond(cursor: &SortCursor, by: SortBy, direction: Direction) -> SimpleExpr {
    use sea_orm::sea_query::ExprTrait as _;

    let id = || Expr::col((Entity, Column::Id));
    let Some(column) = by.column() else {
        return match direction {
            Direction::Ascending => id().gt(cursor.id),
            Direction::Descending => id().lt(cursor.id),
        };
    };
    let key = match &cursor.key {
        Key::Time(time) => Expr::val(*time),
        Key::Host(host) => Expr::val(host.clone()),
        Key::Id => Expr::val(0i64),
    };
    // One comparison of pairs is a range of the index; two of columns would not be.
    let place = Expr::tuple([key, Expr::val(cursor.id)]);
    let row = Expr::tuple([Expr::col((Entity, column)), id()]);
    match direction {
        Direction::Ascending => row.gt(place),
        Direction::Descending => row.lt(place),
    }
}

impl Store {
    /// A page of a list, with at most `limit` (and at most 200) rows.
    pub async fn list_sessions(&self, list: &SessionList, part: &ListPart, limit: u64) -> Result<ListPage, StoreError> {
        let limit = limit.clamp(1, crate::search::PAGE_MAX);
        let (by, walked) = (list.sort.by, list.walked(part));
        let mut found: Vec<SortCursor> = Vec::new();
        for walk in list.walks(part, limit + 1) {
            found.extend(places(self.reader(), walk, by).await?);
        }
        found.sort_by(|a, b| walked.of(a.cmp(b)));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        if matches!(part, ListPart::Before(_)) {
            found.reverse();
        }
        let (first, last) = (found.first().cloned(), found.last().cloned());
        let (next, previous) = match part {
            ListPart::First => (last.filter(|_| more), None),
            ListPart::After(from) => (last.filter(|_| more), Some(first.unwrap_or_else(|| from.clone()))),
            // The row that we come from is the next of those that follow.
            ListPart::Before(_) => (last, first.filter(|_| more)),
        };
        let ids: Vec<Uuid> = found.iter().map(|place| place.id).collect();
        let rows = view::by_ids(self.reader(), &ids).await?;
        let rows = rows.into_iter().map(SessionRow::read).collect::<Result<_, _>>()?;
        Ok(ListPage { rows, next, previous })
    }

    /// How many sessions a list has; what is beyond `at_most` is not counted. At most 10,000 are.
    pub async fn count_list(&self, list: &SessionList, at_most: u64) -> Result<Count, StoreError> {
        let at_most = at_most.min(crate::search::COUNT_MAX);
        let mut counted = 0;
        for filter in list.counted() {
            let row = self.reader().query_one(&filter.count(at_most)).await?;
            let found: i64 = row.map(|row| row.try_get("", "rows")).transpose()?.unwrap_or(0);
            counted += found.unsigned_abs();
            if counted > at_most {
                return Ok(Count::MoreThan(at_most));
            }
        }
        Ok(Count::Exactly(counted))
    }

    /// The values of a qualifier that begin with `prefix`, in their order, at most `limit` of them. Each is one look into
    /// an index, however many sessions have it.
    pub async fn values(&self, of: Named, prefix: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let mut values: Vec<String> = Vec::new();
        while values.len() < limit {
            let Some(row) = self.reader().query_one(&next_value(of, prefix, values.last())).await? else { break };
            values.push(row.try_get("", "value")?);
        }
        Ok(values)
    }
}

/// A qualifier whose values are names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Devices.
    Device,
    /// Users.
    User,
    /// Accounts.
    Context,
    /// Mail servers.
    Host,
}

pub(crate) fn next_value(of: Named, prefix: &str, after: Option<&String>) -> sea_orm::sea_query::SelectStatement {
    use sea_orm::sea_query::ExprTrait as _;

    let column = match of {
        Named::Device => Column::DeviceId,
        Named::User => Column::UserId,
        Named::Context => Column::Context,
        Named::Host => Column::MailHost,
    };
    let mut query = sea_orm::sea_query::Query::select();
    // Names are printable ASCII: nothing that begins with the prefix is beyond this.
    query
        .expr_as(Expr::col(column), "value")
        .from(Entity)
        .and_where(Expr::col(column).lt(format!("{prefix}\u{7f}")))
        .order_by(column, Order::Asc)
        .limit(1);
    match after {
        Some(after) => query.and_where(Expr::col(column).gt(after.as_str())),
        None => query.and_where(Expr::col(column).gte(prefix)),
    };
    query
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
