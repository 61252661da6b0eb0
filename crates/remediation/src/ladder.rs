//! The rule's ladder: which rung comes next, and the complete plan that it gives.

use std::ops::ControlFlow;

use units::{ActiveState, UnitFacts, UnitName, UnitPattern};

use crate::case::Case;
use crate::guards::saturation::Strain;
use crate::policy::{Rung, RungAction, When};
use crate::{Action, Decision, Plan, Reason, Rule};

/// What `explain` says about this step.
pub(crate) const CLAIM: &str = "a rung of the ladder fits";

/// The plan for the first rung that has not been tried often enough in this incident and that
/// fits the state of the unit now; or the decision where there is none.
pub(crate) fn next_plan(case: &Case<'_>) -> ControlFlow<Decision, Plan> {
    let strain = Strain::of(case);
    let mut why_not = None;
    for (index, rung) in case.rule.ladder.iter().enumerate() {
        if times_tried(case, index) >= rung.times || !fits(rung, case.situation.unit.as_ref()) {
            continue;
        }
        match step(case, rung, strain) {
            Ok(Move::Do { unit, action }) => {
                return ControlFlow::Continue(plan(case, index, rung, unit, action));
            }
            Ok(Move::AskPeople) => {
                let reason = why_not.unwrap_or(Reason::EscalateRung);
                return ControlFlow::Break(case.escalate(reason));
            }
            Err(reason) => why_not = why_not.or(Some(reason)),
        }
    }
    ControlFlow::Break(nothing_fits(case, why_not))
}

/// What a rung comes to when the target is known.
enum Move {
    Do { unit: UnitName, action: Action },
    AskPeople,
}

fn step(case: &Case<'_>, rung: &Rung, strain: Strain) -> Result<Move, Reason> {
    let action = match &rung.action {
        RungAction::Escalate => return Ok(Move::AskPeople),
        RungAction::ScaleUp { .. } if strain.forbids_growth() => return Err(Reason::Saturated),
        RungAction::ScaleUp { max } => {
            let unit = instance_to_add(case, *max).ok_or(Reason::AtMaxInstances)?;
            let action = Action::ScaleUp;
            return Ok(Move::Do { unit, action });
        }
        RungAction::ScaleDown { min } => {
            let unit = instance_to_remove(case, *min).ok_or(Reason::AtMinInstances)?;
            let action = Action::ScaleDown;
            return Ok(Move::Do { unit, action });
        }
        RungAction::Reload => Action::Reload,
        RungAction::Restart => Action::Restart,
        RungAction::Start => Action::Start,
        RungAction::Stop => Action::Stop,
        RungAction::Kill { signal } => Action::Kill { signal: *signal },
        RungAction::ResetFailedStart => Action::ResetFailedStart {
            also_reset: case.rule.also_reset.clone(),
        },
        RungAction::Runbook { unit } => Action::Runbook {
            runbook: unit.clone(),
        },
    };
    let Some(facts) = &case.situation.unit else {
        return Err(Reason::NoTarget);
    };
    if strain.forbids_interruption() && action.is_disruptive() && is_up(facts) {
        return Err(Reason::Saturated);
    }
    let unit = facts.unit.clone();
    Ok(Move::Do { unit, action })
}

fn plan(case: &Case<'_>, index: usize, rung: &Rung, unit: UnitName, action: Action) -> Plan {
    let incident = &case.situation.incident;
    Plan {
        incident: incident.id,
        rule: case.rule.name.clone(),
        unit,
        rung: index,
        action,
        reason: if incident.attempts.is_empty() {
            Reason::Due
        } else {
            Reason::NextRung
        },
        job_deadline: rung.deadline,
        proof: case.rule.proof.clone(),
    }
}

