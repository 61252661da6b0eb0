//! What systemd knows and does not signal: asked for over D-Bus, for those who switch it on.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use systemd_bus::{BusError, Systemd};
use tokio::sync::Mutex;
use units::{UnitKind, UnitName};

use crate::collect::Report;
use crate::config::Collectors;
use crate::follow::SystemdView;

/// Scrapes that come sooner get the answers of the last one: asking costs PID 1 and the bus about
/// 60 µs a property.
const FRESH_FOR: Duration = Duration::from_secs(15);

/// Units asked about at the same time.
const READS_AT_ONCE: usize = 32;

/// The collector's name.
const NAME: &str = "unsignalled";

/// Asks systemd when a scrape needs it.
#[derive(Debug)]
pub struct Unsignalled {
    systemd: Systemd,
    of_sockets: Vec<&'static str>,
    of_services: Vec<&'static str>,
    /// When it was last asked. Held while asking, so that scrapes at the same time ask once.
    asked: Mutex<Option<Instant>>,
}

impl Unsignalled {
    /// Asks for what is switched on.
    pub fn new(systemd: Systemd, enabled: Collectors) -> Self {
        let mut of_sockets = Vec::new();
        let mut of_services = Vec::new();
        if enabled.sockets {
            of_sockets.extend(["NAccepted", "NConnections", "NRefused"]);
        }
        if enabled.ip {
            of_services.extend(["IPIngressBytes", "IPIngressPackets"]);
            of_services.extend(["IPEgressBytes", "IPEgressPackets"]);
        }
        if enabled.watchdog {
            of_services.extend(["WatchdogUSec", "WatchdogTimestamp"]);
        }
        Self {
            systemd,
            of_sockets,
            of_services,
            asked: Mutex::new(None),
        }
    }

    /// Brings the table up to date, if anything is switched on and the last answers are old.
    pub async fn refresh(&self, view: &SystemdView, deadline: Instant) -> Option<Report> {
        if self.of_sockets.is_empty() && self.of_services.is_empty() {
            return None;
        }
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < FRESH_FOR) {
            return None;
        }
        let began = Instant::now();
        let reading = self.ask(view);
        let error = match tokio::time::timeout_at(deadline.into(), reading).await {
            Ok(None) => None,
            Ok(Some(error)) => Some(error.to_string()),
            Err(_) => Some("the scrape's time was over".to_owned()),
        };
        *asked = error.is_none().then_some(began);
        Some(Report {
            collector: NAME,
            duration: began.elapsed(),
            error,
        })
    }

    /// The answer is the first thing that went wrong with the bus. A unit that has gone meanwhile is
    /// nothing wrong.
    async fn ask(&self, view: &SystemdView) -> Option<BusError> {
        let wanted = self.wanted(view);
        let mut failed = None;
        for batch in wanted.chunks(READS_AT_ONCE) {
            let mut reads = Vec::with_capacity(batch.len());
            for unit in batch {
                let names = self.names_for(unit.kind());
                reads.push(self.systemd.type_properties(unit, names));
            }
            for (unit, read) in batch.iter().zip(join_all(reads).await) {
                match read {
                    Ok(properties) => view.lock().table.fill(unit, properties),
                    Err(error) if error.is_transient() => failed = failed.or(Some(error)),
                    Err(error) => tracing::debug!(%unit, %error, "a unit cannot be asked"),
                }
            }
        }
        failed
    }

    fn wanted(&self, view: &SystemdView) -> Vec<UnitName> {
        let shared = view.lock();
        let units = shared.table.units().iter();
        units
            .filter(|(name, entry)| entry.is_up() && !self.names_for(name.kind()).is_empty())
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn names_for(&self, kind: UnitKind) -> &[&'static str] {
        match kind {
            UnitKind::Socket => &self.of_sockets,
            UnitKind::Service => &self.of_services,
            _ => &[],
        }
    }
}
