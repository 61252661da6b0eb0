//! The policy: what the bot may do, read once from its files and never changed after that.
//!
//! The types here are the whole vocabulary of a policy. They can only be made by
//! [`Policy::parse`]; the fields may be read by everyone.

mod defaults;
mod error;
mod matcher;
mod name;
mod parse;

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact;
use serde::{Deserialize, Serialize};
use units::{UnitName, UnitPattern};

pub use error::{Place, PolicyError, PolicyErrors};
pub use matcher::{Matcher, MatcherError, Matchers};
pub use name::{RuleName, RuleNameError};

use crate::action::Signal;
use crate::is_protected;
use crate::situation::Percent;

/// A valid policy.
///
/// ```
/// use remediation::Policy;
///
/// let text = r#"
///     [[rule]]
///     name = "api-down"
///     match = ['alertname="ApiDown"']
///     units = ["api.service"]
///     mode = "auto"
///     ladder = [{ action = "restart" }, { action = "escalate" }]
/// "#;
/// let policy = Policy::parse(&[("policy.toml".into(), text.into())])?;
/// assert_eq!(policy.rules().len(), 1);
/// # Ok::<(), remediation::PolicyErrors>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(crate) hash: PolicyHash,
    pub(crate) host: HostLimits,
    pub(crate) rules: Vec<Rule>,
}

impl Policy {
    /// Which text this policy was read from.
    pub fn hash(&self) -> PolicyHash {
        self.hash
    }

    /// Limits that hold for all rules together.
    pub fn host(&self) -> &HostLimits {
        &self.host
    }

    /// The rules, in the order in which they are tried.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule of this name.
    pub fn rule(&self, name: &RuleName) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == *name)
    }

    /// Whether some rule's list names this unit: it is watched, and counts for the storm's share.
    pub fn watches(&self, unit: &UnitName) -> bool {
        self.rules.iter().any(|rule| rule.allows(unit))
    }

    /// Whether no rule may touch this unit, whatever it says: neither on any host nor on this one.
    pub fn protects(&self, unit: &UnitName) -> bool {
        let mut on_this_host = self.host.protected.iter();
        is_protected(unit) || on_this_host.any(|pattern| pattern.matches(unit))
    }

    /// Whether `failed` of this unit, as systemd reports it, is a trigger.
    pub fn reacts_to_failure_of(&self, unit: &UnitName) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.on_unit_failed && rule.allows(unit))
    }

    /// The units and templates that rules name, each once, in the order of the rules.
    pub fn units(&self) -> Vec<&UnitPattern> {
        let mut units: Vec<&UnitPattern> = Vec::new();
        for pattern in self.rules.iter().flat_map(|rule| &rule.units) {
            if !units.contains(&pattern) {
                units.push(pattern);
            }
        }
        units
    }

    /// How far back a [`History`](crate::History) must reach for every limit to be exact.
    pub fn history_window(&self) -> Duration {
        let host = [
            self.host.budget.window,
            self.host.unit_budget.window,
            self.host.storm.quiet_for,
        ];
        let rules = self.rules.iter().flat_map(|rule| {
            [
                rule.budget.window,
                rule.backoff.memory,
                rule.breaker.window + rule.breaker.open_for,
                rule.flapping.window,
                rule.efficacy.window,
                rule.cooldown,
            ]
        });
        host.into_iter().chain(rules).max().unwrap_or_default()
    }
}

/// A fingerprint of the policy's text (FNV-1a, 64 bits), to tell one version from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolicyHash(pub(crate) u64);

impl fmt::Display for PolicyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Limits that hold for all rules together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostLimits {
    /// Actions on the whole host.
    pub budget: Budget,
    /// Actions on any one unit, whatever rule they came from.
    pub unit_budget: Budget,
    /// Actions under way at once on the whole host.
    pub max_in_flight: usize,
    /// When so much is broken that repairing single units is no answer.
    pub storm: Storm,
    /// Units that are never touched, beside those that no policy may touch.
    pub protected: Vec<UnitPattern>,
    /// What holds for all hosts together that share a table of repairs.
    pub fleet: FleetLimits,
}

/// Limits over the hosts that share a table of repairs. All of them should say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetLimits {
    /// Hosts of one group that may be under repair at once.
    pub max_hosts: usize,
    /// Repairs by all hosts together.
    pub budget: Budget,
}

/// What a rule does where the fleet's table of repairs cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnreachable {
    /// Wait for it.
    Hold,
    /// Go on by this host's own limits.
    Act,
}

/// At most so many actions in any stretch of time this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// How many.
    pub max_actions: NonZeroUsize,
    /// How long.
    pub window: Duration,
}

/// So much is broken at once that the cause must lie deeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Storm {
    /// More than this share of the watched units unhealthy is a storm…
    pub share: Percent,
    /// …if it is also at least this many of them.
    pub min_units: usize,
    /// One escalation tells of the whole storm; no other one follows within this time.
    pub quiet_for: Duration,
}

