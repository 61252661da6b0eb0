//! The durable intake: one row for each alert state that was acknowledged to Alertmanager.

use jiff::Timestamp;
use remediation::{Alert, AlertStatus};
use rusqlite::{OptionalExtension, Row, params};
use uuid::Uuid;

use crate::convert::{from_json, timestamp, to_json, usec};
use crate::error::LedgerError;
use crate::store::Store;

/// The key of an accepted alert; grows with the order of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub(crate) i64);

impl AlertId {
    /// Below every id.
    pub const BEFORE_ALL: Self = Self(0);

    /// The number in the ledger's column, for people.
    pub fn number(self) -> i64 {
        self.0
    }
}

/// What became of one alert of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Not seen before: it is decided about.
    New(AlertId),
    /// The same fingerprint, start and status came before.
    Repeated(AlertId),
}

/// An alert as it was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAlert {
    /// Its key.
    pub id: AlertId,
    /// The alert.
    pub alert: Alert,
    /// Whether Alertmanager left alerts out of its webhook.
    pub truncated: bool,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// The incident that it already belongs to.
    pub incident: Option<Uuid>,
    /// Whether its final decision is recorded.
    pub settled: bool,
    /// Whether its end was accepted, too.
    pub is_over: bool,
}

/// What identifies an alert that something still hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldAlert {
    /// Its key.
    pub id: AlertId,
    /// Alertmanager's own hash of the labels.
    pub fingerprint: String,
    /// When it began to fire.
    pub starts_at: Timestamp,
}

/// What [`stored`] reads.
const COLUMNS: &str = "id, alert, truncated, accepted_at, incident, settled_at IS NOT NULL,
    EXISTS (SELECT 1 FROM alerts AS ended WHERE ended.fingerprint = alerts.fingerprint
            AND ended.starts_at = alerts.starts_at AND ended.status = 'resolved')";

/// The final word about an accepted alert. Each has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It led to an action.
    Acted,
    /// It told of an incident that was open already.
    Joined,
    /// There was nothing to do about it.
    Suppressed,
    /// It may not be acted on.
    Refused,
    /// People were asked to look.
    Escalated,
}

impl Disposition {
    /// The word in the ledger's column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acted => "acted",
            Self::Joined => "joined",
            Self::Suppressed => "suppressed",
            Self::Refused => "refused",
            Self::Escalated => "escalated",
        }
    }
}

impl Store {
    /// Takes in the alerts of one webhook, all or none.
    ///
    /// # Errors
    /// Where they cannot be stored; then nothing may be acknowledged.
    pub fn accept(
        &self,
        alerts: &[Alert],
        truncated: bool,
        at: Timestamp,
    ) -> Result<Vec<Accepted>, LedgerError> {
        alerts
            .iter()
            .map(|alert| self.accept_one(alert, truncated, at))
            .collect()
    }

