//! The demo's domain and its durable store.
//!
//! The API takes a [`NewTransaction`] in, the [`Store`](store::Store) keeps it as pending, a worker
//! claims it and settles it exactly once. Everything that came from outside is parsed once, here,
//! into types whose fields are private; the store sees nothing else.

mod amount;
mod currency;
mod cursor;
mod id;
mod idempotency;
pub mod store;
mod transaction;

pub use amount::{Amount, AmountError};
pub use currency::{Currency, CurrencyError};
pub use cursor::{Cursor, CursorError};
pub use id::{TransactionId, TransactionIdError};
pub use idempotency::{IdempotencyKey, IdempotencyKeyError};
pub use transaction::{NewTransaction, Outcome, Status, Transaction, UnknownStatus};
