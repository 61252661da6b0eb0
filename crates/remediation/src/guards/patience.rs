//! What may never end ends with people. This tests the bound that [`Case`](crate::case::Case) puts on
//! every hold of that kind, whichever guard it comes from.

use units::ActiveState::*;

use crate::testing::{Scene, ago, ahead, facts, unit};
use crate::{Decision, Percent, Pressure, Reason};

/// One scene for each hold that waits for something that nobody may ever do.
fn endless() -> Vec<(Reason, Scene)> {
    let worker = |state, sibling| {
        Scene::of("worker@1.service", state)
            .with(|s| s.siblings = vec![facts("worker@2.service", sibling)])
    };
    let saturated = Pressure {
        cpu: Some(Percent::FULL),
        ..Pressure::default()
    };
    vec![
        (
            Reason::UnitBusy,
            Scene::new(Activating).facts(|f| f.sub_state = "start".into()),
        ),
        (
            Reason::UnitUnreadable,
            Scene::new(Failed).with(|situation| situation.unit = None),
        ),
        (
            Reason::RequirementFailed,
            Scene::new(Failed).facts(|f| f.failed_requirements = vec![unit("db.service")]),
        ),
        (Reason::TemplateDown, worker(Active, Failed)),
        (
            Reason::AtMaxInstances,
            worker(Active, Active).rule("ladder = [{ action = \"scale-up\", max = 2 }]"),
        ),
        (
            Reason::HealthyMin,
            worker(Active, Inactive).rule("healthy_min = 1"),
        ),
        (
            Reason::Saturated,
            Scene::new(Active)
                .rule("saturation = { cpu = \"60%\" }")
                .with(|situation| situation.pressure = saturated),
        ),
    ]
}

#[test]
fn what_may_never_end_is_given_to_people_after_the_rules_patience() {
    for (reason, scene) in endless() {
        let mut scene = scene;
        scene.rule.push_str("\npatience = \"5m\"");
        scene.situation.incident.opened_at = ago(299);
        let held = Decision::Hold {
            reason,
            retry_at: ahead(1),
        };
        assert_eq!(scene.decide(), held, "{reason} not yet");
        scene.situation.incident.opened_at = ago(300);
        assert_eq!(scene.decide(), Decision::Escalate(reason), "{reason}");
    }
}

#[test]
fn patience_begins_anew_with_each_attempt() {
    for (_, scene) in endless() {
        let mut scene = scene;
        scene.rule.push_str("\npatience = \"5m\"");
        scene.situation.incident.opened_at = ago(3600);
        scene.situation.incident.attempts = vec![crate::Attempt {
            rung: 9,
            at: ago(200),
            outcome: Some(crate::Outcome::Unknown),
            reason: None,
        }];
        assert!(matches!(scene.decide(), Decision::Hold { .. }));
    }
}

#[test]
fn what_people_themselves_held_back_counts_from_when_they_let_go() {
    for (_, scene) in endless() {
        let mut scene = scene;
        scene.rule.push_str("\npatience = \"5m\"");
        scene.situation.incident.opened_at = ago(3600);
        scene.situation.incident.held_by_people_at = Some(ago(299));
        assert!(matches!(scene.decide(), Decision::Hold { .. }));
        scene.situation.incident.held_by_people_at = Some(ago(300));
        assert!(matches!(scene.decide(), Decision::Escalate(_)));
    }
}

#[test]
fn people_are_told_once_and_a_rule_that_observes_tells_nobody() {
    for (reason, scene) in endless() {
        let mut scene = scene;
        scene.situation.incident.opened_at = ago(3600);
        scene.situation.incident.escalated = true;
        let decision = scene.decide();
        assert!(!matches!(decision, Decision::Escalate(_)), "{reason}");
        scene.situation.incident.escalated = false;
        scene.rule.push_str("\nmode = \"observe\"");
        assert_eq!(scene.decide(), Decision::Ignore(Reason::ObserveMode));
    }
}
