//! The guards: one question each, one file for each concern.
//!
//! A guard states a claim that must hold before the bot acts. Its function returns `None` where it
//! holds and the decision that follows where it does not.

pub(crate) mod approval;
mod backoff;
pub(crate) mod breaker;
pub(crate) mod budget;
mod busy;
mod cooldown;
mod existence;
mod flapping;
mod fleet;
mod health;
mod incident;
#[cfg(test)]
mod patience;
mod quiet;
mod requirement;
pub(crate) mod saturation;
mod storm;
mod template;

use crate::case::Case;
use crate::{Decision, Plan};

pub(crate) use approval::{APPROVAL, OBSERVE_MODE};
pub(crate) use backoff::BACKOFF;
pub(crate) use breaker::CIRCUIT_OPEN;
pub(crate) use budget::{HOST_BUDGET, HOST_IN_FLIGHT, RULE_BUDGET, UNIT_BUDGET};
pub(crate) use busy::{IN_FLIGHT, UNIT_BUSY};
pub(crate) use cooldown::COOLDOWN;
pub(crate) use existence::{PROTECTED_UNIT, UNIT_EXISTS};
pub(crate) use flapping::FLAPPING;
pub(crate) use fleet::{FLEET_REACHABLE, FLEET_TURN};
pub(crate) use health::{ALREADY_HEALTHY, SETTLING};
pub(crate) use incident::{ALERT_RESOLVED, ESCALATED, TRUNCATED};
pub(crate) use quiet::{PAUSED, SILENCED};
pub(crate) use requirement::REQUIREMENT_FAILED;
pub(crate) use storm::STORM;
pub(crate) use template::{HEALTHY_MIN, TEMPLATE_DOWN};

/// A question that is asked before there is a plan.
pub(crate) struct Guard {
    pub(crate) claim: &'static str,
    pub(crate) objection: fn(&Case<'_>) -> Option<Decision>,
}

/// A question about a plan.
pub(crate) struct PlanGuard {
    pub(crate) claim: &'static str,
    pub(crate) objection: fn(&Case<'_>, &Plan) -> Option<Decision>,
}
