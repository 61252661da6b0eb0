//! The configuration file, read once and checked before any socket is touched.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use daemon_kit::config::{self, ConfigError};
use daemon_kit::tls::TlsFiles;
use serde::Deserialize;
use transactions::store::{LEASE_MAX, StoreLocation};

/// The longest processing of one transaction: the work loop has to come round often enough to
/// feed the watchdog, and a drain to end before systemd's patience does.
const PROCESSING_MAX: Duration = Duration::from_secs(5);

/// The largest batch: what a killed worker holds back until its lease runs out.
const BATCH_MAX: u32 = 1000;

/// The fastest generator, in transactions a second: a demo's flood, not a benchmark.
const RATE_MAX: f64 = 10_000.0;

/// `/etc/transactions/worker.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The store of transactions-api: `sqlite:` followed by an absolute path, or
    /// `postgresql://user@host/database` (its password: credential `postgresql-password`; over a network
    /// with `?sslmode=verify-full&sslrootcert=/path/of/authorities.pem`).
    pub(crate) store: StoreLocation,
    /// Where `/metrics` and `/health` are served.
    pub(crate) metrics_address: IpAddr,
    /// Instance N serves at this port + N; 0 takes any free port.
    pub(crate) metrics_base_port: u16,
    /// How long one transaction takes.
    #[serde(
        default = "twenty_milliseconds",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required"
    )]
    pub(crate) processing_time: Duration,
    /// How many transactions are claimed at once.
    #[serde(default = "ten")]
    pub(crate) batch_size: u32,
    /// How long claims are held, should this worker die.
    #[serde(
        default = "thirty_seconds",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required"
    )]
    pub(crate) lease: Duration,
    /// Which share of transactions is declined, from 0 to 1.
    #[serde(default = "one_in_twenty")]
    pub(crate) decline_ratio: f64,
    /// HTTPS for `/metrics` and `/health`, instead of plain HTTP.
    pub(crate) tls: Option<TlsFiles>,
    /// Which instance inserts transactions too, and how fast.
    pub(crate) generator: Option<GeneratorConfig>,
}

/// `[generator]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GeneratorConfig {
    /// The instance that inserts.
    pub(crate) instance: u16,
    /// Transactions a second; 0 inserts none.
    pub(crate) rate_per_second: f64,
}

fn twenty_milliseconds() -> Duration {
    Duration::from_millis(20)
}

fn ten() -> u32 {
    10
}

fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}

fn one_in_twenty() -> f64 {
    0.05
}

impl Config {
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let config: Self = config::load(path)?;
        match config.mistake() {
            Some((key, message)) => Err(ConfigError::invalid(path, key, message)),
            None => Ok(config),
        }
    }

    /// Where this instance serves its metrics.
    pub(crate) fn metrics_socket(
        &self,
        path: &Path,
        instance: u16,
    ) -> Result<SocketAddr, ConfigError> {
        let port = match self.metrics_base_port {
            0 => Some(0),
            base => base.checked_add(instance),
        };
        let port = port.ok_or_else(|| {
            let message = format!("plus instance {instance} is beyond the last port, 65535");
            ConfigError::invalid(path, "metrics_base_port", message)
        })?;
        Ok(SocketAddr::new(self.metrics_address, port))
    }

    /// The first key whose value makes no sense, and why.
    fn mistake(&self) -> Option<(&'static str, String)> {
        let busy = self.processing_time * self.batch_size;
        if self.processing_time > PROCESSING_MAX {
            let message = format!("must be at most {PROCESSING_MAX:?}");
            return Some(("processing_time", message));
        }
        if !(1..=BATCH_MAX).contains(&self.batch_size) {
            return Some(("batch_size", format!("must be 1 to {BATCH_MAX}")));
        }
        if self.lease.is_zero() || self.lease > LEASE_MAX {
            return Some((
                "lease",
                format!("must be above zero and at most {LEASE_MAX:?}"),
            ));
        }
        if busy * 2 > self.lease {
            let message = format!(
                "must be at least twice batch_size × processing_time ({busy:?}), or claims run out \
                 while they are worked on"
            );
            return Some(("lease", message));
        }
        if !(0.0..=1.0).contains(&self.decline_ratio) {
            return Some(("decline_ratio", "must be from 0 to 1".to_owned()));
        }
        let rate = self.generator.map(|generator| generator.rate_per_second);
        if rate.is_some_and(|rate| !(0.0..=RATE_MAX).contains(&rate)) {
            let message = format!("must be from 0 to {RATE_MAX}");
            return Some(("generator.rate_per_second", message));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_comments_are_the_defaults() {
        let shipped = include_str!("../worker.toml");
        let parse = |text: &str| config::parse::<Config>(Path::new("worker.toml"), text).unwrap();
        let shown = parse(&config::switched_on(shipped, "#"));
        assert_eq!(format!("{shown:?}"), format!("{:?}", parse(shipped)));
        let examples = parse(&config::switched_on(shipped, "# "));
        assert!(examples.generator.is_some());
    }
}
