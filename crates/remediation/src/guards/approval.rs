//! May the bot do it by itself?

use super::PlanGuard;
use crate::case::Case;
use crate::situation::Answer;
use crate::{Decision, Mode, Outcome, Plan, Reason, time};

pub(crate) const OBSERVE_MODE: PlanGuard = PlanGuard {
    claim: "the rule does more than observe",
    objection: |case, plan| {
        let observes = case.rule.mode == Mode::Observe;
        observes.then(|| Decision::Observe(plan.clone()))
    },
};

pub(crate) const APPROVAL: PlanGuard = PlanGuard {
    claim: "the rule may act by itself, or a person allowed it",
    objection: |case, plan| {
        let why = reason_to_ask(case)?;
        let asked = case.situation.incident.approval.as_ref();
        let Some(approval) = asked.filter(|approval| approval.rung == plan.rung) else {
            return Some(ask(
                why,
                plan,
                time::after(case.now(), case.rule.approval_ttl),
            ));
        };
        match approval.answer {
            Some(Answer::Denied) => Some(Decision::Deny(Reason::ApprovalDenied)),
            _ if case.now() >= approval.expires_at => {
                Some(Decision::Escalate(Reason::ApprovalExpired))
            }
            Some(Answer::Approved) => None,
            None => Some(ask(why, plan, approval.expires_at)),
        }
    },
};

fn ask(reason: Reason, plan: &Plan, expires_at: jiff::Timestamp) -> Decision {
    Decision::AwaitApproval {
        reason,
        plan: plan.clone(),
        expires_at,
    }
}

fn reason_to_ask(case: &Case<'_>) -> Option<Reason> {
    match case.rule.mode {
        Mode::Approve => Some(Reason::ApprovalNeeded),
        _ if is_demoted(case) => Some(Reason::Demoted),
        _ => None,
    }
}

/// A rule whose repairs keep failing, or are needed again and again, hides a fault.
fn is_demoted(case: &Case<'_>) -> bool {
    let limits = case.rule.efficacy;
    let horizon = time::before(case.now(), limits.window);
    let came_to = |outcome| {
        case.unsettled_actions()
            .filter(|action| action.at > horizon && action.outcome() == Some(outcome))
            .count()
    };
    came_to(Outcome::Ineffective) >= limits.max_ineffective
        || came_to(Outcome::Effective) >= limits.max_repairs
}
