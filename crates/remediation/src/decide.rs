//! The decision: the questions that a careful operator asks, in order.

use std::fmt;
use std::ops::ControlFlow::{self, Break, Continue};

use crate::case::Case;
use crate::guards::{self, Guard, PlanGuard};
use crate::{Decision, History, Plan, Policy, Situation, ladder};

/// Asked before anything is planned. The first objection is the answer.
const BEFORE_PLANNING: &[Guard] = &[
    // Is there anything to repair, and is it ours?
    guards::PROTECTED_UNIT,
    guards::ALERT_RESOLVED,
    guards::TRUNCATED,
    guards::UNIT_EXISTS,
    // Is somebody at work on it already: the bot, systemd itself, or people?
    guards::IN_FLIGHT,
    guards::UNIT_BUSY,
    guards::SETTLING,
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
    // Is it this host's turn? Last, because the fleet is only asked by who would act.
    guards::FLEET_REACHABLE,
    guards::FLEET_TURN,
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
    let mut trace = Trace::default();
    let decision = match consider(policy, history, situation, &mut trace) {
        Continue(plan) => Decision::Act(plan),
        Break(objection) => objection,
    };
    Explanation {
        steps: trace.steps,
        decision,
    }
}

/// The plan that nothing stands against, or the first objection.
fn consider(
    policy: &Policy,
    history: &History,
    situation: &Situation,
    trace: &mut Trace,
) -> ControlFlow<Decision, Plan> {
    let case = trace.follow(Case::CLAIM, Case::open(policy, history, situation))?;
    for guard in BEFORE_PLANNING {
        trace.ask(guard.claim, (guard.objection)(&case))?;
    }
    let plan = trace.follow(ladder::CLAIM, ladder::next_plan(&case))?;
    for guard in BEFORE_ACTING {
        trace.ask(guard.claim, (guard.objection)(&case, &plan))?;
    }
    Continue(plan)
}

/// A decision with the questions that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What was asked, in order, up to the first claim that did not hold.
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

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(
                f,
                "{} {}",
                if step.held { "yes" } else { "no " },
                step.claim
            )?;
        }
        let reason = self.decision.reason();
        write!(f, "→ {}: {reason}. {}", self.decision, reason.describe())
    }
}

#[derive(Default)]
struct Trace {
    steps: Vec<Step>,
}

impl Trace {
    fn ask(&mut self, claim: &'static str, objection: Option<Decision>) -> ControlFlow<Decision> {
        self.follow(claim, objection.map_or(Continue(()), Break))
    }

    fn follow<T>(
        &mut self,
        claim: &'static str,
        answer: ControlFlow<Decision, T>,
    ) -> ControlFlow<Decision, T> {
        let held = answer.is_continue();
        self.steps.push(Step { claim, held });
        answer
    }
}
