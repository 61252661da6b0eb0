//! What people ask the ledger: lists of incidents, and the story of one.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params, params_from_iter};
use serde::Serialize;

use crate::convert::{timestamp, usec};
use crate::error::LedgerError;
use crate::steps::Input;
use crate::store::Store;

/// Which incidents to list; the default is all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Opened at or after.
    pub since: Option<Timestamp>,
    /// Of this unit.
    pub unit: Option<String>,
    /// Ended so.
    pub outcome: Option<String>,
}

/// One incident, as a line of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IncidentSummary {
    /// Its id.
    pub id: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// The alert's name.
    pub alertname: String,
    /// The rule that matched.
    pub rule: Option<String>,
    /// The unit concerned.
    pub unit: Option<String>,
    /// `open`, `escalated` or `closed`.
    pub state: String,
    /// How it ended.
    pub outcome: Option<String>,
    /// How many actions it took.
    pub attempts: u32,
}

/// One moment of an incident's story.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What kind: `accepted`, `decided`, `intended`, `acted`, `judged`, `asked`, `answered`, `closed`.
    pub what: &'static str,
    /// In words.
    pub detail: String,
}

/// A decision as it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDecision {
    /// When.
    pub at: Timestamp,
    /// Hash of the policy that was in force.
    pub policy: String,
    /// What it was decided from.
    pub input: Input,
    /// What was decided.
    pub decision: remediation::Decision,
}

impl Store {
    /// Incidents, newest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn incidents(&self, filter: &Filter) -> Result<Vec<IncidentSummary>, LedgerError> {
        let mut conditions = vec!["1"];
        let mut values: Vec<Value> = Vec::new();
        if let Some(since) = filter.since {
            conditions.push("opened_at >= ?");
            values.push(usec(since).into());
        }
        if let Some(unit) = &filter.unit {
            conditions.push("unit = ?");
            values.push(unit.clone().into());
        }
        if let Some(outcome) = &filter.outcome {
            conditions.push("outcome = ?");
            values.push(outcome.clone().into());
        }
        let mut statement = self.connection.prepare(&format!(
            "{SUMMARY} WHERE {} ORDER BY opened_at DESC, id DESC",
            conditions.join(" AND ")
        ))?;
        let rows = statement.query_map(params_from_iter(values), summary_columns)?;
        rows.map(|row| summary(row?)).collect()
    }

    /// One incident; the id may be cut short where it stays unique.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn incident(&self, id_prefix: &str) -> Result<Option<IncidentSummary>, LedgerError> {
        self.connection
            .prepare(&format!(
                "{SUMMARY} WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id LIMIT 1"
            ))?
            .query_row(params![id_prefix], summary_columns)
            .optional()?
            .map(summary)
            .transpose()
    }

    /// What was found when an incident was opened, as JSON.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn evidence(&self, incident: &str) -> Result<Option<String>, LedgerError> {
        Ok(self
            .connection
            .prepare("SELECT evidence FROM incidents WHERE id = ?1")?
            .query_row(params![incident], |row| row.get(0))
            .optional()?
            .flatten())
    }

    /// The story of an incident, in order.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn timeline(&self, incident: &str) -> Result<Vec<Moment>, LedgerError> {
        let mut statement = self.connection.prepare(TIMELINE)?;
        let rows = statement.query_map(params![incident], |row| {
            Ok((
                row.get(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
            ))
        })?;
        rows.map(|row| {
            let (at, what, detail) = row?;
            Ok(Moment {
                at: timestamp("timeline", at)?,
                what: kind(&what),
                detail,
            })
        })
        .collect()
    }

    /// Recorded decisions since `since`, oldest first, for replay.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn decisions(&self, since: Timestamp) -> Result<Vec<StoredDecision>, LedgerError> {
        let mut statement = self.connection.prepare(
            "SELECT decided_at, policy, input, decision FROM decisions
             WHERE decided_at >= ?1 ORDER BY id",
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
            let (at, policy, input, decision) = row?;
            Ok(StoredDecision {
                at: timestamp("decisions.decided_at", at)?,
                policy,
                input: crate::convert::from_json("decisions.input", &input)?,
                decision: crate::convert::from_json("decisions.decision", &decision)?,
            })
        })
        .collect()
    }

    /// How many accepted alerts ended in each disposition; `None` counts those without one.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn dispositions(&self) -> Result<Vec<(Option<String>, u64)>, LedgerError> {
        let mut statement = self
            .connection
            .prepare("SELECT disposition, count(*) FROM alerts GROUP BY disposition ORDER BY 1")?;
        let rows =
            statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, u32>(1)?.into())))?;
        rows.map(|row| Ok(row?)).collect()
    }

    /// Deletes what ended longer than `keep` before `now`. Open incidents, alerts without a final
    /// decision and attempts in flight stay whatever their age.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub fn forget_older_than(&self, keep: Duration, now: Timestamp) -> Result<usize, LedgerError> {
        let horizon = usec(now.saturating_sub(keep).unwrap_or(Timestamp::MIN));
        let mut deleted = 0;
        for statement in FORGET {
            deleted += self.connection.execute(statement, params![horizon])?;
        }
        Ok(deleted)
    }
}

