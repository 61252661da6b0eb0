//! Between SQLite's columns and the types of the decision.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::LedgerError;

pub(crate) fn to_json<T: Serialize>(what: &'static str, value: &T) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|error| LedgerError::convert(what, error))
}

pub(crate) fn from_json<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|error| LedgerError::convert(what, error))
}

/// Microseconds since the epoch.
pub(crate) fn usec(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(crate) fn timestamp(what: &'static str, usec: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_microsecond(usec).map_err(|error| LedgerError::convert(what, error))
}
