//! A PostgreSQL database as a configuration names it.
//!
//! ```text
//! store = "postgresql://…" ─▶ [ DatabaseUrl ] ─ password, authorities ─▶ [ Connector ] ─▶ server
//! ```
//! The URL is [libpq's](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING),
//! as far as it can be kept: without a password, which is a credential, and with TLS that proves
//! who answers (`sslmode=verify-full`), or without any.

mod connector;
mod url;

pub use connector::{Connector, ConnectorError};
pub use url::{DatabaseUrl, DatabaseUrlError};
