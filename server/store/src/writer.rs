//! The one writer: it takes what has queued up, does it in one transaction, and answers when that is durable.

use std::sync::Arc;

use domain::{NodeId, PushId, SessionId, Timestamp};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, TransactionTrait as _};
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::demo::Rows;
use crate::dialect::{self, Dialect};
use crate::open::Connections;
use crate::overview::PushHistory;
use crate::saved_view::{self, ViewAct, ViewRefusal};
use crate::staff_act::{Acted, Refusal, StaffAct};
use crate::{
    Applied, BulkRefusal, BulkStep, Change, Claimed, Connection, Finish, NewAudit, NewSession, NodeBeat, Note,
    Registered, StoreError, audit, bulk, node, outbox, session, staff_act, timeline,
};

/// The most writes in one transaction.
const BATCH: usize = 256;

/// How many writes may wait before callers do.
const QUEUE: usize = 4096;

/// How many ended sessions, and how many pushes, are deleted in one transaction, so that nobody waits long behind it.
const PURGE: u64 = 500;

/// How often a transaction is done over if other writers came between.
const CONTESTED: u32 = 5;

/// What is written. Each can be done over, until its transaction is committed.
enum Write {
    Register(Box<NewSession>),
    Change(Box<Change>),
    Claim { limit: u64 },
    Release,
    Finish { id: PushId, now: Timestamp, finish: Finish },
    Purge { before: Timestamp, limit: u64 },
    Note { id: SessionId, at: Timestamp, note: Note },
    Connected { id: SessionId, at: Timestamp, connection: Box<Connection> },
    Tried { id: SessionId, handshake: String },
    Trace { id: SessionId, at: Timestamp, until: Timestamp, note: Note },
    Fill(Box<Rows>),
    Staff { at: Timestamp, act: Box<StaffAct>, entry: Option<Box<NewAudit>> },
    Audit(Box<NewAudit>),
    View { act: Box<ViewAct>, entry: Option<Box<NewAudit>> },
    Beat(Box<NodeBeat>),
    Bulk { step: Box<BulkStep>, entry: Option<Box<NewAudit>> },
}

/// What a write led to.
enum Written {
    Registered(Box<Registered>),
    Applied(Applied),
    Claimed(Vec<Claimed>),
    Count(u64),
    Acted(Acted),
    Viewed(Result<(), ViewRefusal>),
    Stepped(Result<(), BulkRefusal>),
    Done,
}

impl Written {
    fn registered(registered: Registered) -> Self {
        Self::Registered(Box::new(registered))
    }
}

struct Job {
    write: Write,
    reply: oneshot::Sender<Result<Written, StoreError>>,
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    node: NodeId,
    read: DatabaseConnection,
    jobs: mpsc::Sender<Job>,
    unclaimed: Notify,
    pushes: Notify,
    changes: broadcast::Sender<SessionId>,
    history: PushHistory,
    worker: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the database at `url`, brings its schema up to date, and starts the writer. `node` is this process.
    pub async fn open(url: &str, node: NodeId) -> Result<Self, StoreError> {
        let Connections { dialect, write, read } = Connections::open(url).await?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let worker = tokio::spawn(Writer { db: write, dialect, node }.work(queue));
        let shared = Shared {
            node,
            read,
            jobs,
            unclaimed: Notify::new(),
            pushes: Notify::new(),
            changes: broadcast::Sender::new(1024),
            history: PushHistory::default(),
            worker: std::sync::Mutex::new(Some(worker)),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The node that this store was opened for.
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    fn system(&self) -> &'static str {
        Dialect::of(&self.shared.read).name()
    }

    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.shared.read
    }

    pub(crate) fn push_history(&self) -> &PushHistory {
        &self.shared.history
    }

    /// Returns when there may be live sessions that no node runs. It carries nothing: claim, and see.
    pub async fn unclaimed(&self) {
        self.shared.unclaimed.notified().await;
    }

    /// Returns when there may be pushes to send. It carries nothing: ask for what is due.
    pub async fn pushes_queued(&self) {
        self.shared.pushes.notified().await;
    }

    /// Hears of sessions that were changed here. A hearer that lags misses some, and reads what it is interested in.
    pub fn changes(&self) -> broadcast::Receiver<SessionId> {
        self.shared.changes.subscribe()
    }

