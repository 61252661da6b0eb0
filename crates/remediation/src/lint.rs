//! What a valid policy cannot mean: rules that are never reached, units that are not there, and
//! what is merely doubtful.

use std::collections::BTreeMap;
use std::fmt::Display;

use units::{UnitName, UnitPattern};

use crate::policy::{Matchers, PolicyError, Rule};
use crate::{Policy, RungAction};

/// The unit files of a host by name, templates included (`worker@.service`), each with its `Type=`
/// where that is known.
pub type UnitFiles = BTreeMap<String, Option<String>>;

impl Policy {
    /// Rules and rungs that are never reached, each with its place.
    pub fn unreachable(&self) -> Vec<PolicyError> {
        let of_rule = |(index, rule)| {
            let shadowed = shadowed(rule, &self.rules()[..index]);
            unreachable_rungs(rule).into_iter().chain(shadowed)
        };
        self.rules().iter().enumerate().flat_map(of_rule).collect()
    }

    /// Units in rules that this host does not have, each with its place.
    pub fn unknown_units(&self, files: &UnitFiles) -> Vec<PolicyError> {
        let of_rule = |rule| unknown_units(rule, files);
        self.rules().iter().flat_map(of_rule).collect()
    }

    /// What can be done but is hardly meant, each with its place; none is a reason to refuse it.
    pub fn doubts(&self, files: &UnitFiles) -> Vec<PolicyError> {
        let of_rule = |rule| {
            acts_on_nothing(rule)
                .into_iter()
                .chain(impatient_runbooks(rule, files))
        };
        self.rules().iter().flat_map(of_rule).collect()
    }
}

fn doubt(rule: &Rule, key: &str, problem: impl Display) -> PolicyError {
    PolicyError {
        place: rule.place.clone(),
        key: format!("rule.{key}"),
        problem: format!("{}: {problem}", rule.name),
    }
}

fn acts_on_nothing(rule: &Rule) -> Option<PolicyError> {
    let empty = rule.units.is_empty();
    empty.then(|| doubt(rule, "units", "names no unit, so the rule acts on nothing"))
}

/// People are asked on a rung that always fits; nothing below it is ever tried.
fn unreachable_rungs(rule: &Rule) -> Option<PolicyError> {
    let asks = |rung: &crate::Rung| rung.action == RungAction::Escalate && rung.when.is_none();
    let last = rule.ladder.iter().position(asks)?;
    let below = rule.ladder.len() - last - 1;
    (below > 0).then(|| {
        let problem = format!("the {below} rung(s) below \"escalate\" are never reached");
        doubt(rule, "ladder", problem)
    })
}

/// An earlier rule takes every trigger that this one waits for.
fn shadowed(rule: &Rule, earlier: &[Rule]) -> Option<PolicyError> {
    let shadow = earlier.iter().find(|earlier| {
        let signal_too = earlier.on_unit_failed || !rule.on_unit_failed;
        let same_units = rule.units.iter().all(|unit| covers(&earlier.units, unit));
        let named = !rule.units.is_empty();
        signal_too && named && same_units && implied(&earlier.matchers, &rule.matchers)
    })?;
    let problem = format!(
        "is never reached: {} takes all of its alerts first",
        shadow.name
    );
    Some(doubt(rule, "match", problem))
}

fn covers(patterns: &[UnitPattern], wanted: &UnitPattern) -> bool {
    let named = |unit| patterns.iter().any(|pattern| pattern.matches(unit));
    patterns.contains(wanted) || wanted.exact().is_some_and(named)
}

/// Whether every alert that `narrow` matches is one that `wide` matches, as far as can be told
/// from equal conditions and from labels that `narrow` fixes to one value.
fn implied(wide: &Matchers, narrow: &Matchers) -> bool {
    wide.iter().all(|condition| {
        narrow.iter().any(|other| {
            let fixed = other
                .only_value()
                .filter(|_| other.label() == condition.label());
            other == condition || fixed.is_some_and(|value| condition.matches_value(value))
        })
    })
}

