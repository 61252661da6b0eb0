//! Moving all transactions from an SQLite file into a PostgreSQL database: proven, or not at all.
//!
//! ```text
//! file (write lock held) ─ groups by id ─▶ database (one transaction) ─ same tally? ─▶ commit
//! ```
//! Until the commit the database is as it was, so a transfer that was cut off is simply begun
//! again. One that is done already is recognised by its tally, and nothing is written.

use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;

use super::postgresql::import::Import;
use super::sqlite::export::Export;
use super::{OpenError, StoreError, StoreLocation};
use crate::Status;

/// Rows of one statement: beyond about a thousand nothing is gained.
pub(super) const GROUP: u32 = 1_000;

/// One row, as both engines keep it. A lease does not move: its worker is of the old store.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
    pub(super) status: String,
    pub(super) created_at_ms: i64,
    pub(super) settled_at_ms: Option<i64>,
    pub(super) idempotency_key: Option<String>,
    pub(super) claim_number: i64,
}

/// How many transactions there are and what they come to: what must be alike in both stores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    lines: BTreeMap<(String, String), Line>,
}

/// The transactions of one status and currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) rows: i128,
    pub(super) keys: i128,
    pub(super) minor_units: i128,
    pub(super) created_at_ms: i128,
    pub(super) settled_at_ms: i128,
}

impl Tally {
    /// The line of a status and currency.
    pub(super) fn line(&mut self, status: &str, currency: &str) -> &mut Line {
        self.lines
            .entry((status.to_owned(), currency.to_owned()))
            .or_default()
    }

    /// How many transactions there are in a status.
    pub(super) fn rows_of(&self, status: Status) -> i128 {
        let lines = self.lines.iter();
        lines
            .filter(|((of, _), _)| of == status.as_str())
            .map(|(_, line)| line.rows)
            .sum()
    }

    /// How many transactions there are.
    pub fn rows(&self) -> i128 {
        self.lines.values().map(|line| line.rows).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} transactions", self.rows())?;
        for ((status, currency), line) in &self.lines {
            let Line {
                rows, minor_units, ..
            } = line;
            write!(
                f,
                "\n{status} {currency}: {rows}, {minor_units} minor units"
            )?;
        }
        Ok(())
    }
}

/// What a transfer came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transferred {
    /// Everything was moved.
    Now(Tally),
    /// The database holds just this already.
    Before(Tally),
}

/// Why nothing was moved. Both stores are as they were.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// There is one direction.
    #[error("transactions move from sqlite:/path/of/file.db to postgresql://user@host/database")]
    Direction,
    /// One of the stores could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database is in use.
    #[error(
        "{place} holds other transactions already:\n{there}\nMove into an empty database, or drop what is there"
    )]
    NotEmpty {
        /// Which database.
        place: StoreLocation,
        /// What it holds.
        there: Tally,
    },
    /// What was written is not what was read.
    #[error(
        "{place} would hold something else than was read, so nothing was kept; read:\n{read}\nwritten:\n{written}"
    )]
    Differs {
        /// Which database.
        place: StoreLocation,
        /// What the file holds.
        read: Tally,
        /// What the database would have held.
        written: Tally,
    },
    /// The file.
    #[error("cannot read {place}; stop transactions-api and its workers for the move")]
    Source {
        /// Which file.
        place: StoreLocation,
        /// The engine's reason.
        source: StoreError,
    },
    /// The database.
    #[error("cannot write {place}")]
    Target {
        /// Which database.
        place: StoreLocation,
        /// The engine's reason.
        source: StoreError,
    },
}

/// Moves every transaction of `from`, an SQLite file that nobody writes meanwhile, into `to`, a
/// PostgreSQL database without transactions.
///
/// # Errors
/// See [`TransferError`]; both stores are as they were.
pub async fn transfer(
    from: &StoreLocation,
    to: &StoreLocation,
) -> Result<Transferred, TransferError> {
    let (StoreLocation::Sqlite(path), StoreLocation::Postgresql(database)) = (from, to) else {
        return Err(TransferError::Direction);
    };
    let reading = |source| TransferError::Source {
        place: from.clone(),
        source,
    };
    let writing = |source| TransferError::Target {
        place: to.clone(),
        source,
    };
    let mut connection = Export::connect(path)?;
    let export = Export::lock(&mut connection).map_err(reading)?;
    let read = export.tally().map_err(reading)?;

    let mut client = Import::connect(database).await?;
    let import = Import::begin(&mut client).await.map_err(writing)?;
    let there = import.tally().await.map_err(writing)?;
    if there == read && read.rows() > 0 {
        return Ok(Transferred::Before(read));
    }
    if there.rows() > 0 {
        let place = to.clone();
        return Err(TransferError::NotEmpty { place, there });
    }
    let mut after = Uuid::nil();
    loop {
        let group = export.group_after(after, GROUP).map_err(reading)?;
        let Some(last) = group.last() else { break };
        after = last.id;
        import.write(&group).await.map_err(writing)?;
    }
    import.write_counts(&read).await.map_err(writing)?;
    let written = import.tally().await.map_err(writing)?;
    if written != read {
        return Err(TransferError::Differs {
            place: to.clone(),
            read,
            written,
        });
    }
    import.commit().await.map_err(writing)?;
    Ok(Transferred::Now(read))
}
