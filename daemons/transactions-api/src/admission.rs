//! How many requests are worked on at once.
//!
//! Past the point where the store is busy all the time, admitting more only makes all of them
//! slower. What is over the limit is told at once to come back.

use std::sync::Arc;

use daemon_kit::reply::{self, Reply};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a shed client is told to wait, in seconds: the shortest the header can say.
pub(crate) const RETRY_AFTER_SECONDS: u32 = 1;

/// The gate before the store.
#[derive(Clone)]
pub(crate) struct Admission {
    slots: Arc<Semaphore>,
}

impl Admission {
    /// A gate that lets `max_in_flight` through at once.
    pub(crate) fn new(max_in_flight: u32) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(max_in_flight as usize)),
        }
    }

    /// A slot, held while the request is worked on.
    ///
    /// # Errors
    /// Where as many as allowed are being worked on already.
    pub(crate) fn try_enter(&self) -> Result<OwnedSemaphorePermit, Shed> {
        Arc::clone(&self.slots)
            .try_acquire_owned()
            .map_err(|_| Shed)
    }
}

/// The request is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shed;

/// What a shed client is told.
pub(crate) fn shed_reply() -> Reply {
    reply::unavailable(
        "too many requests at once; nothing was done",
        RETRY_AFTER_SECONDS,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_limit_is_shed_until_a_slot_is_free() {
        let admission = Admission::new(1);
        let slot = admission.try_enter().unwrap();
        assert_eq!(admission.try_enter().unwrap_err(), Shed);
        let shed = shed_reply();
        assert_eq!(shed.status(), 503);
        assert_eq!(shed.headers()["retry-after"], "1");
        drop(slot);
        assert!(admission.try_enter().is_ok());
    }
}
