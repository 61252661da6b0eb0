//! Is somebody at work on the unit already? The bot's own repairs and PID 1 come first.

use super::Guard;
use crate::Reason;

pub(crate) const IN_FLIGHT: Guard = Guard {
    claim: "no repair of the unit is under way",
    objection: |case| {
        let busy = case.in_flight().next().is_some();
        busy.then(|| case.hold_shortly(Reason::InFlight))
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
