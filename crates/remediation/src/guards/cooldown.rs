//! Was the unit started, or acted on, a moment ago?

use super::Guard;
use crate::{Reason, time};

pub(crate) const COOLDOWN: Guard = Guard {
    claim: "the unit had its time since it was last started or acted on",
    objection: |case| {
        let now = case.now();
        // When it left `inactive`, not when it became `active`: a unit that never gets there
        // would otherwise have no last start at all, and be started for ever.
        let facts = case.situation.unit.as_ref();
        let last_start = facts
            .and_then(|facts| facts.inactive_exit_usec)
            .and_then(time::from_systemd);
        let actions = case.history.actions.iter();
        let on_target = actions.filter(|action| action.is_on(&case.target));
        // What lies ahead was dated by a clock that has been set back since. It would hold the
        // repair for as long as the step was; the budgets, which do count it, are bound enough.
        let last = on_target
            .map(|action| action.at)
            .chain(last_start)
            .filter(|at| *at <= now)
            .max()?;
        let rested_at = time::after(last, case.rule.cooldown);
        (now < rested_at).then(|| case.hold_until(Reason::Cooldown, rested_at))
    },
};

#[cfg(test)]
mod tests {
    use units::ActiveState::Failed;

    use crate::testing::{Scene, ago, ahead, usec};
    use crate::{Decision, Outcome, Reason};

    fn started(at: Option<u64>) -> Scene {
        let rule = r#"cooldown = "30s""#;
        Scene::new(Failed)
            .rule(rule)
            .facts(|facts| facts.inactive_exit_usec = at)
    }

    #[test]
    fn counts_from_the_units_own_last_start_whoever_started_it() {
        let held = Decision::Hold {
            reason: Reason::Cooldown,
            retry_at: ahead(1),
        };
        assert_eq!(started(Some(usec(ago(29)))).decide(), held);
        assert_eq!(started(Some(usec(ago(30)))).reason(), Reason::Due);
        assert_eq!(started(None).reason(), Reason::Due);
    }

    #[test]
    fn counts_from_the_bots_last_action_too() {
        for (seconds, reason) in [(29, Reason::Cooldown), (30, Reason::Due)] {
            let outcome = Some(Outcome::Effective);
            let scene = started(None).past("api.service", ago(seconds), outcome);
            assert_eq!(scene.reason(), reason, "{seconds}");
        }
        let of_another = started(None).past("worker@1.service", ago(5), Some(Outcome::Effective));
        assert_eq!(of_another.reason(), Reason::Due);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_hold_a_repair_for_hours() {
        assert_eq!(started(Some(usec(ahead(3600)))).reason(), Reason::Due);
        let outcome = Some(Outcome::Effective);
        let acted = started(None).past("api.service", ahead(3600), outcome);
        assert_eq!(acted.reason(), Reason::Due);
    }
}
