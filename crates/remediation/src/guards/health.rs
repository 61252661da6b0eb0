//! Is there anything to repair?

use super::Guard;
use crate::case::Case;
use crate::{AlertNow, Decision, Reason, Trigger};

pub(crate) const ALREADY_HEALTHY: Guard = Guard {
    claim: "the unit is not healthy already",
    objection: |case| {
        let facts = case.situation.unit.as_ref()?;
        let well = match case.situation.probe_healthy {
            Some(healthy) => healthy,
            // Without a probe systemd's word stands against systemd's earlier word, but not
            // against an alert, which may know more than systemd does.
            None => matches!(case.situation.trigger, Trigger::UnitFailed(_)),
        };
        let healthy = facts.is_settled_active() && well && !is_contradicted(case);
        healthy.then_some(Decision::Ignore(Reason::AlreadyHealthy))
    },
};

/// The last action made the unit healthy, the alert was given its time to end, and still fires:
/// it knows of something that neither systemd nor the probe sees.
fn is_contradicted(case: &Case<'_>) -> bool {
    let last = case.situation.incident.attempts.last();
    let lasted = last.is_some_and(|attempt| attempt.reason == Some(Reason::AlertLasts));
    lasted && case.situation.alert_now == AlertNow::Firing
}

#[cfg(test)]
mod tests {
    use units::ActiveState::{self, *};

    use crate::testing::{Scene, ago, unit};
    use crate::{AlertNow, Attempt, Decision, Outcome, Reason, Trigger};

    #[test]
    fn a_probe_has_the_last_word_about_a_unit_that_runs() {
        let cases: [(ActiveState, Option<bool>, Reason); 5] = [
            (Active, Some(true), Reason::AlreadyHealthy),
            (Active, Some(false), Reason::Due),
            // The alert may know more than systemd does.
            (Active, None, Reason::Due),
            // Something else answers the probe: the unit itself does not run.
            (Inactive, Some(true), Reason::Due),
            (Failed, Some(true), Reason::Due),
        ];
        for (state, probe, reason) in cases {
            let scene = Scene::new(state).with(|situation| situation.probe_healthy = probe);
            assert_eq!(scene.reason(), reason, "{state} {probe:?}");
        }
    }

    #[test]
    fn an_alert_that_outlasted_its_repair_is_believed_for_as_long_as_it_fires() {
        for (reason, alert_now, told) in [
            (Some(Reason::AlertLasts), AlertNow::Firing, Reason::NextRung),
            (
                Some(Reason::AlertLasts),
                AlertNow::Absent,
                Reason::AlreadyHealthy,
            ),
            (
                Some(Reason::AlertLasts),
                AlertNow::Unknown,
                Reason::AlreadyHealthy,
            ),
            (None, AlertNow::Firing, Reason::AlreadyHealthy),
        ] {
            let rule = "ladder = [{ action = \"restart\", times = 2 }]";
            let scene = Scene::new(Active).rule(rule).with(|situation| {
                situation.probe_healthy = Some(true);
                situation.alert_now = alert_now;
                situation.incident.attempts = vec![Attempt {
                    rung: 0,
                    at: ago(60),
                    outcome: Some(Outcome::Ineffective),
                    reason,
                }];
            });
            assert_eq!(scene.reason(), told, "{reason:?} {alert_now:?}");
        }
    }

    #[test]
    fn people_learn_that_the_alert_lasts() {
        let scene = Scene::new(Active).with(|situation| {
            situation.probe_healthy = Some(true);
            situation.alert_now = AlertNow::Firing;
            situation.incident.attempts = vec![Attempt {
                rung: 0,
                at: ago(60),
                outcome: Some(Outcome::Ineffective),
                reason: Some(Reason::AlertLasts),
            }];
        });
        assert_eq!(scene.decide(), Decision::Escalate(Reason::AlertLasts));
    }

    #[test]
    fn a_failure_that_systemd_has_mended_needs_no_other_repair() {
        for (state, reason) in [(Active, Reason::AlreadyHealthy), (Failed, Reason::Due)] {
            let scene = Scene::new(state)
                .rule("on_unit_failed = true")
                .with(|s| s.trigger = Trigger::UnitFailed(unit("api.service")));
            assert_eq!(scene.reason(), reason, "{state}");
        }
    }
}
