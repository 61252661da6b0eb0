//! Is somebody at work on the unit already? The bot's own repairs and PID 1 come first.

use super::Guard;
use crate::Reason;

pub(crate) const IN_FLIGHT: Guard = Guard {
    claim: "no repair of the unit is under way",
    objection: |case| {
        let busy = case.in_flight().next().is_some();
        busy.then(|| case.hold_briefly(Reason::InFlight))
    },
};

pub(crate) const UNIT_BUSY: Guard = Guard {
    claim: "systemd is not at work on the unit",
    objection: |case| {
        let facts = case.situation.unit.as_ref()?;
        facts
            .is_in_transition()
            .then(|| case.hold_shortly(Reason::UnitBusy))
    },
};

#[cfg(test)]
mod tests {
    use units::ActiveState::{self, *};

    use crate::testing::{Scene, ago, ahead};
    use crate::{Decision, Outcome, Reason};

    #[test]
    fn one_repair_of_a_unit_at_a_time() {
        for (name, in_flight, reason) in [
            ("api.service", "api.service", Reason::InFlight),
            ("api.service", "worker@1.service", Reason::HostInFlight),
        ] {
            let scene = Scene::of(name, Failed).past(in_flight, ago(100), None);
            assert_eq!(scene.reason(), reason, "{in_flight}");
        }
        let judged = Scene::new(Failed).past("api.service", ago(100), Some(Outcome::Effective));
        assert_eq!(judged.reason(), Reason::Due);
    }

    #[test]
    fn systemd_finishes_what_it_has_begun() {
        let held = Decision::Hold {
            reason: Reason::UnitBusy,
            retry_at: ahead(1),
        };
        let cases: [(ActiveState, &str, Option<&str>); 5] = [
            (Activating, "start", None),
            (Activating, "auto-restart", None),
            (Deactivating, "stop-sigterm", None),
            (Failed, "auto-restart-queued", None),
            (Inactive, "dead", Some("start")),
        ];
        for (state, sub_state, job) in cases {
            let scene = Scene::new(state).facts(|facts| {
                facts.sub_state = sub_state.into();
                facts.queued_job = job.map(str::to_owned);
            });
            assert_eq!(scene.decide(), held, "{state} {sub_state}");
        }
    }
}
