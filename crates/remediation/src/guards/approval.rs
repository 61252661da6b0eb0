//! May the bot do it by itself?

use jiff::Timestamp;

use super::PlanGuard;
use crate::case::Case;
use crate::situation::Answer;
use crate::{Decision, History, Mode, Outcome, Plan, Reason, Rule, time};

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
            _ if case.now() >= approval.expires_at => Some(case.escalate(Reason::ApprovalExpired)),
            Some(Answer::Approved) => None,
            None => Some(ask(why, plan, approval.expires_at)),
        }
    },
};

fn ask(reason: Reason, plan: &Plan, expires_at: Timestamp) -> Decision {
    Decision::AwaitApproval {
        reason,
        plan: plan.clone(),
        expires_at,
    }
}

fn reason_to_ask(case: &Case<'_>) -> Option<Reason> {
    match case.rule.mode {
        Mode::Approve => Some(Reason::ApprovalNeeded),
        Mode::Auto | Mode::Observe => {
            is_demoted(case.rule, case.history, case.now()).then_some(Reason::Demoted)
        }
    }
}

/// Whether the rule's repairs keep failing, or are needed again and again: either hides a fault.
pub(crate) fn is_demoted(rule: &Rule, history: &History, now: Timestamp) -> bool {
    let limits = rule.efficacy;
    let horizon = time::before(now, limits.window);
    let came_to = |outcome| {
        history
            .unsettled_by(&rule.name)
            .filter(|action| action.at > horizon && action.outcome() == Some(outcome))
            .count()
    };
    came_to(Outcome::Ineffective) >= limits.max_ineffective
        || came_to(Outcome::Effective) >= limits.max_repairs
}
