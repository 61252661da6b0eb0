//! After actions that did not help, wait longer each time.

use std::time::Duration;

use uuid::Uuid;

use super::Guard;
use crate::policy::Backoff;
use crate::{Outcome, Percent, Reason, time};

pub(crate) const BACKOFF: Guard = Guard {
    claim: "the wait after the last action that did not help is over",
    objection: |case| {
        let limits = case.rule.backoff;
        let mut judged: Vec<_> = case
            .history
            .within(limits.memory, case.now())
            .filter(|action| case.target.covers(&action.unit))
            .filter_map(|action| action.judged)
            .map(|judged| (judged.at, judged.outcome))
            .collect();
        judged.sort();
        let failures = judged
            .iter()
            .rev()
            .take_while(|(_, outcome)| *outcome != Outcome::Effective)
            .count();
        let (last_failure, _) = judged.last().filter(|_| failures > 0)?;
        let wait = wait_after(failures, limits, case.situation.incident.id);
        let over_at = time::after(*last_failure, wait);
        (case.now() < over_at).then(|| case.hold_until(Reason::Backoff, over_at))
    },
};

/// The wait after so many failures in a row, at least one, with its jitter.
fn wait_after(failures: usize, limits: Backoff, incident: Uuid) -> Duration {
    let doublings = u32::try_from(failures - 1).unwrap_or(u32::MAX);
    let growth = limits.factor.saturating_pow(doublings);
    let wait = limits.initial.saturating_mul(growth).min(limits.max);
    wait.saturating_add(jitter(wait, limits.jitter, incident))
}

/// Between nothing and `share` of the wait. The last bits of an incident's id are random, and the
/// same for as long as it lasts, so a replay gives the same wait.
fn jitter(wait: Duration, share: Percent, incident: Uuid) -> Duration {
    const STEPS: u32 = 256;
    let step = u32::from(incident.as_bytes()[15]);
    share.of_duration(wait) * step / STEPS
}
