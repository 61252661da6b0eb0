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

#[cfg(test)]
mod tests {
    use units::ActiveState::Inactive;

    use crate::testing::{Scene, ago, ahead, noon};
    use crate::{AlertNow, Decision, Pause, Reason};

    #[test]
    fn a_pause_holds_until_it_ends_by_itself() {
        let paused = |until| Scene::new(Inactive).with(|s| s.pause = Some(Pause { until }));
        let held = Decision::Hold {
            reason: Reason::Paused,
            retry_at: ahead(60),
        };
        assert_eq!(paused(ahead(60)).decide(), held);
        assert_eq!(paused(noon()).reason(), Reason::Due);
        assert_eq!(paused(ago(60)).reason(), Reason::Due);
    }

    #[test]
    fn a_silence_holds_and_is_looked_at_again() {
        let scene = Scene::new(Inactive).with(|s| s.alert_now = AlertNow::Silenced);
        let held = Decision::Hold {
            reason: Reason::Silenced,
            retry_at: ahead(30),
        };
        assert_eq!(scene.decide(), held);
    }
}
