//! What `decide` answers.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::serde::unsigned_duration::friendly::compact;
use serde::{Deserialize, Serialize};
use units::UnitName;
use uuid::Uuid;

use crate::policy::{Proof, RuleName};
use crate::{Action, Reason};

/// The answer to one trigger at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Carry out this plan now.
    Act(Plan),
    /// Nothing needs to be done.
    Ignore(Reason),
    /// The rule only observes: this is the plan that it would have carried out.
    Observe(Plan),
    /// Something stands against it now; ask again at `retry_at`, or when something changes.
    Hold {
        /// What stands against it.
        reason: Reason,
        /// When to ask again at the latest.
        retry_at: Timestamp,
    },
    /// It may not be done.
    Deny(Reason),
    /// A person has to allow the plan first.
    AwaitApproval {
        /// Why a person is asked.
        reason: Reason,
        /// What would be done.
        plan: Plan,
        /// When the question lapses.
        expires_at: Timestamp,
    },
    /// Leave the unit to people and tell them.
    Escalate(Reason),
}

impl Decision {
    /// Why.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Act(plan) => plan.reason,
            Self::Observe(_) => Reason::ObserveMode,
            Self::Ignore(reason)
            | Self::Deny(reason)
            | Self::Escalate(reason)
            | Self::Hold { reason, .. }
            | Self::AwaitApproval { reason, .. } => *reason,
        }
    }

    /// The word of the metric label `decision` and the ledger's column.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Act(_) => "act",
            Self::Ignore(_) => "ignore",
            Self::Observe(_) => "observe",
            Self::Hold { .. } => "hold",
            Self::Deny(_) => "deny",
            Self::AwaitApproval { .. } => "await-approval",
            Self::Escalate(_) => "escalate",
        }
    }

    /// The plan that is carried out, waits for approval or is merely observed.
    pub fn plan(&self) -> Option<&Plan> {
        match self {
            Self::Act(plan) | Self::Observe(plan) | Self::AwaitApproval { plan, .. } => Some(plan),
            _ => None,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        match self {
            Self::Act(plan) | Self::Observe(plan) => write!(f, " ({plan})"),
            Self::AwaitApproval {
                plan, expires_at, ..
            } => write!(f, " ({plan}) until {expires_at}"),
            Self::Hold { retry_at, .. } => write!(f, " until {retry_at}"),
            Self::Ignore(_) | Self::Deny(_) | Self::Escalate(_) => Ok(()),
        }
    }
}

/// Everything that carrying out one action needs to know. It leaves no choices open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The incident that it belongs to.
    pub incident: Uuid,
    /// The rule that allows it.
    pub rule: RuleName,
    /// The unit that is repaired, budgeted, locked and proven. For every action but
    /// [`Action::Runbook`] it is also the unit that systemd is asked to act on.
    pub unit: UnitName,
    /// The further instances that a step of scaling acts on together with the unit, and that are
    /// locked and proven with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<UnitName>,
    /// Which rung of the rule's ladder this is, from 0.
    pub rung: usize,
    /// What is done.
    pub action: Action,
    /// [`Reason::Due`] or [`Reason::NextRung`].
    pub reason: Reason,
    /// How long the job may take before its outcome counts as unknown.
    #[serde(with = "compact::required")]
    pub job_deadline: Duration,
    /// How it is shown that the action worked.
    pub proof: Proof,
}

impl Plan {
    /// Every unit that is acted on; one, except where a step scales several instances.
    pub fn units(&self) -> impl Iterator<Item = &UnitName> {
        std::iter::once(&self.unit).chain(&self.also)
    }

    /// Their names, for people.
    pub fn names(&self) -> String {
        names(self.units())
    }

    /// How long the end of the alert is waited for once the unit is proven. Scaling goes on for as
    /// long as the alert does, so there the alert is the reason for the next step and no judgement.
    pub fn alert_deadline(&self) -> Option<Duration> {
        let scales = matches!(self.action, Action::ScaleUp | Action::ScaleDown);
        let deadline = self.proof.alert_deadline;
        (!scales && !deadline.is_zero()).then_some(deadline)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action, self.names())
    }
}

pub(crate) fn names<'a>(units: impl Iterator<Item = &'a UnitName>) -> String {
    let names: Vec<&str> = units.map(UnitName::as_str).collect();
    names.join(" ")
}
