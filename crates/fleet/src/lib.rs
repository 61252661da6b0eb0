//! The fleet's table of repairs, in a PostgreSQL database that its hosts share: whose turn it is.
//!
//! ```text
//! engine → decide: act → [ claim ] → decide again, with what was seen → act → verify → [ release ]
//! ```
//!
//! A claim is one transaction under one advisory lock: what others do is read, judged by
//! [`FleetLimits::objection`](remediation::FleetLimits::objection), and the repair is noted only
//! where nothing stands against it. So two hosts never take the same turn. Time is the server's:
//! hosts need not agree on theirs. A note has an end of its own, so a bot that dies, or a host
//! that loses its network, blocks nobody for longer than one repair may take.

mod connection;
mod repairs;
mod schema;

pub use repairs::{Fleet, FleetError, Member, Turn};
