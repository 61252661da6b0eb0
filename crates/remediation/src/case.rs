//! One question to decide, with all that bears on it at hand.

use jiff::Timestamp;
use units::UnitFacts;

use crate::{Decision, time};
use crate::{History, PastAction, Policy, Reason, Rule, Situation, Target};

/// What the guards look at: rule and target are found, and nothing has been decided yet.
pub(crate) struct Case<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) rule: &'a Rule,
    pub(crate) target: Target,
    pub(crate) history: &'a History,
    pub(crate) situation: &'a Situation,
}

/// When to ask again where an event of the bus is expected to come first.
const RECHECK: std::time::Duration = std::time::Duration::from_secs(1);

impl<'a> Case<'a> {
    pub(crate) fn open(
        policy: &'a Policy,
        history: &'a History,
        situation: &'a Situation,
    ) -> Result<Self, Decision> {
        let selection = policy.select(&situation.host, &situation.trigger)?;
        Ok(Self {
            policy,
            rule: selection.rule,
            target: selection.target,
            history,
            situation,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.situation.now
    }

    /// Actions on the target that are under way.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = &'a PastAction> {
        self.history
            .in_flight()
            .filter(|action| self.target.covers(&action.unit))
    }

    /// Actions by the rule since a person last declared its past as settled.
    pub(crate) fn unsettled_actions(&self) -> impl Iterator<Item = &'a PastAction> {
        let resets = self.history.resets.iter();
        let settled_at = resets
            .filter(|reset| reset.rule == self.rule.name)
            .map(|reset| reset.at)
            .max();
        self.history.actions.iter().filter(move |action| {
            action.rule == self.rule.name && settled_at.is_none_or(|settled| action.at > settled)
        })
    }

    /// Fresh reads of every instance of the target's template that is loaded.
    pub(crate) fn instances(&self) -> impl Iterator<Item = &'a UnitFacts> {
        self.situation.unit.iter().chain(&self.situation.siblings)
    }

    /// Hold, and look again shortly.
    pub(crate) fn hold_shortly(&self, reason: Reason) -> Decision {
        self.hold_until(reason, time::after(self.now(), RECHECK))
    }

    /// Hold until a known moment, which is never the present one: asking again at once would spin.
    pub(crate) fn hold_until(&self, reason: Reason, retry_at: Timestamp) -> Decision {
        let soonest = time::after(self.now(), std::time::Duration::from_millis(1));
        Decision::Hold {
            reason,
            retry_at: retry_at.max(soonest),
        }
    }
}
