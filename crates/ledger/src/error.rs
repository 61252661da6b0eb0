//! What can go wrong between the bot and its memory.

use std::path::PathBuf;
use std::sync::Arc;

/// Why the ledger could not do as asked. Cheap to clone: one failed commit answers everybody who
/// took part in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file is not there, is no database, or may not be used.
    #[error("the ledger {} cannot be opened", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// A newer version of the bot wrote the file; an older one must not touch it.
    #[error(
        "the ledger has schema {found}, this version knows up to {known}: install the newer alert-bot"
    )]
    NewerSchema {
        /// The file's schema.
        found: u32,
        /// The newest schema known here.
        known: u32,
    },
    /// SQLite failed: the disk is full, the file is locked, an fsync failed. A repeat may help.
    #[error("the ledger could not be written or read")]
    Storage(#[source] Arc<rusqlite::Error>),
    /// A value could not be written as JSON, or a stored one is not what this version knows.
    #[error("{what} could not be converted")]
    Convert {
        /// Which value of which table.
        what: &'static str,
        /// What the parser said.
        message: String,
    },
    /// The writer thread has ended; only a restart helps.
    #[error("the ledger's writer has stopped")]
    Stopped,
}

impl LedgerError {
    /// Whether the same request may succeed later.
    pub fn can_retry(&self) -> bool {
        matches!(self, Self::Storage(_) | Self::Open { .. })
    }

    pub(crate) fn convert(what: &'static str, error: impl std::fmt::Display) -> Self {
        Self::Convert {
            what,
            message: error.to_string(),
        }
    }
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(Arc::new(error))
    }
}
