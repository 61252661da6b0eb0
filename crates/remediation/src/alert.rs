//! What set the bot off: an alert from Alertmanager, or systemd's own signal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use units::UnitName;

/// One alert of a webhook, parsed by the bot's intake.
///
/// Label values are text that anyone may have written. Nothing here is ever a command or the name
/// of something to act on until the policy has matched it against its own list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Alertmanager's own hash of the labels.
    pub fingerprint: String,
    /// Whether it is on or over.
    pub status: AlertStatus,
    /// Its labels; the name is the label `alertname`.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, for people only.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// When it began to fire.
    pub starts_at: Timestamp,
    /// When it ended, or is expected to.
    #[serde(default)]
    pub ends_at: Option<Timestamp>,
}

impl Alert {
    /// The label's value; the empty text where there is none, as Alertmanager's matchers have it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The label `alertname`.
    pub fn name(&self) -> &str {
        self.label("alertname")
    }
}

/// Alertmanager's two words for an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertStatus {
    /// On.
    Firing,
    /// Over.
    Resolved,
}

/// The two sources of work. Both reach the same decision through the same guards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// Alertmanager sent this alert.
    Alert(Alert),
    /// systemd reported that this unit entered `failed`.
    UnitFailed(UnitName),
}

impl Trigger {
    /// The alert's label; systemd's own signal has none.
    pub fn label(&self, name: &str) -> &str {
        match self {
            Self::Alert(alert) => alert.label(name),
            Self::UnitFailed(_) => "",
        }
    }

    /// The alert's name; `UnitFailed` where systemd itself spoke.
    pub fn name(&self) -> &str {
        match self {
            Self::Alert(alert) => alert.name(),
            Self::UnitFailed(_) => "UnitFailed",
        }
    }
}
