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
            .filter(|action| action.is_on(&case.target))
            .filter_map(|action| action.judged)
            // What lies ahead was dated by a clock that has been set back since (see `cooldown`).
            .filter(|judged| judged.at <= case.now())
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

#[cfg(test)]
mod tests {
    use units::ActiveState::Failed;

    use super::*;
    use crate::Reason;
    use crate::testing::{Scene, ago, ahead};

    fn limits(jitter: f64) -> Backoff {
        Backoff {
            initial: Duration::from_secs(10),
            factor: 2,
            max: Duration::from_secs(60),
            jitter: Percent::from_f64(jitter),
            memory: Duration::from_secs(3600),
        }
    }

    #[test]
    fn waits_grow_up_to_the_longest() {
        for (failures, seconds) in [(1, 10), (2, 20), (3, 40), (4, 60), (500, 60)] {
            let wait = wait_after(failures, limits(0.0), Uuid::nil());
            assert_eq!(wait, Duration::from_secs(seconds), "{failures}");
        }
    }

    #[test]
    fn jitter_only_lengthens_and_is_settled_by_the_incident() {
        for (byte, millis) in [(0_u128, 10_000), (128, 11_000), (255, 11_992)] {
            let wait = wait_after(1, limits(20.0), Uuid::from_u128(byte));
            assert_eq!(wait.as_millis(), millis, "{byte}");
        }
    }

    #[test]
    fn counts_failures_since_the_last_repair_that_helped() {
        let rule = r#"
            backoff = { initial = "10s", factor = 10, jitter = "0%", memory = "30m" }
            breaker = { failures = 99 }
        "#;
        let failed = Some(Outcome::Ineffective);
        let scene = || Scene::new(Failed).rule(rule);
        for (name, scene, reason) in [
            (
                "one, 10 s",
                scene().past("api.service", ago(9), failed),
                Reason::Backoff,
            ),
            (
                "one, over",
                scene().past("api.service", ago(10), failed),
                Reason::Due,
            ),
            (
                "two, 100 s",
                scene()
                    .past("api.service", ago(150), failed)
                    .past("api.service", ago(99), failed),
                Reason::Backoff,
            ),
            (
                "not knowing is not helping",
                scene().past("api.service", ago(9), Some(Outcome::Unknown)),
                Reason::Backoff,
            ),
            (
                "judged by a clock that was set back since",
                scene().past("api.service", ahead(3600), failed),
                Reason::Due,
            ),
            (
                "the last one helped",
                scene().past("api.service", ago(150), failed).past(
                    "api.service",
                    ago(5),
                    Some(Outcome::Effective),
                ),
                Reason::Due,
            ),
            (
                "one forgotten, so only 10 s",
                scene()
                    .past("api.service", ago(1801), failed)
                    .past("api.service", ago(11), failed),
                Reason::Due,
            ),
        ] {
            assert_eq!(scene.reason(), reason, "{name}");
        }
    }
}
