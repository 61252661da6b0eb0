//! Every metric of the API, with handles held so that a request never looks one up.

use std::sync::OnceLock;
use std::time::Duration;

use daemon_kit::declare::Declaration;
use daemon_kit::reply::Reply;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use prometheus::{
    Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
};
use transactions::store::{CommitReport, Counts};

use crate::faults::Kind;
use crate::route::{Route, Verb};

/// Around the objective of 200 ms, in seconds.
const DURATION_BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0,
];

/// From one fsync on a fast disk to a stalled one, in seconds.
const COMMIT_BUCKETS: [f64; 12] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0,
];

/// From a lone request to the largest group.
const BATCH_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The statuses that this API answers with; indexed by [`position`].
const CODES: [u16; 11] = [200, 201, 400, 404, 405, 408, 409, 413, 500, 502, 503];

/// What is counted from zero on: successes and server errors of the routes that people use.
/// Prometheus sees no rise in a series that is born with its first value, so a burst right after
/// a start would stay invisible.
const FROM_ZERO: [(Verb, Route<'static>, [u16; 3]); 3] = [
    (Verb::Get, Route::Transactions, [200, 500, 503]),
    (Verb::Get, Route::Transaction(""), [200, 500, 503]),
    (Verb::Post, Route::Transactions, [201, 500, 503]),
];

/// Every metric of the API.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    /// By verb and route.
    series: Vec<Series>,
    in_flight: IntGauge,
    /// Requests refused because too many were being worked on.
    pub(crate) shed: IntCounter,
    /// 1 while the last heartbeat was committed.
    pub(crate) store_up: IntGauge,
    commit_duration: Histogram,
    batch_size: Histogram,
    faults: IntGaugeVec,
    pending: IntGauge,
    oldest_pending_age: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let declare = Declaration::default();
        let requests = declare.counters(
            "transactions_api_http_requests_total",
            "Requests answered.",
            &["method", "route", "code"],
        );
        let durations = declare.histograms(
            "transactions_api_http_request_duration_seconds",
            "From the request's head to its answer.",
            &DURATION_BUCKETS,
            &["method", "route"],
        );
        let series = Verb::LABELS.len() * Route::TEMPLATES.len();
        let metrics = Self {
            requests,
            durations,
            series: std::iter::repeat_with(Series::default)
                .take(series)
                .collect(),
            in_flight: declare.gauge(
                "transactions_api_http_requests_in_flight",
                "Requests being worked on.",
            ),
            shed: declare.counter(
                "transactions_api_http_requests_shed_total",
                "Requests refused with 503 because too many were being worked on.",
            ),
            store_up: declare.gauge(
                "transactions_api_store_up",
                "1 while the last heartbeat was committed to the store.",
            ),
            commit_duration: declare.histogram(
                "transactions_api_store_commit_duration_seconds",
                "From the first statement of a group to its durable commit.",
                &COMMIT_BUCKETS,
            ),
            batch_size: declare.histogram(
                "transactions_api_store_batch_size",
                "Requests committed together.",
                &BATCH_BUCKETS,
            ),
            faults: declare.gauges(
                "transactions_api_fault_active",
                "1 while a fault of this kind is being injected.",
                &["fault"],
            ),
            pending: declare.gauge(
                "transactions_pending",
                "Transactions that wait for a worker.",
            ),
            oldest_pending_age: declare.fractional_gauge(
                "transactions_oldest_pending_age_seconds",
                "How long the oldest pending transaction waits; 0 where none does.",
            ),
            registry: declare.into_registry(),
        };
        for (verb, route, codes) in FROM_ZERO {
            metrics.duration(verb, route.index());
            for code in codes {
                metrics.request(verb, route.index(), position(code));
            }
        }
        metrics
    }

    fn request(&self, verb: Verb, route: usize, code: usize) -> &IntCounter {
        self.of(verb, route).requests[code].get_or_init(|| {
            let code = CODES[code].to_string();
            let labels = [Verb::LABELS[verb as usize], Route::TEMPLATES[route], &code];
            self.requests.with_label_values(&labels)
        })
    }

    fn duration(&self, verb: Verb, route: usize) -> &Histogram {
        self.of(verb, route).duration.get_or_init(|| {
            let labels = [Verb::LABELS[verb as usize], Route::TEMPLATES[route]];
            self.durations.with_label_values(&labels)
        })
    }

    fn of(&self, verb: Verb, route: usize) -> &Series {
        &self.series[verb as usize * Route::TEMPLATES.len() + route]
    }

    /// Counts a request as in flight until the guard is dropped, also where its client leaves.
    pub(crate) fn enter(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    /// Records one answered request; `route` is a [`Route::index`].
    pub(crate) fn observe(&self, verb: Verb, route: usize, code: StatusCode, took: Duration) {
        self.request(verb, route, position(code.as_u16())).inc();
        self.duration(verb, route).observe(took.as_secs_f64());
    }

    /// Records what waits in the store.
    pub(crate) fn observe_backlog(&self, counts: &Counts) {
        self.pending
            .set(i64::try_from(counts.pending).unwrap_or(i64::MAX));
        let age = counts.oldest_pending.map_or(0.0, |since| {
            Timestamp::now()
                .duration_since(since)
                .as_secs_f64()
                .max(0.0)
        });
        self.oldest_pending_age.set(age);
    }

    /// Records one commit of the store.
    pub(crate) fn observe_commit(&self, report: CommitReport) {
        self.commit_duration.observe(report.duration.as_secs_f64());
        let size = u32::try_from(report.batch_size).unwrap_or(u32::MAX);
        self.batch_size.observe(f64::from(size));
    }

    /// Records whether a fault is being injected.
    pub(crate) fn set_fault(&self, kind: Kind, active: bool) {
        self.faults
            .with_label_values(&[kind.as_str()])
            .set(i64::from(active));
    }

    /// One line for `systemctl status`.
    pub(crate) fn status_line(&self) -> String {
        let store = if self.store_up.get() == 1 {
            "up"
        } else {
            "FAILING"
        };
        format!(
            "store {store}, {} pending, {} in flight",
            self.pending.get(),
            self.in_flight.get()
        )
    }

    /// Answers a scrape.
    pub(crate) fn scrape(&self, request_headers: &HeaderMap) -> Reply {
        daemon_kit::metrics::scrape(&self.registry, request_headers)
    }
}

/// The handles of one verb and route, looked up when they are first needed and held from then on:
/// most combinations never happen, and should not be scraped either (but see [`FROM_ZERO`]).
#[derive(Default)]
struct Series {
    requests: [OnceLock<IntCounter>; CODES.len()],
    duration: OnceLock<Histogram>,
}

/// One request in flight.
pub(crate) struct InFlight<'a>(&'a IntGauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A code's place in [`CODES`]; a code that is not there counts as 500, which draws attention.
fn position(code: u16) -> usize {
    let of = |code| CODES.iter().position(|known| *known == code);
    of(code).or_else(|| of(500)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_process_has_counted_no_request_and_no_error_of_each_route() {
        let families = Metrics::new().registry.gather();
        let requests = families
            .iter()
            .find(|family| family.name() == "transactions_api_http_requests_total")
            .expect("requests are counted from zero");
        assert_eq!(requests.get_metric().len(), 9);
        assert!(
            requests
                .get_metric()
                .iter()
                .all(|metric| metric.get_counter().get_value() == 0.0)
        );
    }
}
