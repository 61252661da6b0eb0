//! How often may it be done? At most so many actions in any window, for the rule, for the unit
//! and for the host, and at most so many at once.

use jiff::Timestamp;

use super::PlanGuard;
use crate::case::Case;
use crate::policy::Budget;
use crate::{Decision, PastAction, Reason, time};

pub(crate) const HOST_IN_FLIGHT: PlanGuard = PlanGuard {
    claim: "the host has room for one more repair at once",
    objection: |case, _| {
        let under_way = case.history.in_flight().count();
        (under_way >= case.policy.host().max_in_flight)
            .then(|| case.hold_shortly(Reason::HostInFlight))
    },
};

pub(crate) const RULE_BUDGET: PlanGuard = PlanGuard {
    claim: "the rule has an action left",
    objection: |case, plan| {
        let spent = frees_up_at(case, case.rule.budget, |action| action.rule == plan.rule);
        spent.map(|_| Decision::Escalate(Reason::RuleBudget))
    },
};

pub(crate) const UNIT_BUDGET: PlanGuard = PlanGuard {
    claim: "the unit has an action left",
    objection: |case, plan| {
        let budget = case.policy.host().unit_budget;
        let spent = frees_up_at(case, budget, |action| action.unit == plan.unit);
        spent.map(|_| Decision::Escalate(Reason::UnitBudget))
    },
};

pub(crate) const HOST_BUDGET: PlanGuard = PlanGuard {
    claim: "the host has an action left",
    objection: |case, _| {
        let spent = frees_up_at(case, case.policy.host().budget, |_| true);
        // The unit is not to blame, and its turn will come.
        spent.map(|free_at| case.hold_until(Reason::HostBudget, free_at))
    },
};

/// When the budget allows one more action; `None` where it does now.
fn frees_up_at(
    case: &Case<'_>,
    budget: Budget,
    counts: impl Fn(&PastAction) -> bool,
) -> Option<Timestamp> {
    let recent = case.history.within(budget.window, case.now());
    let mut times: Vec<Timestamp> = recent
        .filter(|action| counts(action))
        .map(|action| action.at)
        .collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    let oldest_that_counts = times.get(budget.max_actions.get() - 1)?;
    Some(time::after(*oldest_that_counts, budget.window))
}
