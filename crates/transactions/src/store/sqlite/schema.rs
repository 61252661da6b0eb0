//! The schema and its migrations.
//!
//! `user_version` counts the migrations applied; a file only ever moves forward. An entry of
//! [`MIGRATIONS`] that was released is never edited: a change is a new entry.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::super::OpenError;
use super::connection::store_error;

/// `TxSt`: marks the file as this application's (see `file(1)` and `PRAGMA application_id`).
const APPLICATION_ID: i32 = 0x5478_5374;

/// Each migration runs once, in one transaction with its version.
///
/// `WITHOUT ROWID` keeps rows in the order of their ids, which is the order in which they come, are
/// listed and are claimed. One index finds a status's oldest and newest; claims that are held are
/// few, so looking past them costs less than an index of their own.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE transactions (
        id               BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
        amount_minor     INTEGER NOT NULL CHECK (amount_minor > 0),
        currency         TEXT NOT NULL,
        status           TEXT NOT NULL DEFAULT 'pending'
                         CHECK (status IN ('pending', 'settled', 'declined')),
        created_at_ms    INTEGER NOT NULL,
        settled_at_ms    INTEGER,
        idempotency_key  TEXT,
        claimed_by       TEXT,
        claim_number     INTEGER NOT NULL DEFAULT 0,
        lease_expires_ms INTEGER,
        CHECK ((status = 'pending') = (settled_at_ms IS NULL))
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX transactions_by_status ON transactions (status, id);

    CREATE UNIQUE INDEX transactions_by_idempotency_key
        ON transactions (idempotency_key) WHERE idempotency_key IS NOT NULL;

    -- Kept in the same commit as the rows, because counting them takes as long as there are rows.
    CREATE TABLE transaction_counts (
        status TEXT PRIMARY KEY NOT NULL,
        rows   INTEGER NOT NULL CHECK (rows >= 0)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO transaction_counts VALUES ('pending', 0), ('settled', 0), ('declined', 0);

    CREATE TABLE heartbeat (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        beat_at_ms INTEGER NOT NULL
    ) STRICT;
    INSERT INTO heartbeat VALUES (1, 0);
"];

/// Brings the file to the current version, or refuses it.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let engine = |error| OpenError::Store {
        place: path.display().to_string(),
        source: store_error(&error),
    };
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(engine)?;
    let pragma = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let version = usize::try_from(pragma("user_version").map_err(engine)?).unwrap_or(usize::MAX);
    let application_id = pragma("application_id").map_err(engine)?;

    let fresh = version == 0 && application_id == 0;
    if !fresh && application_id != APPLICATION_ID {
        return Err(OpenError::NotOurs {
            place: path.display().to_string(),
            found: application_id,
        });
    }
    if version > MIGRATIONS.len() {
        let known = MIGRATIONS.len();
        return Err(OpenError::TooNew {
            place: path.display().to_string(),
            found: version,
            known,
        });
    }
    if version == MIGRATIONS.len() {
        return Ok(());
    }
    for migration in &MIGRATIONS[version..] {
        transaction.execute_batch(migration).map_err(engine)?;
    }
    transaction
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(engine)?;
    transaction
        .pragma_update(None, "user_version", MIGRATIONS.len().to_string())
        .map_err(engine)?;
    transaction.commit().map_err(engine)?;
    tracing::info!(
        from = version,
        to = MIGRATIONS.len(),
        "store schema migrated"
    );
    Ok(())
}
