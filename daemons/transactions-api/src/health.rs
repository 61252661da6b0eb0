//! `/health` and `/ready`: is it alive with its store, and should traffic come here.

use daemon_kit::reply::{self, Reply};
use http::StatusCode;
use serde::Serialize;

use crate::admission::RETRY_AFTER_SECONDS;
use crate::pulse::StoreHealth;

#[derive(Serialize)]
struct Fine {
    status: &'static str,
}

/// 200 while the store commits; otherwise 503 with the reason.
pub(crate) fn health(store: &StoreHealth) -> Reply {
    match store {
        StoreHealth::Up => reply::json(StatusCode::OK, &Fine { status: "ok" }),
        StoreHealth::Failing(error) => reply::unavailable(error.to_string(), RETRY_AFTER_SECONDS),
        StoreHealth::Silent => reply::unavailable("the store does not answer", RETRY_AFTER_SECONDS),
    }
}

/// As [`health`], and 503 from the moment the daemon is asked to stop.
pub(crate) fn ready(store: &StoreHealth, draining: bool) -> Reply {
    if draining {
        return reply::unavailable("draining", RETRY_AFTER_SECONDS);
    }
    health(store)
}

#[cfg(test)]
mod tests {
    use super::*;
    use transactions::store::StoreError;

    #[test]
    fn only_a_store_that_commits_is_healthy() {
        assert_eq!(health(&StoreHealth::Up).status(), 200);
        assert_eq!(
            health(&StoreHealth::Failing(StoreError::DiskFull)).status(),
            503
        );
        assert_eq!(health(&StoreHealth::Silent).status(), 503);
    }

    #[test]
    fn a_draining_daemon_is_healthy_but_not_ready() {
        assert_eq!(ready(&StoreHealth::Up, false).status(), 200);
        assert_eq!(ready(&StoreHealth::Up, true).status(), 503);
    }
}