fn unknown_units(rule: &Rule, files: &UnitFiles) -> Vec<PolicyError> {
    let unknown = |key: &'static str, unit: UnitPattern| {
        let needed = unit_files(&unit);
        let file = needed.last()?;
        let is_there = needed.iter().any(|file| files.contains_key(file));
        (!is_there).then(|| doubt(rule, key, format!("this host has no {file}")))
    };
    let units = rule
        .units
        .iter()
        .filter_map(|unit| unknown("units", unit.clone()));
    let also = rule.also_reset.iter().cloned();
    let also = also.filter_map(|unit| unknown("also_reset", UnitPattern::Exact(unit)));
    let runbooks = runbooks(rule);
    let runbooks = runbooks.filter_map(|unit| unknown("ladder", UnitPattern::Exact(unit.clone())));
    units.chain(also).chain(runbooks).collect()
}

/// The job of any other service is done when it has begun.
fn impatient_runbooks(rule: &Rule, files: &UnitFiles) -> impl Iterator<Item = PolicyError> {
    runbooks(rule).filter_map(|unit| {
        let candidates = unit_files(&UnitPattern::Exact(unit.clone()));
        let file = candidates.iter().find_map(|file| files.get(file))?;
        let service_type = file.as_ref().filter(|known| *known != "oneshot")?;
        let problem = format!("{unit} has Type={service_type}: a runbook's end is seen of oneshot");
        Some(doubt(rule, "ladder", problem))
    })
}

fn runbooks(rule: &Rule) -> impl Iterator<Item = &UnitName> {
    rule.ladder.iter().filter_map(|rung| match &rung.action {
        RungAction::Runbook { unit } => Some(unit),
        _ => None,
    })
}

/// The files that such a unit may be loaded from, its own first.
fn unit_files(unit: &UnitPattern) -> Vec<String> {
    match unit {
        UnitPattern::Exact(unit) => [unit.to_string()]
            .into_iter()
            .chain(unit.template())
            .collect(),
        UnitPattern::Instances { stem, suffix } => vec![format!("{stem}@.{suffix}")],
    }
}

#[cfg(test)]
mod tests {
    use super::UnitFiles;
    use crate::testing::policy;

    #[test]
    fn everything_is_told_with_its_place() {
        let policy = policy(
            r#"
            [[rule]]
            name = "all-failures"
            match = ['alertname=~"UnitFailed|Down"']
            units = ["api.service", "worker@*.service"]
            also_reset = ["api.socket"]
            on_unit_failed = true
            ladder = [{ action = "escalate" }, { action = "restart" }]

            [[rule]]
            name = "shadowed"
            match = ['alertname="Down"', 'severity="critical"']
            units = ["worker@1.service"]
            ladder = [{ action = "runbook", unit = "mend.service" }]

            [[rule]]
            name = "runbooks"
            match = ['alertname="Full"']
            units = ["api.service"]
            ladder = [
                { action = "runbook", unit = "call.service" },
                { action = "runbook", unit = "clean@api.service" },
            ]

            [[rule]]
            name = "not-shadowed-by-its-unit"
            match = ['alertname="Down"']
            units = ["cache.service"]
            ladder = [{ action = "restart" }]

            [[rule]]
            name = "not-shadowed-by-its-alert"
            match = ['alertname=~"Down|Slow"']
            units = ["api.service"]
            ladder = [{ action = "escalate", when = "failed" }, { action = "restart" }]

            [[rule]]
            name = "idle"
            match = ['alertname="Idle"']
            ladder = [{ action = "restart" }]
            "#,
        );
        let files: UnitFiles = [
            ("api.service", Some("notify")),
            ("worker@.service", None),
            ("call.service", Some("simple")),
            ("clean@.service", Some("oneshot")),
        ]
        .map(|(name, service_type)| (name.into(), service_type.map(str::to_owned)))
        .into();
        let told = [
            ("never reached", policy.unreachable()),
            ("unknown", policy.unknown_units(&files)),
            ("doubtful", policy.doubts(&files)),
        ];
        let told = told.map(|(what, found)| {
            let lines: Vec<_> = found.iter().map(|error| format!("  {error}\n")).collect();
            format!("{what}:\n{}", lines.concat())
        });
        insta::assert_snapshot!(told.concat());
    }
}
