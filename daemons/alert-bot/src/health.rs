//! What the bot says about itself: on `/health`, and in the status line of `systemctl status`.

use std::fmt;

use serde::Serialize;

/// The engine's own account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(clippy::struct_excessive_bools)] // Independent facts, each with a key of its own.
pub(crate) struct Health {
    /// Whether systemd can be heard. Alerts are accepted either way.
    pub(crate) bus_up: bool,
    /// Incidents that are not closed.
    pub(crate) incidents_open: usize,
    /// Accepted alerts without a final decision, as last counted.
    pub(crate) queue_depth: u64,
    /// Whether the whole bot is paused.
    pub(crate) paused: bool,
    /// Hash of the policy in force.
    pub(crate) policy: String,
    /// How many rules it has.
    pub(crate) rules: usize,
    /// Whether the files have a mistake since, so that the policy in force is an older one.
    pub(crate) policy_rejected: bool,
    /// Whether the alert that always fires has stopped arriving.
    pub(crate) watchdog_lost: bool,
    /// What was last done to which unit, and what came of it.
    pub(crate) last_action: Option<String>,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bus = if self.bus_up {
            "watching"
        } else {
            "no system bus, waiting for it"
        };
        write!(
            f,
            "{bus}; {} rules, {} open incidents",
            self.rules, self.incidents_open
        )?;
        if self.queue_depth > 0 {
            write!(f, ", {} alerts waiting", self.queue_depth)?;
        }
        if let Some(action) = &self.last_action {
            write!(f, "; last: {action}")?;
        }
        if self.policy_rejected {
            f.write_str("; the new policy has a mistake, the old one stays in force")?;
        }
        if self.paused {
            f.write_str("; paused")?;
        }
        if self.watchdog_lost {
            f.write_str("; the Watchdog alert no longer arrives")?;
        }
        Ok(())
    }
}
