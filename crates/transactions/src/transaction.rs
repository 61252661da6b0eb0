//! What is stored, and the three states it can be in.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::{Amount, IdempotencyKey, TransactionId};

/// A transaction that was asked for and is not stored yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTransaction {
    /// Made by the receiver, so that a batch of them can be inserted in any order.
    pub id: TransactionId,
    /// How much.
    pub amount: Amount,
    /// The client's name for the request.
    pub idempotency_key: Option<IdempotencyKey>,
    /// When it was received, to the millisecond.
    pub created_at: Timestamp,
}

impl NewTransaction {
    /// A transaction received now, under a fresh id.
    pub fn receive(amount: Amount, idempotency_key: Option<IdempotencyKey>) -> Self {
        let now = Timestamp::now();
        // The store keeps milliseconds; what is answered now must be what is read later.
        let created_at = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        Self {
            id: TransactionId::generate(),
            amount,
            idempotency_key,
            created_at,
        }
    }
}

/// A stored transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its id.
    pub id: TransactionId,
    /// How much.
    pub amount: Amount,
    /// Where it stands.
    pub status: Status,
    /// When it was received, to the millisecond.
    pub created_at: Timestamp,
    /// When it left pending, to the millisecond.
    pub settled_at: Option<Timestamp>,
}

/// Where a transaction stands.
///
/// ```text
/// pending ──claimed and processed──▶ settled | declined      (once, and never back)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Stored, and waiting for a worker.
    Pending,
    /// Done.
    Settled,
    /// Refused.
    Declined,
}

impl Status {
    /// Every status, in the order of the wire's documentation.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Settled, Self::Declined];

    /// The word in the store, on the wire and in metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Settled => "settled",
            Self::Declined => "declined",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(UnknownStatus)
    }
}

/// How a worker ends a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It went through.
    Settled,
    /// It was refused.
    Declined,
}

impl Outcome {
    /// The status that follows.
    pub fn status(self) -> Status {
        match self {
            Self::Settled => Status::Settled,
            Self::Declined => Status::Declined,
        }
    }
}

/// The text is no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("status must be pending, settled or declined")]
pub struct UnknownStatus;
