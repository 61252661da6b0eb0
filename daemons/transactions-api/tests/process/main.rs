//! The real binary, started as systemd would start it, on free ports and temporary stores.

#![allow(
    clippy::print_stderr,
    reason = "a campaign says how long it was and from which seed"
)]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

mod backup;
mod configuration;
mod disk;
mod faults;
mod http;
mod kills;
mod migrate;
mod overload;
mod restart;
mod support;
