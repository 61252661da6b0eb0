//! Is there anything to repair?

use super::Guard;
use crate::case::Case;
use crate::{AlertNow, Decision, Reason, Trigger, time};

/// Asked before [`ALREADY_HEALTHY`]: a unit that crashes and is started again and again is active
/// for a moment each time, and each such moment would look like the end of its trouble.
pub(crate) const SETTLING: Guard = Guard {
    claim: "the unit that failed has not just come back",
    objection: |case| {
        let facts = case.situation.unit.as_ref()?;
        let failed = matches!(case.situation.trigger, Trigger::UnitFailed(_));
        let active_since = facts
            .active_enter_usec
            .filter(|_| failed && facts.is_settled_active())
            .and_then(time::from_systemd)
            // What lies ahead was dated by a clock that has been set back since (see `cooldown`).
            .filter(|at| *at <= case.now())?;
        let steady_at = time::after(active_since, case.rule.proof.healthy_for);
        (case.now() < steady_at).then(|| case.hold_until(Reason::Settling, steady_at))
    },
};

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
    use jiff::Timestamp;
    use units::ActiveState::{self, *};

    use crate::testing::{Scene, ago, ahead, unit, usec};
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

    fn after_a_failure(state: ActiveState, active_since: Option<Timestamp>) -> Scene {
        Scene::new(state)
            .rule("on_unit_failed = true\nproof = { healthy_for = \"10s\" }")
            .with(|s| s.trigger = Trigger::UnitFailed(unit("api.service")))
            .facts(|facts| facts.active_enter_usec = active_since.map(usec))
    }

    #[test]
    fn a_failure_that_systemd_has_mended_needs_no_other_repair() {
        for (state, reason) in [(Active, Reason::AlreadyHealthy), (Failed, Reason::Due)] {
            let scene = after_a_failure(state, Some(ago(10)));
            assert_eq!(scene.reason(), reason, "{state}");
        }
    }

    #[test]
    fn a_failure_is_mended_once_the_unit_has_run_for_a_while() {
        let held = Decision::Hold {
            reason: Reason::Settling,
            retry_at: ahead(1),
        };
        assert_eq!(after_a_failure(Active, Some(ago(9))).decide(), held);
        for unknown in [None, Some(ahead(3600))] {
            let scene = after_a_failure(Active, unknown);
            assert_eq!(scene.reason(), Reason::AlreadyHealthy, "{unknown:?}");
        }
    }
}
