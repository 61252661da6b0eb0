//! The real binary, started as systemd would start it, on free ports and temporary stores.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

mod configuration;
mod http;
mod kills;
mod support;