    async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.shared.jobs.send(Job { write, reply }).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Stores a session, durably. The one that it replaces is ended in the same transaction.
    #[tracing::instrument(name = "store.register", skip_all, fields(otel.kind = "client", db.system.name = self.system(), db.operation.name = "INSERT", db.collection.name = "session"))]
    pub async fn register(&self, new: NewSession) -> Result<Registered, StoreError> {
        let written = self.write(Write::Register(Box::new(new))).in_current_span().await?;
        let Written::Registered(registered) = written else { return Err(StoreError::Closed) };
        if let Some(replaced) = registered.replaced {
            self.announce(replaced);
        }
        self.announce(registered.id);
        self.shared.unclaimed.notify_one();
        Ok(*registered)
    }

    /// Changes a session if its revision is still the one that the change was made from.
    #[tracing::instrument(name = "store.change", skip_all, fields(otel.kind = "client", db.system.name = self.system(), db.operation.name = "UPDATE", db.collection.name = "session"))]
    pub async fn change(&self, change: Change) -> Result<Applied, StoreError> {
        let (id, pushes) = (change.id, change.push.is_some());
        let written = self.write(Write::Change(Box::new(change))).await?;
        let Written::Applied(applied) = written else { return Err(StoreError::Closed) };
        if pushes {
            self.shared.pushes.notify_one();
        }
        self.announce(id);
        Ok(applied)
    }

    /// Makes up to `limit` live sessions that no node runs this node's own.
    pub async fn claim(&self, limit: u64) -> Result<Vec<Claimed>, StoreError> {
        match self.write(Write::Claim { limit }).await? {
            Written::Claimed(claimed) => Ok(claimed),
            _ => Err(StoreError::Closed),
        }
    }

    /// Gives back whatever this node runs, and says how many sessions that were.
    pub async fn release(&self) -> Result<u64, StoreError> {
        self.count(Write::Release).await
    }

    /// Writes down what an attempt to send a push led to.
    pub async fn finish_push(&self, id: PushId, now: Timestamp, finish: Finish) -> Result<(), StoreError> {
        self.write(Write::Finish { id, now, finish }).await.map(|_| ())
    }

