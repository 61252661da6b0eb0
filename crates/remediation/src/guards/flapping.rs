//! Does the unit break again and again soon after it was repaired?

use std::collections::BTreeSet;

use super::Guard;
use crate::{Outcome, Reason};

pub(crate) const FLAPPING: Guard = Guard {
    claim: "the unit's earlier repairs lasted",
    objection: |case| {
        let limits = case.rule.flapping;
        let earlier_incidents: BTreeSet<_> = case
            .history
            .within(limits.window, case.now())
            .filter(|action| action.is_on(&case.target))
            .filter(|action| action.outcome() == Some(Outcome::Effective))
            .map(|action| action.incident)
            .filter(|incident| *incident != case.situation.incident.id)
            .collect();
        (earlier_incidents.len() >= limits.repairs).then(|| case.escalate(Reason::Flapping))
    },
};

#[cfg(test)]
mod tests {
    use units::ActiveState::Failed;

    use crate::testing::{Scene, ago};
    use crate::{Outcome, Reason};

    fn scene(minutes: &[u64], name: &str, outcome: Outcome) -> Scene {
        let scene = Scene::new(Failed)
            .rule("flapping = { repairs = 2, window = \"1h\" }\nbudget = { max_actions = 99 }")
            .host("unit_budget = { max_actions = 99 }");
        minutes.iter().fold(scene, |scene, minutes| {
            scene.past(name, ago(60 * minutes), Some(outcome))
        })
    }

    #[test]
    fn repairs_that_do_not_last_are_given_to_people() {
        for (minutes, name, outcome, reason) in [
            (
                &[50, 10][..],
                "api.service",
                Outcome::Effective,
                Reason::Flapping,
            ),
            (&[60, 10], "api.service", Outcome::Effective, Reason::Due),
            (
                &[50, 10],
                "worker@1.service",
                Outcome::Effective,
                Reason::Due,
            ),
            (&[50, 10], "api.service", Outcome::Unknown, Reason::Due),
        ] {
            assert_eq!(
                scene(minutes, name, outcome).reason(),
                reason,
                "{minutes:?} {name}"
            );
        }
    }

    #[test]
    fn several_repairs_within_one_incident_are_one() {
        let mut scene = scene(&[50, 10], "api.service", Outcome::Effective);
        let incident = scene.history.actions[0].incident;
        scene.history.actions[1].incident = incident;
        assert_eq!(scene.reason(), Reason::Due);
    }
}
