//! Where the faults strike.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use daemon_kit::reply::{self, Reply};
use http::StatusCode;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Active, Faults, Kind, Setting};
use crate::route::Route;

/// Between two steps of growing memory.
const GROWTH_STEP: Duration = Duration::from_millis(100);

impl Faults {
    /// Lets the active faults strike a request; some of them answer it.
    pub(crate) async fn strike(&self, route: Route<'_>) -> Option<Reply> {
        let works = matches!(route, Route::Transactions | Route::Transaction(_));
        let probed = matches!(route, Route::Health | Route::Ready);
        if works || probed {
            while let Some(hang) = self.active(Kind::Hang) {
                // Looks again now and then: the fault may be cleared before its end.
                sleep_until(hang.until.min(Instant::now() + GROWTH_STEP)).await;
            }
        }
        if !works {
            return None;
        }
        if let Some(Active {
            setting: Setting::Latency(delay),
            ..
        }) = self.active(Kind::Latency)
        {
            sleep(delay).await;
        }
        if let Some(Active {
            setting: Setting::Jitter(delay),
            ..
        }) = self.active(Kind::Jitter)
        {
            sleep(delay.mul_f64(chance())).await;
        }
        match self.active(Kind::Errors) {
            Some(Active {
                setting: Setting::Errors(ratio),
                ..
            }) if chance() < ratio => Some(reply::problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "an injected fault",
            )),
            _ => None,
        }
    }
}

/// Grows by `bytes_per_second` until the fault ends, and then lets go of it all.
pub(super) async fn grow_memory(faults: Arc<Faults>, bytes_per_second: u64, until: Instant) {
    let steps_per_second = u64::try_from(1000 / GROWTH_STEP.as_millis()).unwrap_or(1);
    let step = usize::try_from(bytes_per_second / steps_per_second).unwrap_or(usize::MAX);
    let mut held: Vec<Vec<u8>> = Vec::new();
    // A later setting of the same kind has its own end, and its own task.
    while faults
        .active(Kind::Memory)
        .is_some_and(|active| active.until == until)
    {
        // Written, not only reserved: an untouched page costs nothing.
        held.push(vec![1; step]);
        sleep(GROWTH_STEP).await;
    }
}

/// An even draw from 0 to 1, below 1. Not for secrets.
fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    // The upper 32 bits, exactly as an f64 holds them.
    f64::from((bits >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn faults(setting: &str) -> Arc<Faults> {
        let faults = Faults::new(Arc::new(Metrics::new()));
        faults.set(setting.parse().unwrap(), Duration::from_secs(60), 0);
        faults
    }

    #[tokio::test(start_paused = true)]
    async fn latency_strikes_transactions_and_spares_probes() {
        let faults = faults("latency=3s");
        let start = Instant::now();
        assert!(faults.strike(Route::Health).await.is_none());
        assert!(faults.strike(Route::Metrics).await.is_none());
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(faults.strike(Route::Transactions).await.is_none());
        assert_eq!(start.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hang_lasts_until_its_end_and_spares_metrics() {
        let faults = faults("hang");
        let start = Instant::now();
        assert!(faults.strike(Route::Metrics).await.is_none());
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(faults.strike(Route::Health).await.is_none());
        assert_eq!(start.elapsed(), Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn errors_strike_in_their_ratio() {
        let all = faults("errors=1").strike(Route::Transactions).await;
        assert_eq!(all.unwrap().status(), 500);
        let faults = faults("errors=0.25");
        let mut struck = 0;
        for _ in 0..4_000 {
            struck += usize::from(faults.strike(Route::Transaction("x")).await.is_some());
        }
        // 4,000 trials at 0.25: 1,000 ± 27.
        assert!((700..1_300).contains(&struck), "{struck}");
    }
}
