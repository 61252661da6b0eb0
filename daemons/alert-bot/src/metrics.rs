//! Every metric of the bot, in one place. The first line of each is its HELP text.

use std::time::Duration;

use jiff::Timestamp;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};
use remediation::Decision;

/// From a few milliseconds (a unit that failed, over D-Bus) to minutes (a held repair).
const LATENCY_BUCKETS_SECONDS: [f64; 14] = [
    0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0,
];

/// The handles. Labels are bounded: rules and units come from the policy, never from an alert.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    pub(crate) webhook_requests: IntCounterVec,
    pub(crate) alerts_received: IntCounterVec,
    pub(crate) alerts_deduplicated: IntCounter,
    decisions: IntCounterVec,
    pub(crate) actions: IntCounterVec,
    alert_to_action: Histogram,
    alert_to_proof: Histogram,
    pub(crate) incidents_open: IntGauge,
    pub(crate) budget_remaining: IntGaugeVec,
    pub(crate) circuit_open: IntGaugeVec,
    pub(crate) queue_depth: IntGauge,
    policy_reload_success: IntGauge,
    policy_reload_timestamp: Gauge,
    pub(crate) watchdog_last_received: Gauge,
    pub(crate) paused: IntGauge,
    pub(crate) bus_connected: IntGauge,
    pub(crate) unit_restarts: IntCounterVec,
}

impl Metrics {
    /// Registers them all.
    ///
    /// # Errors
    /// Where two metrics share a name.
    #[allow(clippy::too_many_lines)] // A table.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let make = Maker(Registry::new());
        let build_info: GaugeVec = make.register(GaugeVec::new(
            Opts::new(
                "alert_bot_build_info",
                "Always 1; the label is the bot's version.",
            ),
            &["version"],
        )?)?;
        build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        Ok(Self {
            webhook_requests: make.counters(
                "alert_bot_webhook_requests_total",
                "Webhook requests, by HTTP status code.",
                &["code"],
            )?,
            alerts_received: make.counters(
                "alert_bot_alerts_received_total",
                "Alerts in webhooks that were acknowledged, repeats included, and what a list told after a start.",
                &["status"],
            )?,
            alerts_deduplicated: make.register(IntCounter::new(
                "alert_bot_alerts_deduplicated_total",
                "Alerts that said nothing new: repeats, and alerts of an incident that is open.",
            )?)?,
            decisions: make.counters(
                "alert_bot_decisions_total",
                "Decisions, by what was decided and why.",
                &["decision", "reason"],
            )?,
            actions: make.counters(
                "alert_bot_actions_total",
                "Actions on units, by what came of them.",
                &["rule", "unit", "action", "outcome"],
            )?,
            alert_to_action: make.latency(
                "alert_bot_alert_to_action_seconds",
                "From the acceptance of an alert, or systemd's signal, to the first action.",
            )?,
            alert_to_proof: make.latency(
                "alert_bot_alert_to_proof_seconds",
                "From the acceptance of an alert, or systemd's signal, to the proof of health.",
            )?,
            incidents_open: make.gauge(
                "alert_bot_incidents_open",
                "Incidents that are not closed, those that people were asked about included.",
            )?,
            budget_remaining: make.gauges(
                "alert_bot_budget_remaining",
                "Actions left in the budget's window.",
                &["scope", "name"],
            )?,
            circuit_open: make.gauges(
                "alert_bot_circuit_open",
                "1 while a rule's circuit breaker is open.",
                &["rule"],
            )?,
            queue_depth: make.gauge(
                "alert_bot_queue_depth",
                "Accepted alerts that have no final decision yet.",
            )?,
            policy_reload_success: make.gauge(
                "alert_bot_policy_reload_success",
                "1 if the last attempt to load the policy succeeded.",
            )?,
            policy_reload_timestamp: make.seconds(
                "alert_bot_policy_reload_timestamp_seconds",
                "When the policy in force was loaded, in seconds since the epoch.",
            )?,
            watchdog_last_received: make.seconds(
                "alert_bot_watchdog_last_received_timestamp_seconds",
                "When the Watchdog alert last arrived, in seconds since the epoch; 0 = never.",
            )?,
            paused: make.gauge("alert_bot_paused", "1 while the whole bot is paused.")?,
            bus_connected: make.gauge(
                "alert_bot_bus_connected",
                "1 while systemd can be heard over D-Bus.",
            )?,
            unit_restarts: make.counters(
                "alert_bot_unit_restarts_total",
                "Starts of units that the policy watches, by cause: auto (systemd), bot, manual.",
                &["unit", "cause"],
            )?,
            registry: make.0,
        })
    }

    pub(crate) fn decided(&self, decision: &Decision) {
        self.decisions
            .with_label_values(&[decision.as_str(), decision.reason().as_str()])
            .inc();
    }

    pub(crate) fn acted_after(&self, since: Duration) {
        self.alert_to_action.observe(since.as_secs_f64());
    }

    pub(crate) fn proved_after(&self, since: Duration) {
        self.alert_to_proof.observe(since.as_secs_f64());
    }

    pub(crate) fn policy_loaded(&self, at: Timestamp) {
        self.policy_reload_success.set(1);
        self.policy_reload_timestamp.set(seconds(at));
    }

    pub(crate) fn policy_rejected(&self) {
        self.policy_reload_success.set(0);
    }
}

/// Seconds since the epoch, as Prometheus wants times.
pub(crate) fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

struct Maker(Registry);

impl Maker {
    fn register<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        collector: C,
    ) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.register(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn seconds(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.register(Gauge::new(name, help)?)
    }

    fn latency(&self, name: &str, help: &str) -> prometheus::Result<Histogram> {
        let options = HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS_SECONDS.into());
        self.register(Histogram::with_opts(options)?)
    }
}
