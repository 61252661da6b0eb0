//! Incidents, decisions, attempts: the durable memory of the alert bot.
//!
//! One SQLite file in WAL mode with `synchronous=FULL`, one writer. [`Ledger`] is the handle that
//! the daemon's tasks share: it commits in groups and answers only what is on the disk. [`Store`]
//! holds the vocabulary, one method for each atomic step:
//!
//! ```text
//! alerts.rs     what Alertmanager was told "yes" to, and the final word about each
//! steps.rs      decision, intent, job, judgement: in this order, each before what follows from it
//! memory.rs     history and unfinished incidents, read when the bot starts
//! operators.rs  pauses, approvals, resets
//! queries.rs    lists and timelines for people; retention
//! ```

mod alerts;
mod convert;
mod error;
mod memory;
mod operators;
mod queries;
mod schema;
mod steps;
mod store;
mod writer;

pub use alerts::{Accepted, AlertId, Disposition, HeldAlert, StoredAlert};
pub use error::LedgerError;
pub use memory::OpenIncident;
pub use operators::StoredPause;
pub use queries::{Filter, IncidentSummary, Moment, StoredDecision};
pub use steps::{AttemptId, IncidentChange, Input, Step};
pub use store::Store;
pub use writer::Ledger;
