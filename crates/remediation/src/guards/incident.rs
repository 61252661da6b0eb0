//! Does the alert still stand, is all of it known, and do people have it already?

use super::Guard;
use crate::{AlertNow, AlertStatus, Decision, Reason, Trigger};

pub(crate) const ALERT_RESOLVED: Guard = Guard {
    claim: "the alert is not over",
    objection: |case| {
        let sent_as_resolved = match &case.situation.trigger {
            Trigger::Alert(alert) => alert.status == AlertStatus::Resolved,
            Trigger::UnitFailed(_) => false,
        };
        let over = sent_as_resolved || case.situation.alert_now == AlertNow::Resolved;
        over.then_some(Decision::Ignore(Reason::AlertResolved))
    },
};

pub(crate) const TRUNCATED: Guard = Guard {
    claim: "the webhook carried every alert of its group",
    objection: |case| {
        let truncated = case.situation.truncated;
        truncated.then_some(Decision::Ignore(Reason::Truncated))
    },
};

pub(crate) const ESCALATED: Guard = Guard {
    claim: "people do not have the incident already",
    objection: |case| {
        let escalated = case.situation.incident.escalated;
        escalated.then_some(Decision::Ignore(Reason::Escalated))
    },
};
