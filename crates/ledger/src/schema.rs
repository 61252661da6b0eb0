//! The tables, and which version of them a file has.

use rusqlite::Connection;

use crate::error::LedgerError;

/// Raised with every change of the tables; kept in the file's `user_version`.
const VERSION: u32 = 2;

/// Creates the tables in a new file, adds to older ones what they lack, and leaves one of this
/// version alone.
///
/// # Errors
/// [`LedgerError::NewerSchema`] where a newer bot wrote the file.
pub(crate) fn migrate(connection: &Connection) -> Result<(), LedgerError> {
    let change = match version(connection)? {
        0 => include_str!("schema.sql"),
        1 => "ALTER TABLE attempts ADD COLUMN reason TEXT;",
        _ => return check(connection),
    };
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {change} PRAGMA user_version = {VERSION}; COMMIT"
    ))?;
    Ok(())
}

/// # Errors
/// [`LedgerError::NewerSchema`] where this version can't read the file.
pub(crate) fn check(connection: &Connection) -> Result<(), LedgerError> {
    match version(connection)? {
        found if found > VERSION => Err(LedgerError::NewerSchema {
            found,
            known: VERSION,
        }),
        _ => Ok(()),
    }
}

fn version(connection: &Connection) -> Result<u32, LedgerError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}
