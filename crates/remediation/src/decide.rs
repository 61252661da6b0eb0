//! The decision: the questions that a careful operator asks, in order.

use crate::case::Case;
use crate::guards::{self, Guard, PlanGuard};
use crate::{Decision, History, Mode, Policy, Reason, Situation, ladder};

/// Asked before anything is planned. The first objection is the answer.
const BEFORE_PLANNING: &[Guard] = &[
    // Is there anything to repair, and is it ours?
    guards::PROTECTED_UNIT,
    guards::ALERT_RESOLVED,
    guards::TRUNCATED,
    guards::UNIT_EXISTS,
    // Is somebody at work on it already: the bot, or systemd itself?
    guards::IN_FLIGHT,
    guards::UNIT_BUSY,
    guards::ALREADY_HEALTHY,
    guards::ESCALATED,
    // Did a person ask for quiet?
    guards::PAUSED,
    guards::SILENCED,
    // Is the cause somewhere else?
    guards::REQUIREMENT_FAILED,
    guards::STORM,
    // Has it been tried before, and did it help?
    guards::CIRCUIT_OPEN,
    guards::FLAPPING,
    guards::COOLDOWN,
    guards::BACKOFF,
];

/// Asked of the plan that the rule's ladder gave.
const BEFORE_ACTING: &[PlanGuard] = &[
    // What else would it take down?
    guards::TEMPLATE_DOWN,
    guards::HEALTHY_MIN,
    // How often may it be done?
    guards::HOST_IN_FLIGHT,
    guards::RULE_BUDGET,
    guards::UNIT_BUDGET,
    guards::HOST_BUDGET,
    // May the bot do it by itself?
    guards::OBSERVE_MODE,
    guards::APPROVAL,
];

/// Decides what to do about one trigger at one moment.
///
/// A pure and total function: the same three values always give the same decision, and every
/// decision carries its reason.
pub fn decide(policy: &Policy, history: &History, situation: &Situation) -> Decision {
    explain(policy, history, situation).decision
}

/// Decides as [`decide`] does, and keeps what was asked on the way.
pub fn explain(policy: &Policy, history: &History, situation: &Situation) -> Explanation {
    let mut steps = Vec::with_capacity(BEFORE_PLANNING.len() + BEFORE_ACTING.len() + 2);
    let decision = match Case::open(policy, history, situation) {
        Err(refusal) => refusal,
        Ok(case) => {
            steps.push(Step::passed("a rule and its target are found"));
            let decision = judge(&case, &mut steps);
            speak_softly(&case, decision)
        }
    };
    Explanation { steps, decision }
}

fn judge(case: &Case<'_>, steps: &mut Vec<Step>) -> Decision {
    for guard in BEFORE_PLANNING {
        if let Some(objection) = (guard.objection)(case) {
            steps.push(Step::stopped(guard.claim));
            return objection;
        }
        steps.push(Step::passed(guard.claim));
    }
    let plan = match ladder::next_plan(case) {
        Ok(plan) => plan,
        Err(objection) => {
            steps.push(Step::stopped(ladder::CLAIM));
            return objection;
        }
    };
    steps.push(Step::passed(ladder::CLAIM));
    for guard in BEFORE_ACTING {
        if let Some(objection) = (guard.objection)(case, &plan) {
            steps.push(Step::stopped(guard.claim));
            return objection;
        }
        steps.push(Step::passed(guard.claim));
    }
    Decision::Act(plan)
}

/// A rule that only observes wakes nobody either.
fn speak_softly(case: &Case<'_>, decision: Decision) -> Decision {
    match decision {
        Decision::Escalate(_) if case.rule.mode == Mode::Observe => {
            Decision::Ignore(Reason::ObserveMode)
        }
        decision => decision,
    }
}

/// A decision with the questions that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What was asked, in order, up to the first objection.
    pub steps: Vec<Step>,
    /// What came out.
    pub decision: Decision,
}

/// One question, as the claim that had to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The claim, such as "the unit is not healthy already".
    pub claim: &'static str,
    /// Whether it held.
    pub held: bool,
}

impl Step {
    fn passed(claim: &'static str) -> Self {
        Self { claim, held: true }
    }

    fn stopped(claim: &'static str) -> Self {
        Self { claim, held: false }
    }
}
