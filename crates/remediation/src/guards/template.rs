//! What would the plan take down beside its unit? Instances of one template stand in for each
//! other, so no two of them are interrupted at once.

use units::{ActiveState, UnitFacts};

use super::PlanGuard;
use crate::case::Case;
use crate::{Plan, Reason, ladder};

pub(crate) const TEMPLATE_DOWN: PlanGuard = PlanGuard {
    claim: "no instance of the template is under repair, and no other one is down",
    objection: |case, plan| {
        let template = plan.unit.template()?;
        // The plan's own unit included: scaling acts on another unit than the target.
        let mut under_way = case.history.in_flight();
        let repaired = under_way.any(|action| action.unit.template().as_ref() == Some(&template));
        let down = interrupts(case, plan) && others(case, plan).any(is_down);
        (repaired || down).then(|| case.hold_shortly(Reason::TemplateDown))
    },
};

pub(crate) const HEALTHY_MIN: PlanGuard = PlanGuard {
    claim: "enough other instances stay healthy",
    objection: |case, plan| {
        if !interrupts(case, plan) {
            return None;
        }
        let healthy = others(case, plan)
            .filter(|facts| facts.is_settled_active())
            .count();
        (healthy < case.rule.healthy_min).then(|| case.hold_shortly(Reason::HealthyMin))
    },
};

/// Whether the plan takes down a unit that runs.
fn interrupts(case: &Case<'_>, plan: &Plan) -> bool {
    let mut instances = case.instances();
    plan.action.is_disruptive()
        && instances.any(|facts| is_acted_on(facts, plan) && ladder::is_up(facts))
}

fn others<'a>(case: &Case<'a>, plan: &Plan) -> impl Iterator<Item = &'a UnitFacts> {
    case.instances().filter(|facts| !is_acted_on(facts, plan))
}

fn is_acted_on(facts: &UnitFacts, plan: &Plan) -> bool {
    plan.units().any(|unit| *unit == facts.unit)
}

/// Failed, or on its way. One that is plainly `inactive` is not wanted and not missed.
fn is_down(facts: &UnitFacts) -> bool {
    facts.active_state == ActiveState::Failed || facts.is_in_transition()
}

#[cfg(test)]
mod tests {
    use units::ActiveState::{self, *};

    use crate::testing::{Scene, ago, facts};
    use crate::{Decision, Reason};

    fn scene(state: ActiveState, sibling: ActiveState) -> Scene {
        Scene::of("worker@1.service", state)
            .host("max_in_flight = 9")
            .with(|s| s.siblings = vec![facts("worker@2.service", sibling)])
    }

    #[test]
    fn no_second_instance_is_taken_down() {
        for (state, sibling, reason) in [
            (Active, Active, Reason::Due),
            (Active, Failed, Reason::TemplateDown),
            (Active, Activating, Reason::TemplateDown),
            (Active, Deactivating, Reason::TemplateDown),
            // Scaled down on purpose: nobody misses it.
            (Active, Inactive, Reason::Due),
            // Bringing one back takes nothing down.
            (Failed, Failed, Reason::Due),
        ] {
            assert_eq!(
                scene(state, sibling).reason(),
                reason,
                "{state} beside {sibling}"
            );
        }
    }

    #[test]
    fn one_repair_in_a_template_at_a_time() {
        for (other, reason) in [
            ("worker@2.service", Reason::TemplateDown),
            ("helper@2.service", Reason::Due),
            ("api.service", Reason::Due),
        ] {
            let scene = scene(Failed, Failed).past(other, ago(100), None);
            assert_eq!(scene.reason(), reason, "{other}");
        }
    }

    #[test]
    fn enough_instances_stay_healthy() {
        for (healthy_min, state, reason) in [
            (1, Active, Reason::Due),
            (2, Active, Reason::HealthyMin),
            (2, Failed, Reason::Due),
        ] {
            let scene = scene(state, Active).rule(&format!("healthy_min = {healthy_min}"));
            assert_eq!(scene.reason(), reason, "{healthy_min} {state}");
        }
        let alone = Scene::new(Active).rule("healthy_min = 1");
        assert!(matches!(alone.decide(), Decision::Hold { .. }));
    }
}
