//! What was found before anything was touched: kept with the incident, shown by
//! `alert-bot incident`.
//!
//! engine → look → **evidence** → ledger, in the same commit as the intent
//!
//! The unit's last lines are read while systemd is asked for its state, so they cost a repair
//! nothing. journald may lag behind a process that has just died, so they are read once more when
//! the repair's job has ended, and what belongs to the life before it is added.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use journal::{Before, Journal, Limits, Line};
use remediation::Pressure;
use serde::Serialize;
use units::{UnitFacts, UnitName};

/// Enough for a backtrace and what led to it; a ledger row stays below 20 KiB.
const LIMITS: Limits = Limits {
    lines: 40,
    line_bytes: 1024,
    total_bytes: 16 * 1024,
};

/// Reading takes about a millisecond from the page cache. A disk that hangs does not hold up a
/// repair: the second reading, after it, is in no hurry.
const FIRST_TIMEOUT: Duration = Duration::from_millis(25);
const SECOND_TIMEOUT: Duration = Duration::from_secs(5);

/// Everything that the ledger keeps, as its JSON.
#[derive(Serialize)]
pub(crate) struct Evidence<'a> {
    pub(crate) unit: &'a Option<UnitFacts>,
    pub(crate) probe_healthy: Option<bool>,
    pub(crate) pressure: Pressure,
    /// The kernel's `memory.events` of the unit.
    pub(crate) memory_events: &'a BTreeMap<String, u64>,
    /// The unit's last lines, and PID 1's about it.
    pub(crate) journal: &'a [Line],
}

/// The unit's last lines, or none where they cannot be had in time.
pub(crate) async fn last_lines(journal: Option<&Arc<Journal>>, unit: &UnitName) -> Vec<Line> {
    read(journal, unit, None, FIRST_TIMEOUT).await
}

/// The last lines of the life that a repair ended, read after it.
pub(crate) async fn lines_before(
    journal: Option<&Arc<Journal>>,
    unit: &UnitName,
    before: Before,
) -> Vec<Line> {
    read(journal, unit, Some(before), SECOND_TIMEOUT).await
}

async fn read(
    journal: Option<&Arc<Journal>>,
    unit: &UnitName,
    before: Option<Before>,
    timeout: Duration,
) -> Vec<Line> {
    let Some(journal) = journal.cloned() else {
        return Vec::new();
    };
    let name = unit.clone();
    let reading =
        tokio::task::spawn_blocking(move || journal.last_lines(&name, LIMITS, before.as_ref()));
    match tokio::time::timeout(timeout, reading).await {
        Ok(Ok(Ok(lines))) => lines,
        Ok(Ok(Err(error))) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(target_unit = %unit, %error, cause, "the unit's last lines cannot be read");
            Vec::new()
        }
        Ok(Err(error)) => {
            tracing::error!(target_unit = %unit, %error, "reading the unit's last lines ended early");
            Vec::new()
        }
        Err(_) => {
            tracing::warn!(target_unit = %unit, ?timeout, "the unit's last lines were not there in time");
            Vec::new()
        }
    }
}
