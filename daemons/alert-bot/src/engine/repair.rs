//! A repair as a task: announce, act, prove. And what its judgement leads to.

use ledger::AttemptId;
use remediation::{Judgement, Outcome, Plan};
use tokio::time::Instant;
use uuid::Uuid;

use super::follow::{about, as_gauge};
use super::{Engine, Event};
use crate::book::Stage;
use crate::ports::Ledger;
use crate::verify::Verdict;
use crate::{act, record, verify};

impl<L: Ledger> Engine<L> {
    /// Carries out a plan whose intent is on the disk; [`Event::Judged`] brings what came of it.
    pub(super) fn start_repair(&mut self, id: Uuid, attempt: AttemptId, plan: Plan) {
        let Some(incident) = self.book.get(id) else {
            return;
        };
        let subject = incident.subject();
        let about = about(
            incident,
            format!("{} of {} is under way", plan.action, plan.unit),
        );
        let since = incident
            .learned
            .filter(|_| incident.view.attempts.len() == 1);
        let (outside, ledger, teller, metrics, events) = (
            self.outside.clone(),
            self.ledger.clone(),
            self.teller.clone(),
            self.metrics.clone(),
            self.sender.clone(),
        );
        self.tasks.spawn(async move {
            teller.announce(&plan, about).await;
            if let Some(since) = since {
                metrics.acted_after(since.elapsed());
            }
            let done = act::carry_out(&*outside.units, &plan).await;
            record::acted(&subject, &plan.action.to_string(), done.word());
            let (word, at) = (done.word().to_owned(), outside.clock.now());
            let save = ledger.call(move |store| store.job_ended(attempt, &word, at));
            let judge = verify::judge(&*outside.units, &*outside.prober, &plan, &done);
            let (saved, verdict) = tokio::join!(save, judge);
            if let Err(error) = saved {
                tracing::warn!(incident_id = %id, %error, "the job's result is not in the ledger");
            }
            let _ = events.send(Event::Judged(id, attempt, verdict)).await;
        });
    }

    /// Verifies an action that was in flight when the bot ended. It is never repeated.
    pub(super) fn start_verification(&mut self, id: Uuid, attempt: AttemptId, plan: Plan) {
        let (outside, events) = (self.outside.clone(), self.sender.clone());
        self.tasks.spawn(async move {
            let mut verdict = verify::prove(&*outside.units, &*outside.prober, &plan).await;
            verdict
                .detail
                .insert_str(0, "verified after the bot came back: ");
            let _ = events.send(Event::Judged(id, attempt, verdict)).await;
        });
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
        } = &incident.stage
        else {
            return;
        };
        if *current != attempt {
            return;
        }
        let plan = plan.clone();
        incident.stage = Stage::Looking { again: false };
        if let Some(last) = incident.view.attempts.last_mut() {
            last.outcome = Some(verdict.outcome);
        }
        let (subject, learned) = (incident.subject(), incident.learned);
        let own = |past: &&mut remediation::PastAction| past.incident == id && past.is_in_flight();
        if let Some(past) = self.history.actions.iter_mut().find(own) {
            past.judged = Some(judgement);
        }

        let (action, outcome) = (plan.action.as_str(), verdict.outcome.as_str());
        record::proved(&subject, action, outcome, &verdict.detail);
        let labels = [plan.rule.as_str(), plan.unit.as_str(), action, outcome];
        self.metrics.actions.with_label_values(&labels).inc();
        let helped = verdict.outcome == Outcome::Effective;
        let closes = helped.then_some((id, "effective"));
        let detail = verdict.detail;
        let save = self
            .ledger
            .call(move |store| store.judge(attempt, judgement, &detail, closes));
        if let Err(error) = save.await {
            // The row stays in flight: after a restart it is verified once more, which is harmless.
            tracing::error!(incident_id = %id, %error, "a judgement is not in the ledger");
        }
        self.give_turn_back(*plan, Some(verdict.outcome));
        if helped {
            if let Some(learned) = learned {
                self.metrics.proved_after(Instant::now() - learned);
            }
            record::closed(&subject, "effective");
            self.drop_incident(id);
            self.metrics.incidents_open.set(as_gauge(self.book.len()));
        } else {
            self.start_look(id);
        }
    }
}
