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

#[cfg(test)]
mod tests {
    use units::ActiveState::Failed;

    use crate::situation::{Answer, Approval};
    use crate::testing::{Scene, ago, ahead, noon, rule_name};
    use crate::{Decision, Outcome, Reason, RuleReset};

    fn asked(rung: usize, expires_at: jiff::Timestamp, answer: Option<Answer>) -> Scene {
        let rule = "mode = \"approve\"\napproval_ttl = \"10m\"";
        Scene::new(Failed).rule(rule).with(|situation| {
            situation.incident.approval = Some(Approval {
                rung,
                expires_at,
                answer,
            });
        })
    }

    #[test]
    fn a_rule_that_observes_shows_its_plan_and_does_nothing() {
        let decision = Scene::new(Failed).rule(r#"mode = "observe""#).decide();
        assert!(matches!(&decision, Decision::Observe(plan) if plan.reason == Reason::Due));
        assert_eq!(decision.reason(), Reason::ObserveMode);
    }

    #[test]
    fn a_rule_that_observes_wakes_nobody() {
        let rule = "mode = \"observe\"\nladder = [{ action = \"escalate\" }]";
        let decision = Scene::new(Failed).rule(rule).decide();
        assert_eq!(decision, Decision::Ignore(Reason::ObserveMode));
    }

    #[test]
    fn a_person_is_asked_and_the_question_lapses() {
        let decision = Scene::new(Failed)
            .rule("mode = \"approve\"\napproval_ttl = \"10m\"")
            .decide();
        assert!(matches!(
            decision,
            Decision::AwaitApproval { reason: Reason::ApprovalNeeded, expires_at, .. }
                if expires_at == ahead(600)
        ));
    }

    #[test]
    fn an_answer_counts_for_its_rung_and_its_time() {
        use Answer::{Approved, Denied};
        for (rung, expires_at, answer, word, reason) in [
            (0, ahead(9), Some(Approved), "act", Reason::Due),
            (0, ahead(9), Some(Denied), "deny", Reason::ApprovalDenied),
            (0, ahead(9), None, "await-approval", Reason::ApprovalNeeded),
            (0, noon(), None, "escalate", Reason::ApprovalExpired),
            (
                0,
                noon(),
                Some(Approved),
                "escalate",
                Reason::ApprovalExpired,
            ),
            (0, noon(), Some(Denied), "deny", Reason::ApprovalDenied),
            // Asked about another rung: this one is a new question.
            (
                1,
                ahead(9),
                Some(Approved),
                "await-approval",
                Reason::ApprovalNeeded,
            ),
            (
                1,
                ahead(9),
                Some(Denied),
                "await-approval",
                Reason::ApprovalNeeded,
            ),
        ] {
            let decision = asked(rung, expires_at, answer).decide();
            let told = (decision.as_str(), decision.reason());
            assert_eq!(
                told,
                (word, reason),
                "rung {rung}, {answer:?} until {expires_at}"
            );
        }
    }

    #[test]
    fn asking_again_does_not_prolong_the_question() {
        let decision = asked(0, ahead(9), None).decide();
        assert!(matches!(
            decision,
            Decision::AwaitApproval { expires_at, .. } if expires_at == ahead(9)
        ));
    }

    #[test]
    fn a_rule_whose_repairs_hide_a_fault_loses_its_freedom() {
        let rule = r#"
            efficacy = { max_ineffective = 2, max_repairs = 3, window = "24h" }
            budget = { max_actions = 9, window = "1m" }
            breaker = { failures = 9 }
        "#;
        let hour = 3600;
        let scene = |outcomes: &[(u64, Outcome)]| {
            let scene = Scene::new(Failed).rule(rule);
            outcomes.iter().fold(scene, |scene, (hours, outcome)| {
                scene.past("api.service", ago(hours * hour), Some(*outcome))
            })
        };
        let (bad, good) = (Outcome::Ineffective, Outcome::Effective);
        for (name, past, reason) in [
            ("one failed", &[(5, bad)][..], Reason::Due),
            ("two failed", &[(5, bad), (3, bad)], Reason::Demoted),
            (
                "two failed, one long ago",
                &[(24, bad), (3, bad)],
                Reason::Due,
            ),
            ("two repairs", &[(9, good), (5, good)], Reason::Due),
            (
                "three repairs",
                &[(9, good), (7, good), (5, good)],
                Reason::Demoted,
            ),
        ] {
            assert_eq!(scene(past).reason(), reason, "{name}");
        }
        let mut settled = scene(&[(5, bad), (3, bad)]);
        settled.history.resets.push(RuleReset {
            at: ago(hour),
            rule: rule_name(),
        });
        assert_eq!(settled.reason(), Reason::Due);
    }
}
