//! Resources of every systemd unit as Prometheus metrics, at almost no cost.
//!
//! ```text
//! systemd's signals ─▶ follow ─▶ table ─────────┐
//!                                               ├─▶ render ─▶ exposition ─▶ HTTP
//! scrape ─▶ collect ─▶ tree ─▶ cgroup_text ─▶ reading
//! ```
//!
//! The two halves are independent. States come from systemd by signals, with no call in steady
//! state; figures come from the cgroup tree, which needs no D-Bus at all. Neither can blank the
//! other.

pub mod cgroup_text;
mod cli;
pub mod collect;
pub mod config;
pub mod devices;
pub mod exposition;
pub mod follow;
pub mod kept_files;
pub mod metrics;
pub mod processes;
pub mod reading;
pub mod render;
pub mod scrape;
pub mod select;
mod server;
pub mod table;
pub mod tree;
pub mod unit_group;
pub mod unsignalled;

pub use cli::Cli;
pub use server::run;
