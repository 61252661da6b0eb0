//! The real worker on temporary stores: what it claims it settles, once, whatever happens to it.

#![allow(
    clippy::print_stderr,
    reason = "a campaign says how long it was and from which seed"
)]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

mod configuration;
mod kills;
mod support;
mod work;