    /// Deletes ended sessions, done pushes, bulk acts that are over and nodes that are gone, all from before `before`, and
    /// says how many. What was destroyed since the last
    /// time, boxes among it, leaves the database's log too.
    pub async fn purge(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let deleted = self.count(Write::Purge { before, limit: PURGE }).await?;
            all += deleted;
            if deleted == 0 {
                break;
            }
        }
        Dialect::of(&self.shared.read).after_purge(&self.shared.read).await?;
        Ok(all)
    }

    /// Writes an entry into a session's timeline.
    pub async fn note(&self, id: SessionId, at: Timestamp, note: Note) -> Result<(), StoreError> {
        self.write(Write::Note { id, at, note }).await.map(|_| ())
    }

    /// The same, and does not wait for it. If the writer is far behind, it is left out.
    pub fn note_later(&self, id: SessionId, at: Timestamp, note: Note) {
        let (reply, _) = oneshot::channel();
        if self.shared.jobs.try_send(Job { write: Write::Note { id, at, note }, reply }).is_err() {
            tracing::debug!(session = %id, "the store is busy; an entry is left out of the timeline");
        }
    }

    /// Has what a connection told written, and does not wait for it. If the writer is that far behind, it is left out.
    pub fn connected(&self, id: SessionId, at: Timestamp, connection: Connection) {
        let (reply, _) = oneshot::channel();
        let write = Write::Connected { id, at, connection: Box::new(connection) };
        if self.shared.jobs.try_send(Job { write, reply }).is_err() {
            tracing::debug!(session = %id, "the store is busy; a connection is left out of the timeline");
        }
    }

    /// The same for the handshake of a connection that came to nothing: lines of JSON, redacted, as in [`Connection`].
    pub fn tried(&self, id: SessionId, handshake: String) {
        let (reply, _) = oneshot::channel();
        if self.shared.jobs.try_send(Job { write: Write::Tried { id, handshake }, reply }).is_err() {
            tracing::debug!(session = %id, "the store is busy; a handshake is left out");
        }
    }

    /// Has each episode of a session traced until `until`, as `note` tells.
    pub async fn trace(&self, id: SessionId, at: Timestamp, until: Timestamp, note: Note) -> Result<(), StoreError> {
        self.write(Write::Trace { id, at, until, note }).await?;
        self.announce(id);
        Ok(())
    }

    /// Does something to staff, with its entry in the audit, or does neither and says why. `at` is now.
    pub async fn staff_act(
        &self,
        at: Timestamp,
        act: StaffAct,
        entry: Option<NewAudit>,
    ) -> Result<Result<(), Refusal>, StoreError> {
        match self.write(Write::Staff { at, act: Box::new(act), entry: entry.map(Box::new) }).await? {
            Written::Acted(acted) => Ok(acted),
            _ => Err(StoreError::Closed),
        }
    }

    /// Does something to saved views, with its entry in the audit if there is one, or does neither and says why.
    pub async fn view_act(&self, act: ViewAct, entry: Option<NewAudit>) -> Result<Result<(), ViewRefusal>, StoreError> {
        match self.write(Write::View { act: Box::new(act), entry: entry.map(Box::new) }).await? {
            Written::Viewed(viewed) => Ok(viewed),
            _ => Err(StoreError::Closed),
        }
    }

    /// Writes down that this node is there.
    pub async fn beat(&self, beat: NodeBeat) -> Result<(), StoreError> {
        self.write(Write::Beat(Box::new(beat))).await.map(|_| ())
    }

    /// Does a step of a bulk act, with its entry in the audit if there is one, or does neither and says why. The outcome of a
    /// session is written down in any case; it is refused if the bulk act is to be gone on with no more.
    pub async fn bulk_step(
        &self,
        step: BulkStep,
        entry: Option<NewAudit>,
    ) -> Result<Result<(), BulkRefusal>, StoreError> {
        match self.write(Write::Bulk { step: Box::new(step), entry: entry.map(Box::new) }).await? {
            Written::Stepped(stepped) => Ok(stepped),
            _ => Err(StoreError::Closed),
        }
    }

    /// Adds an entry to the audit.
    pub async fn audit(&self, entry: NewAudit) -> Result<(), StoreError> {
        self.write(Write::Audit(Box::new(entry))).await.map(|_| ())
    }

    /// Stores made-up rows.
    pub(crate) async fn fill(&self, rows: Rows) -> Result<(), StoreError> {
        self.write(Write::Fill(Box::new(rows))).await.map(|_| ())
    }

    async fn count(&self, write: Write) -> Result<u64, StoreError> {
        match self.write(write).await? {
            Written::Count(count) => Ok(count),
            _ => Err(StoreError::Closed),
        }
    }

    fn announce(&self, id: SessionId) {
        // Nobody listening is no fault.
        let _ = self.shared.changes.send(id);
    }

    /// Waits until the writer has done what was queued, and stops. Other clones' writes fail from now on.
    pub async fn close(self) {
        let worker = self.shared.worker.lock().ok().and_then(|mut worker| worker.take());
        let _ = self.shared.read.clone().close().await;
        drop(self);
        if let Some(worker) = worker {
            // The worker ends when the last clone is gone.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), worker).await;
        }
    }
}

/// What writes.
struct Writer {
    db: DatabaseConnection,
    dialect: Dialect,
    node: NodeId,
}

impl Writer {
    async fn work(self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut jobs, BATCH).await > 0 {
            match Box::pin(self.commit(&jobs)).await {
                Ok(written) => {
                    for (job, written) in jobs.drain(..).zip(written) {
                        // A caller that left in the meantime doesn't mind.
                        let _ = job.reply.send(written);
                    }
                }
                // What failed for one fails for all, and each would wait for its own time-out.
                Err(error) if dialect::is_lost(&error) => {
                    tracing::warn!(%error, writes = jobs.len(), "the database is out of reach; nothing is written");
                    for job in jobs.drain(..) {
                        let _ = job.reply.send(Err(StoreError::Database(error.clone())));
                    }
                }
                // One of them broke the transaction. Each gets one of its own, so that only that one fails.
                Err(error) if jobs.len() > 1 => {
                    tracing::warn!(%error, writes = jobs.len(), "a group commit failed; each write is done by itself");
                    for job in jobs.drain(..) {
                        let alone = std::slice::from_ref(&job);
                        let written = Box::pin(self.commit(alone))
                            .await
                            .map_err(StoreError::Database)
                            .and_then(|mut written| written.pop().unwrap_or(Err(StoreError::Closed)));
                        let _ = job.reply.send(written);
                    }
                }
                Err(error) => {
                    if let Some(job) = jobs.pop() {
                        let _ = job.reply.send(Err(StoreError::Database(error)));
                    }
                }
            }
        }
        let _ = self.db.close().await;
    }

    /// Does all of `jobs` in one transaction, again if other writers came between. What a caller is told is in the answer;
    /// a database that fails fails them all.
    async fn commit(&self, jobs: &[Job]) -> Result<Vec<Result<Written, StoreError>>, DbErr> {
        let mut tries = 0;
        loop {
            let once = commit(&self.db, self.dialect, self.node, jobs);
            let done = match self.dialect.patience() {
                None => once.await,
                Some(patience) => tokio::time::timeout(patience, once)
                    .await
                    .unwrap_or(Err(DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout))),
            };
            tries += 1;
            if done.is_err() {
                self.dialect.after_failure(&self.db).await;
            }
            match done {
                Err(error) if tries < CONTESTED && dialect::is_contested(&error) => {
                    tracing::debug!(%error, tries, "other writers came between; done over");
                }
                done => return done,
            }
        }
    }
}

