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
        let is_spent = |unit| {
            let on_unit = |action: &PastAction| action.units().any(|acted_on| acted_on == unit);
            spent(budget, case.history, case.now(), on_unit).is_some()
        };
        let any = plan.units().any(is_spent);
        any.then(|| case.escalate(Reason::UnitBudget))
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

#[cfg(test)]
mod tests {
    use units::ActiveState::Failed;

    use crate::testing::{Scene, ago, ahead};
    use crate::{Decision, Outcome, Reason};

    fn past(scene: Scene, name: &str, seconds: &[u64]) -> Scene {
        seconds.iter().fold(scene, |scene, seconds| {
            scene.past(name, ago(*seconds), Some(Outcome::Effective))
        })
    }

    #[test]
    fn a_rules_actions_are_counted_over_all_its_units() {
        let scene = || Scene::new(Failed).rule(r#"budget = { max_actions = 2, window = "1m" }"#);
        for (seconds, decided) in [
            (&[50][..], None),
            (&[50, 40], Some(Decision::Escalate(Reason::RuleBudget))),
            (&[60, 40], None),
            (&[70, 60, 40], None),
        ] {
            let decision = past(scene(), "worker@1.service", seconds).decide();
            match decided {
                Some(decided) => assert_eq!(decision, decided, "{seconds:?}"),
                None => assert_eq!(decision.reason(), Reason::Due, "{seconds:?}"),
            }
        }
    }

    #[test]
    fn a_units_actions_are_counted_over_all_rules() {
        let host = r#"unit_budget = { max_actions = 2, window = "1m" }"#;
        for (name, reason) in [
            ("api.service", Reason::UnitBudget),
            ("worker@1.service", Reason::Due),
        ] {
            let mut scene = past(Scene::new(Failed).host(host), name, &[50, 40]);
            for action in &mut scene.history.actions {
                action.rule = "another".parse().unwrap();
            }
            assert_eq!(scene.reason(), reason, "{name}");
        }
    }

    #[test]
    fn the_hosts_budget_holds_until_its_oldest_action_is_out_of_the_window() {
        let host = r#"budget = { max_actions = 2, window = "1m" }"#;
        let scene = Scene::new(Failed)
            .host(host)
            .rule("budget = { max_actions = 99 }");
        let scene = past(scene, "other.service", &[90, 50, 40]);
        let held = Decision::Hold {
            reason: Reason::HostBudget,
            retry_at: ahead(10),
        };
        assert_eq!(scene.decide(), held);
    }

    #[test]
    fn a_clock_that_was_set_back_frees_no_budget() {
        let mut scene = Scene::new(Failed).rule(r#"budget = { max_actions = 2, window = "1m" }"#);
        for hours in [1, 2] {
            scene = scene.past(
                "worker@1.service",
                ahead(3600 * hours),
                Some(Outcome::Effective),
            );
        }
        assert_eq!(scene.reason(), Reason::RuleBudget);
    }

    #[test]
    fn only_so_many_repairs_at_once_on_a_host() {
        let scene = |most| {
            Scene::new(Failed)
                .host(&format!("max_in_flight = {most}"))
                .past("a.service", ago(60), None)
                .past("b.service", ago(60), None)
        };
        assert_eq!(scene(2).reason(), Reason::HostInFlight);
        assert_eq!(scene(3).reason(), Reason::Due);
    }
}
