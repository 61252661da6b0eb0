//! What the bot has done before, as its ledger remembers it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use units::UnitName;
use uuid::Uuid;

use crate::decision::names;
use crate::policy::RuleName;
use crate::{Action, Reason, Target};

/// The part of the ledger that decisions look at: at least the last
/// [`Policy::history_window`](crate::Policy::history_window), in any order.
///
/// It lives in the ledger and not in memory, so no limit is forgotten when the bot restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Every action begun, with what came of it.
    pub actions: Vec<PastAction>,
    /// Every time people were asked to look.
    #[serde(default)]
    pub escalations: Vec<PastEscalation>,
    /// Times at which a person declared a rule's past as settled.
    #[serde(default)]
    pub resets: Vec<RuleReset>,
}

/// One action that was begun. Its intent was recorded before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastAction {
    /// When its intent was recorded.
    pub at: Timestamp,
    /// The incident that it was part of.
    pub incident: Uuid,
    /// The rule that allowed it.
    pub rule: RuleName,
    /// The plan's unit.
    pub unit: UnitName,
    /// The further instances that a step of scaling acted on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<UnitName>,
    /// What was done.
    pub action: Action,
    /// When it was judged, and how; `None` while it is in flight.
    pub judged: Option<Judgement>,
}

/// What came of an action, and when that was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// When.
    pub at: Timestamp,
    /// What.
    pub outcome: Outcome,
}

/// What came of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The proof held for as long as the rule asks.
    Effective,
    /// The job failed, or the proof did not hold before its deadline.
    Ineffective,
    /// The bot could not find out, for instance because the bus was gone.
    Unknown,
}

impl Outcome {
    /// The word of the log field, the metric label and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Effective => "effective",
            Self::Ineffective => "ineffective",
            Self::Unknown => "unknown",
        }
    }
}

/// One time that people were asked to look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastEscalation {
    /// When.
    pub at: Timestamp,
    /// For which incident.
    pub incident: Uuid,
    /// Under which rule.
    pub rule: RuleName,
    /// Why.
    pub reason: Reason,
}

/// A person declared what a rule did until then as settled (`alert-bot resume --rule NAME`):
/// its breaker closes and its demotion ends. Budgets are not forgiven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReset {
    /// When.
    pub at: Timestamp,
    /// Which rule.
    pub rule: RuleName,
}

impl PastAction {
    /// Every unit that it acted on.
    pub fn units(&self) -> impl Iterator<Item = &UnitName> {
        std::iter::once(&self.unit).chain(&self.also)
    }

    /// Their names, for people.
    pub fn names(&self) -> String {
        names(self.units())
    }

    /// Whether it was an action on the target.
    pub(crate) fn is_on(&self, target: &Target) -> bool {
        self.units().any(|unit| target.covers(unit))
    }

    /// Begun and not yet judged.
    pub fn is_in_flight(&self) -> bool {
        self.judged.is_none()
    }

    /// What came of it, once that is known.
    pub fn outcome(&self) -> Option<Outcome> {
        self.judged.map(|judged| judged.outcome)
    }
}

impl History {
    /// Actions that were begun and are not judged yet.
    pub fn in_flight(&self) -> impl Iterator<Item = &PastAction> {
        self.actions.iter().filter(|action| action.is_in_flight())
    }

    /// Actions by the rule since a person last declared its past as settled.
    pub(crate) fn unsettled_by(&self, rule: &RuleName) -> impl Iterator<Item = &PastAction> {
        let resets = self.resets.iter().filter(|reset| reset.rule == *rule);
        let settled_at = resets.map(|reset| reset.at).max();
        let actions = self.actions.iter().filter(|action| action.rule == *rule);
        actions.filter(move |action| settled_at.is_none_or(|settled| action.at > settled))
    }

    /// Actions begun within `window` before `now`, and any that seem to lie ahead: when the clock
    /// has been set back they may not be forgotten, or a step of the clock would free a budget.
    pub(crate) fn within(
        &self,
        window: Duration,
        now: Timestamp,
    ) -> impl Iterator<Item = &PastAction> {
        let horizon = crate::time::before(now, window);
        self.actions
            .iter()
            .filter(move |action| action.at > horizon)
    }
}
