//! Does the unit break again and again soon after it was repaired?

use std::collections::BTreeSet;

use super::Guard;
use crate::{Outcome, Reason};

pub(crate) const FLAPPING: Guard = Guard {
    claim: "the unit's earlier repairs lasted",
    objection: |case| {
        let limits = case.rule.flapping;
        let earlier_incidents: BTreeSet<_> = case
            .history
            .within(limits.window, case.now())
            .filter(|action| case.target.covers(&action.unit))
            .filter(|action| action.outcome() == Some(Outcome::Effective))
            .map(|action| action.incident)
            .filter(|incident| *incident != case.situation.incident.id)
            .collect();
        (earlier_incidents.len() >= limits.repairs).then(|| case.escalate(Reason::Flapping))
    },
};
