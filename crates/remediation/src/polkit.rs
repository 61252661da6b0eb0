//! The polkit rule that grants exactly what a policy needs.
//!
//! systemd asks polkit about `org.freedesktop.systemd1.manage-units` and tells it the unit and the
//! verb (`bus_verify_manage_units_async_full()` in systemd's `dbus-unit.c`). Calls that carry no
//! unit, such as `StartTransientUnit`, are refused here because they name none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use units::{UnitName, UnitPattern};

use crate::{Mode, Policy, Rule, RungAction};

/// What systemd calls an operation when it asks polkit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // systemd's own words.
pub enum Verb {
    Start,
    Stop,
    Restart,
    Reload,
    Kill,
    ResetFailed,
}

impl Verb {
    /// The word in the detail `verb`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Kill => "kill",
            Self::ResetFailed => "reset-failed",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The unit and verb pairs that the policy's rules can lead to, but for single instances that the
/// host protects. Rules that only observe need none.
pub fn granted(policy: &Policy) -> BTreeSet<(UnitPattern, Verb)> {
    let acting = policy.rules().iter().filter(|r| r.mode != Mode::Observe);
    acting
        .flat_map(grants_of_rule)
        .filter(|(unit, _)| !policy.host().protected.contains(unit))
        .collect()
}

fn grants_of_rule(rule: &Rule) -> Vec<(UnitPattern, Verb)> {
    let mut grants = Vec::new();
    for rung in &rule.ladder {
        let verbs: &[Verb] = match &rung.action {
            RungAction::Reload => &[Verb::Reload],
            RungAction::Restart => &[Verb::Restart],
            RungAction::Start | RungAction::ScaleUp { .. } => &[Verb::Start],
            RungAction::Stop | RungAction::ScaleDown { .. } => &[Verb::Stop],
            RungAction::Kill { .. } => &[Verb::Kill],
            RungAction::ResetFailedStart => {
                let also = rule.also_reset.iter();
                grants.extend(also.map(|unit| (exactly(unit), Verb::ResetFailed)));
                &[Verb::ResetFailed, Verb::Start]
            }
            RungAction::Runbook { unit } => {
                grants.push((exactly(unit), Verb::Start));
                &[]
            }
            RungAction::Escalate => &[],
        };
        let pairs = |unit: &UnitPattern| verbs.iter().map(|verb| (unit.clone(), *verb)).collect();
        grants.extend(rule.units.iter().flat_map(|unit| -> Vec<_> { pairs(unit) }));
    }
    grants
}

fn exactly(unit: &UnitName) -> UnitPattern {
    UnitPattern::Exact(unit.clone())
}

/// The rule as polkit's `rules.d` wants it, in the ECMAScript 5 of its engine.
///
/// It answers for the user `alert-bot` alone, and for that user about everything of systemd: yes
/// for the granted pairs, no for all else.
pub fn polkit_rules(policy: &Policy) -> String {
    let mut verbs_of_unit: BTreeMap<UnitPattern, BTreeSet<Verb>> = BTreeMap::new();
    for (unit, verb) in granted(policy) {
        verbs_of_unit.entry(unit).or_default().insert(verb);
    }
    let mut table = String::new();
    for (unit, verbs) in &verbs_of_unit {
        let verbs: Vec<String> = verbs.iter().map(|verb| format!("\"{verb}\"")).collect();
        let (regex, verbs) = (anchored(unit), verbs.join(", "));
        writeln!(table, "        [/{regex}/, [{verbs}]],").expect("a String takes any text");
    }
    let protected = policy.host().protected.iter();
    let kept: Vec<String> = protected
        .map(|unit| format!("/{}/", anchored(unit)))
        .collect();
    TEMPLATE
        .replace("@GRANTED@", table.trim_end_matches(",\n"))
        .replace("@KEPT@", &kept.join(", "))
}

const TEMPLATE: &str = r#"// What alert-bot may ask of systemd: exactly what its policy needs.
// Made by `alert-bot polkit-rules`. Change the policy, not this file; `alert-bot validate`
// reports when the two differ.

polkit.addRule(function (action, subject) {
    if (subject.user !== "alert-bot" || action.id.indexOf("org.freedesktop.systemd1.") !== 0) {
        return polkit.Result.NOT_HANDLED;
    }
    var granted = [
@GRANTED@
    ];
    // Units that the host protects, also where a template above would mean them.
    var kept = [@KEPT@];
    var unit = action.lookup("unit");
    var verb = action.lookup("verb");
    if (action.id !== "org.freedesktop.systemd1.manage-units" || !unit || !verb) {
        return polkit.Result.NO;
    }
    for (var k = 0; k < kept.length; k++) {
        if (kept[k].test(unit)) {
            return polkit.Result.NO;
        }
    }
    for (var i = 0; i < granted.length; i++) {
        if (granted[i][0].test(unit) && granted[i][1].indexOf(verb) !== -1) {
            return polkit.Result.YES;
        }
    }
    return polkit.Result.NO;
});
"#;

/// A regular expression for the whole name and nothing else.
fn anchored(unit: &UnitPattern) -> String {
    match unit {
        UnitPattern::Exact(unit) => format!("^{}$", escaped(unit.as_str())),
        UnitPattern::Instances { stem, suffix } => {
            format!(r"^{}@[A-Za-z0-9:_.\\@-]+\.{suffix}$", escaped(stem))
        }
    }
}

/// Of the characters that unit names may hold, `.` and `\` mean something else in an expression.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('.', r"\.")
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;
    use crate::testing::policy;

