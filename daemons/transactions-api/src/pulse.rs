//! The work loop: once a second, a heartbeat through the store, committed like a client's write.
//!
//! What it finds is what `/health` says, so that probes cost no disk write of their own. systemd's
//! watchdog is fed when the store *answers*, with success or failure: a full disk is not mended by
//! a restart, a writer that hangs is.

use std::sync::Arc;
use std::time::Duration;

use daemon_kit::notify::{self, Heartbeat};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use transactions::store::{Store, StoreError};

use crate::metrics::Metrics;

/// Between two heartbeats.
const BEAT_INTERVAL: Duration = Duration::from_secs(1);

/// How long one heartbeat may take. Above the store's own bounds, so that it normally answers.
const BEAT_TIMEOUT: Duration = Duration::from_secs(5);

/// Heartbeats between two status lines for `systemctl status`.
const STATUS_EVERY: u32 = 5;

/// What the last heartbeat found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreHealth {
    /// It was committed.
    Up,
    /// The store answered that it cannot.
    Failing(StoreError),
    /// The store did not answer.
    Silent,
}

/// The latest finding.
#[derive(Clone)]
pub(crate) struct Pulse {
    latest: watch::Receiver<(StoreHealth, Instant)>,
}

impl Pulse {
    /// Makes the first heartbeat, then goes on in the background.
    pub(crate) async fn start(store: Arc<Store>, metrics: Arc<Metrics>) -> Self {
        let first = beat(&store, &metrics).await;
        let (latest_sender, latest) = watch::channel((first, Instant::now()));
        let watchdog = Heartbeat::start();
        tokio::spawn(async move {
            let mut ticks = interval(BEAT_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for round in 0_u32.. {
                ticks.tick().await;
                let found = beat(&store, &metrics).await;
                if found != StoreHealth::Silent {
                    watchdog.beat();
                }
                if round % STATUS_EVERY == 0 {
                    notify::status(&metrics.status_line());
                }
                if latest_sender.send((found, Instant::now())).is_err() {
                    return;
                }
            }
        });
        Self { latest }
    }

    /// What the last heartbeat found; [`StoreHealth::Silent`] where it is too old to mean
    /// anything.
    pub(crate) fn store_health(&self) -> StoreHealth {
        let (health, at) = &*self.latest.borrow();
        if at.elapsed() > BEAT_INTERVAL + BEAT_TIMEOUT {
            return StoreHealth::Silent;
        }
        health.clone()
    }
}

async fn beat(store: &Store, metrics: &Metrics) -> StoreHealth {
    let found = match timeout(BEAT_TIMEOUT, store.beat()).await {
        Ok(Ok(())) => StoreHealth::Up,
        Ok(Err(error)) => StoreHealth::Failing(error),
        Err(_) => StoreHealth::Silent,
    };
    metrics.store_up.set(i64::from(found == StoreHealth::Up));
    match timeout(BEAT_TIMEOUT, store.counts()).await {
        Ok(Ok(counts)) => metrics.observe_backlog(&counts),
        Ok(Err(error)) => tracing::debug!(%error, "the backlog could not be counted"),
        Err(_) => tracing::debug!("the backlog could not be counted in time"),
    }
    found
}
