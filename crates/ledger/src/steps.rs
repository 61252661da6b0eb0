//! Writing down what was decided and done: each method is one atomic step of an incident.

use jiff::Timestamp;
use remediation::{Decision, History, Judgement, Plan, Reason, Situation, Trigger};
use rusqlite::params;
use serde::{Deserialize, Serialize};
use units::UnitName;
use uuid::Uuid;

use crate::alerts::{AlertId, Disposition};
use crate::convert::{to_json, usec};
use crate::error::LedgerError;
use crate::store::Store;

/// Everything that a decision was made from, except the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The past.
    pub history: History,
    /// The present.
    pub situation: Situation,
}

/// One decision and all that follows from it at once, recorded together or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it was decided from.
    pub input: Input,
    /// What was decided.
    pub decision: Decision,
    /// The rule that matched, if any.
    pub rule: Option<String>,
    /// The unit concerned, if any.
    pub unit: Option<UnitName>,
    /// Hash of the policy in force.
    pub policy: String,
    /// What becomes of the incident.
    pub incident: IncidentChange,
    /// The alerts that wait for this decision.
    pub alerts: Vec<AlertId>,
    /// Their final word; `None` leaves them waiting.
    pub disposition: Option<Disposition>,
}

/// What a step makes of its incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncidentChange {
    /// It needs no row: nothing was or will be done.
    None,
    /// It is open, and has no row before its first step. Holds what was found then, as JSON.
    Open {
        /// What was found, as JSON.
        evidence: Option<String>,
    },
    /// People have been asked; it stays until the alert is over.
    Escalate {
        /// What was found, as JSON.
        evidence: Option<String>,
    },
    /// It is over.
    Close {
        /// How it ended, for people.
        outcome: &'static str,
    },
}

/// The key of an attempt: one intent, one action, one judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub(crate) i64);

impl Store {
    /// Records a decision with everything that follows from it. Where it is to act, the intent is
    /// part of it and its key is returned: once this has been committed, and not before, the
    /// action may begin.
    ///
    /// # Errors
    /// Where it cannot be stored; then nothing may be done either.
    pub fn record(&self, step: &Step) -> Result<Option<AttemptId>, LedgerError> {
        let situation = &step.input.situation;
        let incident = situation.incident.id;
        let decision = self.insert_decision(step)?;
        match &step.incident {
            IncidentChange::None => {}
            IncidentChange::Open { evidence } => {
                self.keep_incident(step, "open", evidence.as_ref())?;
            }
            IncidentChange::Escalate { evidence } => {
                self.keep_incident(step, "escalated", evidence.as_ref())?;
            }
            IncidentChange::Close { outcome } => self.close(incident, outcome, situation.now)?,
        }
        for alert in &step.alerts {
            match step.disposition {
                Some(disposition) => self.settle(
                    *alert,
                    disposition,
                    step.decision.reason().as_str(),
                    (step.incident != IncidentChange::None).then_some(incident),
                    situation.now,
                )?,
                None => self.assign(*alert, incident)?,
            }
        }
        match &step.decision {
            Decision::Act(plan) => self.intend(decision, plan, situation.now).map(Some),
            Decision::AwaitApproval {
                plan, expires_at, ..
            } => self.ask(plan, situation.now, *expires_at).map(|()| None),
            _ => Ok(None),
        }
    }

