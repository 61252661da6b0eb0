//! The words that systemd uses, parsed once at the edge and never raw strings after that.
//!
//! This crate is pure: no I/O, no clock, no async. Everything above it (the policy, the decision,
//! the bus, the exporter) speaks in these types, so that a name that reached an action has been
//! checked exactly once, here.

mod facts;
mod name;
mod pattern;
mod state;

pub use facts::UnitFacts;
pub use name::{UnitKind, UnitName, UnitNameError};
pub use pattern::{UnitPattern, UnitPatternError};
pub use state::{ActiveState, JobResult, LoadState, UnknownWord};
