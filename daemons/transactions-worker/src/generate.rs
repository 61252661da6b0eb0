//! The generator: one instance inserts transactions at a set rate, so that the demo has a life.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use transactions::store::Store;
use transactions::{Amount, Currency, NewTransaction, TransactionId};

use crate::config::GeneratorConfig;
use crate::metrics::Metrics;

/// Between two looks at what is due; rates above one in this time are inserted in small groups.
const TICK: Duration = Duration::from_millis(20);

/// What is inserted at once at most: after a stall the generator goes on, it does not catch up.
const GROUP_MAX: f64 = 500.0;

/// What the demo's customers pay in.
const CURRENCIES: [&str; 4] = ["EUR", "USD", "GBP", "JPY"];

/// The generator.
pub(crate) struct Generator {
    rate_per_second: f64,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
}

impl Generator {
    pub(crate) fn new(config: GeneratorConfig, store: Arc<Store>, metrics: Arc<Metrics>) -> Self {
        Self {
            rate_per_second: config.rate_per_second,
            store,
            metrics,
        }
    }

    /// Inserts until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tracing::info!(
            rate_per_second = self.rate_per_second,
            "generating transactions"
        );
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut before = Instant::now();
        let mut due = 0.0_f64;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let now = Instant::now();
            due += self.rate_per_second * (now - before).as_secs_f64();
            due = due.min(GROUP_MAX);
            before = now;
            let mut inserts = JoinSet::new();
            while due >= 1.0 {
                due -= 1.0;
                let store = Arc::clone(&self.store);
                inserts.spawn(async move { store.insert(invent()).await });
            }
            for inserted in inserts.join_all().await {
                match inserted {
                    Ok(_) => self.metrics.inserted.inc(),
                    Err(error) => self.metrics.count_store_error(&error),
                }
            }
        }
    }
}

/// A transaction whose amount and currency come from the random end of an id.
fn invent() -> NewTransaction {
    let [.., a, b, c, d] = *TransactionId::generate().as_bytes();
    let [high, low] = [[a, b], [c, d]].map(u16::from_be_bytes);
    let code = CURRENCIES[usize::from(high) % CURRENCIES.len()];
    let currency: Currency = code.parse().expect("the generator's currencies are known");
    let amount = Amount::try_from_minor_units(1 + i64::from(low), currency)
        .expect("a sum of at least one minor unit is an amount");
    NewTransaction::receive(amount, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_currency_is_invented_sooner_or_later() {
        let seen: std::collections::HashSet<_> = (0..1_000)
            .map(|_| invent().amount.currency().code())
            .collect();
        assert_eq!(seen.len(), CURRENCIES.len());
    }
}
