//! Is so much broken at once that the cause must lie deeper than any one unit?
//!
//! Units under repair count as unhealthy: counting them as healthy once let a whole cluster be
//! remediated at the same time (openshift/machine-api-operator, pull request 902).

use std::collections::BTreeSet;

use units::UnitName;

use super::Guard;
use crate::case::Case;
use crate::{Percent, Reason, time};

pub(crate) const STORM: Guard = Guard {
    claim: "the host is not in a storm",
    objection: |case| {
        if !is_storm(case) {
            return None;
        }
        let quiet_for = case.policy.host().storm.quiet_for;
        let horizon = time::before(case.now(), quiet_for);
        let mut escalations = case.history.escalations.iter();
        let told = escalations.any(|told| told.reason == Reason::Storm && told.at > horizon);
        Some(if told {
            case.hold_shortly(Reason::Storm)
        } else {
            case.escalate(Reason::Storm)
        })
    },
};

fn is_storm(case: &Case<'_>) -> bool {
    let storm = case.policy.host().storm;
    let watched = &case.situation.watched;
    let under_repair = case.history.in_flight().map(|action| &action.unit);
    let unhealthy: BTreeSet<&UnitName> = watched.unhealthy.iter().chain(under_repair).collect();
    unhealthy.len() >= storm.min_units && Percent::of(unhealthy.len(), watched.total) > storm.share
}
