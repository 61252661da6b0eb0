//! The exporter's own metrics, in a registry.

use prometheus::{Encoder, GaugeVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

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

impl OwnMetrics {
    /// All of them, registered.
    ///
    /// # Errors
    /// Never in practice: names and labels are constants, and a test registers them.
    pub fn try_new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let duration = GaugeVec::new(
            Opts::new(
                "unit_exporter_collector_duration_seconds",
                "How long the collector took: in the last scrape, for systemd in its last sync.",
            ),
            &["collector"],
        )?;
        let success = IntGaugeVec::new(
            Opts::new(
                "unit_exporter_collector_success",
                "Whether the collector read everything that it should.",
            ),
            &["collector"],
        )?;
        let units = IntGauge::new("unit_exporter_units", "Units that are measured.")?;
        let kept_files = IntGauge::new(
            "unit_exporter_kept_files",
            "Files that are kept open between scrapes.",
        )?;
        let build = IntGaugeVec::new(
            Opts::new("unit_exporter_build_info", "The version of the exporter."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(success.clone()))?;
        registry.register(Box::new(units.clone()))?;
        registry.register(Box::new(kept_files.clone()))?;
        registry.register(Box::new(build))?;
        Ok(Self {
            registry,
            duration,
            success,
            units,
            kept_files,
        })
    }

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
