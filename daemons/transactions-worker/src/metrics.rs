//! Every metric of a worker, with handles held.

use daemon_kit::declare::Declaration;
use daemon_kit::reply::Reply;
use http::HeaderMap;
use prometheus::{Counter, Histogram, IntCounter, IntCounterVec, Registry};
use transactions::Outcome;
use transactions::store::StoreError;

/// From an idle worker's answer to a long backlog, in seconds.
const LATENCY_BUCKETS: [f64; 13] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0,
];

/// The reason of an error that is none of the store's.
const CLAIM_LOST: &str = "claim_lost";

/// Every metric of a worker.
pub(crate) struct Metrics {
    registry: Registry,
    settled: IntCounter,
    declined: IntCounter,
    /// Transactions leased.
    pub(crate) claimed: IntCounter,
    /// Transactions generated.
    pub(crate) inserted: IntCounter,
    /// Seconds with a claim in hand: its rate is the share of this worker that is in use.
    pub(crate) busy: Counter,
    errors: IntCounterVec,
    /// From created to settled.
    pub(crate) settle_latency: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let declare = Declaration::default();
        let ended = declare.counters(
            "transactions_worker_settled_total",
            "Transactions ended by this worker.",
            &["outcome"],
        );
        let errors = declare.counters(
            "transactions_worker_errors_total",
            "Store calls that failed and claims that were lost.",
            &["reason"],
        );
        // A counter that begins with its first error shows Prometheus no increase.
        for reason in StoreError::REASONS.iter().chain([&CLAIM_LOST]) {
            errors.with_label_values(&[*reason]);
        }
        Self {
            settled: ended.with_label_values(&[Outcome::Settled.status().as_str()]),
            declined: ended.with_label_values(&[Outcome::Declined.status().as_str()]),
            claimed: declare.counter(
                "transactions_worker_claimed_total",
                "Transactions claimed by this worker.",
            ),
            inserted: declare.counter(
                "transactions_worker_inserted_total",
                "Transactions inserted by this worker's generator.",
            ),
            busy: declare.fractional_counter(
                "transactions_worker_busy_seconds_total",
                "Time this worker spent on claimed transactions.",
            ),
            errors,
            settle_latency: declare.histogram(
                "transactions_worker_settle_latency_seconds",
                "From a transaction's creation to its end.",
                &LATENCY_BUCKETS,
            ),
            registry: declare.into_registry(),
        }
    }

    /// Counts one ended transaction.
    pub(crate) fn count_ended(&self, outcome: Outcome) {
        match outcome {
            Outcome::Settled => self.settled.inc(),
            Outcome::Declined => self.declined.inc(),
        }
    }

    /// Counts a store call that failed.
    pub(crate) fn count_store_error(&self, error: &StoreError) {
        self.errors.with_label_values(&[error.reason()]).inc();
    }

    /// Counts a claim whose lease ran out before it was settled.
    pub(crate) fn count_lost_claim(&self) {
        self.errors.with_label_values(&[CLAIM_LOST]).inc();
    }

    /// One line for `systemctl status`.
    pub(crate) fn status_line(&self) -> String {
        format!(
            "{} settled, {} declined",
            self.settled.get(),
            self.declined.get()
        )
    }

    /// Answers a scrape.
    pub(crate) fn scrape(&self, request_headers: &HeaderMap) -> Reply {
        daemon_kit::metrics::scrape(&self.registry, request_headers)
    }
}
