//! One connection to the file, opened so that a commit survives a power cut.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::LedgerError;
use crate::schema;

/// How long to wait for another process's lock. Readers never block the writer in WAL mode, so
/// only a stray tool can; Alertmanager repeats what is answered 503 meanwhile.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// SQLite's page cache, in KiB. What the bot writes is new or was written just before, and the
/// kernel caches the rest of the file anyway; the default of 2 MiB would only be filled by a storm.
const PAGE_CACHE_KIB: i64 = 128;

/// Statements kept prepared; above the number of distinct ones in this crate.
const STATEMENT_CACHE: usize = 64;

/// The synchronous face of the ledger. Every method is one step inside a transaction that the
/// caller frames: [`Ledger`](crate::Ledger) in the daemon, the simulation in its tests.
pub struct Store {
    pub(crate) connection: Connection,
}

impl Store {
    /// Opens or creates the file, with `synchronous=FULL`: what is committed stays.
    ///
    /// # Errors
    /// [`LedgerError::Open`] or [`LedgerError::NewerSchema`].
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let failed = |source| LedgerError::Open {
            path: path.into(),
            source: Arc::new(source),
        };
        let connection = Connection::open(path).map_err(failed)?;
        Self::prepare(connection).map_err(|error| match error {
            LedgerError::Storage(source) => LedgerError::Open {
                path: path.into(),
                source,
            },
            other => other,
        })
    }

    /// A ledger that lives as long as the value: for simulations.
    ///
    /// # Errors
    /// Where SQLite has no memory left.
    pub fn in_memory() -> Result<Self, LedgerError> {
        Self::prepare(Connection::open_in_memory()?)
    }

    /// Opens an existing file to read it beside the running bot.
    ///
    /// # Errors
    /// [`LedgerError::Open`], also where the file is not there yet.
    pub fn open_to_read(path: &Path) -> Result<Self, LedgerError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(path, flags).map_err(|source| LedgerError::Open {
                path: path.into(),
                source: Arc::new(source),
            })?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        schema::check(&connection)?;
        Ok(Self { connection })
    }

    fn prepare(connection: Connection) -> Result<Self, LedgerError> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "cache_size", -PAGE_CACHE_KIB)?;
        schema::migrate(&connection)?;
        Ok(Self { connection })
    }

    pub(crate) fn begin(&self) -> Result<(), LedgerError> {
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    pub(crate) fn commit(&self) -> Result<(), LedgerError> {
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    /// Runs `operation` wholly or not at all, inside a transaction or as one of its own.
    ///
    /// # Errors
    /// The operation's own, after undoing what it did.
    pub fn atomically<T>(
        &self,
        operation: impl FnOnce(&Self) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        self.connection.execute_batch("SAVEPOINT operation")?;
        let result = operation(self);
        let end = match &result {
            Ok(_) => "RELEASE operation",
            Err(_) => "ROLLBACK TO operation; RELEASE operation",
        };
        self.connection.execute_batch(end)?;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_on_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("ledger.db")).unwrap();
        let of = |name| {
            let read = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
            store
                .connection
                .pragma_query_value(None, name, read)
                .unwrap()
        };
        assert_eq!(of("synchronous"), 2.into(), "FULL, which syncs each commit");
        assert_eq!(of("journal_mode"), "wal".to_owned().into());
    }
}
