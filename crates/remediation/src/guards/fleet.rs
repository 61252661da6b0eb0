//! Is it this host's turn? Hosts that serve the same purpose are not repaired all at once, and the
//! fleet as a whole has a budget.
//!
//! Asked last: the fleet's table is only asked by who would act otherwise.

use std::time::Duration;

use super::PlanGuard;
use crate::Reason;
use crate::fleet::FleetView;
use crate::policy::WhenUnreachable;

/// Others leave the budget's window now and then; asking more often would not hasten it.
const BUDGET_RECHECK: Duration = Duration::from_secs(30);

pub(crate) const FLEET_REACHABLE: PlanGuard = PlanGuard {
    claim: "the fleet can be asked, or the rule does not wait for it",
    objection: |case, _| {
        let unreachable = case.situation.fleet == Some(FleetView::Unreachable);
        let waits = case.rule.when_fleet_unreachable == WhenUnreachable::Hold;
        (unreachable && waits).then(|| case.hold_shortly(Reason::FleetUnreachable))
    },
};

pub(crate) const FLEET_TURN: PlanGuard = PlanGuard {
    claim: "it is this host's turn in the fleet",
    objection: |case, _| {
        let Some(FleetView::Reached(others)) = &case.situation.fleet else {
            return None;
        };
        match case.policy.host().fleet.objection(others)? {
            Reason::FleetBudget => Some(case.hold_patiently(Reason::FleetBudget, BUDGET_RECHECK)),
            busy => Some(case.hold_shortly(busy)),
        }
    },
};

#[cfg(test)]
mod tests {
    use units::ActiveState::Failed;

    use crate::fleet::{FleetView, Others};
    use crate::testing::{Scene, ahead};
    use crate::{Decision, Reason};

    fn others(hosts: &[&str], recent_repairs: usize) -> FleetView {
        FleetView::Reached(Others {
            under_repair: hosts.iter().map(|&host| host.to_owned()).collect(),
            recent_repairs,
        })
    }

    fn scene(view: Option<FleetView>) -> Scene {
        Scene::new(Failed).with(|situation| situation.fleet = view)
    }

    #[test]
    fn a_host_by_itself_and_one_that_has_not_asked_yet_go_on() {
        assert_eq!(scene(None).reason(), Reason::Due);
    }

    #[test]
    fn one_host_of_a_group_at_a_time_unless_the_policy_allows_more() {
        let limited = |most| {
            let limits = format!("fleet = {{ max_hosts = {most} }}");
            scene(Some(others(&["b"], 1))).host(&limits)
        };
        assert_eq!(scene(Some(others(&[], 0))).reason(), Reason::Due);
        let held = Decision::Hold {
            reason: Reason::FleetBusy,
            retry_at: ahead(1),
        };
        assert_eq!(scene(Some(others(&["b"], 1))).decide(), held);
        assert_eq!(limited(1).decide(), held);
        assert_eq!(limited(2).reason(), Reason::Due);
    }

    #[test]
    fn the_fleets_budget_counts_the_repairs_of_all_hosts() {
        let limited = |recent| {
            let limits = r#"fleet = { budget = { max_actions = 3, window = "1h" } }"#;
            scene(Some(others(&[], recent))).host(limits)
        };
        assert_eq!(limited(2).reason(), Reason::Due);
        let held = Decision::Hold {
            reason: Reason::FleetBudget,
            retry_at: ahead(30),
        };
        assert_eq!(limited(3).decide(), held);
    }

    #[test]
    fn each_rule_says_what_to_do_where_the_fleet_cannot_be_asked() {
        let unreachable = |line: &str| scene(Some(FleetView::Unreachable)).rule(line).reason();
        let held = Reason::FleetUnreachable;
        assert_eq!(unreachable(""), held);
        assert_eq!(unreachable(r#"when_fleet_unreachable = "hold""#), held);
        assert_eq!(
            unreachable(r#"when_fleet_unreachable = "act""#),
            Reason::Due
        );
    }
}
