//! What the bot remembers when it starts: the history that limits it, and what it left unfinished.

use jiff::Timestamp;
use remediation::{
    Attempt, History, IncidentView, Judgement, Outcome, PastAction, PastEscalation, Plan, Reason,
    RuleName, RuleReset, Trigger,
};
use rusqlite::params;
use serde::de::DeserializeOwned;
use units::UnitName;
use uuid::Uuid;

use crate::alerts::StoredAlert;
use crate::convert::{from_json, timestamp, usec};
use crate::error::LedgerError;
use crate::steps::AttemptId;
use crate::store::Store;

/// An incident that was not closed.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenIncident {
    /// What decisions need to know of it.
    pub view: IncidentView,
    /// What opened it.
    pub trigger: Trigger,
    /// The rule that matched.
    pub rule: Option<RuleName>,
    /// The unit concerned.
    pub unit: Option<UnitName>,
    /// The alerts that belong to it.
    pub alerts: Vec<StoredAlert>,
    /// The latest attempt that was begun and never judged: to be verified, never repeated.
    pub in_flight: Option<(AttemptId, Plan)>,
}

struct AttemptRow {
    id: AttemptId,
    plan: Plan,
    intended_at: Timestamp,
    judged: Option<Judgement>,
    reason: Option<Reason>,
}

impl Store {
    /// The history since `since`, and whatever is still in flight.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn history(&self, since: Timestamp) -> Result<History, LedgerError> {
        let actions = self
            .attempts_where(
                "intended_at >= ?1 OR ended_at IS NULL",
                params![usec(since)],
            )?
            .into_iter()
            .map(|row| PastAction {
                at: row.intended_at,
                incident: row.plan.incident,
                rule: row.plan.rule,
                unit: row.plan.unit,
                also: row.plan.also,
                action: row.plan.action,
                judged: row.judged,
            })
            .collect();
        Ok(History {
            actions,
            escalations: self.escalations(since)?,
            resets: self.resets(since)?,
        })
    }

    fn attempts_where(
        &self,
        condition: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<AttemptRow>, LedgerError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT id, plan, intended_at, outcome, ended_at, reason FROM attempts
             WHERE {condition} ORDER BY id"
        ))?;
        let rows = statement.query_map(parameters, |row| {
            Ok((
                row.get(0)?,
                row.get::<_, String>(1)?,
                row.get(2)?,
                row.get::<_, Option<String>>(3)?,
                row.get::<_, Option<i64>>(4)?,
                row.get::<_, Option<String>>(5)?,
            ))
        })?;
        rows.map(|row| {
            let (id, plan, intended_at, outcome, ended_at, reason) = row?;
            Ok(AttemptRow {
                id: AttemptId(id),
                plan: from_json("attempts.plan", &plan)?,
                intended_at: timestamp("attempts.intended_at", intended_at)?,
                judged: judgement(outcome.as_deref(), ended_at)?,
                reason: reason
                    .map(|reason| word("attempts.reason", &reason))
                    .transpose()?,
            })
        })
        .collect()
    }

    fn escalations(&self, since: Timestamp) -> Result<Vec<PastEscalation>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT decided_at, incident, rule, reason FROM decisions
             WHERE verdict = 'escalate' AND rule IS NOT NULL AND decided_at >= ?1 ORDER BY id",
        )?;
        let rows = statement.query_map(params![usec(since)], |row| {
            Ok((
                row.get(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
            ))
        })?;
        rows.map(|row| {
            let (at, incident, rule, reason) = row?;
            Ok(PastEscalation {
                at: timestamp("decisions.decided_at", at)?,
                incident: uuid("decisions.incident", &incident)?,
                rule: rule_name("decisions.rule", &rule)?,
                reason: word::<Reason>("decisions.reason", &reason)?,
            })
        })
        .collect()
    }

    fn resets(&self, since: Timestamp) -> Result<Vec<RuleReset>, LedgerError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT reset_at, rule FROM resets WHERE reset_at >= ?1 ORDER BY id")?;
        let rows = statement.query_map(params![usec(since)], |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?))
        })?;
        rows.map(|row| {
            let (at, rule) = row?;
            Ok(RuleReset {
                at: timestamp("resets.reset_at", at)?,
                rule: rule_name("resets.rule", &rule)?,
            })
        })
        .collect()
    }

    /// Every incident that was not closed, oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn open_incidents(&self) -> Result<Vec<OpenIncident>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, opened_at, trigger, rule, unit, state FROM incidents
             WHERE state <> 'closed' ORDER BY opened_at, id",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, Option<String>>(3)?,
                row.get::<_, Option<String>>(4)?,
                row.get::<_, String>(5)?,
            ))
        })?;
        rows.map(|row| {
            let (id, opened_at, trigger, rule, unit, state) = row?;
            let id = uuid("incidents.id", &id)?;
            let attempts = self.attempts_where("incident = ?1", params![id.to_string()])?;
            let view = IncidentView {
                id,
                opened_at: timestamp("incidents.opened_at", opened_at)?,
                attempts: attempts.iter().map(attempt_view).collect(),
                approval: self.approval(id)?,
                escalated: state == "escalated",
                held_by_people_at: None,
            };
            Ok(OpenIncident {
                view,
                trigger: from_json("incidents.trigger", &trigger)?,
                rule: rule
                    .map(|name| rule_name("incidents.rule", &name))
                    .transpose()?,
                unit: unit
                    .map(UnitName::try_new)
                    .transpose()
                    .map_err(|error| LedgerError::convert("incidents.unit", error))?,
                alerts: self.alerts_of(id)?,
                in_flight: attempts
                    .into_iter()
                    .rfind(|row| row.judged.is_none())
                    .map(|row| (row.id, row.plan)),
            })
        })
        .collect()
    }
}

fn attempt_view(row: &AttemptRow) -> Attempt {
    Attempt {
        rung: row.plan.rung,
        at: row.intended_at,
        outcome: row.judged.map(|judged| judged.outcome),
        reason: row.reason,
    }
}

fn judgement(
    outcome: Option<&str>,
    ended_at: Option<i64>,
) -> Result<Option<Judgement>, LedgerError> {
    let (Some(outcome), Some(ended_at)) = (outcome, ended_at) else {
        return Ok(None);
    };
    Ok(Some(Judgement {
        at: timestamp("attempts.ended_at", ended_at)?,
        outcome: word::<Outcome>("attempts.outcome", outcome)?,
    }))
}

fn uuid(what: &'static str, text: &str) -> Result<Uuid, LedgerError> {
    Uuid::parse_str(text).map_err(|error| LedgerError::convert(what, error))
}

fn rule_name(what: &'static str, text: &str) -> Result<RuleName, LedgerError> {
    RuleName::try_new(text).map_err(|error| LedgerError::convert(what, error))
}

/// A value of a closed list, by its word.
fn word<T: DeserializeOwned>(what: &'static str, word: &str) -> Result<T, LedgerError> {
    serde_json::from_value(serde_json::Value::from(word))
        .map_err(|error| LedgerError::convert(what, error))
}
