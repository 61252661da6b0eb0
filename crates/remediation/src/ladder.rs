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
            Ok(Move::Do(units, action)) => {
                return ControlFlow::Continue(plan(case, index, rung, units, action));
            }
            Ok(Move::AskPeople) => {
                let reason = why_not.or_else(|| last_reason(case));
                let reason = reason.unwrap_or(Reason::EscalateRung);
                return ControlFlow::Break(case.escalate(reason));
            }
            Err(reason) => why_not = why_not.or(Some(reason)),
        }
    }
    ControlFlow::Break(nothing_fits(case, why_not))
}

/// What a rung comes to when the target is known.
enum Move {
    Do(Acted, Action),
    AskPeople,
}

/// What is acted on: a unit, and where the action is a step of several instances, the others.
struct Acted {
    unit: UnitName,
    also: Vec<UnitName>,
}

impl Acted {
    /// `None` where there is nothing to act on.
    fn all(units: impl IntoIterator<Item = UnitName>) -> Option<Self> {
        let mut units = units.into_iter();
        Some(Self {
            unit: units.next()?,
            also: units.collect(),
        })
    }
}

fn step(case: &Case<'_>, rung: &Rung, strain: Strain) -> Result<Move, Reason> {
    let action = match &rung.action {
        RungAction::Escalate => return Ok(Move::AskPeople),
        RungAction::ScaleUp { .. } if strain.forbids_growth() => return Err(Reason::Saturated),
        RungAction::ScaleUp { max, step } => {
            let units = Acted::all(instances_to_add(case, *max, *step));
            let units = units.ok_or(Reason::AtMaxInstances)?;
            return Ok(Move::Do(units, Action::ScaleUp));
        }
        RungAction::ScaleDown { min, step } => {
            let units = Acted::all(instances_to_remove(case, *min, *step));
            let units = units.ok_or(Reason::AtMinInstances)?;
            return Ok(Move::Do(units, Action::ScaleDown));
        }
        RungAction::Reload => Action::Reload,
        RungAction::Restart => Action::Restart,
        RungAction::Start => Action::Start,
        RungAction::Stop => Action::Stop,
        RungAction::Kill { signal } => Action::Kill { signal: *signal },
        RungAction::ResetFailedStart => {
            let listed = case.rule.also_reset.iter().cloned();
            let also_reset = listed.filter(|unit| !case.policy.protects(unit)).collect();
            Action::ResetFailedStart { also_reset }
        }
        RungAction::Runbook { unit } if case.policy.protects(unit) => {
            return Err(Reason::ProtectedUnit);
        }
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
    let unit = Acted {
        unit: facts.unit.clone(),
        also: Vec::new(),
    };
    Ok(Move::Do(unit, action))
}

fn plan(case: &Case<'_>, index: usize, rung: &Rung, units: Acted, action: Action) -> Plan {
    let incident = &case.situation.incident;
    Plan {
        incident: incident.id,
        rule: case.rule.name.clone(),
        unit: units.unit,
        also: units.also,
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
        // The backlog may well be on its way down by now.
        Some(reason @ (Reason::Saturated | Reason::AtMaxInstances)) => case.hold_shortly(reason),
        Some(Reason::AtMinInstances) => Decision::Ignore(Reason::AtMinInstances),
        Some(reason) => case.escalate(reason),
        // It runs, nothing speaks against that, and the rule has no rung for units that run.
        None if runs && untried && !doubted => Decision::Ignore(Reason::AlreadyHealthy),
        None => case.escalate(last_reason(case).unwrap_or(Reason::LadderExhausted)),
    }
}

/// What the last attempt came to says more than that there is no further one.
fn last_reason(case: &Case<'_>) -> Option<Reason> {
    case.situation.incident.attempts.last()?.reason
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

/// The lowest-numbered instances that are not loaded or `inactive`: one step of them, or as many as
/// there is room for below `max`. One that failed is a repair for another rule, not a free place.
fn instances_to_add(case: &Case<'_>, max: u32, step: u32) -> Vec<UnitName> {
    let Some(pattern) = scaled_template(case) else {
        return Vec::new();
    };
    let taken = case.instances().filter(|facts| takes_a_place(facts));
    let room = (max as usize).saturating_sub(taken.count());
    let is_free = |unit: &UnitName| {
        let mut instances = case.instances().filter(|facts| facts.unit == *unit);
        instances.all(|facts| state(facts) == Some(When::Inactive))
    };
    (1..=max)
        .filter_map(|number| instance(pattern, number))
        .filter(|unit| !case.policy.protects(unit) && is_free(unit))
        .take(room.min(step as usize))
        .collect()
}

/// Whether it runs, or is on its way up or down.
fn takes_a_place(facts: &UnitFacts) -> bool {
    let state = state(facts);
    state != Some(When::Inactive) && state != Some(When::Failed)
}

/// The highest-numbered instances that run: one step of them, or as many as there are above `min`.
/// A step also ends where it would leave fewer healthy ones than the rule wants; whether a single
/// one can be spared is for a guard to say.
fn instances_to_remove(case: &Case<'_>, min: u32, step: u32) -> Vec<UnitName> {
    let running: Vec<&UnitFacts> = case.instances().filter(|facts| is_up(facts)).collect();
    let above_min = running.len().saturating_sub(min as usize);
    let healthy = running.iter().filter(|facts| facts.is_settled_active());
    let spare = healthy.count().saturating_sub(case.rule.healthy_min);
    let units = running.into_iter().map(|facts| &facts.unit);
    let numbered = units
        .filter(|unit| !case.policy.protects(unit))
        .filter_map(|unit| Some((unit.instance()?.parse::<u32>().ok()?, unit)));
    let mut highest_first: Vec<(u32, &UnitName)> = numbered.collect();
    highest_first.sort_unstable_by(|a, b| b.cmp(a));
    highest_first
        .into_iter()
        .map(|(_, unit)| unit.clone())
        .take(above_min.min(step as usize).min(spare.max(1)))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Scene, ago, facts, unit};
    use crate::{Attempt, Outcome, Target};
    use ActiveState::{Activating, Active, Failed, Inactive};

    const LADDER: &str = r#"
        also_reset = ["api.socket"]
        ladder = [
            { action = "start", when = "inactive" },
            { action = "restart", when = "active", times = 2 },
            { action = "reset-failed-start", when = "failed" },
            { action = "escalate" },
        ]
    "#;

    fn tried(scene: Scene, rungs: &[usize]) -> Scene {
        let attempt = |rung: &usize| Attempt {
            rung: *rung,
            at: ago(60),
            outcome: Some(Outcome::Ineffective),
            reason: None,
        };
        scene.with(|s| s.incident.attempts = rungs.iter().map(attempt).collect())
    }

    #[test]
    fn the_unit_s_state_chooses_the_rung_and_none_is_tried_too_often() {
        for (state, rungs, told) in [
            (Inactive, &[][..], "act (start api.service): due"),
            (Active, &[], "act (restart api.service): due"),
            (Failed, &[], "act (reset-failed-start api.service): due"),
            (Active, &[0], "act (restart api.service): next-rung"),
            (Active, &[0, 1], "act (restart api.service): next-rung"),
            (Active, &[2, 1, 1], "escalate: escalate-rung"),
            // An earlier rung that did not fit then is still there when it fits.
            (Inactive, &[2], "act (start api.service): next-rung"),
            (Failed, &[2], "escalate: escalate-rung"),
        ] {
            let scene = tried(Scene::new(state).rule(LADDER), rungs);
            let decision = scene.decide();
            assert_eq!(
                format!("{decision}: {}", decision.reason()),
                told,
                "{state} {rungs:?}"
            );
        }
    }

    #[test]
    fn a_plan_is_complete() {
        let scene = Scene::new(Failed).rule(LADDER);
        let plan = scene.decide().plan().cloned().unwrap();
        assert_eq!(plan.incident, scene.situation.incident.id);
        assert_eq!(plan.rung, 2);
        let also_reset = vec![unit("api.socket")];
        assert_eq!(plan.action, Action::ResetFailedStart { also_reset });
        assert_eq!(plan.proof, scene.policy().rules()[0].proof);
    }

    #[test]
    fn every_action_knows_in_which_states_it_makes_sense() {
        for (action, states) in [
            ("{ action = \"reload\" }", &[Active][..]),
            ("{ action = \"stop\" }", &[Active]),
            ("{ action = \"kill\", signal = \"SIGKILL\" }", &[Active]),
            ("{ action = \"start\" }", &[Inactive, Failed]),
            ("{ action = \"reset-failed-start\" }", &[Inactive, Failed]),
            ("{ action = \"restart\" }", &[Active, Inactive, Failed]),
            (
                "{ action = \"runbook\", unit = \"mend.service\" }",
                &[Active, Inactive, Failed],
            ),
        ] {
            for state in [Active, Inactive, Failed] {
                let scene = Scene::new(state).rule(&format!("ladder = [{action}]"));
                let acts = scene.decide().plan().is_some();
                assert_eq!(acts, states.contains(&state), "{action} {state}");
            }
        }
    }

    #[test]
    fn a_ladder_without_a_fitting_rung_asks_people_unless_the_unit_runs() {
        let only_start = r#"ladder = [{ action = "start" }]"#;
        for (state, probe, decision) in [
            (Active, None, Decision::Ignore(Reason::AlreadyHealthy)),
            (
                Active,
                Some(false),
                Decision::Escalate(Reason::LadderExhausted),
            ),
        ] {
            let scene = Scene::new(state).rule(only_start);
            let scene = scene.with(|situation| situation.probe_healthy = probe);
            assert_eq!(scene.decide(), decision, "{probe:?}");
        }
        let tried = tried(Scene::new(Inactive).rule(only_start), &[0]);
        assert_eq!(tried.decide(), Decision::Escalate(Reason::LadderExhausted));
    }

    /// Instances 1, 2, … in these states, and a rule that is about their template as a whole.
    fn template(rung: &str, states: &[ActiveState]) -> Scene {
        let instances = states.iter().zip(1..);
        let instances = instances.map(|(state, n)| facts(&format!("worker@{n}.service"), *state));
        let rule = format!("units = [\"worker@*.service\"]\nladder = [{rung}]");
        Scene::new(Active)
            .rule(&rule)
            .without_unit()
            .with(|situation| situation.siblings = instances.collect())
    }

    #[test]
    fn scaling_up_starts_the_lowest_free_instance_below_the_limit() {
        let rung = r#"{ action = "scale-up", max = 3 }"#;
        for (states, told) in [
            (&[][..], "act (scale-up worker@1.service)"),
            (&[Active], "act (scale-up worker@2.service)"),
            (
                &[Active, Inactive, Active],
                "act (scale-up worker@2.service)",
            ),
            // One that failed is a repair for another rule.
            (&[Active, Failed], "act (scale-up worker@3.service)"),
            (&[Active, Active, Active], "hold until 2026-11-22T12:00:01Z"),
            (&[Active, Failed, Active], "hold until 2026-11-22T12:00:01Z"),
        ] {
            assert_eq!(
                template(rung, states).decide().to_string(),
                told,
                "{states:?}"
            );
        }
        let full = template(rung, &[Active, Active, Active]);
        assert_eq!(full.reason(), Reason::AtMaxInstances);
    }

    #[test]
    fn scaling_down_stops_the_highest_running_instance_above_the_limit() {
        let rung = r#"{ action = "scale-down", min = 1 }"#;
        for (states, told) in [
            (
                &[Active, Active, Active][..],
                "act (scale-down worker@3.service)",
            ),
            (
                &[Active, Active, Inactive],
                "act (scale-down worker@2.service)",
            ),
            (&[Active], "ignore"),
            (&[], "ignore"),
        ] {
            assert_eq!(
                template(rung, states).decide().to_string(),
                told,
                "{states:?}"
            );
        }
        assert_eq!(template(rung, &[Active]).reason(), Reason::AtMinInstances);
    }

    #[test]
    fn a_step_is_as_long_as_the_bounds_allow() {
        let up = r#"{ action = "scale-up", max = 5, step = 2 }"#;
        for (states, told) in [
            (
                &[Active][..],
                "act (scale-up worker@2.service worker@3.service)",
            ),
            (
                &[Active, Inactive, Failed, Inactive],
                "act (scale-up worker@2.service worker@4.service)",
            ),
            (&[Active; 4], "act (scale-up worker@5.service)"),
            // One that is on its way takes a place.
            (
                &[Active, Active, Activating],
                "act (scale-up worker@4.service worker@5.service)",
            ),
            (
                &[Active, Active, Activating, Active],
                "act (scale-up worker@5.service)",
            ),
            (&[Active; 5], "hold until 2026-11-22T12:00:01Z"),
            (
                &[Active, Active, Active, Active, Inactive, Activating],
                "hold until 2026-11-22T12:00:01Z",
            ),
        ] {
            assert_eq!(
                template(up, states).decide().to_string(),
                told,
                "{states:?}"
            );
        }
        let down = r#"{ action = "scale-down", min = 1, step = 3 }"#;
        for (running, told) in [
            (
                5,
                "act (scale-down worker@5.service worker@4.service worker@3.service)",
            ),
            (3, "act (scale-down worker@3.service worker@2.service)"),
            (2, "act (scale-down worker@2.service)"),
            (1, "ignore"),
        ] {
            let states = vec![Active; running];
            assert_eq!(template(down, &states).decide().to_string(), told);
        }
    }

    #[test]
    fn nothing_is_scaled_that_cannot_be_counted() {
        let up = r#"{ action = "scale-up", max = 5, step = 2 }"#;
        let scene = template(up, &[Active]).with(|situation| situation.uncounted = true);
        assert_eq!(scene.reason(), Reason::UnitUnreadable);
    }

    #[test]
    fn a_step_down_ends_where_too_few_would_stay_healthy() {
        let down = r#"{ action = "scale-down", min = 0, step = 9 }"#;
        for (running, told) in [
            (4, "act (scale-down worker@4.service worker@3.service)"),
            (3, "act (scale-down worker@3.service)"),
            (2, "hold until 2026-11-22T12:00:01Z"),
        ] {
            let mut scene = template(down, &vec![Active; running]);
            scene.rule.push_str("\nhealthy_min = 2");
            assert_eq!(scene.decide().to_string(), told);
        }
    }

    #[test]
    fn scaling_passes_over_instances_that_the_host_protects() {
        let host = r#"protected = ["worker@2.service"]"#;
        let up = template(r#"{ action = "scale-up", max = 3 }"#, &[Active, Inactive]);
        let told = up.host(host).decide().to_string();
        assert_eq!(told, "act (scale-up worker@3.service)");
        let down = template(r#"{ action = "scale-down", min = 0 }"#, &[Active, Active]);
        let told = down.host(host).decide().to_string();
        assert_eq!(told, "act (scale-down worker@1.service)");
    }

    #[test]
    fn a_runbook_that_the_host_protects_is_not_run() {
        let scene = Scene::new(Failed)
            .host(r#"protected = ["mend.service"]"#)
            .rule(r#"ladder = [{ action = "runbook", unit = "mend.service" }]"#);
        assert_eq!(scene.decide(), Decision::Escalate(Reason::ProtectedUnit));
    }

    #[test]
    fn ten_comes_after_nine() {
        let states = [Active; 10];
        let decision = template(r#"{ action = "scale-down", min = 1 }"#, &states).decide();
        assert_eq!(decision.to_string(), "act (scale-down worker@10.service)");
    }

    #[test]
    fn a_template_as_a_whole_is_only_ever_scaled() {
        let rung = r#"{ action = "scale-up", max = 3 }, { action = "restart" }"#;
        let scene = template(rung, &[Active]);
        let policy = scene.policy();
        let target = policy
            .select("here", &scene.situation.trigger)
            .map(|s| s.target);
        assert_eq!(target, Err::<Target, _>(Reason::NoTarget));
    }
}
