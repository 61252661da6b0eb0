//! Is it a unit that may be touched, and does it exist?

use units::LoadState;

use super::Guard;
use crate::{Decision, Reason, Target};

pub(crate) const PROTECTED_UNIT: Guard = Guard {
    claim: "the unit is not protected",
    objection: |case| {
        let protected = match &case.target {
            Target::Unit(unit) => case.policy.protects(unit),
            Target::Template(pattern) => case.policy.host().protected.contains(pattern),
        };
        protected.then_some(Decision::Deny(Reason::ProtectedUnit))
    },
};

pub(crate) const UNIT_EXISTS: Guard = Guard {
    claim: "the unit can be read, exists and is not masked",
    objection: |case| {
        let Target::Unit(target) = &case.target else {
            let uncounted = case.situation.uncounted;
            return uncounted.then(|| case.hold_shortly(Reason::UnitUnreadable));
        };
        match &case.situation.unit {
            Some(facts) if facts.unit == *target => match facts.load_state {
                LoadState::Masked => Some(Decision::Deny(Reason::UnitMasked)),
                LoadState::Loaded | LoadState::Merged => None,
                LoadState::Stub
                | LoadState::NotFound
                | LoadState::BadSetting
                | LoadState::Error => Some(Decision::Deny(Reason::UnitNotFound)),
            },
            _ => Some(case.hold_shortly(Reason::UnitUnreadable)),
        }
    },
};

#[cfg(test)]
mod tests {
    use units::ActiveState::Inactive;
    use units::LoadState::{self, *};

    use crate::testing::Scene;
    use crate::{Decision, Reason};

    #[test]
    fn only_a_unit_that_systemd_has_loaded_is_acted_on() {
        let cases: [(LoadState, Reason); 6] = [
            (Loaded, Reason::Due),
            (Masked, Reason::UnitMasked),
            (NotFound, Reason::UnitNotFound),
            (BadSetting, Reason::UnitNotFound),
            (Error, Reason::UnitNotFound),
            (Stub, Reason::UnitNotFound),
        ];
        for (load_state, reason) in cases {
            let scene = Scene::new(Inactive).facts(|facts| facts.load_state = load_state);
            assert_eq!(scene.reason(), reason, "{load_state}");
        }
    }

    #[test]
    fn without_a_fresh_read_of_this_very_unit_nothing_is_done_yet() {
        let unread = Scene::new(Inactive).with(|situation| situation.unit = None);
        assert_eq!(unread.reason(), Reason::UnitUnreadable);
        let mixed_up =
            Scene::new(Inactive).facts(|facts| facts.unit = crate::testing::unit("other.service"));
        assert_eq!(mixed_up.reason(), Reason::UnitUnreadable);
    }

    #[test]
    fn a_host_can_protect_more_units() {
        for (protected, name) in [
            ("api.service", "api.service"),
            ("worker@2.service", "worker@2.service"),
            ("worker@*.service", "worker@2.service"),
        ] {
            let host = format!("protected = [\"{protected}\"]");
            let scene = Scene::of(name, Inactive).host(&host);
            assert_eq!(
                scene.decide(),
                Decision::Deny(Reason::ProtectedUnit),
                "{name}"
            );
        }
    }
}