    const POLICY: &str = r#"
        [host]
        protected = ["kept.service", "worker@2.service"]

        [[rule]]
        name = "api"
        match = ['alertname="ApiDown"']
        units = ["api.service", "kept.service"]
        also_reset = ["api.socket"]
        mode = "auto"
        ladder = [
            { action = "reload" },
            { action = "kill", signal = "SIGTERM" },
            { action = "restart" },
            { action = "reset-failed-start" },
            { action = "runbook", unit = "mend\\x2dapi.service" },
            { action = "escalate" },
        ]

        [[rule]]
        name = "workers"
        match = ['alertname="Backlog"']
        units = ["worker@*.service"]
        mode = "approve"
        ladder = [{ action = "scale-up", max = 3 }, { action = "scale-down", min = 1 }]

        [[rule]]
        name = "watched"
        match = ['alertname="Odd"']
        units = ["watched.service"]
        mode = "observe"
        ladder = [{ action = "restart" }]
    "#;

    #[test]
    fn the_rule_is_what_a_person_would_write() {
        insta::assert_snapshot!(polkit_rules(&policy(POLICY)));
    }

    #[test]
    fn a_policy_that_acts_on_nothing_is_granted_nothing() {
        let rules = polkit_rules(&policy(""));
        assert!(rules.contains("var granted = [\n\n    ];"), "{rules}");
    }

    /// What the table of the rule says, read back as polkit's engine would apply it.
    fn allows(rules: &str, unit: &str, verb: &str) -> bool {
        let row = Regex::new(r"\[/(?<regex>.+)/, \[(?<verbs>.+)\]\]").unwrap();
        let granted = row.captures_iter(rules).any(|row| {
            let regex = Regex::new(&row["regex"]).unwrap();
            regex.is_match(unit) && row["verbs"].split(", ").any(|v| v == format!("\"{verb}\""))
        });
        let list = rules.lines().find(|line| line.contains("var kept = ["));
        let list = list.unwrap().split_once('[').unwrap().1;
        let mut kept = list.trim_end_matches("];").split(", ");
        granted && !kept.any(|kept| is_kept(kept.trim_matches('/'), unit))
    }

    fn is_kept(regex: &str, unit: &str) -> bool {
        !regex.is_empty() && Regex::new(regex).unwrap().is_match(unit)
    }

    #[test]
    fn of_every_unit_and_verb_only_the_granted_pairs_pass() {
        let policy = policy(POLICY);
        let rules = polkit_rules(&policy);
        let granted = granted(&policy);
        let verbs = [
            "start",
            "stop",
            "restart",
            "reload",
            "kill",
            "reset-failed",
            "try-restart",
            "set-property",
            "clean",
            "freeze",
            "thaw",
            "bind-mount",
        ];
        let units = [
            "api.service",
            "api.socket",
            "mend\\x2dapi.service",
            "worker@1.service",
            "worker@2.service",
            "worker@22.service",
            "worker@a:b_c.d-e.service",
            "worker@a\\x2fb.service",
            "kept.service",
            "watched.service",
            "alert-bot.service",
            "dbus.service",
            "worker@.service",
            "worker.service",
        ];
        for unit in units {
            for verb in verbs {
                let named = |(pattern, wanted): &(UnitPattern, Verb)| {
                    let unit = unit.parse::<UnitName>();
                    wanted.as_str() == verb
                        && unit.is_ok_and(|unit| pattern.matches(&unit) && !policy.protects(&unit))
                };
                let expected = granted.iter().any(named);
                assert_eq!(allows(&rules, unit, verb), expected, "{verb} {unit}");
            }
        }
    }

    #[test]
    fn nothing_around_a_name_is_the_name() {
        let rules = polkit_rules(&policy(POLICY));
        for unit in [
            "xapi.service",
            "api.servicex",
            "apixservice",
            "api.service\n",
            "a/api.service",
            "worker@1/2.service",
            "worker@ 1.service",
            "worker@1.servicex",
            "undefined",
            "",
        ] {
            assert!(
                !allows(&rules, unit, "restart") && !allows(&rules, unit, "start"),
                "{unit:?}"
            );
        }
    }
}
