//! Faults for learning and tests: chosen on the admin socket, always with an end.
//!
//! ```text
//! transactions-api faults set … ─▶ client ─▶ socket (root or this user only) ─▶ Faults ─▶ inject
//! ```
//! Nothing here can be reached from the public port. While no fault is active, a request pays one
//! atomic read for all of this.

pub(crate) mod client;
mod inject;
mod setting;
pub(crate) mod socket;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::metrics::Metrics;
pub(crate) use setting::{Kind, Setting};

/// The faults of this process.
pub(crate) struct Faults {
    any: AtomicBool,
    active: Mutex<BTreeMap<Kind, Active>>,
    metrics: Arc<Metrics>,
}

/// One active fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Active {
    pub(crate) setting: Setting,
    pub(crate) until: Instant,
}

impl Faults {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            any: AtomicBool::new(false),
            active: Mutex::default(),
            metrics,
        })
    }

    /// Makes a fault active for `lasting`, in place of an earlier one of its kind.
    pub(crate) fn set(self: &Arc<Self>, setting: Setting, lasting: Duration, uid: u32) {
        let until = Instant::now() + lasting;
        let kind = setting.kind();
        self.change(|active| {
            active.insert(kind, Active { setting, until });
        });
        tracing::warn!(
            fault = kind.as_str(),
            setting = %setting,
            seconds = lasting.as_secs(),
            uid,
            "fault injected"
        );
        let faults = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            faults.expire();
        });
        if let Setting::Memory(bytes_per_second) = setting {
            tokio::spawn(inject::grow_memory(
                Arc::clone(self),
                bytes_per_second,
                until,
            ));
        }
    }

    /// Ends all faults.
    pub(crate) fn clear(&self, uid: u32) {
        self.change(BTreeMap::clear);
        tracing::info!(uid, "faults cleared");
    }

    /// What is active now, in the order of the kinds.
    pub(crate) fn list(&self) -> Vec<Active> {
        let now = Instant::now();
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active
            .values()
            .filter(|fault| fault.until > now)
            .copied()
            .collect()
    }

    /// The active setting of a kind.
    pub(crate) fn active(&self, kind: Kind) -> Option<Active> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active
            .get(&kind)
            .filter(|fault| fault.until > Instant::now())
            .copied()
    }

    /// How long each commit is to be held back.
    pub(crate) fn commit_delay(&self) -> Duration {
        match self.active(Kind::SlowStore) {
            Some(Active {
                setting: Setting::SlowStore(delay),
                ..
            }) => delay,
            _ => Duration::ZERO,
        }
    }

    fn expire(&self) {
        let now = Instant::now();
        self.change(|active| {
            active.retain(|kind, fault| {
                let lasts = fault.until > now;
                if !lasts {
                    tracing::info!(fault = kind.as_str(), "fault expired");
                }
                lasts
            });
        });
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<Kind, Active>)) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut active);
        self.any.store(!active.is_empty(), Ordering::Relaxed);
        for kind in Kind::ALL {
            self.metrics.set_fault(kind, active.contains_key(&kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fault_ends_by_itself_and_a_later_one_replaces_it() {
        let faults = Faults::new(Arc::new(Metrics::new()));
        let (short, long) = (Duration::from_secs(10), Duration::from_secs(60));
        faults.set("slow-store=1s".parse().unwrap(), short, 0);
        assert_eq!(faults.commit_delay(), Duration::from_secs(1));

        tokio::time::advance(Duration::from_secs(5)).await;
        faults.set("slow-store=2s".parse().unwrap(), long, 0);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(
            faults.commit_delay(),
            Duration::from_secs(2),
            "the first one's end is not the second's"
        );

        tokio::time::advance(long).await;
        assert_eq!(faults.commit_delay(), Duration::ZERO);
        assert_eq!(faults.list(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn clearing_ends_all() {
        let faults = Faults::new(Arc::new(Metrics::new()));
        let lasting = Duration::from_secs(10);
        faults.set("latency=1s".parse().unwrap(), lasting, 0);
        faults.set("errors=1".parse().unwrap(), lasting, 0);
        assert_eq!(faults.list().len(), 2);
        faults.clear(0);
        assert_eq!(faults.list(), []);
    }
}
