//! The key `ladder` of a rule.

use units::{UnitName, UnitPattern};

use super::{MANY, SOME_DURATION, refusal};
use crate::is_protected;
use crate::policy::{Rung, RungAction, When, defaults};
use crate::reader::Section;

/// No host runs more instances of one template.
const MAX_INSTANCES: u32 = 1_000;

const STATES: &[(&str, When)] = &[
    ("active", When::Active),
    ("inactive", When::Inactive),
    ("failed", When::Failed),
];

pub(super) fn read(
    section: &mut Section<'_>,
    key: &'static str,
    units: &[UnitPattern],
) -> Option<Vec<Rung>> {
    let rungs = section.sections(key);
    if rungs.is_empty() {
        section.note(
            key,
            "is empty; with mode = \"observe\" a rule may only watch",
        );
        return None;
    }
    let ladder: Vec<Rung> = rungs.into_iter().filter_map(read_rung).collect();
    // Instances are counted and numbered by their template.
    let has_template = units.iter().any(|unit| unit.exact().is_none());
    if ladder.iter().any(|rung| rung.action.scales()) && !has_template {
        section.note(
            "units",
            "must name a template, such as \"worker@*.service\", to scale",
        );
    }
    Some(ladder)
}

fn read_rung(mut section: Section<'_>) -> Option<Rung> {
    let word = section.require("action", Section::text);
    let action = word.and_then(|word| read_action(&mut section, word));
    Some(Rung {
        when: section.choice("when", STATES),
        times: section.number("times", 1..=MANY, 1),
        deadline: section.duration("deadline", &SOME_DURATION, defaults::JOB_DEADLINE),
        action: action?,
    })
}

fn read_action(section: &mut Section<'_>, word: &str) -> Option<RungAction> {
    let action = match word {
        "reload" => RungAction::Reload,
        "restart" => RungAction::Restart,
        "start" => RungAction::Start,
        "stop" => RungAction::Stop,
        "reset-failed-start" => RungAction::ResetFailedStart,
        "escalate" => RungAction::Escalate,
        "kill" => RungAction::Kill {
            signal: section.require("signal", Section::parsed)?,
        },
        "scale-up" => RungAction::ScaleUp {
            max: section.require("max", |s, key| s.number_at(key, 1..=MAX_INSTANCES))?,
            step: section.number("step", 1..=MAX_INSTANCES, 1),
        },
        "scale-down" => RungAction::ScaleDown {
            min: section.require("min", |s, key| s.number_at(key, 0..=MAX_INSTANCES))?,
            step: section.number("step", 1..=MAX_INSTANCES, 1),
        },
        "runbook" => RungAction::Runbook {
            unit: section.require("unit", read_runbook)?,
        },
        _ => {
            let problem = format!(
                "{word:?} is none of: reload, restart, start, stop, kill, reset-failed-start, \
                 scale-up, scale-down, runbook, escalate"
            );
            section.note("action", problem);
            return None;
        }
    };
    Some(action)
}

fn read_runbook(section: &mut Section<'_>, key: &'static str) -> Option<UnitName> {
    let unit: UnitName = section.parsed(key)?;
    if is_protected(&unit) {
        section.note(key, refusal(&unit));
        return None;
    }
    Some(unit)
}
