//! Policy and decision: what may be done about an alert, and why.
//!
//! This is the middle of the alert's way through the bot:
//!
//! ```text
//! intake → engine → [ decide ] → act → verify → record → tell
//! ```
//!
//! [`decide`] is a function of three values and of nothing else: the [`Policy`] that a person
//! wrote, the [`History`] that the ledger kept, and the [`Situation`] that the engine saw, in
//! which the time is a field. There is deliberately no clock, no randomness, no I/O and no async in
//! this crate, so every decision can be stored, replayed and explained.
//!
//! Read [`decide`](mod@decide) first: it lists the questions in the order in which a careful
//! operator would ask them. Each question is one function below `guards/`.

mod action;
mod alert;
mod case;
mod decide;
mod decision;
mod fleet;
mod guards;
mod history;
mod ladder;
mod lint;
mod policy;
mod policy_tests;
mod polkit;
mod protected;
mod reader;
mod reason;
mod replay;
mod select;
mod situation;
mod standing;
#[cfg(test)]
mod testing;
mod time;

pub use action::{Action, Expected, Signal, UnknownSignal};
pub use alert::{Alert, AlertStatus, Trigger};
pub use decide::{Explanation, Step, decide, explain};
pub use decision::{Decision, Plan};
pub use fleet::{FleetView, Others};
pub use history::{History, Judgement, Outcome, PastAction, PastEscalation, RuleReset};
pub use lint::UnitFiles;
pub use policy::{
    Backoff, Breaker, Budget, Efficacy, Flapping, FleetLimits, HostLimits, Matcher, MatcherError,
    Matchers, Mode, Place, Policy, PolicyError, PolicyErrors, PolicyHash, Probe, Proof, Rule,
    RuleName, RuleNameError, Rung, RungAction, Saturation, Storm, When, WhenUnreachable,
};
pub use policy_tests::{TestResult, run_tests};
pub use polkit::{Verb, granted, polkit_rules};
pub use protected::is_protected;
pub use reason::Reason;
pub use replay::{Difference, Recorded, replay};
pub use select::{Selection, Target};
pub use situation::{
    AlertNow, Answer, Approval, Attempt, IncidentView, Pause, Percent, Pressure, Situation, Watched,
};
pub use standing::{BudgetLeft, Standing};
