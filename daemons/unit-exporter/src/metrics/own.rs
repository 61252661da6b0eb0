//! The exporter's own metrics, in a registry.

use daemon_kit::declare::Declaration;
use prometheus::{Encoder, GaugeVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use crate::collect::Report;

/// The exporter's own metrics.
#[derive(Debug)]
pub struct OwnMetrics {
    registry: Registry,
    duration: GaugeVec,
    success: IntGaugeVec,
    units: IntGauge,
    kept_files: IntGauge,
}

impl Default for OwnMetrics {
    fn default() -> Self {
        let declare = Declaration::default();
        let build = declare.gauges(
            "unit_exporter_build_info",
            "The version of the exporter.",
            &["version"],
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            duration: declare.fractional_gauges(
                "unit_exporter_collector_duration_seconds",
                "How long the collector took: in the last scrape, for systemd in its last sync.",
                &["collector"],
            ),
            success: declare.gauges(
                "unit_exporter_collector_success",
                "Whether the collector read everything that it should.",
                &["collector"],
            ),
            units: declare.gauge("unit_exporter_units", "Units that are measured."),
            kept_files: declare.gauge(
                "unit_exporter_kept_files",
                "Files that are kept open between scrapes.",
            ),
            registry: declare.into_registry(),
        }
    }
}

impl OwnMetrics {
    /// Notes how a collector did.
    pub fn report(&self, report: &Report) {
        let labels = &[report.collector];
        self.duration
            .with_label_values(labels)
            .set(report.duration.as_secs_f64());
        self.success
            .with_label_values(labels)
            .set(report.error.is_none().into());
    }

    /// Notes how many units there are.
    pub fn units(&self, count: usize) {
        self.units.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Notes how many files are kept open.
    pub fn kept_files(&self, count: usize) {
        self.kept_files
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Appends them to an exposition.
    ///
    /// # Errors
    /// Never in practice: a buffer takes every write.
    pub fn write(&self, text: &mut Vec<u8>) -> prometheus::Result<()> {
        TextEncoder::new().encode(&self.registry.gather(), text)
    }
}
