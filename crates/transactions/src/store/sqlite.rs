//! The store in one SQLite file.
//!
//! ```text
//! insert, claim, settle … ──▶ bounded queue ──▶ writer thread ──▶ one transaction a group ──▶ fsync ──▶ replies
//! get ──────────────────────▶ bounded queue ──▶ one snapshot a group ──▶ replies
//! page, counts ─────────────▶ reader connections (write-ahead log: never wait for the writer)
//! ```
//! Several processes may use the file; none starves beside a busy one (see [`connection`]).

pub(super) mod backup;
mod connection;
pub(super) mod export;
mod lookups;
mod readers;
mod rows;
mod schema;
mod work;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use super::request::{
    Claim, ClaimRequest, ClaimTicket, Counts, Insertion, Page, PageRequest, SettleResult,
    Settlement, StoreHooks,
};
use super::{OpenError, StoreError};
use crate::{NewTransaction, Transaction, TransactionId};
use lookups::Lookups;
use readers::Readers;
use writer::Writer;

/// The store in one SQLite file.
pub struct SqliteStore {
    writer: Writer,
    lookups: Lookups,
    readers: Arc<Readers>,
}

impl SqliteStore {
    pub(super) async fn open(path: PathBuf, hooks: StoreHooks) -> Result<Self, OpenError> {
        let writer = Writer::start(path.clone(), hooks).await?;
        let readers = Arc::new(Readers::new(path));
        Ok(Self {
            writer,
            lookups: Lookups::start(Arc::clone(&readers)),
            readers,
        })
    }

    pub(super) async fn insert(&self, new: NewTransaction) -> Result<Insertion, StoreError> {
        self.writer.submit(move |work| work.insert(&new)).await
    }

    pub(super) async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        self.writer.submit(move |work| work.claim(&request)).await
    }

    pub(super) async fn settle(
        &self,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<SettleResult>, StoreError> {
        self.writer
            .submit(move |work| work.settle(&settlements))
            .await
    }

    pub(super) async fn release(&self, tickets: Vec<ClaimTicket>) -> Result<(), StoreError> {
        self.writer.submit(move |work| work.release(&tickets)).await
    }

    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the bare method is not general enough over the work's lifetime"
    )]
    pub(super) async fn beat(&self) -> Result<(), StoreError> {
        self.writer.submit(|work| work.beat()).await
    }

    pub(super) async fn get(&self, id: TransactionId) -> Result<Option<Transaction>, StoreError> {
        self.lookups.get(id).await
    }

    pub(super) async fn page(&self, request: PageRequest) -> Result<Page, StoreError> {
        self.readers
            .read(move |connection| rows::page(connection, &request))
            .await
    }

    pub(super) async fn counts(&self) -> Result<Counts, StoreError> {
        self.readers.read(rows::counts).await
    }

    pub(super) async fn close(&self) {
        self.lookups.close().await;
        self.readers.close().await;
        // The last connection to a file empties its log.
        self.writer.close().await;
    }
}
