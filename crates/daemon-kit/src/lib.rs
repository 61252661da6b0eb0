//! What every daemon here shares, and nothing that only one of them needs.
//!
//! A daemon's life runs through these modules in order: [`config`] is read and checked before any
//! port opens, [`log`] goes to the journal, [`sockets`] come from systemd or are bound, [`http`]
//! serves them within [`http::Limits`], over [`tls`] where that is configured, [`notify`] tells
//! systemd that it is ready and, through a [`notify::Heartbeat`], that its real work goes on, and
//! [`shutdown`] drains it. [`reply`] and [`metrics`] hold the few shapes of answer that all of them
//! give, [`declare`] makes what [`metrics`] shows. [`exit`] turns the outcome into the exit status
//! that the units know.

pub mod config;
pub mod declare;
pub mod exit;
pub mod http;
pub mod log;
pub mod metrics;
pub mod notify;
mod places;
pub mod reply;
pub mod shutdown;
pub mod sockets;
pub mod tls;
