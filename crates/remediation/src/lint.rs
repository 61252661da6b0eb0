//! Doubts about a valid policy: what it says can be done, but is hardly meant.

use std::collections::BTreeSet;
use std::fmt::Display;

use units::UnitPattern;

use crate::policy::{Matchers, PolicyError, Rule};
use crate::{Policy, RungAction};

impl Policy {
    /// Doubts about this policy, each with its place; none is a reason to refuse it.
    ///
    /// `unit_files` are the names of the unit files on the host, templates included
    /// (`worker@.service`); without them no unit is called unknown.
    pub fn doubts(&self, unit_files: Option<&BTreeSet<String>>) -> Vec<PolicyError> {
        let mut doubts = Vec::new();
        for (index, rule) in self.rules().iter().enumerate() {
            doubts.extend(acts_on_nothing(rule));
            doubts.extend(unreachable_rungs(rule));
            doubts.extend(shadowed(rule, &self.rules()[..index]));
            doubts.extend(
                unit_files
                    .into_iter()
                    .flat_map(|files| unknown_units(rule, files)),
            );
        }
        doubts
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

fn unknown_units(rule: &Rule, files: &BTreeSet<String>) -> Vec<PolicyError> {
    let unknown = |key: &'static str, unit: UnitPattern| {
        let file = unit_file(&unit);
        (!files.contains(&file)).then(|| doubt(rule, key, format!("this host has no {file}")))
    };
    let units = rule
        .units
        .iter()
        .filter_map(|unit| unknown("units", unit.clone()));
    let also = rule.also_reset.iter().cloned();
    let also = also.filter_map(|unit| unknown("also_reset", UnitPattern::Exact(unit)));
    let runbooks = rule.ladder.iter().filter_map(|rung| match &rung.action {
        RungAction::Runbook { unit } => unknown("ladder", UnitPattern::Exact(unit.clone())),
        _ => None,
    });
    units.chain(also).chain(runbooks).collect()
}

/// The file that such a unit is loaded from, if it comes from a file at all.
fn unit_file(unit: &UnitPattern) -> String {
    match unit {
        UnitPattern::Exact(unit) => unit.template().unwrap_or_else(|| unit.to_string()),
        UnitPattern::Instances { stem, suffix } => format!("{stem}@.{suffix}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::policy;

    #[test]
    fn every_doubt_is_told_with_its_place() {
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
        let files = ["api.service", "worker@.service"].map(str::to_owned).into();
        let told: Vec<_> = policy
            .doubts(Some(&files))
            .iter()
            .map(ToString::to_string)
            .collect();
        insta::assert_snapshot!(told.join("\n"));
        assert_eq!(policy.doubts(None).len(), 3);
    }
}
