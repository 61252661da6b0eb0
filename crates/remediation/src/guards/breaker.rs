//! A circuit breaker for each rule, worked out from what its actions came to.
//!
//! ```text
//!            `failures` within `window`            `open_for` is over
//!   closed ─────────────────────────────▶ open ─────────────────────▶ half open
//!     ▲                                    ▲                              │
//!     │                                    └───────────── ineffective ────┤
//!     └────────────────────────────────────────────────── effective ──────┘
//! ```

use jiff::Timestamp;

use super::Guard;
use crate::policy::Breaker;
use crate::{History, Outcome, Reason, Rule, time};

pub(crate) const CIRCUIT_OPEN: Guard = Guard {
    claim: "the rule's circuit is not open",
    objection: |case| {
        let opening = open_circuit(case.rule, case.history, case.now())?;
        let told = case.history.escalations.iter().any(|told| {
            let same_circuit = told.rule == case.rule.name && told.reason == Reason::CircuitOpen;
            same_circuit && told.at >= opening.since
        });
        Some(if told {
            case.hold_until(Reason::CircuitOpen, opening.until)
        } else {
            case.escalate(Reason::CircuitOpen)
        })
    },
};

/// The time for which a circuit lets nothing pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    since: Timestamp,
    until: Timestamp,
}

/// Where the rule's outcomes have led; `None` where the circuit is closed or half open.
pub(crate) fn open_circuit(rule: &Rule, history: &History, now: Timestamp) -> Option<Opening> {
    let judged = history.unsettled_by(&rule.name).filter_map(|a| a.judged);
    let mut outcomes: Vec<_> = judged.map(|judged| (judged.at, judged.outcome)).collect();
    outcomes.sort_unstable();
    let circuit = outcomes
        .into_iter()
        .fold(Circuit::CLOSED, |circuit, (at, outcome)| {
            circuit.after(at, outcome, rule.breaker)
        });
    match circuit {
        Circuit::Open(opening) if now < opening.until => Some(opening),
        Circuit::Open(_) | Circuit::Closed { .. } => None,
    }
}

/// The state that a sequence of outcomes leads to. One that stays `Open` past its end is half
/// open: the next outcome settles which way it goes.
enum Circuit {
    Closed { failures: Vec<Timestamp> },
    Open(Opening),
}

impl Circuit {
    const CLOSED: Self = Self::Closed {
        failures: Vec::new(),
    };

    fn after(self, at: Timestamp, outcome: Outcome, limits: Breaker) -> Self {
        match (self, outcome) {
            (_, Outcome::Effective) => Self::CLOSED,
            (circuit, Outcome::Unknown) => circuit,
            (Self::Open(_), Outcome::Ineffective) => Self::open(at, limits),
            (Self::Closed { mut failures }, Outcome::Ineffective) => {
                let horizon = time::before(at, limits.window);
                failures.retain(|failure| *failure > horizon);
                failures.push(at);
                if failures.len() < limits.failures {
                    Self::Closed { failures }
                } else {
                    Self::open(at, limits)
                }
            }
        }
    }

    fn open(since: Timestamp, limits: Breaker) -> Self {
        let until = time::after(since, limits.open_for);
        Self::Open(Opening { since, until })
    }
}

#[cfg(test)]
mod tests {
    use units::ActiveState::Failed;

    use crate::Outcome::{self, *};
    use crate::testing::{Scene, ago, ahead, rule_name};
    use crate::{Decision, PastEscalation, Reason, RuleReset};

    type Case<'a> = (&'a str, &'a [(u64, Outcome)], Reason);

    const RULE: &str = r#"
        breaker = { failures = 3, window = "15m", open_for = "30m" }
        budget = { max_actions = 99, window = "1m" }
    "#;

    fn scene(past: &[(u64, Outcome)]) -> Scene {
        let scene = Scene::new(Failed)
            .rule(RULE)
            .host(r#"unit_budget = { max_actions = 99, window = "1m" }"#);
        past.iter().fold(scene, |scene, (minutes, outcome)| {
            scene.past("api.service", ago(60 * minutes), Some(*outcome))
        })
    }

    #[test]
    fn opens_after_enough_failures_and_lets_one_try_pass_later() {
        let cases: [Case<'_>; 9] = [
            ("no past", &[], Reason::Due),
            (
                "two failures",
                &[(9, Ineffective), (5, Ineffective)],
                Reason::Due,
            ),
            (
                "three within the window",
                &[(9, Ineffective), (7, Ineffective), (5, Ineffective)],
                Reason::CircuitOpen,
            ),
            (
                "three, too far apart",
                &[(25, Ineffective), (7, Ineffective), (5, Ineffective)],
                Reason::Due,
            ),
            (
                "a repair between them",
                &[
                    (9, Ineffective),
                    (7, Ineffective),
                    (6, Effective),
                    (5, Ineffective),
                ],
                Reason::Due,
            ),
            (
                "unknown is no failure",
                &[(9, Ineffective), (7, Unknown), (5, Ineffective)],
                Reason::Due,
            ),
            (
                "half open",
                &[(40, Ineffective), (35, Ineffective), (30, Ineffective)],
                Reason::Due,
            ),
            (
                "the one try failed",
                &[
                    (45, Ineffective),
                    (42, Ineffective),
                    (40, Ineffective),
                    (5, Ineffective),
                ],
                Reason::CircuitOpen,
            ),
            (
                "the one try helped",
                &[
                    (45, Ineffective),
                    (42, Ineffective),
                    (40, Ineffective),
                    (5, Effective),
                ],
                Reason::Due,
            ),
        ];
        for (name, past, reason) in cases {
            assert_eq!(scene(past).reason(), reason, "{name}");
        }
    }

    #[test]
    fn people_are_told_once_for_each_opening() {
        let mut scene = scene(&[(9, Ineffective), (7, Ineffective), (5, Ineffective)]);
        assert_eq!(scene.decide(), Decision::Escalate(Reason::CircuitOpen));
        scene.history.escalations.push(PastEscalation {
            at: ago(200),
            incident: uuid::Uuid::from_u128(2),
            rule: rule_name(),
            reason: Reason::CircuitOpen,
        });
        let held = Decision::Hold {
            reason: Reason::CircuitOpen,
            retry_at: ahead(60 * 25),
        };
        assert_eq!(scene.decide(), held);
    }

    #[test]
    fn a_person_can_close_it() {
        let mut scene = scene(&[(9, Ineffective), (7, Ineffective), (5, Ineffective)]);
        scene.history.resets.push(RuleReset {
            at: ago(60),
            rule: rule_name(),
        });
        assert_eq!(scene.reason(), Reason::Due);
    }
}
