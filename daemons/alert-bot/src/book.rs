//! The open incidents, and how to find the one that something belongs to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use journal::Line;
use ledger::{AlertId, AttemptId};
use remediation::{Alert, IncidentView, Plan, Reason, Target, Trigger};
use tokio::sync::Notify;
use tokio::time::Instant;
use units::UnitName;
use uuid::Uuid;

use crate::record::Subject;

/// What identifies one firing of one alert.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AlertKey {
    fingerprint: String,
    starts_at: Timestamp,
}

impl AlertKey {
    pub(crate) fn of(alert: &Alert) -> Self {
        Self {
            fingerprint: alert.fingerprint.clone(),
            starts_at: alert.starts_at,
        }
    }
}

/// Where an incident stands.
///
/// ```text
///            ┌──────────── ask again ───────────┐
/// Looking ───┼─▶ Held ──────────────────────────┤
///    ▲       ├─▶ Acting ── judged: no help ─────┘
///    │       ├─▶ Escalated ── something changed ┘
///    └───────┴─▶ (closed: no longer in the book)
/// ```
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// Facts are being gathered. `again`: they are out of date already.
    Looking { again: bool },
    /// Nothing may be done now, or a person is asked.
    Held,
    /// An action is under way, or its proof, or the wait for the end of the alert.
    Acting {
        attempt: AttemptId,
        plan: Box<Plan>,
        watch: AlertWatch,
        /// The unit was healthy for long enough; only the end of the alert is waited for.
        proven: bool,
    },
    /// People have it.
    Escalated,
}

impl Stage {
    /// For people.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Looking { .. } => "being looked at",
            Self::Held => "held back",
            Self::Acting { .. } => "under repair",
            Self::Escalated => "with people",
        }
    }
}

/// What the task that proves an action hears from the engine meanwhile.
#[derive(Clone, Debug, Default)]
pub(crate) struct AlertWatch {
    /// The alert, or the unit, may be another by now.
    pub(crate) changed: Arc<Notify>,
    /// Alertmanager said that the alert is over.
    pub(crate) over: Arc<AtomicBool>,
}

impl AlertWatch {
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// One open incident.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) view: IncidentView,
    pub(crate) trigger: Trigger,
    pub(crate) rule: String,
    pub(crate) target: Target,
    pub(crate) truncated: bool,
    pub(crate) stage: Stage,
    /// When to look again if nothing happens before.
    pub(crate) due: Option<Instant>,
    /// Alerts whose final decision this incident owes.
    pub(crate) waiting: Vec<AlertId>,
    pub(crate) keys: Vec<AlertKey>,
    /// Whether the ledger has a row for it.
    pub(crate) recorded: bool,
    /// Why it was held the last time, and how often in a row.
    pub(crate) held_for: Option<(Reason, u32)>,
    /// When the bot learned of it; `None` where that was before a restart.
    pub(crate) learned: Option<Instant>,
    /// The kernel's `memory.events` of the unit, as last looked at.
    pub(crate) memory_events: BTreeMap<String, u64>,
    /// The unit's last lines, until they are in the ledger.
    pub(crate) lines: Vec<Line>,
    /// Only a repeat of an alert that was settled before: not worth a row unless it comes to more.
    pub(crate) is_repeat: bool,
}

impl Incident {
    pub(crate) fn subject(&self) -> Subject {
        Subject {
            incident: self.view.id,
            alertname: self.trigger.name().to_owned(),
            target: self.target.to_string(),
            rule: self.rule.clone(),
        }
    }

    /// Whether its unit is healthy again, as far as its proof goes.
    pub(crate) fn is_proven(&self) -> bool {
        matches!(self.stage, Stage::Acting { proven: true, .. })
    }

    /// Whether it takes up one of the places for work; what people have does not.
    fn is_in_work(&self) -> bool {
        !matches!(self.stage, Stage::Escalated)
    }
}

/// All open incidents; at most one for each target.
#[derive(Debug, Default)]
pub(crate) struct Book {
    incidents: BTreeMap<Uuid, Incident>,
    by_target: HashMap<Target, Uuid>,
    by_alert: HashMap<AlertKey, Uuid>,
}

impl Book {
    pub(crate) fn insert(&mut self, incident: Incident) {
        let id = incident.view.id;
        self.by_target.insert(incident.target.clone(), id);
        for key in &incident.keys {
            self.by_alert.insert(key.clone(), id);
        }
        self.incidents.insert(id, incident);
    }

    pub(crate) fn remove(&mut self, id: Uuid) -> Option<Incident> {
        let incident = self.incidents.remove(&id)?;
        self.by_target.remove(&incident.target);
        for key in &incident.keys {
            self.by_alert.remove(key);
        }
        Some(incident)
    }

    /// One more alert tells of this incident.
    pub(crate) fn join(&mut self, id: Uuid, key: AlertKey) {
        if let Some(incident) = self.incidents.get_mut(&id) {
            incident.keys.push(key.clone());
            self.by_alert.insert(key, id);
        }
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<&Incident> {
        self.incidents.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: Uuid) -> Option<&mut Incident> {
        self.incidents.get_mut(&id)
    }

    pub(crate) fn of_target(&self, target: &Target) -> Option<Uuid> {
        self.by_target.get(target).copied()
    }

    pub(crate) fn of_alert(&self, key: &AlertKey) -> Option<Uuid> {
        self.by_alert.get(key).copied()
    }

    /// Incidents that a change of this unit may concern.
    pub(crate) fn touched_by(&self, unit: &UnitName) -> Vec<Uuid> {
        let touched = self.incidents.values().filter(|i| i.target.covers(unit));
        touched.map(|incident| incident.view.id).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.incidents.len()
    }

    pub(crate) fn in_work(&self) -> usize {
        self.incidents.values().filter(|i| i.is_in_work()).count()
    }

    /// The moment at which the first of them is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.incidents.values().filter_map(|i| i.due).min()
    }

    pub(crate) fn due_at(&self, now: Instant) -> Vec<Uuid> {
        let due = self
            .incidents
            .values()
            .filter(|i| i.due.is_some_and(|due| due <= now));
        due.map(|incident| incident.view.id).collect()
    }
}
