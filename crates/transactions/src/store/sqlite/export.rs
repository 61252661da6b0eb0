//! Everything in a file, for its move to another store.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::super::transfer::{Row, Tally};
use super::super::{OpenError, StoreError};
use super::connection::{open_existing, open_writer, quick_check, store_error};

/// A file that nobody else writes while this lives.
pub(crate) struct Export<'a> {
    locked: Transaction<'a>,
}

impl<'a> Export<'a> {
    /// Opens a file that is there, at the latest schema and without damage that shows.
    pub(crate) fn connect(path: &Path) -> Result<Connection, OpenError> {
        // Before anything that would create the file.
        open_existing(path).map_err(|error| OpenError::Store {
            place: path.display().to_string(),
            source: store_error(&error),
        })?;
        let mut connection = open_writer(path)?;
        quick_check(&mut connection, path)?;
        Ok(connection)
    }

    /// Takes the write lock.
    pub(crate) fn lock(connection: &'a mut Connection) -> Result<Self, StoreError> {
        let locked = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| store_error(&error))?;
        Ok(Self { locked })
    }

    /// Adds up every row.
    pub(crate) fn tally(&self) -> Result<Tally, StoreError> {
        self.add_up().map_err(|error| store_error(&error))
    }

    // Added up here, because sums of times overflow the engine's integers.
    fn add_up(&self) -> rusqlite::Result<Tally> {
        let mut tally = Tally::default();
        let mut statement = self.locked.prepare(
            "SELECT status, currency, amount_minor, created_at_ms, settled_at_ms,
                    idempotency_key IS NOT NULL
             FROM transactions",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (status, currency) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
            let line = tally.line(status, currency);
            line.rows += 1;
            line.minor_units += i128::from(row.get::<_, i64>(2)?);
            line.created_at_ms += i128::from(row.get::<_, i64>(3)?);
            line.settled_at_ms += i128::from(row.get::<_, Option<i64>>(4)?.unwrap_or(0));
            line.keys += i128::from(row.get::<_, bool>(5)?);
        }
        Ok(tally)
    }

    /// The next rows in the order of their ids, at most `limit`.
    pub(crate) fn group_after(&self, after: Uuid, limit: u32) -> Result<Vec<Row>, StoreError> {
        let read = || {
            self.locked
                .prepare_cached(
                    "SELECT id, amount_minor, currency, status, created_at_ms, settled_at_ms,
                            idempotency_key, claim_number
                     FROM transactions WHERE id > ?1 ORDER BY id LIMIT ?2",
                )?
                .query_map(params![after.as_bytes(), limit], |row| {
                    Ok(Row {
                        id: Uuid::from_bytes(row.get(0)?),
                        amount_minor: row.get(1)?,
                        currency: row.get(2)?,
                        status: row.get(3)?,
                        created_at_ms: row.get(4)?,
                        settled_at_ms: row.get(5)?,
                        idempotency_key: row.get(6)?,
                        claim_number: row.get(7)?,
                    })
                })?
                .collect::<Result<_, _>>()
        };
        read().map_err(|error: rusqlite::Error| store_error(&error))
    }
}
