//! `/openapi.json`: the API's contract, written by hand and served as it is.

use daemon_kit::reply::{self, Reply};
use http::StatusCode;

/// The document; the process tests hold it against the running server.
const DOCUMENT: &str = include_str!("../openapi.json");

/// Answers with the document.
pub(crate) fn document() -> Reply {
    reply::with_type(StatusCode::OK, "application/json", DOCUMENT)
}
