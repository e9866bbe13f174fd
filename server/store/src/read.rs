//! What is read, past the writer's queue.

use domain::{Delivery, HostName, SessionId, Timestamp};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};

use crate::entity::{outbox, session};
use crate::{SessionRecord, Store, StoreError};

impl Store {
    /// A session, living or ended.
    pub async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        let row = crate::session::first(self.reader(), session::Entity::find_by_id(id.as_uuid())).await?;
        row.map(session::Model::into_record).transpose()
    }

    /// A session's mail server, which is little to ask for before its turn to connect has come.
    pub async fn mail_host(&self, id: SessionId) -> Result<Option<HostName>, StoreError> {
        let query = session::Entity::find_by_id(id.as_uuid()).select_only().column(session::Column::MailHost);
        let Some(host) = query.into_tuple::<String>().all(self.reader()).await?.pop() else { return Ok(None) };
        let corrupt = |_| StoreError::Corrupt { row: id.to_string(), column: "mail_host" };
        HostName::parse(&host).map(Some).map_err(corrupt)
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
            .order_by_asc(outbox::Column::Id)
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(|row| (row.status, row.reason)).collect())
    }
}
