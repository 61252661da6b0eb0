//! The work loop: claim, process, settle.

use std::sync::Arc;
use std::time::Duration;

use daemon_kit::notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use transactions::Transaction;
use transactions::store::{Claim, ClaimRequest, SettleResult, Settlement, Store, StoreError};

use crate::config::Config;
use crate::metrics::Metrics;
use crate::progress::Progress;
use crate::verdict::verdict;

/// Between two looks at an empty store.
const IDLE: Duration = Duration::from_millis(100);

/// After the store failed. Short: its own queue and locks are bounded, and it heals by itself.
const AFTER_ERROR: Duration = Duration::from_millis(500);

/// Finished transactions are settled together, but wait no longer than this.
const SETTLE_AFTER: Duration = Duration::from_millis(50);

/// Between two status lines for `systemctl status`.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// The work loop of one instance.
pub(crate) struct Settler {
    request: ClaimRequest,
    processing_time: Duration,
    decline_ratio: f64,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    progress: Arc<Progress>,
}

/// A transaction that was processed and is not settled yet.
struct Finished {
    transaction: Transaction,
    settlement: Settlement,
}

impl Settler {
    pub(crate) fn new(
        config: &Config,
        instance: u16,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        progress: Arc<Progress>,
    ) -> Self {
        let request = ClaimRequest {
            holder: format!("worker {instance}"),
            limit: config.batch_size,
            lease: config.lease,
        };
        Self {
            request,
            processing_time: config.processing_time,
            decline_ratio: config.decline_ratio,
            store,
            metrics,
            progress,
        }
    }

    /// Works until `stop`; then finishes the transaction in hand and gives the others back.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut status_due = Instant::now();
        while !stop.is_cancelled() {
            if status_due <= Instant::now() {
                notify::status(&self.metrics.status_line());
                status_due = Instant::now() + STATUS_EVERY;
            }
            let claimed = self.store.claim(self.request.clone()).await;
            self.note(claimed.as_ref().err());
            match claimed {
                Ok(claims) if claims.is_empty() => {
                    stop.run_until_cancelled(sleep(IDLE)).await;
                }
                Ok(claims) => {
                    self.metrics.claimed.inc_by(claims.len() as u64);
                    self.work_on(claims, &stop).await;
                }
                Err(_) => {
                    stop.run_until_cancelled(sleep(AFTER_ERROR)).await;
                }
            }
        }
    }

    async fn work_on(&self, claims: Vec<Claim>, stop: &CancellationToken) {
        let lease_ends = Instant::now() + self.request.lease;
        let mut waiting = claims.into_iter();
        let mut finished = Vec::new();
        let mut settled_at = Instant::now();
        let mut busy_since = Instant::now();
        while !stop.is_cancelled() {
            let Some(claim) = waiting.next() else { break };
            // Not cut short by a stop: a payment in hand is finished.
            if !self.processing_time.is_zero() {
                sleep(self.processing_time).await;
            }
            self.progress.beat();
            let outcome = verdict(claim.transaction.id, self.decline_ratio);
            let settlement = Settlement {
                ticket: claim.ticket,
                outcome,
            };
            finished.push(Finished {
                transaction: claim.transaction,
                settlement,
            });
            if settled_at.elapsed() >= SETTLE_AFTER {
                self.settle(std::mem::take(&mut finished), lease_ends, stop)
                    .await;
                settled_at = Instant::now();
            }
            busy_since = self.count_busy(busy_since);
        }
        self.settle(finished, lease_ends, stop).await;
        self.count_busy(busy_since);
        let left: Vec<_> = waiting.map(|claim| claim.ticket).collect();
        if !left.is_empty() {
            let released = self.store.release(left).await;
            self.note(released.as_ref().err());
        }
    }

    /// Settles, again and again while the store fails, the lease lasts and nobody stops it.
    async fn settle(&self, finished: Vec<Finished>, lease_ends: Instant, stop: &CancellationToken) {
        if finished.is_empty() {
            return;
        }
        let settlements: Vec<_> = finished.iter().map(|one| one.settlement).collect();
        loop {
            let results = self.store.settle(settlements.clone()).await;
            self.note(results.as_ref().err());
            match results {
                Ok(results) => return self.count(&finished, &results),
                Err(error)
                    if error.is_transient()
                        && Instant::now() < lease_ends
                        && !stop.is_cancelled() =>
                {
                    stop.run_until_cancelled(sleep(AFTER_ERROR)).await;
                }
                // The lease gives them back; whoever claims them next comes to the same verdict.
                Err(_) => return,
            }
        }
    }

    /// Counts the time since then as work; returns the moment up to which it is counted.
    fn count_busy(&self, since: Instant) -> Instant {
        let now = Instant::now();
        self.metrics.busy.inc_by((now - since).as_secs_f64());
        now
    }

    fn count(&self, finished: &[Finished], results: &[SettleResult]) {
        for (one, result) in finished.iter().zip(results) {
            match result {
                SettleResult::Settled(at) => {
                    let latency = at.duration_since(one.transaction.created_at);
                    self.metrics.settle_latency.observe(latency.as_secs_f64());
                    self.metrics.count_ended(one.settlement.outcome);
                }
                SettleResult::ClaimLost => self.metrics.count_lost_claim(),
            }
        }
    }

    /// Takes note of how a store call went.
    fn note(&self, error: Option<&StoreError>) {
        self.progress.store_answered(error);
        if let Some(error) = error {
            self.metrics.count_store_error(error);
            tracing::warn!(%error, "the store did not do what the worker asked");
        }
    }
}
