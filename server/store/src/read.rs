//! What is read, past the writer's queue.

use domain::{Delivery, SessionId, Timestamp};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};

use crate::entity::{outbox, session};
use crate::{SessionRecord, Store, StoreError};

impl Store {
    /// A session, living or ended.
    pub async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        let row = crate::session::first(self.reader(), session::Entity::find_by_id(id.as_uuid())).await?;
        row.map(session::Model::into_record).transpose()
    }

    /// This node's pushes that are due at `now`, oldest first.
    pub async fn due_pushes(&self, now: Timestamp, limit: u64) -> Result<Vec<Delivery>, StoreError> {
        crate::outbox::due(self.reader(), self.node(), now, limit).await
    }

    /// When this node's next push is due.
    pub async fn next_push(&self) -> Result<Option<Timestamp>, StoreError> {
        crate::outbox::next_due(self.reader(), self.node()).await
    }

    /// What became of the pushes of a session: their status and what the service said, oldest first.
    pub async fn pushes_of(&self, id: SessionId) -> Result<Vec<(String, Option<String>)>, StoreError> {
        let rows = outbox::Entity::find()
            .filter(outbox::Column::SessionId.eq(id.as_uuid()))
            .order_by_asc(outbox::Column::CreatedAt)
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(|row| (row.status, row.reason)).collect())
    }
}
