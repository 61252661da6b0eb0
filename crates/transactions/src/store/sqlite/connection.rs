//! How connections are opened, how they wait for each other, and what their errors mean.
//!
//! SQLite's own waiting looks less and less often, up to every 100 ms, and so meets the gap between
//! two commits of a busy process only by luck. These connections look every [`LOCK_POLL`]:
//! measured beside a flood of 1,500 writers, the longest of 200 waits was 50 ms.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::super::{OpenError, StoreError, WRITE_LOCK_WAIT};
use super::schema;

/// Between two looks at a lock that another process holds. About one commit on a fast disk.
const LOCK_POLL: Duration = Duration::from_micros(250);

/// Statements kept prepared on each connection; there are fewer than this.
const STATEMENTS_KEPT: usize = 32;

/// Page cache of each connection, in KiB (negative means KiB to SQLite). The kernel caches the
/// file as well; this only has to hold the upper levels of the trees.
const CACHE_KIB: i32 = -512;

/// The log is copied back into the database every so many pages (16 MiB): often enough that a
/// restart replays little, seldom enough that the copy's fsync is a small part of the work.
const CHECKPOINT_PAGES: u32 = 4000;

/// What is left of the log after a checkpoint, in bytes.
const LOG_KEPT_BYTES: i64 = 64 << 20;

/// How long the check at start may take; a restart has to be quick, whatever the file's size.
const CHECK_BUDGET: Duration = Duration::from_millis(500);

/// Virtual machine steps between two looks at the clock during that check.
const CHECK_STEPS: i32 = 10_000;

/// Opens the file for writing, creates it where it is missing, and migrates it.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Store {
        place: path.display().to_string(),
        source,
    };
    let start = Instant::now();
    let mut connection = loop {
        match open_log(path).map_err(|error| store_error(&error)) {
            Ok(connection) => break connection,
            // Switching a new file to the log fails rather than waits when two do it at once.
            Err(StoreError::Busy) if start.elapsed() < WRITE_LOCK_WAIT => pause(LOCK_POLL),
            Err(error) => return Err(failed(error)),
        }
    };
    schema::migrate(&mut connection, path)?;
    Ok(connection)
}

fn open_log(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_KEPT_BYTES)?;
    Ok(connection)
}

/// Opens the file for reading, beside any writer.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open_existing(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Opens a file that is there already, for work that is none of the daemons'.
pub(super) fn open_existing(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::empty())
}

fn open(path: &Path, extra: OpenFlags) -> rusqlite::Result<Connection> {
    // Each connection stays on one thread at a time, so SQLite needs no mutex of its own.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | extra;
    let mut connection = Connection::open_with_flags(path, flags)?;
    let mut waiting_since = Instant::now();
    connection.busy_handler(Some(move |attempt| {
        if attempt == 0 {
            waiting_since = Instant::now();
        }
        pause(LOCK_POLL);
        waiting_since.elapsed() < WRITE_LOCK_WAIT
    }))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    Ok(connection)
}

/// Looks for damage as far as [`CHECK_BUDGET`] allows.
pub(super) fn quick_check(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Store {
        place: path.display().to_string(),
        source,
    };
    let start = Instant::now();
    let out_of_time = move || start.elapsed() > CHECK_BUDGET;
    connection
        .progress_handler(CHECK_STEPS, Some(out_of_time))
        .map_err(|error| failed(store_error(&error)))?;
    let finding = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    connection
        .progress_handler(0, None::<fn() -> bool>)
        .map_err(|error| failed(store_error(&error)))?;
    match finding {
        Ok(finding) if finding == "ok" => Ok(()),
        Ok(finding) => Err(OpenError::Failed {
            place: path.display().to_string(),
            finding,
        }),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            tracing::info!(
                budget_ms = CHECK_BUDGET.as_millis(),
                "the store is too large to check whole at start; no damage in the part checked"
            );
            Ok(())
        }
        Err(error) => Err(failed(store_error(&error))),
    }
}

/// Copies the whole log into the database and empties it.
///
/// After a failed fsync the kernel may have dropped pages of the log that it calls clean. Frames
/// chain their checksums, so later commits would hang on the lost ones; none is appended before
/// the log is empty.
pub(super) fn empty_log(connection: &Connection) -> Result<(), StoreError> {
    let busy = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            row.get::<_, i64>(0)
        })
        .map_err(|error| store_error(&error))?;
    if busy == 0 {
        Ok(())
    } else {
        Err(StoreError::Busy)
    }
}

/// What an error of the engine means to callers.
pub(super) fn store_error(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::DiskFull) => StoreError::DiskFull,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged(error.to_string())
        }
        Some(_) => StoreError::Unavailable(error.to_string()),
        None => StoreError::Damaged(error.to_string()),
    }
}

/// Waits on the writer's own thread, or on a reader's.
#[expect(
    clippy::disallowed_methods,
    reason = "a lock of another process has no event to wait for; every caller has a deadline"
)]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