    fn accept_one(
        &self,
        alert: &Alert,
        truncated: bool,
        at: Timestamp,
    ) -> Result<Accepted, LedgerError> {
        let (starts_at, status) = (usec(alert.starts_at), status_word(alert.status));
        let repeated = self
            .connection
            .prepare_cached(
                "UPDATE alerts SET deliveries = deliveries + 1
                 WHERE fingerprint = ?1 AND starts_at = ?2 AND status = ?3 RETURNING id",
            )?
            .query_row(params![alert.fingerprint, starts_at, status], |row| {
                row.get(0)
            })
            .optional()?;
        if let Some(id) = repeated {
            return Ok(Accepted::Repeated(AlertId(id)));
        }
        self.connection
            .prepare_cached(
                "INSERT INTO alerts (fingerprint, starts_at, status, alert, truncated, accepted_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                alert.fingerprint,
                starts_at,
                status,
                to_json("alerts.alert", alert)?,
                truncated,
                usec(at)
            ])?;
        Ok(Accepted::New(AlertId(self.connection.last_insert_rowid())))
    }

    /// The next alerts without a final decision, oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn unsettled_after(
        &self,
        after: AlertId,
        limit: usize,
    ) -> Result<Vec<StoredAlert>, LedgerError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM alerts
             WHERE settled_at IS NULL AND id > ?1 ORDER BY id LIMIT ?2"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![after.0, limit], stored_columns)?;
        rows.map(|row| stored(row?)).collect()
    }

    /// How many alerts have no final decision yet.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn unsettled_count(&self) -> Result<u64, LedgerError> {
        Ok(self
            .connection
            .prepare_cached("SELECT count(*) FROM alerts WHERE settled_at IS NULL")?
            .query_row([], |row| row.get::<_, u32>(0))?
            .into())
    }

    /// One alert, settled or not.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn alert(&self, id: AlertId) -> Result<Option<StoredAlert>, LedgerError> {
        self.connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM alerts WHERE id = ?1"))?
            .query_row(params![id.0], stored_columns)
            .optional()?
            .map(stored)
            .transpose()
    }

    /// Every alert that belongs to an incident, oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn alerts_of(&self, incident: Uuid) -> Result<Vec<StoredAlert>, LedgerError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM alerts WHERE incident = ?1 ORDER BY id"
        ))?;
        let rows = statement.query_map(params![incident.to_string()], stored_columns)?;
        rows.map(|row| stored(row?)).collect()
    }

    /// Alerts that fire as far as the ledger knows, and that an open incident or a decision to come
    /// hangs on, oldest first.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn held_alerts(&self) -> Result<Vec<HeldAlert>, LedgerError> {
        // An incident that a repeat opened has no row of its own among the alerts: its trigger
        // names the one that was repeated.
        let mut statement = self.connection.prepare_cached(
            "WITH unfinished AS (
                 SELECT id, json_extract(trigger, '$.alert.fingerprint') AS fingerprint
                 FROM incidents WHERE state <> 'closed'
             ), held AS (
                 SELECT id FROM alerts WHERE settled_at IS NULL
                 UNION SELECT alerts.id FROM unfinished JOIN alerts ON incident = unfinished.id
                 UNION SELECT (SELECT max(id) FROM alerts WHERE status = 'firing'
                               AND fingerprint = unfinished.fingerprint) FROM unfinished
             )
             SELECT id, fingerprint, starts_at FROM alerts AS firing
             WHERE id IN held AND status = 'firing' AND NOT EXISTS (
                 SELECT 1 FROM alerts AS ended WHERE ended.fingerprint = firing.fingerprint
                 AND ended.starts_at = firing.starts_at AND ended.status = 'resolved')
             ORDER BY id",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.map(|row| {
            let (id, fingerprint, starts_at) = row?;
            Ok(HeldAlert {
                id: AlertId(id),
                fingerprint,
                starts_at: timestamp("alerts.starts_at", starts_at)?,
            })
        })
        .collect()
    }

    /// The alert that was accepted last; [`AlertId::BEFORE_ALL`] where there is none.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn last_alert(&self) -> Result<AlertId, LedgerError> {
        let last = self
            .connection
            .prepare_cached("SELECT coalesce(max(id), 0) FROM alerts")?
            .query_row([], |row| row.get(0))?;
        Ok(AlertId(last))
    }

    /// Records an alert's final decision; one that has it already keeps it.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub fn settle(
        &self,
        alert: AlertId,
        disposition: Disposition,
        reason: &str,
        incident: Option<Uuid>,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        self.connection
            .prepare_cached(
                "UPDATE alerts SET settled_at = ?2, disposition = ?3, reason = ?4,
                        incident = coalesce(?5, incident)
                 WHERE id = ?1 AND settled_at IS NULL",
            )?
            .execute(params![
                alert.0,
                usec(at),
                disposition.as_str(),
                reason,
                incident.map(|id| id.to_string())
            ])?;
        Ok(())
    }

    /// Notes which incident an alert without a final decision belongs to.
    ///
    /// # Errors
    /// Where it cannot be stored.
    pub fn assign(&self, alert: AlertId, incident: Uuid) -> Result<(), LedgerError> {
        self.connection
            .prepare_cached("UPDATE alerts SET incident = ?2 WHERE id = ?1")?
            .execute(params![alert.0, incident.to_string()])?;
        Ok(())
    }
}

fn status_word(status: AlertStatus) -> &'static str {
    match status {
        AlertStatus::Firing => "firing",
        AlertStatus::Resolved => "resolved",
    }
}

type Columns = (i64, String, bool, i64, Option<String>, bool, bool);

fn stored_columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
        row.get(6)?,
    ))
}

fn stored(
    (id, alert, truncated, accepted_at, incident, settled, is_over): Columns,
) -> Result<StoredAlert, LedgerError> {
    Ok(StoredAlert {
        id: AlertId(id),
        alert: from_json("alerts.alert", &alert)?,
        truncated,
        accepted_at: timestamp("alerts.accepted_at", accepted_at)?,
        incident: incident
            .map(|text| Uuid::parse_str(&text))
            .transpose()
            .map_err(|error| LedgerError::convert("alerts.incident", error))?,
        settled,
        is_over,
    })
}
