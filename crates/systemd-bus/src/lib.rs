//! systemd's manager over D-Bus. The only crate that knows zbus.
//!
//! ```text
//! Systemd ─┬─ facts.rs   one unit now, fresh            (verification, decisions)
//!          ├─ job.rs     a job, followed to its result  (actions)
//!          ├─ watch.rs   what changes, as it changes    (failure events, the exporter's table)
//!          └─ list.rs    all units at once              (resync)
//! ```
//!
//! A [`Systemd`] is a handle: cheap to clone, it opens its connection when first used and again
//! after the bus went away. Nothing is cached, every call is bounded in time, and nothing is ever
//! repeated by itself: whether to try again is the caller's decision, which
//! [`BusError::is_transient`] and [`BusError::may_have_acted`] inform.

mod error;
mod facts;
#[cfg(feature = "fake")]
pub mod fake;
mod job;
mod link;
mod list;
mod path;
mod properties;
mod watch;

pub use error::BusError;
pub use job::{KillWhom, Verb};
pub use link::Systemd;
pub use list::ListedUnit;
pub use properties::UnitProperties;
pub use watch::{UnitChange, UnitChanges};
