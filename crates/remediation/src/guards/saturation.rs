//! Is the unit overloaded rather than broken? No restart can fix that.

use crate::Percent;
use crate::case::Case;

/// What the pressure of the moment rules out. Rungs that are ruled out are left out of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strain {
    overloaded: bool,
    starved: bool,
}

impl Strain {
    pub(crate) fn of(case: &Case<'_>) -> Self {
        let Some(limits) = case.rule.saturation else {
            return Self {
                overloaded: false,
                starved: false,
            };
        };
        let pressure = case.situation.pressure;
        let starved = reaches(pressure.memory, limits.memory);
        Self {
            starved,
            overloaded: starved
                || reaches(pressure.cpu, limits.cpu)
                || reaches(pressure.throttled, limits.throttled),
        }
    }

    /// Interrupting a unit that works as hard as it can only adds to its queue.
    pub(crate) fn forbids_interruption(self) -> bool {
        self.overloaded
    }

    /// One more instance on a host that stands still for want of memory makes it worse.
    pub(crate) fn forbids_growth(self) -> bool {
        self.starved
    }
}

fn reaches(measured: Option<Percent>, limit: Option<Percent>) -> bool {
    matches!((measured, limit), (Some(measured), Some(limit)) if measured >= limit)
}
