//! Is there anything to repair?

use super::Guard;
use crate::{Decision, Reason, Trigger};

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
        (facts.is_settled_active() && well).then_some(Decision::Ignore(Reason::AlreadyHealthy))
    },
};

#[cfg(test)]
mod tests {
    use units::ActiveState::{self, *};

    use crate::testing::{Scene, unit};
    use crate::{Reason, Trigger};

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
    fn a_failure_that_systemd_has_mended_needs_no_other_repair() {
        for (state, reason) in [(Active, Reason::AlreadyHealthy), (Failed, Reason::Due)] {
            let scene = Scene::new(state)
                .rule("on_unit_failed = true")
                .with(|s| s.trigger = Trigger::UnitFailed(unit("api.service")));
            assert_eq!(scene.reason(), reason, "{state}");
        }
    }
}
