//! Did a person ask for quiet: a pause of the bot, or a silence in Alertmanager?

use std::time::Duration;

use super::Guard;
use crate::{AlertNow, Reason, time};

/// Alertmanager does not tell the bot when a silence ends, so it is asked again now and then.
const SILENCE_RECHECK: Duration = Duration::from_secs(30);

pub(crate) const PAUSED: Guard = Guard {
    claim: "no pause covers the unit",
    objection: |case| {
        let pause = case.situation.pause?;
        (case.now() < pause.until).then(|| case.hold_until(Reason::Paused, pause.until))
    },
};

pub(crate) const SILENCED: Guard = Guard {
    claim: "no silence covers the alert",
    objection: |case| {
        let silenced = case.situation.alert_now == AlertNow::Silenced;
        silenced
            .then(|| case.hold_until(Reason::Silenced, time::after(case.now(), SILENCE_RECHECK)))
    },
};
