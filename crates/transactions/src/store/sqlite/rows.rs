//! The reads, and how rows become types again.

use jiff::Timestamp;
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::super::request::{Counts, Page, PageRequest};
use crate::{Amount, Currency, Cursor, Status, Transaction, TransactionId};

/// The columns that [`transaction`] reads, in its order.
pub(super) const TRANSACTION_COLUMNS: &str =
    "id, amount_minor, currency, status, created_at_ms, settled_at_ms";

/// Above every id, so that a first page needs no statement of its own.
const ABOVE_ALL: [u8; 16] = [0xff; 16];

/// The statement of [`get`].
pub(super) fn prepare_get(connection: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    connection.prepare_cached(&format!(
        "SELECT {TRANSACTION_COLUMNS} FROM transactions WHERE id = ?1"
    ))
}

pub(super) fn get(
    statement: &mut CachedStatement<'_>,
    id: TransactionId,
) -> rusqlite::Result<Option<Transaction>> {
    statement.query_row([id.as_bytes()], transaction).optional()
}

pub(super) fn page(connection: &Connection, request: &PageRequest) -> rusqlite::Result<Page> {
    // One snapshot for the count and the items.
    let snapshot = connection.unchecked_transaction()?;
    let below = request
        .cursor
        .map_or(ABOVE_ALL, |cursor| *cursor.below().as_bytes());
    // One row more than asked for tells whether another page follows.
    let limit = u32::from(request.limit) + 1;
    let mut items: Vec<Transaction> = match request.status {
        None => snapshot
            .prepare_cached(&format!(
                "SELECT {TRANSACTION_COLUMNS} FROM transactions
                 WHERE id < ?1 ORDER BY id DESC LIMIT ?2"
            ))?
            .query_map(params![below, limit], transaction)?
            .collect::<Result<_, _>>()?,
        Some(status) => snapshot
            .prepare_cached(&format!(
                "SELECT {TRANSACTION_COLUMNS} FROM transactions
                 WHERE status = ?3 AND id < ?1 ORDER BY id DESC LIMIT ?2"
            ))?
            .query_map(params![below, limit, status.as_str()], transaction)?
            .collect::<Result<_, _>>()?,
    };
    let more = items.len() > usize::from(request.limit);
    items.truncate(usize::from(request.limit));
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| Cursor::after(last.id));

    let counts = stored_counts(&snapshot)?;
    let count = match request.status {
        None => counts.pending + counts.settled + counts.declined,
        Some(Status::Pending) => counts.pending,
        Some(Status::Settled) => counts.settled,
        Some(Status::Declined) => counts.declined,
    };
    Ok(Page { count, items, next })
}

pub(super) fn counts(connection: &Connection) -> rusqlite::Result<Counts> {
    let snapshot = connection.unchecked_transaction()?;
    let mut counts = stored_counts(&snapshot)?;
    counts.oldest_pending = snapshot
        .prepare_cached(
            "SELECT created_at_ms FROM transactions WHERE status = 'pending' ORDER BY id LIMIT 1",
        )?
        .query_row([], |row| timestamp(row, 0))
        .optional()?;
    Ok(counts)
}

fn stored_counts(connection: &Connection) -> rusqlite::Result<Counts> {
    let mut counts = Counts::default();
    let mut statement = connection.prepare_cached("SELECT status, rows FROM transaction_counts")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let rows: i64 = row.get(1)?;
        let rows = u64::try_from(rows).map_err(|error| unreadable(1, error))?;
        match status(row, 0)? {
            Status::Pending => counts.pending = rows,
            Status::Settled => counts.settled = rows,
            Status::Declined => counts.declined = rows,
        }
    }
    Ok(counts)
}

/// Reads [`TRANSACTION_COLUMNS`].
pub(super) fn transaction(row: &Row<'_>) -> rusqlite::Result<Transaction> {
    let id = Uuid::from_bytes(row.get(0)?);
    let currency: Currency = row
        .get_ref(2)?
        .as_str()?
        .parse()
        .map_err(|error| unreadable(2, error))?;
    let settled_at = match row.get_ref(5)?.data_type() {
        Type::Null => None,
        _ => Some(timestamp(row, 5)?),
    };
    Ok(Transaction {
        id: TransactionId::try_from(id).map_err(|error| unreadable(0, error))?,
        amount: Amount::try_from_minor_units(row.get(1)?, currency)
            .map_err(|error| unreadable(1, error))?,
        status: status(row, 3)?,
        created_at: timestamp(row, 4)?,
        settled_at,
    })
}

pub(super) fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(row.get(column)?).map_err(|error| unreadable(column, error))
}

fn status(row: &Row<'_>, column: usize) -> rusqlite::Result<Status> {
    row.get_ref(column)?
        .as_str()?
        .parse()
        .map_err(|error| unreadable(column, error))
}

fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    let error = FromSqlError::Other(Box::new(error));
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, Box::new(error))
}
