//! `/metrics` and `/health` of one worker.

use daemon_kit::reply::{self, Reply};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;

use crate::metrics::Metrics;
use crate::progress::Progress;

/// What a client of a failing worker is told to wait, in seconds.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Answers one request.
pub(crate) fn answer(request: &Request<Incoming>, metrics: &Metrics, progress: &Progress) -> Reply {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply::problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "this route answers GET, HEAD",
        );
    }
    match request.uri().path() {
        "/metrics" => metrics.scrape(request.headers()),
        "/health" => match progress.trouble() {
            None => reply::text(StatusCode::OK, "ok\n"),
            Some(reason) => reply::unavailable(reason, RETRY_AFTER_SECONDS),
        },
        _ => reply::problem(StatusCode::NOT_FOUND, "the routes are /health and /metrics"),
    }
}