async fn commit(
    db: &DatabaseConnection,
    dialect: Dialect,
    node: NodeId,
    jobs: &[Job],
) -> Result<Vec<Result<Written, StoreError>>, DbErr> {
    let txn = db.begin_with_options(dialect.transaction()).await?;
    let mut all = Vec::with_capacity(jobs.len());
    for job in jobs {
        let written = match &job.write {
            Write::Register(new) => Box::pin(session::register(&txn, new)).await.map(Written::registered),
            Write::Change(change) => session::change(&txn, node, change).await.map(Written::Applied),
            Write::Claim { limit } => session::claim(&txn, node, *limit).await.map(Written::Claimed),
            Write::Release => session::release(&txn, node).await.map(Written::Count),
            Write::Finish { id, now, finish } => outbox::finish(&txn, *id, *now, finish).await.map(|()| Written::Done),
            Write::Purge { before, limit } => purge(&txn, *before, *limit).await.map(Written::Count),
            Write::Note { id, at, note } => {
                timeline::insert(&txn, id.as_uuid(), *at, [note.clone()]).await.map(|()| Written::Done)
            }
            Write::Connected { id, at, connection } => {
                session::connected(&txn, *id, *at, connection).await.map(|()| Written::Done)
            }
            Write::Tried { id, handshake } => session::tried(&txn, *id, handshake).await.map(|()| Written::Done),
            Write::Trace { id, at, until, note } => match session::trace(&txn, *id, *until).await {
                Ok(()) => timeline::insert(&txn, id.as_uuid(), *at, [note.clone()]).await.map(|()| Written::Done),
                Err(error) => Err(error),
            },
            Write::Fill(rows) => rows.insert(&txn).await.map(|()| Written::Done),
            Write::Staff { at, act, entry } => staff(&txn, *at, act, entry.as_deref()).await.map(Written::Acted),
            Write::Audit(entry) => audit::append(&txn, entry).await.map(|_| Written::Done),
            Write::View { act, entry } => saved_view::act(&txn, act, entry.as_deref()).await.map(Written::Viewed),
            Write::Beat(beat) => node::beat(&txn, node, beat).await.map(|()| Written::Done),
            Write::Bulk { step, entry } => bulk::step(&txn, node, step, entry.as_deref()).await.map(Written::Stepped),
        };
        match written {
            Err(StoreError::Database(error)) => {
                // If this fails too, the transaction ends with the connection, which `after_failure` closes.
                let _ = txn.rollback().await;
                return Err(error);
            }
            written => all.push(written),
        }
    }
    txn.commit().await?;
    Ok(all)
}

/// Deletes what is old, of each kind up to `limit`, and says how much that was.
async fn purge(db: &impl ConnectionTrait, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
    let sessions = session::purge(db, before, limit).await?;
    let pushes = outbox::purge(db, before, limit).await?;
    let bulks = bulk::purge(db, before, limit).await?;
    Ok(sessions + pushes + bulks + node::purge(db, before).await?)
}

/// An act of staff and its entry in the audit. An act that was refused has written nothing.
async fn staff(
    db: &impl ConnectionTrait,
    at: Timestamp,
    act: &StaffAct,
    entry: Option<&NewAudit>,
) -> Result<Acted, StoreError> {
    let acted = staff_act::act(db, at, act).await?;
    if let (Ok(()), Some(entry)) = (&acted, entry) {
        audit::append(db, entry).await?;
    }
    Ok(acted)
}
