//! From a decision to what follows from it. Whatever is decided is on the disk before anything is
//! done about it.

use std::time::Duration;

use jiff::Timestamp;
use journal::Before;
use ledger::{Disposition, IncidentChange, Input, LedgerError, Step};
use remediation::{
    Approval, Attempt, Decision, PastAction, PastEscalation, Plan, Reason, Situation,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::Engine;
use crate::book::{AlertWatch, Incident, Stage};
use crate::evidence::Evidence;
use crate::ports::Ledger;
use crate::record;
use crate::tell::{About, Notice};

/// An incident that is held or escalated is looked at this often at least: the wall clock may be
/// stepped, and a probe can turn good without any signal from systemd.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Holds that end with an event rather than at a known time are asked again after 1 s; each one in
/// a row waits twice as long as the last, up to this.
const LONGEST_RECHECK: Duration = Duration::from_secs(15);

impl<L: Ledger> Engine<L> {
    /// Records a decision and does what follows from it.
    ///
    /// # Errors
    /// Where it cannot be recorded; then nothing was done.
    pub(super) async fn follow(
        &mut self,
        id: Uuid,
        situation: Situation,
        decision: Decision,
    ) -> Result<(), LedgerError> {
        match decision.clone() {
            Decision::Act(plan) => self.act(id, situation, plan).await,
            Decision::Hold { reason, retry_at } => self.hold(id, situation, reason, retry_at).await,
            Decision::AwaitApproval {
                reason,
                plan,
                expires_at,
            } => self.ask(id, situation, reason, plan, expires_at).await,
            Decision::Escalate(reason) => self.escalate(id, situation, reason).await,
            Decision::Ignore(Reason::Escalated) => {
                self.rest(id);
                Ok(())
            }
            Decision::Ignore(_) | Decision::Deny(_) | Decision::Observe(_) => {
                self.finish(id, situation, decision).await
            }
        }
    }

    async fn act(&mut self, id: Uuid, situation: Situation, plan: Plan) -> Result<(), LedgerError> {
        let at = situation.now;
        let before = Before {
            at,
            invocation: situation
                .unit
                .as_ref()
                .and_then(|facts| facts.invocation_id.clone()),
        };
        let change = IncidentChange::Open {
            evidence: self.evidence(id, &situation),
        };
        let decision = Decision::Act(plan.clone());
        let step = self.step(id, situation, decision, change, Some(Disposition::Acted));
        let attempt = self.ledger.call(move |store| store.record(&step)).await?;
        let (Some(attempt), Some(incident)) = (attempt, self.book.get_mut(id)) else {
            return Ok(());
        };
        self.history.actions.push(PastAction {
            at,
            incident: id,
            rule: plan.rule.clone(),
            unit: plan.unit.clone(),
            also: plan.also.clone(),
            action: plan.action.clone(),
            judged: None,
        });
        incident.view.attempts.push(Attempt {
            rung: plan.rung,
            at,
            outcome: None,
            reason: None,
        });
        incident.waiting.clear();
        incident.held_for = None;
        incident.stage = Stage::Acting {
            attempt,
            plan: Box::new(plan.clone()),
            watch: AlertWatch::default(),
            proven: false,
        };
        self.metrics.decided(&Decision::Act(plan.clone()));
        self.now_recorded(id);
        if let Some(incident) = self.book.get(id) {
            let action = plan.action.to_string();
            record::decided(&incident.subject(), &action, plan.reason);
        }
        self.start_repair(id, attempt, plan, before);
        Ok(())
    }

    async fn hold(
        &mut self,
        id: Uuid,
        situation: Situation,
        reason: Reason,
        retry_at: Timestamp,
    ) -> Result<(), LedgerError> {
        let Some(incident) = self.book.get_mut(id) else {
            return Ok(());
        };
        let in_a_row = match incident.held_for {
            Some((before, count)) if before == reason => count + 1,
            _ => 0,
        };
        let is_news = in_a_row == 0 && !incident.is_repeat;
        let wait = wait_until(situation.now, retry_at, in_a_row);
        if is_news {
            let change = IncidentChange::Open {
                evidence: self.evidence(id, &situation),
            };
            let decision = Decision::Hold { reason, retry_at };
            self.metrics.decided(&decision);
            let step = self.step(id, situation, decision, change, None);
            self.ledger.call(move |store| store.record(&step)).await?;
            self.now_recorded(id);
        }
        if let Some(incident) = self.book.get_mut(id) {
            incident.held_for = Some((reason, in_a_row));
            if is_news {
                record::held(&incident.subject(), reason, retry_at);
            }
        }
        self.wait(id, wait);
        Ok(())
    }

    async fn ask(
        &mut self,
        id: Uuid,
        situation: Situation,
        reason: Reason,
        plan: Plan,
        expires_at: Timestamp,
    ) -> Result<(), LedgerError> {
        let question = Approval {
            rung: plan.rung,
            expires_at,
            answer: None,
        };
        let wait = wait_until(situation.now, expires_at, 0);
        if situation.incident.approval.as_ref() != Some(&question) {
            let change = IncidentChange::Open {
                evidence: self.evidence(id, &situation),
            };
            let action = plan.action.to_string();
            let decision = Decision::AwaitApproval {
                reason,
                plan,
                expires_at,
            };
            self.metrics.decided(&decision);
            let step = self.step(id, situation, decision, change, None);
            self.ledger.call(move |store| store.record(&step)).await?;
            self.now_recorded(id);
            if let Some(incident) = self.book.get_mut(id) {
                incident.view.approval = Some(question);
                record::held(&incident.subject(), reason, expires_at);
                let about = about(
                    incident,
                    format!(
                        "{action} of {} waits for: alert-bot approve {id}",
                        incident.target
                    ),
                );
                self.teller.stand(Notice::AwaitingApproval, about);
                if reason == Reason::Demoted {
                    self.teller
                        .stand(Notice::Ineffective, masks_a_fault(incident));
                }
            }
        }
        self.wait(id, wait);
        Ok(())
    }

    async fn escalate(
        &mut self,
        id: Uuid,
        situation: Situation,
        reason: Reason,
    ) -> Result<(), LedgerError> {
        let at = situation.now;
        let change = IncidentChange::Escalate {
            evidence: self.evidence(id, &situation),
        };
        let decision = Decision::Escalate(reason);
        let step = self.step(
            id,
            situation,
            decision.clone(),
            change,
            Some(Disposition::Escalated),
        );
        let rule = step.rule.clone();
        self.ledger.call(move |store| store.record(&step)).await?;
        self.metrics.decided(&decision);
        if let Some(rule) = rule.and_then(|rule| rule.parse().ok()) {
            self.history.escalations.push(PastEscalation {
                at,
                incident: id,
                rule,
                reason,
            });
        }
        self.now_recorded(id);
        if let Some(incident) = self.book.get_mut(id) {
            incident.view.escalated = true;
            record::escalated(&incident.subject(), reason);
            let notice = Notice::of_escalation(reason);
            let about = about(incident, reason.describe().to_owned());
            self.teller.settle(id, Some(notice));
            self.teller.stand(notice, about);
        }
        self.rest(id);
        Ok(())
    }

    /// Nothing will be done: the incident is over, or was none.
    async fn finish(
        &mut self,
        id: Uuid,
        situation: Situation,
        decision: Decision,
    ) -> Result<(), LedgerError> {
        let Some(incident) = self.book.get(id) else {
            return Ok(());
        };
        let (recorded, reason) = (incident.recorded, decision.reason());
        if recorded || !incident.is_repeat {
            let outcome = outcome_of(reason);
            let (change, disposition) = match (&decision, recorded) {
                (_, true) => (IncidentChange::Close { outcome }, Disposition::Suppressed),
                (Decision::Deny(_), false) => (IncidentChange::None, Disposition::Refused),
                _ => (IncidentChange::None, Disposition::Suppressed),
            };
            let step = self.step(id, situation, decision.clone(), change, Some(disposition));
            self.ledger.call(move |store| store.record(&step)).await?;
            self.metrics.decided(&decision);
        }
        if let Some(incident) = self.book.get(id) {
            if recorded {
                record::closed(&incident.subject(), outcome_of(reason));
            } else if !incident.is_repeat {
                record::refused(&incident.subject(), reason);
            }
        }
        self.drop_incident(id);
        Ok(())
    }

    fn evidence(&self, id: Uuid, situation: &Situation) -> Option<String> {
        let incident = self.book.get(id)?;
        let evidence = Evidence {
            unit: &situation.unit,
            probe_healthy: situation.probe_healthy,
            pressure: situation.pressure,
            memory_events: &incident.memory_events,
            journal: &incident.lines,
        };
        serde_json::to_string(&evidence).ok()
    }

    fn step(
        &self,
        id: Uuid,
        situation: Situation,
        decision: Decision,
        incident: IncidentChange,
        disposition: Option<Disposition>,
    ) -> Step {
        let selection = self.policy.select(&self.host, &situation.trigger).ok();
        let rule = selection.as_ref().map(|s| s.rule.name.to_string());
        let unit = decision
            .plan()
            .map(|plan| plan.unit.clone())
            .or_else(|| selection.and_then(|s| s.target.unit().cloned()));
        let waiting = self.book.get(id).map(|incident| incident.waiting.clone());
        Step {
            input: Input {
                history: self.history.clone(),
                situation,
            },
            decision,
            rule,
            unit,
            policy: self.policy.hash().to_string(),
            incident,
            alerts: waiting.unwrap_or_default(),
            disposition,
        }
    }

    /// The ledger has a row for it now. The first time, that is when it was detected.
    fn now_recorded(&mut self, id: Uuid) {
        let Some(incident) = self.book.get_mut(id) else {
            return;
        };
        if !incident.recorded {
            incident.recorded = true;
            incident.lines = Vec::new();
            record::detected(&incident.subject());
        }
        self.metrics.incidents_open.set(as_gauge(self.book.len()));
    }

    /// It is over: out of the book, and whoever was told learns it.
    pub(super) fn drop_incident(&mut self, id: Uuid) {
        let was_full = self.book.in_work() >= super::MAX_IN_WORK;
        if self
            .book
            .remove(id)
            .is_some_and(|incident| incident.recorded)
        {
            self.teller.settle(id, None);
        }
        self.metrics.incidents_open.set(as_gauge(self.book.len()));
        if was_full {
            self.bell.notify_one();
        }
    }

    pub(super) fn wait(&mut self, id: Uuid, wait: Duration) {
        if let Some(incident) = self.book.get_mut(id) {
            incident.stage = Stage::Held;
            incident.due = Some(Instant::now() + wait);
        }
    }

    /// People have it; a slow look notices when they are done.
    fn rest(&mut self, id: Uuid) {
        if let Some(incident) = self.book.get_mut(id) {
            incident.stage = Stage::Escalated;
            incident.waiting.clear();
            incident.due = Some(Instant::now() + LONGEST_WAIT);
        }
    }
}

pub(super) fn about(incident: &Incident, summary: String) -> About {
    About {
        incident: incident.view.id,
        target: incident.target.to_string(),
        rule: incident.rule.clone(),
        service: incident.trigger.label("service").to_owned(),
        summary,
    }
}

/// A rule that lost its freedom to act is news of its own, beside the question about this repair.
pub(super) fn masks_a_fault(incident: &Incident) -> About {
    let (target, rule) = (&incident.target, &incident.rule);
    let summary = format!(
        "repairs by {rule} fail or repeat too often: a restart of {target} is masking a fault"
    );
    about(incident, summary)
}

/// How an incident ended that a decision not to act closed.
fn outcome_of(reason: Reason) -> &'static str {
    match reason {
        Reason::AlreadyHealthy => "recovered",
        Reason::AlertResolved => "resolved",
        Reason::ApprovalDenied => "denied",
        other => other.as_str(),
    }
}

fn wait_until(now: Timestamp, retry_at: Timestamp, in_a_row: u32) -> Duration {
    let asked = Duration::try_from(retry_at.duration_since(now)).unwrap_or_default();
    let longer = Duration::from_secs(1) * 2_u32.saturating_pow(in_a_row.min(8));
    let at_least = if in_a_row == 0 {
        Duration::ZERO
    } else {
        longer.min(LONGEST_RECHECK)
    };
    asked.max(at_least).min(LONGEST_WAIT)
}

pub(super) fn as_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
