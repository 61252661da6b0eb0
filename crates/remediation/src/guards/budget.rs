//! How often may it be done? At most so many actions in any window, for the rule, for the unit
//! and for the host, and at most so many at once.

use jiff::Timestamp;

use super::PlanGuard;
use crate::policy::Budget;
use crate::{History, PastAction, Reason, time};

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
        let by_rule = |action: &PastAction| action.rule == plan.rule;
        let spent = spent(case.rule.budget, case.history, case.now(), by_rule);
        spent.map(|_| case.escalate(Reason::RuleBudget))
    },
};

pub(crate) const UNIT_BUDGET: PlanGuard = PlanGuard {
    claim: "the unit has an action left",
    objection: |case, plan| {
        let budget = case.policy.host().unit_budget;
        let on_unit = |action: &PastAction| action.unit == plan.unit;
        let spent = spent(budget, case.history, case.now(), on_unit);
        spent.map(|_| case.escalate(Reason::UnitBudget))
    },
};

pub(crate) const HOST_BUDGET: PlanGuard = PlanGuard {
    claim: "the host has an action left",
    objection: |case, _| {
        let spent = spent(case.policy.host().budget, case.history, case.now(), |_| {
            true
        });
        // The unit is not to blame, and its turn will come.
        spent.map(|free_at| case.hold_until(Reason::HostBudget, free_at))
    },
};

/// How many actions are left of a budget now.
pub(crate) fn left(
    budget: Budget,
    history: &History,
    now: Timestamp,
    counts: impl Fn(&PastAction) -> bool,
) -> usize {
    let used = history.within(budget.window, now).filter(|a| counts(a));
    budget.max_actions.get().saturating_sub(used.count())
}

/// When a budget that is used up allows one more action; `None` where it does now.
fn spent(
    budget: Budget,
    history: &History,
    now: Timestamp,
    counts: impl Fn(&PastAction) -> bool,
) -> Option<Timestamp> {
    let used = history.within(budget.window, now).filter(|a| counts(a));
    let mut newest_first: Vec<Timestamp> = used.map(|action| action.at).collect();
    newest_first.sort_unstable_by(|a, b| b.cmp(a));
    let first_to_go = newest_first.get(budget.max_actions.get() - 1)?;
    Some(time::after(*first_to_go, budget.window))
}
