//! A repair as a task: announce, act, prove, wait for the end of the alert. And what its judgement
//! leads to.

use jiff::Timestamp;
use journal::Before;
use ledger::AttemptId;
use remediation::{Judgement, Outcome, Plan, Trigger};
use tokio::sync::mpsc;
use units::{ActiveState, UnitName};
use uuid::Uuid;

use super::follow::{about, as_gauge};
use super::{Engine, Event};
use crate::book::{AlertWatch, Stage};
use crate::engine::Outside;
use crate::ports::Ledger;
use crate::verify::Verdict;
use crate::{act, evidence, record, verify};

impl<L: Ledger> Engine<L> {
    /// Carries out a plan whose intent is on the disk; [`Event::Judged`] brings what came of it.
    /// `before` is the unit's life that it ends.
    pub(super) fn start_repair(
        &mut self,
        id: Uuid,
        attempt: AttemptId,
        plan: Plan,
        before: Before,
    ) {
        let Some(incident) = self.book.get(id) else {
            return;
        };
        let Some(task) = self.proving(id) else {
            return;
        };
        let subject = incident.subject();
        let about = about(
            incident,
            format!("{} of {} is under way", plan.action, plan.names()),
        );
        let is_first = incident.view.attempts.len() == 1;
        let since = incident.learned.filter(|_| is_first);
        self.teller.announce(&plan, about);
        let (outside, ledger, metrics, events) = (
            self.outside.clone(),
            self.ledger.clone(),
            self.metrics.clone(),
            self.sender.clone(),
        );
        self.tasks.spawn(async move {
            if let Some(since) = since {
                metrics.acted_after(since.elapsed());
            }
            let done = act::carry_out(&*outside.units, &plan).await;
            record::acted(&subject, &plan.action.to_string(), done.word());
            let (word, at) = (done.word().to_owned(), outside.clock.now());
            let save = ledger.call(move |store| store.job_ended(attempt, &word, at));
            let judge = verify::judge(&*outside.units, &*outside.prober, &plan, &done);
            let complete = async {
                if is_first {
                    complete_evidence(&outside, &ledger, &plan, before).await;
                }
            };
            let (saved, proof, ()) = tokio::join!(save, judge, complete);
            if let Err(error) = saved {
                tracing::warn!(incident_id = %id, %error, "the job's result is not in the ledger");
            }
            task.follow_alert(&outside, &events, &plan, proof).await;
        });
    }

    fn proving(&self, id: Uuid) -> Option<Proving> {
        let incident = self.book.get(id)?;
        let Stage::Acting { attempt, watch, .. } = &incident.stage else {
            return None;
        };
        Some(Proving {
            id,
            attempt: *attempt,
            trigger: incident.trigger.clone(),
            watch: watch.clone(),
        })
    }

    /// Verifies an action that was in flight when the bot ended. It is never repeated.
    pub(super) fn start_verification(&mut self, id: Uuid, plan: Plan) {
        let Some(task) = self.proving(id) else {
            return;
        };
        let (outside, events) = (self.outside.clone(), self.sender.clone());
        self.tasks.spawn(async move {
            let mut proof = verify::prove(&*outside.units, &*outside.prober, &plan).await;
            proof
                .detail
                .insert_str(0, "verified after the bot came back: ");
            task.follow_alert(&outside, &events, &plan, proof).await;
        });
    }

    /// The unit is healthy again. What limits repairs counts this one as done; whether it also
    /// ended the alert is judged later.
    pub(super) fn proven(&mut self, id: Uuid, attempt: AttemptId) {
        let now = self.now();
        let Some(incident) = self.book.get_mut(id) else {
            return;
        };
        let plan = match &mut incident.stage {
            Stage::Acting {
                attempt: current,
                plan,
                proven,
                ..
            } if *current == attempt => {
                *proven = true;
                plan.clone()
            }
            _ => return,
        };
        if let Some(learned) = incident.learned {
            self.metrics.proved_after(learned.elapsed());
        }
        self.give_turn_back(*plan, Some(Outcome::Effective));
        self.note_judgement(id, Outcome::Effective, now);
    }

