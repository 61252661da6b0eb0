//! The transactions API.
