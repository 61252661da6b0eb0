//! A circuit breaker for each rule, worked out from what its actions came to.
//!
//! ```text
//!            `failures` within `window`            `open_for` is over
//!   closed ─────────────────────────────▶ open ─────────────────────▶ half open
//!     ▲                                    ▲                              │
//!     └── effective ───────────────────────┼──────────────── effective ───┤
//!                                          └────────────── ineffective ───┘
//! ```

use jiff::Timestamp;

use super::Guard;
use crate::case::Case;
use crate::policy::Breaker;
use crate::{Decision, Outcome, Reason, time};

pub(crate) const CIRCUIT_OPEN: Guard = Guard {
    claim: "the rule's circuit is not open",
    objection: |case| {
        let circuit = circuit(case);
        let Circuit::Open { since, until } = circuit else {
            return None;
        };
        if case.now() >= until {
            return None;
        }
        let told = case.history.escalations.iter().any(|told| {
            told.rule == case.rule.name && told.reason == Reason::CircuitOpen && told.at >= since
        });
        Some(if told {
            case.hold_until(Reason::CircuitOpen, until)
        } else {
            Decision::Escalate(Reason::CircuitOpen)
        })
    },
};

/// The state that a sequence of outcomes leads to. A circuit that stays `Open` past `until` is
/// half open: the next outcome settles which way it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Circuit {
    Closed { failures: Vec<Timestamp> },
    Open { since: Timestamp, until: Timestamp },
}

impl Circuit {
    const CLOSED: Self = Self::Closed {
        failures: Vec::new(),
    };

    fn after(self, at: Timestamp, outcome: Outcome, limits: Breaker) -> Self {
        match (self, outcome) {
            (_, Outcome::Effective) => Self::CLOSED,
            (state, Outcome::Unknown) => state,
            (Self::Open { .. }, Outcome::Ineffective) => Self::open(at, limits),
            (Self::Closed { mut failures }, Outcome::Ineffective) => {
                let horizon = time::before(at, limits.window);
                failures.retain(|failure| *failure > horizon);
                failures.push(at);
                if failures.len() >= limits.failures {
                    Self::open(at, limits)
                } else {
                    Self::Closed { failures }
                }
            }
        }
    }

    fn open(since: Timestamp, limits: Breaker) -> Self {
        let until = time::after(since, limits.open_for);
        Self::Open { since, until }
    }
}

fn circuit(case: &Case<'_>) -> Circuit {
    let mut outcomes: Vec<(Timestamp, Outcome)> = case
        .unsettled_actions()
        .filter_map(|action| action.judged)
        .map(|judged| (judged.at, judged.outcome))
        .collect();
    outcomes.sort();
    outcomes
        .into_iter()
        .fold(Circuit::CLOSED, |circuit, (at, outcome)| {
            circuit.after(at, outcome, case.rule.breaker)
        })
}
