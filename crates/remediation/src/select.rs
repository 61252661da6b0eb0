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
        let unit: UnitName = label.parse().map_err(|_| Reason::UnitNotAllowed)?;
        let mut patterns = self.units.iter();
        let pattern = patterns.find(|pattern| pattern.matches(&unit));
        match pattern.ok_or(Reason::UnitNotAllowed)? {
            // Which instance the alert came from says nothing about which one to add or remove.
            template @ UnitPattern::Instances { .. } if self.only_scales() => {
                Ok(Target::Template(template.clone()))
            }
            _ => Ok(Target::Unit(unit)),
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

#[cfg(test)]
mod tests {
    use units::ActiveState::Failed;

    use super::*;
    use crate::testing::{Scene, policy, unit};

    const POLICY: &str = r#"
        [[rule]]
        name = "api"
        match = ['alertname=~"Down|UnitFailed"']
        units = ["api.service"]
        on_unit_failed = true
        ladder = [{ action = "restart" }]

        [[rule]]
        name = "workers"
        match = ['alertname="UnitFailed"']
        units = ["worker@*.service"]
        ladder = [{ action = "restart" }]

        [[rule]]
        name = "backlog"
        match = ['alertname="Backlog"']
        units = ["worker@*.service"]
        ladder = [{ action = "scale-up", max = 3 }, { action = "escalate" }]

        [[rule]]
        name = "nothing"
        match = ['alertname="Odd"']
        ladder = [{ action = "restart" }]

        [[rule]]
        name = "several"
        match = ['alertname="Several"']
        units = ["a.service", "b.service"]
        ladder = [{ action = "restart" }]
    "#;

    fn selected(trigger: &Trigger) -> Result<String, Reason> {
        let policy = policy(POLICY);
        let selection = policy.select("here", trigger)?;
        Ok(format!("{}: {}", selection.rule.name, selection.target))
    }

    fn alert(name: &str, unit: &str, host: &str) -> Trigger {
        let mut scene = Scene::new(Failed);
        if let Trigger::Alert(alert) = &mut scene.situation.trigger {
            let labels = [("alertname", name), ("unit", unit), ("host", host)];
            let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
            alert.labels = labels.map(|(k, v)| (k.into(), v.into())).collect();
        }
        scene.situation.trigger
    }

    #[test]
    fn the_first_rule_that_matches_and_names_the_unit_is_chosen() {
        for (name, unit, host, expected) in [
            ("Down", "api.service", "here", Ok("api: api.service")),
            ("Down", "api.service", "", Ok("api: api.service")),
            ("Down", "", "", Ok("api: api.service")),
            (
                "UnitFailed",
                "worker@2.service",
                "",
                Ok("workers: worker@2.service"),
            ),
            ("Backlog", "", "", Ok("backlog: worker@*.service")),
            (
                "Backlog",
                "worker@2.service",
                "",
                Ok("backlog: worker@*.service"),
            ),
            ("Down", "api.service", "there", Err(Reason::OtherHost)),
            ("Down", "nginx.service", "", Err(Reason::UnitNotAllowed)),
            (
                "UnitFailed",
                "worker@.service",
                "",
                Err(Reason::UnitNotAllowed),
            ),
            ("Quiet", "api.service", "", Err(Reason::NoRule)),
            // An empty list means nothing, with and without a label.
            ("Odd", "", "", Err(Reason::NoTarget)),
            ("Odd", "api.service", "", Err(Reason::UnitNotAllowed)),
            ("Several", "", "", Err(Reason::NoTarget)),
        ] {
            let told = selected(&alert(name, unit, host));
            assert_eq!(told, expected.map(str::to_owned), "{name} {unit:?}");
        }
    }

    #[test]
    fn a_label_is_never_more_than_a_name_on_the_list() {
        for label in [
            "../api.service",
            "api.service\n",
            "api.service ssh.service",
            "api.service\0",
            "*",
            "worker@*.service",
            "%i.service",
            "API.SERVICE",
        ] {
            let told = selected(&alert("Down", label, ""));
            assert_eq!(told, Err(Reason::UnitNotAllowed), "{label:?}");
        }
    }

    #[test]
    fn systemds_own_signal_reaches_the_rules_that_listen() {
        let failed = |name| selected(&Trigger::UnitFailed(unit(name)));
        assert_eq!(failed("api.service").as_deref(), Ok("api: api.service"));
        assert_eq!(failed("worker@1.service"), Err(Reason::UnitNotAllowed));
    }
}
