//! The questions and answers of the store.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::{Cursor, Outcome, Status, Transaction, TransactionId};

/// What became of an insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Insertion {
    /// It is stored.
    Created(Transaction),
    /// The same request was stored before; this is its transaction.
    Replayed(Transaction),
    /// The idempotency key belongs to a different request.
    KeyReused,
}

/// What a worker asks for.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Who holds the claims, for people who read the store.
    pub holder: String,
    /// At most this many.
    pub limit: u32,
    /// How long the claims are held; capped at [`LEASE_MAX`](super::LEASE_MAX).
    pub lease: Duration,
}

/// One leased transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The transaction.
    pub transaction: Transaction,
    /// The proof with which it can be settled.
    pub ticket: ClaimTicket,
}

/// Proof of one claim. A later claim of the same transaction makes earlier tickets worthless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimTicket {
    pub(super) id: TransactionId,
    pub(super) claim_number: i64,
}

impl ClaimTicket {
    /// The transaction that the claim is for.
    pub fn id(self) -> TransactionId {
        self.id
    }
}

/// How one claim ends.
#[derive(Clone, Copy, Debug)]
pub struct Settlement {
    /// The proof of the claim.
    pub ticket: ClaimTicket,
    /// How it ended.
    pub outcome: Outcome,
}

/// What became of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleResult {
    /// The transaction is ended, at this time.
    Settled(Timestamp),
    /// The lease had run out and somebody else has claimed or ended the transaction.
    ClaimLost,
}

/// Which page of the listing.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    /// At most this many items.
    pub limit: u16,
    /// Where the page before ended; `None` for the first.
    pub cursor: Option<Cursor>,
    /// Only transactions in this status.
    pub status: Option<Status>,
}

/// One page, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many transactions match, on all pages.
    pub count: u64,
    /// The page's transactions.
    pub items: Vec<Transaction>,
    /// The next page; `None` on the last.
    pub next: Option<Cursor>,
}

/// How many transactions there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting for a worker.
    pub pending: u64,
    /// Done.
    pub settled: u64,
    /// Refused.
    pub declined: u64,
    /// When the oldest pending one was received.
    pub oldest_pending: Option<Timestamp>,
}

/// What the store tells about each group it commits.
#[derive(Clone, Copy, Debug)]
pub struct CommitReport {
    /// How many requests the group held.
    pub batch_size: usize,
    /// From the first statement to the durable commit.
    pub duration: Duration,
}

/// What the owner of a store attaches to it.
#[derive(Clone)]
pub struct StoreHooks {
    /// Called after each durable commit, on the writer's thread.
    pub on_commit: Arc<dyn Fn(CommitReport) + Send + Sync>,
    /// Asked before each commit: how long to hold it back, before any lock is taken. Zero
    /// unless a fault is being injected.
    pub commit_delay: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Default for StoreHooks {
    fn default() -> Self {
        Self {
            on_commit: Arc::new(|_| {}),
            commit_delay: Arc::new(|| Duration::ZERO),
        }
    }
}