    fn insert_decision(&self, step: &Step) -> Result<i64, LedgerError> {
        let situation = &step.input.situation;
        self.connection
            .prepare_cached(
                "INSERT INTO decisions
                 (decided_at, incident, rule, unit, verdict, reason, policy, input, decision)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                usec(situation.now),
                situation.incident.id.to_string(),
                step.rule,
                step.unit.as_ref().map(UnitName::as_str),
                step.decision.as_str(),
                step.decision.reason().as_str(),
                step.policy,
                to_json("decisions.input", &step.input)?,
                to_json("decisions.decision", &step.decision)?,
            ])?;
        Ok(self.connection.last_insert_rowid())
    }

    fn keep_incident(
        &self,
        step: &Step,
        state: &str,
        evidence: Option<&String>,
    ) -> Result<(), LedgerError> {
        let situation = &step.input.situation;
        self.connection
            .prepare_cached(
                "INSERT INTO incidents (id, opened_at, name, trigger, rule, unit, state, evidence)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (id) DO UPDATE SET state = ?7, evidence = coalesce(evidence, ?8)
                 WHERE state <> 'closed'",
            )?
            .execute(params![
                situation.incident.id.to_string(),
                usec(situation.incident.opened_at),
                situation.trigger.name(),
                to_json::<Trigger>("incidents.trigger", &situation.trigger)?,
                step.rule,
                step.unit.as_ref().map(UnitName::as_str),
                state,
                evidence,
            ])?;
        Ok(())
    }

    /// # Errors
    /// Where it cannot be stored.
    pub(crate) fn close(
        &self,
        incident: Uuid,
        outcome: &str,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        self.connection
            .prepare_cached(
                "UPDATE incidents SET state = 'closed', outcome = ?2, closed_at = ?3
                 WHERE id = ?1 AND state <> 'closed'",
            )?
            .execute(params![incident.to_string(), outcome, usec(at)])?;
        Ok(())
    }

    fn intend(&self, decision: i64, plan: &Plan, at: Timestamp) -> Result<AttemptId, LedgerError> {
        self.connection
            .prepare_cached(
                "INSERT INTO attempts (decision, incident, rule, unit, action, plan, intended_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                decision,
                plan.incident.to_string(),
                plan.rule.as_str(),
                plan.names(),
                plan.action.as_str(),
                to_json("attempts.plan", plan)?,
                usec(at)
            ])?;
        Ok(AttemptId(self.connection.last_insert_rowid()))
    }

    /// Replaces the lines of an incident's evidence by the same with those that came late; `lines`
    /// is a JSON array.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub fn complete_lines(&self, incident: Uuid, lines: &str) -> Result<(), LedgerError> {
        self.connection
            .prepare_cached(
                "UPDATE incidents SET evidence = json_set(evidence, '$.journal', json(?2))
                 WHERE id = ?1 AND evidence IS NOT NULL",
            )?
            .execute(params![incident.to_string(), lines])?;
        Ok(())
    }

    /// Records how systemd's job ended, in its word or the error's.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub fn job_ended(
        &self,
        attempt: AttemptId,
        result: &str,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        self.connection
            .prepare_cached(
                "UPDATE attempts SET job_result = ?2, job_ended_at = ?3
                 WHERE id = ?1 AND job_ended_at IS NULL",
            )?
            .execute(params![attempt.0, result, usec(at)])?;
        Ok(())
    }

    /// Gives up attempts that nobody will judge any more: those of closed incidents, and all but
    /// the latest of an open one. A commit whose answer was lost leaves such rows behind: their
    /// intent was written, their action never begun. Only for the start, when nothing runs.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub fn give_up_orphans(&self, at: Timestamp) -> Result<usize, LedgerError> {
        Ok(self.connection.execute(
            "UPDATE attempts SET outcome = 'unknown', ended_at = ?1,
                    detail = 'left behind: nobody saw it begin or end'
             WHERE ended_at IS NULL AND id NOT IN (
                 SELECT max(attempts.id) FROM attempts
                 JOIN incidents ON incidents.id = attempts.incident
                 WHERE incidents.state <> 'closed' AND attempts.ended_at IS NULL
                 GROUP BY attempts.incident)",
            params![usec(at)],
        )?)
    }

    /// Records what came of an attempt, and closes its incident where `closes` says how it ended.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub fn judge(
        &self,
        attempt: AttemptId,
        judgement: Judgement,
        reason: Option<Reason>,
        detail: &str,
        closes: Option<(Uuid, &'static str)>,
    ) -> Result<(), LedgerError> {
        self.connection
            .prepare_cached(
                "UPDATE attempts SET outcome = ?2, detail = ?3, ended_at = ?4, reason = ?5
                 WHERE id = ?1 AND ended_at IS NULL",
            )?
            .execute(params![
                attempt.0,
                judgement.outcome.as_str(),
                detail,
                usec(judgement.at),
                reason.map(Reason::as_str)
            ])?;
        match closes {
            Some((incident, outcome)) => self.close(incident, outcome, judgement.at),
            None => Ok(()),
        }
    }
}