/// In an order that leaves no row pointing at one that is gone.
const FORGET: [&str; 6] = [
    "DELETE FROM alerts WHERE settled_at < ?1",
    "DELETE FROM decisions WHERE decided_at < ?1 AND incident NOT IN
        (SELECT id FROM incidents WHERE state <> 'closed' OR closed_at >= ?1)",
    "DELETE FROM approvals WHERE incident NOT IN
        (SELECT id FROM incidents WHERE state <> 'closed' OR closed_at >= ?1)",
    "DELETE FROM incidents WHERE state = 'closed' AND closed_at < ?1",
    "DELETE FROM pauses WHERE until < ?1",
    "DELETE FROM resets WHERE reset_at < ?1",
];

const SUMMARY: &str = "SELECT id, opened_at, closed_at, name, rule, unit, state, outcome,
     (SELECT count(*) FROM attempts WHERE attempts.incident = incidents.id) FROM incidents";

const TIMELINE: &str = "
    SELECT accepted_at AS at, 'accepted', json_extract(alert, '$.labels.alertname') || ' ' || status
      FROM alerts WHERE incident = ?1
    UNION ALL
    SELECT decided_at, 'decided', verdict || ': ' || reason FROM decisions WHERE incident = ?1
    UNION ALL
    SELECT intended_at, 'intended', action || ' ' || unit FROM attempts WHERE incident = ?1
    UNION ALL
    SELECT job_ended_at, 'acted', action || ' ' || unit || ': ' || job_result
      FROM attempts WHERE incident = ?1 AND job_ended_at IS NOT NULL
    UNION ALL
    SELECT ended_at, 'judged', outcome || ': ' || detail
      FROM attempts WHERE incident = ?1 AND ended_at IS NOT NULL
    UNION ALL
    SELECT asked_at, 'asked', 'a person has to allow it' FROM approvals WHERE incident = ?1
    UNION ALL
    SELECT answered_at, 'answered', verdict || ' by ' || answered_by
      FROM approvals WHERE incident = ?1 AND answered_at IS NOT NULL
    UNION ALL
    SELECT closed_at, 'closed', outcome FROM incidents WHERE id = ?1 AND closed_at IS NOT NULL
    ORDER BY at";

fn kind(word: &str) -> &'static str {
    const KINDS: [&str; 8] = [
        "accepted", "decided", "intended", "acted", "judged", "asked", "answered", "closed",
    ];
    KINDS
        .into_iter()
        .find(|kind| *kind == word)
        .unwrap_or("noted")
}

type SummaryColumns = (
    String,
    i64,
    Option<i64>,
    String,
    Option<String>,
    Option<String>,
    String,
    Option<String>,
    u32,
);

fn summary_columns(row: &Row<'_>) -> rusqlite::Result<SummaryColumns> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
        row.get(6)?,
        row.get(7)?,
        row.get(8)?,
    ))
}

fn summary(row: SummaryColumns) -> Result<IncidentSummary, LedgerError> {
    let (id, opened_at, closed_at, alertname, rule, unit, state, outcome, attempts) = row;
    Ok(IncidentSummary {
        id,
        opened_at: timestamp("incidents.opened_at", opened_at)?,
        closed_at: closed_at
            .map(|at| timestamp("incidents.closed_at", at))
            .transpose()?,
        alertname,
        rule,
        unit,
        state,
        outcome,
        attempts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_in_the_timeline_is_text_and_not_a_pattern() {
        let store = Store::in_memory().unwrap();
        assert_eq!(store.incident("%").unwrap(), None);
        assert_eq!(store.timeline("00000000").unwrap(), vec![]);
    }
}
