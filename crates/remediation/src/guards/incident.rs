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

#[cfg(test)]
mod tests {
    use units::ActiveState::Inactive;

    use crate::testing::Scene;
    use crate::{AlertNow, AlertStatus, Decision, Reason, Trigger};

    #[test]
    fn an_alert_that_is_over_is_left_alone() {
        let sent_as_resolved = Scene::new(Inactive).with(|situation| {
            if let Trigger::Alert(alert) = &mut situation.trigger {
                alert.status = AlertStatus::Resolved;
            }
        });
        let resolved_since = Scene::new(Inactive).with(|s| s.alert_now = AlertNow::Resolved);
        for scene in [sent_as_resolved, resolved_since] {
            assert_eq!(scene.decide(), Decision::Ignore(Reason::AlertResolved));
        }
    }

    #[test]
    fn what_alertmanager_cannot_tell_does_not_stop_a_repair() {
        for alert_now in [AlertNow::Unknown, AlertNow::Firing] {
            let scene = Scene::new(Inactive).with(|s| s.alert_now = alert_now);
            assert_eq!(scene.reason(), Reason::Due);
        }
    }

    #[test]
    fn a_truncated_webhook_is_acted_on_by_nobody() {
        let scene = Scene::new(Inactive).with(|situation| situation.truncated = true);
        assert_eq!(scene.decide(), Decision::Ignore(Reason::Truncated));
    }

    #[test]
    fn what_people_have_been_given_is_theirs() {
        let scene = Scene::new(Inactive).with(|s| s.incident.escalated = true);
        assert_eq!(scene.decide(), Decision::Ignore(Reason::Escalated));
    }
}
