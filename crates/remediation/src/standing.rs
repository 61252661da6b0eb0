//! Where the limits stand, for metrics, `status` and the alerts about the bot itself.

use std::collections::BTreeSet;

use jiff::Timestamp;
use units::UnitName;

use crate::guards::{approval, breaker, budget};
use crate::{History, Mode, PastAction, Policy, RuleName};

/// What is left of every budget, and which rules have lost their freedom. It is worked out by the
/// very functions that the guards use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What is left of every budget: the host's, each rule's, and that of each unit acted on.
    pub budgets: Vec<BudgetLeft>,
    /// Rules whose circuit is open.
    pub open_circuits: BTreeSet<RuleName>,
    /// Rules that acted by themselves and were demoted to asking for approval.
    pub demoted: BTreeSet<RuleName>,
}

/// What is left of one budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetLeft {
    /// `host`, `rule` or `unit`: the metric label `scope`.
    pub scope: &'static str,
    /// The rule or unit; empty for the host. The metric label `name`.
    pub name: String,
    /// Actions left in the window that ends now.
    pub left: usize,
}

impl Standing {
    /// Where the limits stand at this moment.
    pub fn of(policy: &Policy, history: &History, now: Timestamp) -> Self {
        let rules_that = |holds: &dyn Fn(&crate::Rule) -> bool| {
            let rules = policy.rules().iter().filter(|rule| holds(rule));
            rules.map(|rule| rule.name.clone()).collect()
        };
        Self {
            budgets: budgets_left(policy, history, now),
            open_circuits: rules_that(&|rule| breaker::open_circuit(rule, history, now).is_some()),
            demoted: rules_that(&|rule| {
                rule.mode == Mode::Auto && approval::is_demoted(rule, history, now)
            }),
        }
    }
}

fn budgets_left(policy: &Policy, history: &History, now: Timestamp) -> Vec<BudgetLeft> {
    let left = |scope, name: &str, limit, counts: &dyn Fn(&PastAction) -> bool| BudgetLeft {
        scope,
        name: name.to_owned(),
        left: budget::left(limit, history, now, counts),
    };
    let host = left("host", "", policy.host().budget, &|_| true);
    let rules = policy.rules().iter().map(|rule| {
        left("rule", rule.name.as_str(), rule.budget, &|action| {
            action.rule == rule.name
        })
    });
    let acted_on: BTreeSet<&UnitName> =
        history.actions.iter().flat_map(PastAction::units).collect();
    let units = acted_on.into_iter().map(|unit| {
        left(
            "unit",
            unit.as_str(),
            policy.host().unit_budget,
            &|action| action.units().any(|acted_on| acted_on == unit),
        )
    });
    std::iter::once(host).chain(rules).chain(units).collect()
}

#[cfg(test)]
mod tests {
    use units::ActiveState::Failed;

    use super::*;
    use crate::Outcome;
    use crate::testing::{Scene, ago, noon, rule_name};

    #[test]
    fn tells_what_the_guards_would_say() {
        let scene = Scene::new(Failed)
            .host("budget = { max_actions = 5, window = \"1h\" }")
            .rule("budget = { max_actions = 2, window = \"1h\" }")
            .past("api.service", ago(9000), Some(Outcome::Effective))
            .past("api.service", ago(90), Some(Outcome::Ineffective))
            .past("worker@1.service", ago(60), Some(Outcome::Ineffective))
            .past("worker@1.service", ago(30), Some(Outcome::Ineffective));
        let standing = Standing::of(&scene.policy(), &scene.history, noon());
        let left = |b: &BudgetLeft| format!("{} {}: {}", b.scope, b.name, b.left);
        let left: Vec<_> = standing.budgets.iter().map(left).collect();
        let expected = [
            "host : 2",
            "rule rule: 0",
            "unit api.service: 5",
            "unit worker@1.service: 4",
        ];
        assert_eq!(left, expected);
        assert_eq!(standing.open_circuits, [rule_name()].into());
        assert!(standing.demoted.is_empty());
    }
}
