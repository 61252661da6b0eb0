//! Talking to systemd: readiness, the status line, and a watchdog that means something.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

/// Tells systemd that the daemon serves now, with its first status line.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Replaces the line that `systemctl status` shows.
pub fn status(line: &str) {
    send(&[NotifyState::Status(line)]);
}

/// Tells systemd that the daemon drains and will exit.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

fn send(states: &[NotifyState<'_>]) {
    // Outside systemd there is nobody to tell; `notify` then does nothing.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be notified");
    }
}

/// Proof that the real work goes on: the work loop calls [`Heartbeat::beat`], and only while it
/// does is systemd's watchdog fed. A side task that pinged by itself would prove nothing.
#[derive(Clone)]
pub struct Heartbeat {
    started: Instant,
    last_beat_ms: Arc<AtomicU64>,
}

impl Heartbeat {
    /// Begins to feed the watchdog, if the unit has `WatchdogSec=`. The work loop must beat at
    /// least every [`Heartbeat::interval`].
    pub fn start() -> Self {
        let heartbeat = Self {
            started: Instant::now(),
            last_beat_ms: Arc::default(),
        };
        if let Some(timeout) = sd_notify::watchdog_enabled() {
            tokio::spawn(heartbeat.clone().feed(timeout));
        }
        heartbeat
    }

    /// How often the work loop should beat at least: a quarter of `WatchdogSec=`, and 5 s where
    /// there is none.
    pub fn interval() -> Duration {
        sd_notify::watchdog_enabled().map_or(Duration::from_secs(5), |timeout| timeout / 4)
    }

    /// The work loop got through one more round.
    pub fn beat(&self) {
        let elapsed = self.started.elapsed().as_millis();
        self.last_beat_ms.store(
            u64::try_from(elapsed).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    /// How long ago the last beat was.
    pub fn age(&self) -> Duration {
        let last = Duration::from_millis(self.last_beat_ms.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(last)
    }

    async fn feed(self, timeout: Duration) {
        let mut ticks = tokio::time::interval(timeout / 4);
        loop {
            ticks.tick().await;
            // Half the timeout: one missed beat is forgiven, a stuck loop is not.
            if self.age() <= timeout / 2 {
                send(&[NotifyState::Watchdog]);
            } else {
                tracing::error!(age = ?self.age(), "the work loop is stuck; not feeding the watchdog");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_heart_that_does_not_beat_grows_old() {
        let heartbeat = Heartbeat::start();
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(heartbeat.age(), Duration::from_secs(9));
        heartbeat.beat();
        assert_eq!(heartbeat.age(), Duration::ZERO);
    }
}
