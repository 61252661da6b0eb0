//! Is it a unit that may be touched, and does it exist?

use units::LoadState;

use super::Guard;
use crate::{Decision, Reason, Target, is_protected};

pub(crate) const PROTECTED_UNIT: Guard = Guard {
    claim: "the unit is not protected",
    objection: |case| {
        let protected = match &case.target {
            Target::Unit(unit) => {
                let extra = &case.policy.host().protected;
                is_protected(unit) || extra.iter().any(|pattern| pattern.matches(unit))
            }
            Target::Template(pattern) => case.policy.host().protected.contains(pattern),
        };
        protected.then_some(Decision::Deny(Reason::ProtectedUnit))
    },
};

pub(crate) const UNIT_EXISTS: Guard = Guard {
    claim: "the unit can be read, exists and is not masked",
    objection: |case| {
        let Target::Unit(target) = &case.target else {
            return None;
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
