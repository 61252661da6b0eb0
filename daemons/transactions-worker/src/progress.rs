//! What the work loop last achieved: the watchdog and `/health` go by it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use daemon_kit::notify::Heartbeat;
use transactions::store::StoreError;

/// A loop that has not come round for this long is stuck. Above the longest processing time plus
/// the store's own bounds.
const STUCK_AFTER: Duration = Duration::from_secs(12);

/// Shared between the work loop and whoever asks after it.
pub(crate) struct Progress {
    heartbeat: Heartbeat,
    store: Mutex<Option<StoreError>>,
}

impl Progress {
    pub(crate) fn new(heartbeat: Heartbeat) -> Self {
        Self {
            heartbeat,
            store: Mutex::new(None),
        }
    }

    /// The loop came round.
    pub(crate) fn beat(&self) {
        self.heartbeat.beat();
    }

    /// The store did what it was asked, or not; the loop came round in both cases.
    pub(crate) fn store_answered(&self, error: Option<&StoreError>) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = error.cloned();
        self.beat();
    }

    /// Why the worker cannot work just now, if it cannot.
    pub(crate) fn trouble(&self) -> Option<String> {
        if self.heartbeat.age() > STUCK_AFTER {
            return Some("the work loop is stuck".to_owned());
        }
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.as_ref().map(ToString::to_string)
    }
}
