//! From a trigger to the rule that is about it and the units that it may touch.

use std::fmt;

use serde::{Deserialize, Serialize};
use units::{UnitName, UnitPattern};

use crate::{Policy, Reason, Rule, Trigger};

/// The rule that is about a trigger, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection<'p> {
    /// The rule.
    pub rule: &'p Rule,
    /// One unit, or a template as a whole.
    pub target: Target,
}

/// What a repair is about. It always comes from the policy's list, never from an alert alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// This unit.
    Unit(UnitName),
    /// The instances of a template, for scaling.
    Template(UnitPattern),
}

impl Target {
    /// The one unit; `None` for a template as a whole.
    pub fn unit(&self) -> Option<&UnitName> {
        match self {
            Self::Unit(unit) => Some(unit),
            Self::Template(_) => None,
        }
    }

    /// Whether an action on this unit is an action on the target.
    pub fn covers(&self, unit: &UnitName) -> bool {
        match self {
            Self::Unit(target) => target == unit,
            Self::Template(pattern) => pattern.matches(unit),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(unit) => unit.fmt(f),
            Self::Template(pattern) => pattern.fmt(f),
        }
    }
}

impl Policy {
    /// Finds the first rule that is about this trigger and names its unit.
    ///
    /// The engine asks this first, to know whose state to read; [`decide`](crate::decide()) asks
    /// the same again.
    ///
    /// # Errors
    /// Why no rule and target can be found.
    pub fn select(&self, host: &str, trigger: &Trigger) -> Result<Selection<'_>, Reason> {
        let about_us = |label: &str| label.is_empty() || label == host;
        match trigger {
            Trigger::Alert(alert) if !about_us(alert.label("host")) => Err(Reason::OtherHost),
            Trigger::Alert(alert) => {
                let matching = self
                    .rules()
                    .iter()
                    .filter(|r| r.matchers.match_alert(alert));
                first_with_target(matching, alert.label("unit"))
            }
            Trigger::UnitFailed(unit) => {
                let listening = self.rules().iter().filter(|rule| rule.on_unit_failed);
                first_with_target(listening, unit.as_str())
            }
        }
    }
}

/// The first of the rules whose list has the unit; or the best reason why there is none.
fn first_with_target<'p>(
    rules: impl Iterator<Item = &'p Rule>,
    unit: &str,
) -> Result<Selection<'p>, Reason> {
    let mut refusal = Reason::NoRule;
    for rule in rules {
        match rule.target(unit) {
            Ok(target) => return Ok(Selection { rule, target }),
            Err(reason) => refusal = reason,
        }
    }
    Err(refusal)
}

impl Rule {
    /// What this rule would treat for an alert with this `unit` label.
    fn target(&self, label: &str) -> Result<Target, Reason> {
        if label.is_empty() {
            return self.only_target().ok_or(Reason::NoTarget);
        }
        match label.parse::<UnitName>() {
            Ok(unit) if self.allows(&unit) => Ok(Target::Unit(unit)),
            _ => Err(Reason::UnitNotAllowed),
        }
    }

    /// The one thing that the list names, if it names one: a unit, or a template for scaling.
    fn only_target(&self) -> Option<Target> {
        match self.units.as_slice() {
            [UnitPattern::Exact(unit)] => Some(Target::Unit(unit.clone())),
            [template @ UnitPattern::Instances { .. }] if self.only_scales() => {
                Some(Target::Template(template.clone()))
            }
            _ => None,
        }
    }
}
