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
