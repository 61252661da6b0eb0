//! What people told the bot: approvals, pauses, resets.

use jiff::Timestamp;
use remediation::{Answer, Plan};
use rusqlite::{OptionalExtension, params};
use units::UnitName;
use uuid::Uuid;

use crate::convert::{timestamp, to_json, usec};
use crate::error::LedgerError;
use crate::store::Store;

/// A pause as it was ordered. It always ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPause {
    /// The unit whose repairs are paused; `None` is the whole bot.
    pub unit: Option<UnitName>,
    /// Why, in the person's words.
    pub why: String,
    /// Who ordered it.
    pub paused_by: String,
    /// When it began.
    pub paused_at: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

impl Store {
    /// Notes the question to a person. A new rung replaces an older question.
    pub(crate) fn ask(
        &self,
        plan: &Plan,
        at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), LedgerError> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO approvals (incident, rung, plan, asked_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                plan.incident.to_string(),
                i64::try_from(plan.rung).unwrap_or(i64::MAX),
                to_json("approvals.plan", plan)?,
                usec(at),
                usec(expires_at)
            ])?;
        Ok(())
    }

    /// Notes a person's answer. Says whether a question was open for it.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub fn answer(
        &self,
        incident: Uuid,
        answer: Answer,
        by: &str,
        at: Timestamp,
    ) -> Result<bool, LedgerError> {
        let verdict = match answer {
            Answer::Approved => "approved",
            Answer::Denied => "denied",
        };
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE approvals SET verdict = ?2, answered_by = ?3, answered_at = ?4
                 WHERE incident = ?1 AND verdict IS NULL AND expires_at > ?4",
            )?
            .execute(params![incident.to_string(), verdict, by, usec(at)])?;
        Ok(changed == 1)
    }

    /// The latest question of an incident.
    pub(crate) fn approval(
        &self,
        incident: Uuid,
    ) -> Result<Option<remediation::Approval>, LedgerError> {
        let row = self
            .connection
            .prepare_cached("SELECT rung, expires_at, verdict FROM approvals WHERE incident = ?1")?
            .query_row(params![incident.to_string()], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, Option<String>>(2)?,
                ))
            })
            .optional()?;
        row.map(|(rung, expires_at, verdict)| {
            Ok(remediation::Approval {
                rung: usize::try_from(rung)
                    .map_err(|error| LedgerError::convert("approvals.rung", error))?,
                expires_at: timestamp("approvals.expires_at", expires_at)?,
                answer: verdict.map(|word| match word.as_str() {
                    "approved" => Answer::Approved,
                    _ => Answer::Denied,
                }),
            })
        })
        .transpose()
    }

    /// Notes a pause.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub fn pause(&self, pause: &StoredPause) -> Result<(), LedgerError> {
        self.connection
            .prepare_cached(
                "INSERT INTO pauses (unit, why, paused_by, paused_at, until)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                pause.unit.as_ref().map(UnitName::as_str),
                pause.why,
                pause.paused_by,
                usec(pause.paused_at),
                usec(pause.until)
            ])?;
        Ok(())
    }

    /// Ends the pauses of `unit`, or with `None` those of the whole bot; says how many.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub fn lift_pauses(
        &self,
        unit: Option<&UnitName>,
        by: &str,
        at: Timestamp,
    ) -> Result<usize, LedgerError> {
        Ok(self
            .connection
            .prepare_cached(
                "UPDATE pauses SET lifted_by = ?2, lifted_at = ?3
                 WHERE unit IS ?1 AND lifted_at IS NULL AND until > ?3",
            )?
            .execute(params![unit.map(UnitName::as_str), by, usec(at)])?)
    }

    /// The pauses that hold at `now`.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn pauses(&self, now: Timestamp) -> Result<Vec<StoredPause>, LedgerError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT unit, why, paused_by, paused_at, until FROM pauses
             WHERE lifted_at IS NULL AND until > ?1 ORDER BY id",
        )?;
        let rows = statement.query_map(params![usec(now)], |row| {
            Ok((
                row.get::<_, Option<String>>(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })?;
        rows.map(|row| {
            let (unit, why, paused_by, paused_at, until) = row?;
            Ok(StoredPause {
                unit: unit
                    .map(UnitName::try_new)
                    .transpose()
                    .map_err(|error| LedgerError::convert("pauses.unit", error))?,
                why,
                paused_by,
                paused_at: timestamp("pauses.paused_at", paused_at)?,
                until: timestamp("pauses.until", until)?,
            })
        })
        .collect()
    }

    /// Notes that a rule's past is settled.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub fn reset_rule(&self, rule: &str, by: &str, at: Timestamp) -> Result<(), LedgerError> {
        self.connection
            .prepare_cached("INSERT INTO resets (rule, reset_by, reset_at) VALUES (?1, ?2, ?3)")?
            .execute(params![rule, by, usec(at)])?;
        Ok(())
    }
}
