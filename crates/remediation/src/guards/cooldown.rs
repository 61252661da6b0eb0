//! Was the unit started, or acted on, a moment ago?

use jiff::Timestamp;

use super::Guard;
use crate::{Reason, time};

pub(crate) const COOLDOWN: Guard = Guard {
    claim: "the unit had its time since it was last started or acted on",
    objection: |case| {
        let now = case.now();
        // When it left `inactive`, not when it became `active`: a unit that never gets there
        // would otherwise have no last start at all, and be started for ever.
        let last_start = case
            .situation
            .unit
            .as_ref()
            .and_then(|facts| facts.inactive_exit_usec)
            .and_then(|usec| Timestamp::from_microsecond(usec.try_into().ok()?).ok())
            // A start that lies ahead was read from a clock that has been set back since.
            .filter(|start| *start <= now);
        let last_action = case
            .history
            .actions
            .iter()
            .filter(|action| case.target.covers(&action.unit))
            .map(|action| action.at)
            .max();
        let rested_at = time::after(last_start.max(last_action)?, case.rule.cooldown);
        (now < rested_at).then(|| case.hold_until(Reason::Cooldown, rested_at))
    },
};
