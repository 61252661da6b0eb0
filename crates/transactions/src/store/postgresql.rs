//! The store in a PostgreSQL database, for any number of hosts.
//!
//! ```text
//! insert ─▶ bounded queue ─▶ one statement a group (UNNEST) ─▶ replies
//! claim, settle, get, page … ─▶ a pooled connection, one statement each
//! ```
//! Every write is one statement that commits by itself, with the counts changed in it. Time is the
//! server's: hosts need not agree on theirs.

mod connection;
pub(super) mod import;
mod inserts;
mod rows;
mod schema;
mod sql;

use deadpool_postgres::{Object, Pool};
use postgresql::DatabaseUrl;
use tokio_postgres::Error;

use super::request::{
    Claim, ClaimRequest, ClaimTicket, Counts, Insertion, Page, PageRequest, SettleResult,
    Settlement, StoreHooks,
};
use super::{LEASE_MAX, OpenError, StoreError};
use crate::{Cursor, NewTransaction, Status, Transaction, TransactionId};
use connection::{ANSWER_WAIT, store_error};
use inserts::Inserts;

/// The store in a PostgreSQL database.
pub struct PostgresqlStore {
    pool: Pool,
    inserts: Inserts,
    /// Which row of the counts this process changes, so that processes do not wait for each other.
    shard: i16,
}

impl PostgresqlStore {
    pub(super) async fn open(database: &DatabaseUrl, hooks: StoreHooks) -> Result<Self, OpenError> {
        let (pool, place) = connection::pool(database)?;
        schema::migrate(&pool, &place).await?;
        let shard = schema::any_shard();
        let inserts = Inserts::start(pool.clone(), shard, hooks);
        Ok(Self {
            pool,
            inserts,
            shard,
        })
    }

    pub(super) async fn insert(&self, new: NewTransaction) -> Result<Insertion, StoreError> {
        self.inserts.submit(new).await
    }

    pub(super) async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis());
        let lease = millis(request.lease.min(LEASE_MAX)).unwrap_or(i64::MAX);
        let lease_max = millis(LEASE_MAX).unwrap_or(i64::MAX);
        let limit = i64::from(request.limit);
        let rows = self
            .run(async |client| {
                let statement = client.prepare_cached(sql::CLAIM).await?;
                client
                    .query(&statement, &[&request.holder, &lease, &lease_max, &limit])
                    .await
            })
            .await?;
        let mut claims = rows
            .iter()
            .map(|row| {
                let transaction = rows::transaction(row)?;
                let claim_number = rows::column(row, "claim_number")?;
                let ticket = ClaimTicket {
                    id: transaction.id,
                    claim_number,
                };
                Ok(Claim {
                    transaction,
                    ticket,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        // RETURNING promises no order; workers are to process the oldest first.
        claims.sort_unstable_by_key(|claim| claim.transaction.id);
        Ok(claims)
    }

    pub(super) async fn settle(
        &self,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<SettleResult>, StoreError> {
        let ids: Vec<_> = settlements
            .iter()
            .map(|one| one.ticket.id.as_uuid())
            .collect();
        let numbers: Vec<_> = settlements
            .iter()
            .map(|one| one.ticket.claim_number)
            .collect();
        let statuses: Vec<_> = settlements
            .iter()
            .map(|one| one.outcome.status().as_str())
            .collect();
        let rows = self
            .run(async |client| {
                let statement = client.prepare_cached(sql::SETTLE).await?;
                client
                    .query(&statement, &[&ids, &numbers, &statuses, &self.shard])
                    .await
            })
            .await?;
        let mut results = vec![SettleResult::ClaimLost; settlements.len()];
        for row in &rows {
            let place: i64 = rows::column(row, "place")?;
            let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
            if let Some(result) = results.get_mut(place) {
                *result = SettleResult::Settled(rows::timestamp(row, "settled_at_ms")?);
            }
        }
        Ok(results)
    }

    pub(super) async fn release(&self, tickets: Vec<ClaimTicket>) -> Result<(), StoreError> {
        let ids: Vec<_> = tickets.iter().map(|ticket| ticket.id.as_uuid()).collect();
        let numbers: Vec<_> = tickets.iter().map(|ticket| ticket.claim_number).collect();
        self.run(async |client| {
            let statement = client.prepare_cached(sql::RELEASE).await?;
            client.execute(&statement, &[&ids, &numbers]).await
        })
        .await?;
        Ok(())
    }

    pub(super) async fn beat(&self) -> Result<(), StoreError> {
        if self.inserts.is_closed() {
            return Err(StoreError::Closed);
        }
        self.run(async |client| {
            let statement = client.prepare_cached(sql::BEAT).await?;
            client.execute(&statement, &[&self.shard]).await
        })
        .await?;
        Ok(())
    }

    pub(super) async fn get(&self, id: TransactionId) -> Result<Option<Transaction>, StoreError> {
        let row = self
            .run(async |client| {
                let statement = client.prepare_cached(sql::GET).await?;
                client.query_opt(&statement, &[&id.as_uuid()]).await
            })
            .await?;
        row.as_ref().map(rows::transaction).transpose()
    }

    pub(super) async fn page(&self, request: PageRequest) -> Result<Page, StoreError> {
        let below = request
            .cursor
            .map_or(uuid::Uuid::max(), |cursor| cursor.below().as_uuid());
        // One row more than asked for tells whether another page follows.
        let limit = i64::from(request.limit) + 1;
        let status = request.status.map(Status::as_str);
        let rows = self
            .run(async |client| match status {
                None => {
                    let statement = client.prepare_cached(sql::PAGE).await?;
                    client.query(&statement, &[&below, &limit]).await
                }
                Some(status) => {
                    let statement = client.prepare_cached(sql::PAGE_OF_STATUS).await?;
                    client.query(&statement, &[&below, &limit, &status]).await
                }
            })
            .await?;
        let mut items = rows
            .iter()
            .map(rows::transaction)
            .collect::<Result<Vec<_>, _>>()?;
        let more = items.len() > usize::from(request.limit);
        items.truncate(usize::from(request.limit));
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| Cursor::after(last.id));
        let counts = self.counts().await?;
        let count = match request.status {
            None => counts.pending + counts.settled + counts.declined,
            Some(Status::Pending) => counts.pending,
            Some(Status::Settled) => counts.settled,
            Some(Status::Declined) => counts.declined,
        };
        Ok(Page { count, items, next })
    }

    pub(super) async fn counts(&self) -> Result<Counts, StoreError> {
        let row = self
            .run(async |client| {
                let statement = client.prepare_cached(sql::COUNTS).await?;
                client.query_one(&statement, &[]).await
            })
            .await?;
        rows::counts(&row)
    }

    pub(super) async fn close(&self) {
        self.inserts.close().await;
        self.pool.close();
    }

    async fn run<T>(
        &self,
        query: impl AsyncFnOnce(&Object) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        on_connection(&self.pool, query).await
    }
}

/// Runs `query` on a pooled connection, which is given up where it does not answer in time: its
/// late answer must not meet the next query.
async fn on_connection<T>(
    pool: &Pool,
    query: impl AsyncFnOnce(&Object) -> Result<T, Error>,
) -> Result<T, StoreError> {
    let client = pool.get().await.map_err(connection::pool_error)?;
    if let Ok(answer) = tokio::time::timeout(ANSWER_WAIT, query(&client)).await {
        return answer.map_err(|error| store_error(&error));
    }
    drop(Object::take(client));
    let reason = "the database server does not answer";
    Err(StoreError::Unavailable(reason.to_owned()))
}
