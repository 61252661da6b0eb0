//! How rows become types again.

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::super::StoreError;
use super::super::request::Counts;
use crate::{Amount, Currency, Transaction, TransactionId};

/// Reads the columns of a transaction by their names.
pub(super) fn transaction(row: &Row) -> Result<Transaction, StoreError> {
    let currency: Currency = column::<&str>(row, "currency")?.parse().map_err(damaged)?;
    let amount = Amount::try_from_minor_units(column(row, "amount_minor")?, currency);
    let settled_at = column::<Option<i64>>(row, "settled_at_ms")?
        .map(Timestamp::from_millisecond)
        .transpose()
        .map_err(damaged)?;
    Ok(Transaction {
        id: TransactionId::try_from(column::<uuid::Uuid>(row, "id")?).map_err(damaged)?,
        amount: amount.map_err(damaged)?,
        status: column::<&str>(row, "status")?.parse().map_err(damaged)?,
        created_at: timestamp(row, "created_at_ms")?,
        settled_at,
    })
}

/// Reads the sums of all shards.
pub(super) fn counts(row: &Row) -> Result<Counts, StoreError> {
    let count = |name| u64::try_from(column::<i64>(row, name)?).map_err(damaged);
    let oldest_pending = column::<Option<i64>>(row, "oldest_pending_ms")?
        .map(Timestamp::from_millisecond)
        .transpose()
        .map_err(damaged)?;
    Ok(Counts {
        pending: count("pending")?,
        settled: count("settled")?,
        declined: count("declined")?,
        oldest_pending,
    })
}

pub(super) fn timestamp(row: &Row, name: &str) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(column(row, name)?).map_err(damaged)
}

pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, name: &str) -> Result<T, StoreError> {
    row.try_get(name).map_err(damaged)
}

pub(super) fn damaged(error: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(error.to_string())
}
