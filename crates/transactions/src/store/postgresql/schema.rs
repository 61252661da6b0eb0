//! The schema and its migrations.
//!
//! `transactions_schema` counts the migrations applied; a database only ever moves forward. An
//! entry of [`MIGRATIONS`] that was released is never edited: a change is a new entry.

use std::hash::{BuildHasher, Hasher, RandomState};

use deadpool_postgres::Pool;

use super::super::{OpenError, StoreError};
use super::connection::{pool_error, store_error};

/// Rows of the counts. Processes pick one each at random, so that few ever wait for another.
const SHARDS: i16 = 16;

/// The advisory lock under which hosts that start together migrate one after the other. `TxSt`.
const MIGRATION_LOCK: i64 = 0x5478_5374;

/// Each migration runs once, in one transaction with its version.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE transactions (
        id               uuid PRIMARY KEY,
        amount_minor     bigint NOT NULL CHECK (amount_minor > 0),
        currency         text NOT NULL,
        status           text NOT NULL DEFAULT 'pending'
                         CHECK (status IN ('pending', 'settled', 'declined')),
        created_at_ms    bigint NOT NULL,
        settled_at_ms    bigint,
        idempotency_key  text UNIQUE,
        claimed_by       text,
        claim_number     bigint NOT NULL DEFAULT 0,
        lease_expires_ms bigint,
        CHECK ((status = 'pending') = (settled_at_ms IS NULL))
    );
    CREATE INDEX transactions_by_status ON transactions (status, id);

    -- Kept in the same statement as the rows, because counting them takes as long as there are
    -- rows. One shard may be negative; their sum is the count.
    CREATE TABLE transaction_counts (
        shard      smallint PRIMARY KEY,
        pending    bigint NOT NULL DEFAULT 0,
        settled    bigint NOT NULL DEFAULT 0,
        declined   bigint NOT NULL DEFAULT 0,
        beat_at_ms bigint NOT NULL DEFAULT 0
    );
    INSERT INTO transaction_counts (shard) SELECT generate_series(0, 15);
"];

/// Brings the database to the current version, or refuses it.
pub(super) async fn migrate(pool: &Pool, place: &str) -> Result<(), OpenError> {
    let failed = |source: StoreError| OpenError::Store {
        place: place.to_owned(),
        source,
    };
    let engine = |error: tokio_postgres::Error| failed(store_error(&error));
    let mut client = pool
        .get()
        .await
        .map_err(|error| failed(pool_error(error)))?;
    let transaction = client.transaction().await.map_err(engine)?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK])
        .await
        .map_err(engine)?;
    transaction
        .batch_execute("CREATE TABLE IF NOT EXISTS transactions_schema (version bigint NOT NULL)")
        .await
        .map_err(engine)?;
    let row = transaction
        .query_opt("SELECT version FROM transactions_schema", &[])
        .await
        .map_err(engine)?;
    let version = row.map_or(0, |row| row.get::<_, i64>(0));
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    let known = MIGRATIONS.len();
    if version > known {
        return Err(OpenError::TooNew {
            place: place.to_owned(),
            found: version,
            known,
        });
    }
    if version == known {
        return Ok(());
    }
    for migration in &MIGRATIONS[version..] {
        transaction.batch_execute(migration).await.map_err(engine)?;
    }
    let set = format!(
        "DELETE FROM transactions_schema; INSERT INTO transactions_schema VALUES ({known})"
    );
    transaction.batch_execute(&set).await.map_err(engine)?;
    transaction.commit().await.map_err(engine)?;
    tracing::info!(from = version, to = known, "store schema migrated");
    Ok(())
}

/// One of the shards, at random.
pub(super) fn any_shard() -> i16 {
    let draw = RandomState::new().build_hasher().finish() % u64::from(SHARDS.unsigned_abs());
    i16::try_from(draw).unwrap_or(0)
}
