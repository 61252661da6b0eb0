//! Has something failed that the unit cannot run without? Then that is the one to treat.

use std::time::Duration;

use super::Guard;
use crate::Reason;

/// The requirement's own repair triggers a new look; this is for when nobody repairs it.
const REQUIREMENT_RECHECK: Duration = Duration::from_secs(5);

pub(crate) const REQUIREMENT_FAILED: Guard = Guard {
    claim: "nothing that the unit requires has failed",
    objection: |case| {
        let facts = case.situation.unit.as_ref()?;
        // What the rule resets together with the unit is part of its own repair.
        let foreign = facts
            .failed_requirements
            .iter()
            .any(|unit| !case.rule.also_reset.contains(unit));
        foreign.then(|| case.hold_patiently(Reason::RequirementFailed, REQUIREMENT_RECHECK))
    },
};

#[cfg(test)]
mod tests {
    use units::ActiveState::Failed;

    use crate::Reason;
    use crate::testing::{Scene, unit};

    #[test]
    fn a_failed_requirement_comes_first_unless_it_is_reset_together_with_the_unit() {
        let scene =
            || Scene::new(Failed).facts(|f| f.failed_requirements = vec![unit("api.socket")]);
        assert_eq!(scene().reason(), Reason::RequirementFailed);
        let together = scene().rule(r#"also_reset = ["api.socket"]"#);
        assert_eq!(together.reason(), Reason::Due);
    }
}
