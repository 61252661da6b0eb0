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
