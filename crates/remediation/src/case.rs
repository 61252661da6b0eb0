//! One question to decide, with all that bears on it at hand.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use jiff::Timestamp;
use units::UnitFacts;

use crate::{
    Decision, History, Mode, PastAction, Policy, Reason, Rule, Selection, Situation, Target, time,
};

/// What the guards look at: rule and target are found, and nothing has been decided yet.
pub(crate) struct Case<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) rule: &'a Rule,
    pub(crate) target: Target,
    pub(crate) history: &'a History,
    pub(crate) situation: &'a Situation,
}

/// When to ask again where an event of the bus is expected to come first.
const RECHECK: Duration = Duration::from_secs(1);

/// The shortest hold. Asking again at the very same moment would spin.
const SHORTEST_HOLD: Duration = Duration::from_millis(1);

impl<'a> Case<'a> {
    /// What `explain` says about this step.
    pub(crate) const CLAIM: &'static str = "a rule is about the trigger, and names its unit";

    pub(crate) fn open(
        policy: &'a Policy,
        history: &'a History,
        situation: &'a Situation,
    ) -> ControlFlow<Decision, Self> {
        match policy.select(&situation.host, &situation.trigger) {
            Ok(Selection { rule, target }) => Continue(Self {
                policy,
                rule,
                target,
                history,
                situation,
            }),
            Err(Reason::NoRule) => Break(Decision::Ignore(Reason::NoRule)),
            Err(reason) => Break(Decision::Deny(reason)),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.situation.now
    }

    /// Actions on the target that are under way.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = &'a PastAction> {
        self.history
            .in_flight()
            .filter(|action| action.is_on(&self.target))
    }

    /// Fresh reads of every instance of the target's template that is loaded.
    pub(crate) fn instances(&self) -> impl Iterator<Item = &'a UnitFacts> {
        self.situation.unit.iter().chain(&self.situation.siblings)
    }

    /// Give the incident to people. A rule that only observes wakes nobody.
    pub(crate) fn escalate(&self, reason: Reason) -> Decision {
        match self.rule.mode {
            Mode::Observe => Decision::Ignore(Reason::ObserveMode),
            Mode::Approve | Mode::Auto => Decision::Escalate(reason),
        }
    }

    /// Hold for something that may never end, and look again shortly.
    pub(crate) fn hold_shortly(&self, reason: Reason) -> Decision {
        self.hold_patiently(reason, RECHECK)
    }

    /// Hold for something that may never end: after the rule's patience people learn of it.
    pub(crate) fn hold_patiently(&self, reason: Reason, recheck: Duration) -> Decision {
        let incident = &self.situation.incident;
        let last_step = incident.attempts.last().map(|attempt| attempt.at);
        let steps = [last_step, incident.held_by_people_at];
        let since = steps
            .into_iter()
            .flatten()
            .fold(incident.opened_at, Timestamp::max);
        let over_at = time::after(since, self.rule.patience);
        let has_people = incident.escalated;
        if self.now() >= over_at && !has_people {
            return self.escalate(reason);
        }
        let retry_at = time::after(self.now(), recheck);
        // What people have is only looked at.
        let retry_at = if has_people {
            retry_at
        } else {
            retry_at.min(over_at)
        };
        self.hold_until(reason, retry_at)
    }

    /// Hold for something that is known to end, and look again shortly.
    pub(crate) fn hold_briefly(&self, reason: Reason) -> Decision {
        self.hold_until(reason, time::after(self.now(), RECHECK))
    }

    /// Hold until a known moment.
    pub(crate) fn hold_until(&self, reason: Reason, retry_at: Timestamp) -> Decision {
        let soonest = time::after(self.now(), SHORTEST_HOLD);
        Decision::Hold {
            reason,
            retry_at: retry_at.max(soonest),
        }
    }
}