/// No rung is left. What that means depends on what the unit looks like.
fn nothing_fits(case: &Case<'_>, why_not: Option<Reason>) -> Decision {
    let runs = case.situation.unit.as_ref().is_some_and(is_up);
    let doubted = case.situation.probe_healthy == Some(false);
    let untried = case.situation.incident.attempts.is_empty();
    match why_not {
        Some(Reason::Saturated) => case.hold_shortly(Reason::Saturated),
        Some(Reason::AtMinInstances) => Decision::Ignore(Reason::AtMinInstances),
        Some(reason) => case.escalate(reason),
        // It runs, nothing speaks against that, and the rule has no rung for units that run.
        None if runs && untried && !doubted => Decision::Ignore(Reason::AlreadyHealthy),
        None => case.escalate(Reason::LadderExhausted),
    }
}

fn times_tried(case: &Case<'_>, index: usize) -> usize {
    let attempts = &case.situation.incident.attempts;
    attempts.iter().filter(|tried| tried.rung == index).count()
}

/// Whether the rung makes sense for a unit in this state.
fn fits(rung: &Rung, facts: Option<&UnitFacts>) -> bool {
    let Some(facts) = facts else {
        return rung.when.is_none();
    };
    let state = state(facts);
    let by_nature = match &rung.action {
        RungAction::Reload | RungAction::Stop | RungAction::Kill { .. } => {
            state == Some(When::Active)
        }
        RungAction::Start | RungAction::ResetFailedStart => state != Some(When::Active),
        RungAction::Restart
        | RungAction::ScaleUp { .. }
        | RungAction::ScaleDown { .. }
        | RungAction::Runbook { .. }
        | RungAction::Escalate => true,
    };
    by_nature && (rung.when.is_none() || rung.when == state)
}

fn state(facts: &UnitFacts) -> Option<When> {
    match facts.active_state {
        ActiveState::Active | ActiveState::Reloading | ActiveState::Refreshing => {
            Some(When::Active)
        }
        ActiveState::Inactive => Some(When::Inactive),
        ActiveState::Failed => Some(When::Failed),
        ActiveState::Activating | ActiveState::Deactivating | ActiveState::Maintenance => None,
    }
}

pub(crate) fn is_up(facts: &UnitFacts) -> bool {
    state(facts) == Some(When::Active)
}

/// The lowest-numbered instance that is not loaded or `inactive`, while fewer than `max` run.
/// One that failed is a repair for another rule, not a free place.
fn instance_to_add(case: &Case<'_>, max: u32) -> Option<UnitName> {
    let pattern = scaled_template(case)?;
    let running = case.instances().filter(|facts| is_up(facts)).count();
    if running >= max as usize {
        return None;
    }
    (1..=max)
        .filter_map(|number| instance(pattern, number))
        .find(|unit| {
            case.instances()
                .filter(|facts| facts.unit == *unit)
                .all(|facts| state(facts) == Some(When::Inactive))
        })
}

/// The highest-numbered instance that runs, while more than `min` do.
fn instance_to_remove(case: &Case<'_>, min: u32) -> Option<UnitName> {
    let running = case.instances().filter(|facts| is_up(facts));
    let mut numbered: Vec<(u32, &UnitName)> = running
        .filter_map(|facts| Some((facts.unit.instance()?.parse().ok()?, &facts.unit)))
        .collect();
    numbered.sort();
    if numbered.len() <= min as usize {
        return None;
    }
    numbered.pop().map(|(_, unit)| unit.clone())
}

fn scaled_template<'a>(case: &'a Case<'_>) -> Option<&'a UnitPattern> {
    let mut patterns = case.rule.units.iter();
    match &case.target {
        crate::Target::Template(pattern) => Some(pattern),
        crate::Target::Unit(unit) => patterns.find(|p| p.exact().is_none() && p.matches(unit)),
    }
}

fn instance(pattern: &UnitPattern, number: u32) -> Option<UnitName> {
    match pattern {
        UnitPattern::Exact(_) => None,
        UnitPattern::Instances { stem, suffix } => {
            UnitName::try_new(format!("{stem}@{number}.{suffix}")).ok()
        }
    }
}

impl Rule {
    /// Whether the ladder does nothing but scale (and ask people).
    pub(crate) fn only_scales(&self) -> bool {
        let mut rungs = self.ladder.iter();
        rungs.all(|rung| rung.action.scales() || rung.action == RungAction::Escalate)
    }
}
