//! Declaring a daemon's metrics: handles that are registered as they are made.

use prometheus::core::Collector;
use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry,
};

/// Invariant of every method: a daemon declares its metrics in one module, from constants.
const CONSTANT: &str = "the metric's name and labels are valid and unique";

/// The metrics of one daemon, under construction. The help text is given beside the name, both as
/// they are exposed; buckets are upper bounds in the metric's own unit.
///
/// ```
/// let declaration = daemon_kit::declare::Declaration::default();
/// let answered = declaration.counters("a_requests_total", "Requests answered.", &["code"]);
/// answered.with_label_values(&["200"]).inc();
/// assert_eq!(declaration.into_registry().gather()[0].name(), "a_requests_total");
/// ```
///
/// # Panics
/// Each method, where a name or label is not valid or a name is taken: a mistake in a constant,
/// which the first test of the daemon meets.
#[derive(Debug, Default)]
pub struct Declaration(Registry);

#[allow(missing_docs)] // The shapes of metric that there are, each by its name.
impl Declaration {
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::new(name, help))
    }

    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    /// Of something that is not whole, seconds mostly.
    pub fn fractional_counter(&self, name: &str, help: &str) -> Counter {
        self.register(Counter::new(name, help))
    }

    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::new(name, help))
    }

    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    pub fn fractional_gauge(&self, name: &str, help: &str) -> Gauge {
        self.register(Gauge::new(name, help))
    }

    pub fn fractional_gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register(GaugeVec::new(Opts::new(name, help), labels))
    }

    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(options))
    }

    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str],
    ) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(options, labels))
    }

    /// All of them, to be scraped.
    pub fn into_registry(self) -> Registry {
        self.0
    }

    fn register<C: Collector + Clone + 'static>(&self, metric: prometheus::Result<C>) -> C {
        let metric = metric.expect(CONSTANT);
        self.0.register(Box::new(metric.clone())).expect(CONSTANT);
        metric
    }
}
