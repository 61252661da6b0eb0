//! The slow beat: gauges, what expires, retention. No repair ever waits for it.

use std::time::Duration;

use remediation::Standing;
use tokio::time::Instant;

use super::Engine;
use super::follow::as_gauge;
use crate::metrics::seconds;
use crate::ports::Ledger;
use crate::record;

/// The longest time between two beats; also how soon an alert is taken up whose bell was rung
/// while the ledger could not be read.
pub(super) const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

/// Between two runs of the ledger's retention.
const FORGET_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

impl<L: Ledger> Engine<L> {
    pub(super) async fn tick(&mut self) {
        self.bell.notify_one();
        let now = self.now();
        self.pauses.retain(|pause| pause.until > now);
        self.publish_pause();
        self.prune_history();
        self.publish_standing();
        self.check_watchdog();
        self.forget().await;
    }

    pub(super) fn publish_pause(&self) {
        let paused = self.pauses.iter().any(|pause| pause.unit.is_none());
        self.metrics.paused.set(i64::from(paused));
    }

    pub(super) fn count_queue(&self, count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.queue_depth.set(count);
    }

    pub(super) fn watchdog_arrived(&mut self) {
        self.watchdog_seen = Instant::now();
        self.metrics.watchdog_last_received.set(seconds(self.now()));
        if std::mem::take(&mut self.watchdog_lost) {
            tracing::info!("the alert that always fires arrives again");
        }
    }

    fn check_watchdog(&mut self) {
        let age = self.watchdog_seen.elapsed();
        if age > self.settings.watchdog_timeout && !self.watchdog_lost {
            self.watchdog_lost = true;
            record::watchdog_lost(age);
        }
    }

    /// Forgets in memory what no limit looks back on any more; the ledger keeps it for longer.
    fn prune_history(&mut self) {
        let reach = self.policy.history_window() * 2;
        let Ok(horizon) = self.now().saturating_sub(reach) else {
            return;
        };
        let history = &mut self.history;
        history
            .actions
            .retain(|past| past.at > horizon || past.is_in_flight());
        history.escalations.retain(|past| past.at > horizon);
        history.resets.retain(|past| past.at > horizon);
    }

    fn publish_standing(&self) {
        let standing = Standing::of(&self.policy, &self.history, self.now());
        let budgets = &self.metrics.budget_remaining;
        budgets.reset();
        for budget in standing.budgets {
            budgets
                .with_label_values(&[budget.scope, &budget.name])
                .set(as_gauge(budget.left));
        }
        let circuits = &self.metrics.circuit_open;
        circuits.reset();
        for rule in self.policy.rules() {
            let open = standing.open_circuits.contains(&rule.name);
            circuits
                .with_label_values(&[rule.name.as_str()])
                .set(i64::from(open));
        }
    }

    async fn forget(&mut self) {
        let due = self.forgot_at.is_none_or(|at| at.elapsed() >= FORGET_EVERY);
        if !due {
            return;
        }
        self.forgot_at = Some(Instant::now());
        let (keep, now) = (self.settings.keep, self.now());
        let forget = self
            .ledger
            .call(move |store| store.forget_older_than(keep, now));
        match forget.await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "old rows left the ledger"),
            Err(error) => tracing::warn!(%error, "old rows could not be removed; trying tomorrow"),
        }
    }
}
