//! One scrape: collect, render, compress.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use daemon_kit::metrics::{TEXT_FORMAT, accepts_gzip};
use daemon_kit::reply::{self, Reply};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use nix::time::{ClockId, clock_gettime};

use crate::collect::{Collector, Report};
use crate::devices::Devices;
use crate::exposition::Exposition;
use crate::follow::SystemdView;
use crate::kept_files::Allowance;
use crate::metrics::own::OwnMetrics;
use crate::render;
use crate::unsignalled::Unsignalled;

/// Prometheus says how long it will wait.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// Where the scraper does not say, Prometheus's own default.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Of the scraper's time, the share for collecting; the rest is for rendering and the way back.
const COLLECTING_SHARE: f64 = 0.8;

/// The size of an answer, in bytes, before one was given.
const FIRST_BYTES: usize = 64 * 1024;

/// Everything that a scrape needs.
#[derive(Debug)]
pub struct Scraper {
    work: Mutex<Work>,
    view: SystemdView,
    unsignalled: Unsignalled,
    own: OwnMetrics,
    allowance: Allowance,
}

#[derive(Debug)]
struct Work {
    collector: Collector,
    devices: Devices,
    /// The size of the last answer, to begin the next with.
    last_bytes: usize,
}

impl Scraper {
    /// A scraper over what the collector reads and what systemd shows.
    pub fn new(
        collector: Collector,
        devices: Devices,
        view: SystemdView,
        unsignalled: Unsignalled,
        own: OwnMetrics,
        allowance: Allowance,
    ) -> Arc<Self> {
        let work = Work {
            collector,
            devices,
            last_bytes: FIRST_BYTES,
        };
        Arc::new(Self {
            work: Mutex::new(work),
            view,
            unsignalled,
            own,
            allowance,
        })
    }

    /// Answers a scrape. Concurrent scrapes take turns.
    pub async fn answer(self: Arc<Self>, headers: HeaderMap) -> Reply {
        let deadline = Instant::now() + collecting_time(&headers);
        let is_packed = accepts_gzip(&headers);
        self.refresh_unsignalled(deadline).await;
        // Reading files blocks; the loop that follows systemd must not wait for it.
        let scrape = tokio::task::spawn_blocking(move || self.exposition(deadline, is_packed));
        match scrape.await.map_err(io::Error::from).flatten() {
            Ok(body) => {
                let mut reply = reply::with_type(StatusCode::OK, TEXT_FORMAT, body);
                if is_packed {
                    let gzip = HeaderValue::from_static("gzip");
                    reply.headers_mut().insert(header::CONTENT_ENCODING, gzip);
                }
                reply
            }
            Err(error) => {
                tracing::error!(%error, "a scrape could not be answered");
                reply::text(StatusCode::INTERNAL_SERVER_ERROR, "the scrape failed")
            }
        }
    }

    /// Asks systemd for what it does not signal, where that is wanted and due.
    pub async fn refresh_unsignalled(&self, deadline: Instant) {
        if let Some(report) = self.unsignalled.refresh(&self.view, deadline).await {
            self.note(&report);
        }
    }

    fn note(&self, report: &Report) {
        if let Some(error) = &report.error {
            tracing::warn!(collector = report.collector, error, "a collector failed");
        }
        self.own.report(report);
    }

    /// The exposition, with everything that could be collected until `deadline`.
    ///
    /// # Errors
    /// The compressor failed.
    pub fn exposition(&self, deadline: Instant, is_packed: bool) -> io::Result<Vec<u8>> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let work = &mut *work;
        for report in work.collector.collect(deadline) {
            self.note(&report);
        }
        let tree = work.collector.tree();
        for io in tree.units().values().flat_map(|unit| &unit.reading.io) {
            work.devices.learn(io.device);
        }
        let capacity = work.last_bytes + work.last_bytes / 8;
        let mut text = if is_packed {
            Exposition::gzip(capacity)
        } else {
            Exposition::plain(capacity)
        };
        self.states(&mut text, work);
        render::groups(&mut text, tree, &work.devices);
        self.own.kept_files(self.allowance.kept());
        if let Err(error) = self.own.write(text.writer()) {
            tracing::error!(%error, "the exporter's own metrics could not be written");
        }
        let answer = text.finish()?;
        work.last_bytes = answer.len();
        Ok(answer)
    }

    fn states(&self, text: &mut Exposition, work: &Work) {
        let shared = self.view.lock();
        let away = "systemd cannot be heard";
        self.own.report(&Report {
            collector: "systemd",
            duration: shared.sync_duration,
            error: (!shared.is_connected()).then(|| away.to_owned()),
        });
        let tree = work.collector.tree();
        self.own
            .units(tree.units().len().max(shared.table.units().len()));
        if shared.is_current() {
            let offset = monotonic_offset_usec();
            render::states(text, &shared, tree, offset);
        }
    }
}

fn collecting_time(headers: &HeaderMap) -> Duration {
    headers
        .get(TIMEOUT_HEADER)
        .and_then(|value| value.to_str().ok()?.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(DEFAULT_TIMEOUT)
        .mul_f64(COLLECTING_SHARE)
}

/// How far the clock of the world is ahead of the monotonic one.
fn monotonic_offset_usec() -> u64 {
    let now = |clock| {
        let time = clock_gettime(clock).map(Duration::from).unwrap_or_default();
        u64::try_from(time.as_micros()).unwrap_or(0)
    };
    now(ClockId::CLOCK_REALTIME).saturating_sub(now(ClockId::CLOCK_MONOTONIC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scraper_says_how_long_it_waits() {
        let header = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT_HEADER, value.parse().unwrap());
            collecting_time(&headers)
        };
        assert_eq!(header("5"), Duration::from_secs(4));
        assert_eq!(header("0.5"), Duration::from_millis(400));
        assert_eq!(header("-1"), Duration::from_secs(8));
        assert_eq!(header("soon"), Duration::from_secs(8));
        assert_eq!(collecting_time(&HeaderMap::new()), Duration::from_secs(8));
    }
}
