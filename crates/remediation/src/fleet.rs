//! The other hosts: what bots that share a table of repairs know of each other.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Reason;
use crate::policy::FleetLimits;

/// What the fleet's table said when this host asked for its turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FleetView {
    /// It answered.
    Reached(Others),
    /// It could not be reached in time.
    Unreachable,
}

/// What others do, and what all have done. The repair that asks is not part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Others {
    /// Other hosts of a group of this one that are under repair.
    pub under_repair: BTreeSet<String>,
    /// Repairs that any host of the fleet has begun within the budget's window.
    pub recent_repairs: usize,
}

impl FleetLimits {
    /// What stands against one more repair; `None` where it is this host's turn.
    ///
    /// The adapter asks this under the fleet's lock before it notes the repair, and the guard
    /// asks it again of what the adapter saw: the two cannot disagree.
    pub fn objection(&self, others: &Others) -> Option<Reason> {
        if others.under_repair.len() >= self.max_hosts {
            Some(Reason::FleetBusy)
        } else if others.recent_repairs >= self.budget.max_actions.get() {
            Some(Reason::FleetBudget)
        } else {
            None
        }
    }
}
