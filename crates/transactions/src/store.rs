//! The durable store: what may be asked of it, whichever engine keeps it.
//!
//! One [`Store`] a process. Writes go through one bounded queue and are committed in groups; a
//! write is answered only after its group is on disk. Reads run beside them. Several processes
//! may have the same store open.

mod error;
mod location;
mod postgresql;
mod request;
mod sqlite;
mod transfer;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

pub use error::{OpenError, StoreError};
pub use location::{StoreLocation, StoreLocationError};
pub use postgresql::PostgresqlStore;
pub use request::{
    Claim, ClaimRequest, ClaimTicket, CommitReport, Counts, Insertion, Page, PageRequest,
    SettleResult, Settlement, StoreHooks,
};
pub use sqlite::SqliteStore;
pub use sqlite::backup::{Backup, BackupError};
pub use transfer::{Tally, TransferError, Transferred, transfer};

use crate::{NewTransaction, Transaction, TransactionId};

/// The longest a writer waits for another process's write transaction before it gives up. Above
/// any commit on a healthy disk, below a client's patience.
pub const WRITE_LOCK_WAIT: Duration = Duration::from_secs(2);

/// The longest lease a claim may carry. A lease that ends later than this from now was written
/// before the clock was set back, and counts as expired.
pub const LEASE_MAX: Duration = Duration::from_secs(600);

/// An open store. Cheap calls take `&self`; share it in an `Arc`.
pub enum Store {
    /// One file, used by every process of this host.
    Sqlite(SqliteStore),
    /// A database server, used by every host of a fleet.
    Postgresql(PostgresqlStore),
}

impl Store {
    /// Opens the store, creates or migrates its schema, and checks it as far as half a second
    /// allows.
    ///
    /// # Errors
    /// Where it cannot be opened, is damaged, or was written by a later version.
    pub async fn open(location: &StoreLocation, hooks: StoreHooks) -> Result<Self, OpenError> {
        match location {
            StoreLocation::Sqlite(path) => {
                Ok(Self::Sqlite(SqliteStore::open(path.clone(), hooks).await?))
            }
            StoreLocation::Postgresql(database) => Ok(Self::Postgresql(
                PostgresqlStore::open(database, hooks).await?,
            )),
        }
    }

    /// Stores a pending transaction; returns once it is durable. Under an idempotency key that is
    /// already taken nothing is written.
    pub async fn insert(&self, new: NewTransaction) -> Result<Insertion, StoreError> {
        match self {
            Self::Sqlite(store) => store.insert(new).await,
            Self::Postgresql(store) => store.insert(new).await,
        }
    }

    /// Leases the oldest pending transactions that nobody holds.
    pub async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        match self {
            Self::Sqlite(store) => store.claim(request).await,
            Self::Postgresql(store) => store.claim(request).await,
        }
    }

    /// Ends claimed transactions. Each is ended by the latest holder of its claim and by nobody
    /// else, so never twice; one result for each settlement, in their order.
    pub async fn settle(
        &self,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<SettleResult>, StoreError> {
        match self {
            Self::Sqlite(store) => store.settle(settlements).await,
            Self::Postgresql(store) => store.settle(settlements).await,
        }
    }

    /// Gives claims back at once instead of letting their leases run out.
    pub async fn release(&self, tickets: Vec<ClaimTicket>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.release(tickets).await,
            Self::Postgresql(store) => store.release(tickets).await,
        }
    }

    /// Commits a heartbeat: proves that the writer works and that its commits reach the disk.
    pub async fn beat(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.beat().await,
            Self::Postgresql(store) => store.beat().await,
        }
    }

    /// One transaction.
    pub async fn get(&self, id: TransactionId) -> Result<Option<Transaction>, StoreError> {
        match self {
            Self::Sqlite(store) => store.get(id).await,
            Self::Postgresql(store) => store.get(id).await,
        }
    }

    /// A page of transactions, newest first, with the number of all that match.
    pub async fn page(&self, request: PageRequest) -> Result<Page, StoreError> {
        match self {
            Self::Sqlite(store) => store.page(request).await,
            Self::Postgresql(store) => store.page(request).await,
        }
    }

    /// How many transactions there are in each status, and since when the oldest waits.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        match self {
            Self::Sqlite(store) => store.counts().await,
            Self::Postgresql(store) => store.counts().await,
        }
    }

    /// Commits what is queued and closes the store. Later calls fail with
    /// [`StoreError::Closed`].
    pub async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgresql(store) => store.close().await,
        }
    }
}

/// Copies the store at `location` into `directory`, beside the daemons that use it, and keeps the
/// latest `keep` copies there.
///
/// # Errors
/// Where the store is no file, or cannot be copied whole. Earlier backups are untouched then.
pub fn back_up(
    location: &StoreLocation,
    directory: &Path,
    keep: NonZeroUsize,
) -> Result<Backup, BackupError> {
    match location {
        StoreLocation::Sqlite(path) => sqlite::backup::back_up(path, directory, keep),
        StoreLocation::Postgresql(_) => Err(BackupError::NotAFile(location.to_string())),
    }
}
