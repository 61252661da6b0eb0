//! Past decisions, made again.

use serde::{Deserialize, Serialize};

use crate::{Decision, History, Policy, Situation, decide};

/// One decision as the ledger keeps it: all that it was made from, and what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The [`PolicyHash`](crate::PolicyHash) of the policy that was in force, as text.
    pub policy: String,
    /// What the bot had done before.
    pub history: History,
    /// What it saw.
    pub situation: Situation,
    /// What it decided.
    pub decision: Decision,
}

/// A past decision that a policy would make otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The past decision.
    pub recorded: Recorded,
    /// The decision under the policy asked about.
    pub now: Decision,
}

/// Makes past decisions again under `policy` and returns those that come out otherwise.
///
/// Under the policy that was in force nothing differs. Each decision is made from its own recorded
/// history: what the other decisions would have changed about it is not simulated.
pub fn replay(
    policy: &Policy,
    recorded: impl IntoIterator<Item = Recorded>,
) -> impl Iterator<Item = Difference> {
    recorded.into_iter().filter_map(|recorded| {
        let now = decide(policy, &recorded.history, &recorded.situation);
        (now != recorded.decision).then_some(Difference { recorded, now })
    })
}