    /// An incident has ended. What came up while the end of its alert was waited for is another.
    fn look_after(&mut self, units: &[UnitName], trigger: Trigger, has_changed_since: bool) {
        if let (Trigger::Alert(alert), true) = (trigger, has_changed_since) {
            self.repeated(vec![alert]);
        }
        for unit in units {
            if self.loaded.get(unit) == Some(&ActiveState::Failed) {
                self.unit_changed(unit, Some(ActiveState::Failed));
            }
        }
    }

    /// An incident has one action at a time, so the last one is the one that is judged.
    fn note_judgement(&mut self, id: Uuid, outcome: Outcome, at: Timestamp) {
        let mut actions = self.history.actions.iter_mut();
        if let Some(past) = actions.rfind(|past| past.incident == id) {
            past.judged = Some(Judgement { at, outcome });
        }
    }

    pub(super) async fn judged(&mut self, id: Uuid, attempt: AttemptId, verdict: Verdict) {
        let judgement = Judgement {
            at: self.now(),
            outcome: verdict.outcome,
        };
        let Some(incident) = self.book.get_mut(id) else {
            return;
        };
        let Stage::Acting {
            attempt: current,
            plan,
            ..
        } = &incident.stage
        else {
            return;
        };
        if *current != attempt {
            return;
        }
        let (plan, was_proven) = (plan.clone(), incident.is_proven());
        incident.stage = Stage::Looking { again: false };
        if let Some(last) = incident.view.attempts.last_mut() {
            last.outcome = Some(verdict.outcome);
            last.reason = verdict.reason;
        }
        let (subject, trigger) = (incident.subject(), incident.trigger.clone());
        self.note_judgement(id, judgement.outcome, judgement.at);

        let (action, outcome) = (plan.action.as_str(), verdict.outcome.as_str());
        record::proved(&subject, action, outcome, verdict.reason, &verdict.detail);
        let labels = [plan.rule.as_str(), plan.unit.as_str(), action, outcome];
        self.metrics.actions.with_label_values(&labels).inc();
        let helped = verdict.outcome == Outcome::Effective;
        let closes = helped.then_some((id, "effective"));
        let (detail, reason) = (verdict.detail, verdict.reason);
        let save = self
            .ledger
            .call(move |store| store.judge(attempt, judgement, reason, &detail, closes));
        if let Err(error) = save.await {
            // The row stays in flight: after a restart it is verified once more, which is harmless.
            tracing::error!(incident_id = %id, %error, "a judgement is not in the ledger");
        }
        let units: Vec<UnitName> = plan.units().cloned().collect();
        if !was_proven {
            self.give_turn_back(*plan, Some(verdict.outcome));
        }
        if helped {
            record::closed(&subject, "effective");
            self.drop_incident(id);
            self.metrics.incidents_open.set(as_gauge(self.book.len()));
            self.look_after(&units, trigger, verdict.has_changed_since);
        } else {
            self.start_look(id);
        }
    }
}

/// What the two tasks that prove an action have in common.
struct Proving {
    id: Uuid,
    attempt: AttemptId,
    trigger: Trigger,
    watch: AlertWatch,
}

impl Proving {
    /// After the unit's proof, the alert's end where an alert asked for the repair.
    async fn follow_alert(
        self,
        outside: &Outside,
        events: &mpsc::Sender<Event>,
        plan: &Plan,
        proof: Verdict,
    ) {
        let worked = proof.outcome == Outcome::Effective;
        if worked {
            // Sending only fails once the engine is gone.
            let _ = events.send(Event::Proven(self.id, self.attempt)).await;
        }
        let verdict = if worked && matches!(self.trigger, Trigger::Alert(_)) {
            verify::outlast(outside, plan, &self.trigger, &self.watch, proof).await
        } else {
            proof
        };
        let _ = events
            .send(Event::Judged(self.id, self.attempt, verdict))
            .await;
    }
}

/// What journald was still about to write when the unit's last lines were read.
async fn complete_evidence(outside: &Outside, ledger: &impl Ledger, plan: &Plan, before: Before) {
    let lines = evidence::lines_before(outside.journal.as_ref(), &plan.unit, before).await;
    if lines.is_empty() {
        return;
    }
    let incident = plan.incident;
    let Ok(lines) = serde_json::to_string(&lines) else {
        return;
    };
    let save = ledger.call(move |store| store.complete_lines(incident, &lines));
    if let Err(error) = save.await {
        tracing::warn!(incident_id = %incident, %error, "the unit's last lines may lack the latest");
    }
}