/// What may be done about which alerts, to which units, how often, and how it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// Its name; unique in the policy.
    pub name: RuleName,
    /// Where it is written.
    pub place: Place,
    /// Which alerts it is about.
    pub matchers: Matchers,
    /// Which units it may touch. Empty means none.
    pub units: Vec<UnitPattern>,
    /// Units whose failure is forgotten together with the target's, such as its socket.
    pub also_reset: Vec<UnitName>,
    /// systemd's own signal that a unit of the list failed is a trigger, too.
    pub on_unit_failed: bool,
    /// How much it may do by itself.
    pub mode: Mode,
    /// What is tried, in this order.
    pub ladder: Vec<Rung>,
    /// How it is shown that an action worked.
    pub proof: Proof,
    /// Actions by this rule.
    pub budget: Budget,
    /// Least time since the unit's own last start, whoever started it, and since the bot's last
    /// action on it.
    pub cooldown: Duration,
    /// Growing waits after actions that did not help.
    pub backoff: Backoff,
    /// Stops the rule when its actions fail one after the other.
    pub breaker: Breaker,
    /// Stops the rule for a unit whose repairs do not last.
    pub flapping: Flapping,
    /// Takes the rule's freedom when its repairs hide a fault rather than mend it.
    pub efficacy: Efficacy,
    /// Overload is not death: when to leave rungs that interrupt a unit out.
    pub saturation: Option<Saturation>,
    /// Other instances of the template that must stay healthy while one is interrupted.
    pub healthy_min: usize,
    /// What to do where the fleet's table of repairs cannot be reached.
    pub when_fleet_unreachable: WhenUnreachable,
    /// How long a repair is held back by something that may never end (another instance is down, a
    /// requirement failed, the unit is overloaded, PID 1 is at work on it) before people learn of it.
    pub patience: Duration,
    /// How long a question to a person stands.
    pub approval_ttl: Duration,
}

impl Rule {
    /// Whether the list names this unit.
    pub fn allows(&self, unit: &UnitName) -> bool {
        self.units.iter().any(|pattern| pattern.matches(unit))
    }
}

/// How much a rule may do by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only say what would be done.
    Observe,
    /// Ask a person before each action.
    Approve,
    /// Act.
    Auto,
}

/// One step of a ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rung {
    /// What is done.
    pub action: RungAction,
    /// In which state of the unit it makes sense; `None` = in every state.
    pub when: Option<When>,
    /// How often it may be tried in one incident.
    pub times: usize,
    /// How long its job may take.
    pub deadline: Duration,
}

/// What a rung does. It becomes an [`Action`](crate::Action) when the target is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The words are those of `Action`.
pub enum RungAction {
    Reload,
    Restart,
    Start,
    Stop,
    Kill {
        signal: Signal,
    },
    ResetFailedStart,
    /// `step` more instances, at most `max` of them.
    ScaleUp {
        max: u32,
        step: u32,
    },
    /// `step` instances fewer, at least `min` of them.
    ScaleDown {
        min: u32,
        step: u32,
    },
    Runbook {
        unit: UnitName,
    },
    /// Ask people.
    Escalate,
}

/// The states of a unit that rungs tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It runs, whatever its probe says.
    Active,
    /// It was stopped.
    Inactive,
    /// It crashed, could not start, or is past its start limit.
    Failed,
}

impl RungAction {
    /// Whether it changes how many instances run.
    pub fn scales(&self) -> bool {
        matches!(self, Self::ScaleUp { .. } | Self::ScaleDown { .. })
    }
}

/// How it is shown that an action worked. The unit's state is always part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// How long state and probe must hold without a break.
    #[serde(with = "compact::required")]
    pub healthy_for: Duration,
    /// How long after the job's end they have for it.
    #[serde(with = "compact::required")]
    pub deadline: Duration,
    /// How long the alert that opened the incident may go on after that; nothing: it is not asked.
    #[serde(with = "compact::required", default)]
    pub alert_deadline: Duration,
    /// What is asked beside systemd.
    pub probe: Option<Probe>,
}

/// Something outside systemd that tells whether a unit is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// `GET` answers with this status.
    Http {
        /// An `http://` or `https://` URL.
        url: String,
        /// The status wanted.
        status: u16,
    },
    /// A connection is accepted.
    Tcp {
        /// `HOST:PORT`.
        address: String,
    },
    /// A Prometheus query returns at least one sample.
    PromQl {
        /// Prometheus' base URL.
        url: String,
        /// The query.
        query: String,
    },
}

/// Growing waits: `initial`, then `factor` times as long each time, at most `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The wait after the first action that did not help.
    pub initial: Duration,
    /// How much longer each next wait is.
    pub factor: u32,
    /// The longest wait.
    pub max: Duration,
    /// Waits are this much longer at most, by an amount that the incident's id settles, so that
    /// hosts that broke together do not act together.
    pub jitter: Percent,
    /// Actions older than this no longer lengthen a wait.
    pub memory: Duration,
}

/// Opens after so many ineffective actions within a window, and lets one try pass later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Breaker {
    /// How many.
    pub failures: usize,
    /// Within which time.
    pub window: Duration,
    /// How long it stays open before one try is let through.
    pub open_for: Duration,
}

/// So many incidents of one unit, each ended by an effective repair, are no repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flapping {
    /// How many.
    pub repairs: usize,
    /// Within which time.
    pub window: Duration,
}

/// When a rule's repairs count as hiding a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Efficacy {
    /// So many ineffective actions…
    pub max_ineffective: usize,
    /// …or so many effective ones…
    pub max_repairs: usize,
    /// …within this time.
    pub window: Duration,
}

/// At which pressure a unit or host counts as overloaded; `None` = that one is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Saturation {
    /// The unit's wait for a CPU.
    pub cpu: Option<Percent>,
    /// The host's standstill for want of memory. No instance is added above it either.
    pub memory: Option<Percent>,
    /// The unit's throttled CPU periods.
    pub throttled: Option<Percent>,
}
