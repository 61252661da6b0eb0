//! Everything of another store, written in one transaction.

use deadpool_postgres::{Object, Transaction};
use postgresql::DatabaseUrl;
use tokio_postgres::Error;

use super::super::transfer::{Row, Tally};
use super::super::{OpenError, StoreError};
use super::connection::{pool, pool_error, store_error};
use super::{rows, schema};
use crate::Status;

/// No process writes transactions until the transaction is over; the wait for those that do is
/// bounded by the session's statement timeout. What follows may take long: it is bounded by nothing
/// but the amount of data.
const BEGIN: &str = "
    LOCK TABLE transactions, transaction_counts IN SHARE ROW EXCLUSIVE MODE;
    SET LOCAL statement_timeout = 0";

const INSERT: &str = "
    INSERT INTO transactions (id, amount_minor, currency, status, created_at_ms, settled_at_ms,
                              idempotency_key, claim_number)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bigint[],
                         $6::bigint[], $7::text[], $8::bigint[])";

const COUNTS: &str = "
    UPDATE transaction_counts SET
        pending = CASE shard WHEN 0 THEN $1::bigint ELSE 0 END,
        settled = CASE shard WHEN 0 THEN $2::bigint ELSE 0 END,
        declined = CASE shard WHEN 0 THEN $3::bigint ELSE 0 END";

/// Sums are numbers of any length; as text they keep every digit.
const TALLY: &str = "
    SELECT status, currency, count(*)::text, count(idempotency_key)::text,
           sum(amount_minor)::text, sum(created_at_ms)::text, coalesce(sum(settled_at_ms), 0)::text
    FROM transactions GROUP BY status, currency";

/// A transaction that fills an empty database.
pub(crate) struct Import<'a> {
    transaction: Transaction<'a>,
}

impl<'a> Import<'a> {
    /// Connects, and brings the database to the latest schema.
    pub(crate) async fn connect(database: &DatabaseUrl) -> Result<Object, OpenError> {
        let (pool, place) = pool(database)?;
        schema::migrate(&pool, &place).await?;
        pool.get().await.map_err(|error| OpenError::Store {
            place,
            source: pool_error(error),
        })
    }

    /// Begins, and keeps everybody else from writing.
    pub(crate) async fn begin(client: &'a mut Object) -> Result<Self, StoreError> {
        let failed = |error: Error| store_error(&error);
        let transaction = client.transaction().await.map_err(failed)?;
        transaction.batch_execute(BEGIN).await.map_err(failed)?;
        Ok(Self { transaction })
    }

    /// Adds up every row that is there.
    pub(crate) async fn tally(&self) -> Result<Tally, StoreError> {
        let found = self.transaction.query(TALLY, &[]).await;
        let mut tally = Tally::default();
        for row in found.map_err(|error| store_error(&error))? {
            let number = |index: usize| {
                let text = row.try_get::<_, &str>(index).map_err(rows::damaged)?;
                text.parse::<i128>().map_err(rows::damaged)
            };
            let word = |index: usize| row.try_get::<_, &str>(index).map_err(rows::damaged);
            let line = tally.line(word(0)?, word(1)?);
            line.rows = number(2)?;
            line.keys = number(3)?;
            line.minor_units = number(4)?;
            line.created_at_ms = number(5)?;
            line.settled_at_ms = number(6)?;
        }
        Ok(tally)
    }

    /// Writes a group of rows.
    pub(crate) async fn write(&self, group: &[Row]) -> Result<(), StoreError> {
        fn column<'r, T>(group: &'r [Row], of: impl Fn(&'r Row) -> T) -> Vec<T> {
            group.iter().map(of).collect()
        }
        let insert = async || {
            let statement = self.transaction.prepare_cached(INSERT).await?;
            self.transaction
                .execute(
                    &statement,
                    &[
                        &column(group, |row| row.id),
                        &column(group, |row| row.amount_minor),
                        &column(group, |row| row.currency.as_str()),
                        &column(group, |row| row.status.as_str()),
                        &column(group, |row| row.created_at_ms),
                        &column(group, |row| row.settled_at_ms),
                        &column(group, |row| row.idempotency_key.as_deref()),
                        &column(group, |row| row.claim_number),
                    ],
                )
                .await
        };
        let inserted = insert().await.map_err(|error| store_error(&error))?;
        debug_assert_eq!(inserted, group.len() as u64);
        Ok(())
    }

    /// Sets the counts to what was moved.
    pub(crate) async fn write_counts(&self, tally: &Tally) -> Result<(), StoreError> {
        let count = |status| i64::try_from(tally.rows_of(status)).map_err(rows::damaged);
        let (pending, settled, declined) = (
            count(Status::Pending)?,
            count(Status::Settled)?,
            count(Status::Declined)?,
        );
        self.transaction
            .execute(COUNTS, &[&pending, &settled, &declined])
            .await
            .map_err(|error| store_error(&error))?;
        Ok(())
    }

    /// Makes it durable.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        let committed = self.transaction.commit().await;
        committed.map_err(|error| store_error(&error))
    }
}
