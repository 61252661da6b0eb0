//! What the bot saw at the moment of deciding.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use units::{UnitFacts, UnitName};
use uuid::Uuid;

use crate::{FleetView, Trigger};

/// Everything outside policy and history that a decision depends on, the time included.
///
/// The ledger stores it with each decision, so that any decision can be replayed exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Situation {
    /// The moment of deciding.
    pub now: Timestamp,
    /// This host's `host` label.
    pub host: String,
    /// What set the bot off.
    pub trigger: Trigger,
    /// The incident that the trigger belongs to, new or open.
    pub incident: IncidentView,
    /// A fresh read of the target; `None` where it could not be read, or where the target is a
    /// template as a whole.
    pub unit: Option<UnitFacts>,
    /// Fresh reads of the other instances of the target's template, or of all of them where the
    /// target is the template as a whole. Instances that systemd has not loaded may be left out.
    #[serde(default)]
    pub siblings: Vec<UnitFacts>,
    /// Not every instance of the template could be read, so that they cannot be counted.
    #[serde(default)]
    pub uncounted: bool,
    /// What the rule's probe says just now; `None` where the rule has none or it was not asked.
    #[serde(default)]
    pub probe_healthy: Option<bool>,
    /// What Alertmanager says about the alert just now.
    #[serde(default)]
    pub alert_now: AlertNow,
    /// The pause that covers the target, if any.
    #[serde(default)]
    pub pause: Option<Pause>,
    /// How hard the target and the host are pressed.
    #[serde(default)]
    pub pressure: Pressure,
    /// The health of all units that the policy watches.
    #[serde(default)]
    pub watched: Watched,
    /// Alertmanager left alerts out of the webhook that this one came in.
    #[serde(default)]
    pub truncated: bool,
    /// What the other hosts do; `None` where this host is by itself, or has not asked for its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetView>,
}

/// What decisions need to know about an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentView {
    /// Its id, a UUID of version 7.
    pub id: Uuid,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// The rungs tried so far, in order, each judged.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// The latest question to a person, if any.
    #[serde(default)]
    pub approval: Option<Approval>,
    /// Whether people have been asked to look at it.
    #[serde(default)]
    pub escalated: bool,
    /// Until when, as far as is known, a person's pause or silence held it back.
    #[serde(default)]
    pub held_by_people_at: Option<Timestamp>,
}

impl IncidentView {
    /// An incident that nothing has been done about yet.
    pub fn new(id: Uuid, opened_at: Timestamp) -> Self {
        Self {
            id,
            opened_at,
            attempts: Vec::new(),
            approval: None,
            escalated: false,
            held_by_people_at: None,
        }
    }
}

/// One rung that was tried in this incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its place in the rule's ladder, from 0.
    pub rung: usize,
    /// When its intent was recorded.
    pub at: Timestamp,
    /// What came of it; `None` while it is in flight.
    pub outcome: Option<crate::Outcome>,
    /// Why it did not help, where there is a word for it.
    #[serde(default)]
    pub reason: Option<crate::Reason>,
}

/// A question to a person about one rung, and the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The rung that is asked about. An answer counts for no other.
    pub rung: usize,
    /// When question and answer lapse.
    pub expires_at: Timestamp,
    /// The answer; `None` while nobody has given one.
    pub answer: Option<Answer>,
}

/// What a person answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Go on.
    Approved,
    /// Don't.
    Denied,
}

/// What Alertmanager says about the alert at the moment of deciding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertNow {
    /// It could not be asked, or there is no alert (yet). A repair does not wait for it.
    #[default]
    Unknown,
    /// It fires.
    Firing,
    /// It fires, and a silence covers it.
    Silenced,
    /// It is over.
    Resolved,
    /// It was asked for, and no Alertmanager has it (any more). One that has just been started does
    /// not know its alerts yet, so a repair does not rely on this; a proof may.
    Absent,
}

/// A person told the bot to keep its hands off, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// When it ends by itself. There is no pause without an end.
    pub until: Timestamp,
}

/// How hard the target and the host are pressed; `None` where the kernel does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressure {
    /// Share of the last 10 s in which some task of the unit waited for a CPU (`cpu.pressure`).
    #[serde(default)]
    pub cpu: Option<Percent>,
    /// Share of the last 10 s in which every task of the host waited for memory
    /// (`memory.pressure`, line `full`).
    #[serde(default)]
    pub memory: Option<Percent>,
    /// Share of the unit's CPU periods that were throttled since the last look (`cpu.stat`).
    #[serde(default)]
    pub throttled: Option<Percent>,
}

/// A share in hundredths of a percent. A whole number, so that it is stored and read back exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Percent {
    hundredths: u16,
}

impl Percent {
    /// The whole.
    pub const FULL: Self = Self { hundredths: 10_000 };

    /// A share between 0 and 100 percent; anything else is brought to the nearer end.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Clamped just before.
    pub fn from_f64(percent: f64) -> Self {
        let hundredths = (percent * 100.0).round().clamp(0.0, 10_000.0);
        Self {
            hundredths: hundredths as u16,
        }
    }

    /// This share of a duration, to the microsecond.
    pub fn of_duration(self, whole: std::time::Duration) -> std::time::Duration {
        let micros = whole.as_micros() * u128::from(self.hundredths) / 10_000;
        std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// `part` of `whole`; nothing of nothing is 0.
    #[allow(clippy::cast_possible_truncation)] // At most 10 000.
    pub const fn of(part: usize, whole: usize) -> Self {
        if part >= whole {
            return if part == 0 {
                Self { hundredths: 0 }
            } else {
                Self::FULL
            };
        }
        Self {
            hundredths: (part as u128 * 10_000 / whole as u128) as u16,
        }
    }
}

/// The health of all units that the policy watches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// How many there are: units that some rule names, and loaded instances of its templates.
    pub total: usize,
    /// Those that are not healthy now. Units under repair need not be listed; they are counted as
    /// unhealthy in any case.
    pub unhealthy: BTreeSet<UnitName>,
}
