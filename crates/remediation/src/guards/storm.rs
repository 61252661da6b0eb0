//! Is so much broken at once that the cause must lie deeper than any one unit?
//!
//! Units under repair count as unhealthy: counting them as healthy once let a whole cluster be
//! remediated at the same time (openshift/machine-api-operator, pull request 902).

use std::collections::BTreeSet;

use units::UnitName;

use super::Guard;
use crate::case::Case;
use crate::{PastAction, Percent, Reason, time};

pub(crate) const STORM: Guard = Guard {
    claim: "the host is not in a storm",
    objection: |case| {
        if !is_storm(case) {
            return None;
        }
        let quiet_for = case.policy.host().storm.quiet_for;
        let horizon = time::before(case.now(), quiet_for);
        let mut escalations = case.history.escalations.iter();
        let told = escalations.any(|told| told.reason == Reason::Storm && told.at > horizon);
        Some(if told {
            // After `quiet_for` one of those that wait tells of it again.
            case.hold_briefly(Reason::Storm)
        } else {
            case.escalate(Reason::Storm)
        })
    },
};

fn is_storm(case: &Case<'_>) -> bool {
    let storm = case.policy.host().storm;
    let watched = &case.situation.watched;
    let under_repair = case.history.in_flight().flat_map(PastAction::units);
    let unhealthy: BTreeSet<&UnitName> = watched.unhealthy.iter().chain(under_repair).collect();
    unhealthy.len() >= storm.min_units && Percent::of(unhealthy.len(), watched.total) > storm.share
}

#[cfg(test)]
mod tests {
    use units::ActiveState::Failed;

    use crate::testing::{Scene, ago, rule_name, unit};
    use crate::{Decision, PastEscalation, Reason};

    fn scene(total: usize, unhealthy: &[&str]) -> Scene {
        Scene::new(Failed)
            .host("storm = { share = \"40%\", min_units = 3, quiet_for = \"10m\" }\nmax_in_flight = 9")
            .with(|situation| {
                situation.watched.total = total;
                situation.watched.unhealthy = unhealthy.iter().map(|name| unit(name)).collect();
            })
    }

    #[test]
    fn more_than_the_share_is_a_storm() {
        let three = ["api.service", "a.service", "b.service"];
        for (total, unhealthy, reason) in [
            (7, &three[..], Reason::Storm),
            (8, &three[..], Reason::Due),
            // All of the host, but too few units to speak of a storm.
            (2, &three[..2], Reason::Due),
            (0, &[][..], Reason::Due),
        ] {
            assert_eq!(scene(total, unhealthy).reason(), reason, "of {total}");
        }
    }

    #[test]
    fn a_unit_under_repair_counts_as_unhealthy() {
        let two = ["api.service", "a.service"];
        assert_eq!(scene(5, &two).reason(), Reason::Due);
        let repaired = scene(5, &two).past("b.service", ago(100), None);
        assert_eq!(repaired.reason(), Reason::Storm);
        let counted_once = scene(5, &two).past("a.service", ago(100), None);
        assert_eq!(counted_once.reason(), Reason::Due);
    }

    #[test]
    fn one_escalation_tells_of_the_whole_storm() {
        let told = |seconds| {
            let mut scene = scene(3, &["api.service", "a.service", "b.service"]);
            scene.history.escalations.push(PastEscalation {
                at: ago(seconds),
                incident: uuid::Uuid::from_u128(2),
                rule: rule_name(),
                reason: Reason::Storm,
            });
            scene.decide()
        };
        assert!(matches!(told(599), Decision::Hold { .. }));
        assert_eq!(told(600), Decision::Escalate(Reason::Storm));
    }
}
