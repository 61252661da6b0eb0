//! Why: one closed list of words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares the reasons with their words and sentences, so that no reason can lack one.
macro_rules! reasons {
    ($($variant:ident = $word:literal, $sentence:literal;)+) => {
        /// Why the bot acts or does not.
        ///
        /// The same word stands in the log field `REASON`, in the metric label `reason` and in the
        /// ledger's column.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Reason { $(#[doc = $sentence] $variant,)+ }

        impl Reason {
            /// Every reason, roughly in the order in which `decide` may give them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What the word means, as a sentence for people.
            pub fn describe(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }
        }
    };
}

reasons! {
    NoRule = "no-rule", "No rule of the policy matches this alert.";
    OtherHost = "other-host", "The alert is about another host.";
    NoTarget = "no-target", "The alert names no unit, and the rule does not name exactly one.";
    UnitNotAllowed = "unit-not-allowed", "The alert's unit is not in the rule's list.";
    ProtectedUnit = "protected-unit", "The bot never touches this unit.";
    AlertResolved = "alert-resolved", "The alert is over.";
    Escalated = "escalated", "People have been asked to look at this incident already.";
    Truncated = "truncated", "Alertmanager left alerts out of the webhook, so the state is unknown.";
    UnitUnreadable = "unit-unreadable", "The unit's state could not be read just now.";
    UnitNotFound = "unit-not-found", "systemd could not load such a unit.";
    UnitMasked = "unit-masked", "An administrator masked the unit.";
    Paused = "paused", "A person paused the bot, or the repairs of this unit.";
    Silenced = "silenced", "A silence in Alertmanager covers the alert.";
    InFlight = "in-flight", "A repair of this unit is under way.";
    HostInFlight = "host-in-flight", "As many repairs as this host may have at once are under way.";
    UnitBusy = "unit-busy", "systemd itself is starting, stopping or restarting the unit.";
    AlertLasts = "alert-lasts", "The unit is healthy again, but the alert goes on.";
    Settling = "settling", "The unit that failed runs again, but not yet for as long as its proof asks.";
    AlreadyHealthy = "already-healthy", "The unit is healthy; there is nothing to repair.";
    RequirementFailed = "requirement-failed", "A unit that this one requires has failed and comes first.";
    Storm = "storm", "Too large a share of the watched units is unhealthy at once.";
    CircuitOpen = "circuit-open", "Too many repairs by this rule failed in a short time.";
    Flapping = "flapping", "The unit breaks again and again soon after it was repaired.";
    Cooldown = "cooldown", "The unit was started, or acted on, a moment ago.";
    Backoff = "backoff", "Earlier repairs failed, and the wait before the next one is not over.";
    LadderExhausted = "ladder-exhausted", "Every rung that fits the unit's state has been tried.";
    EscalateRung = "escalate-rung", "The rule's next rung is to ask people.";
    Saturated = "saturated", "The unit or host is overloaded, which no restart can fix.";
    AtMaxInstances = "at-max-instances", "The template has as many instances as the rule allows.";
    AtMinInstances = "at-min-instances", "The template has as few instances as the rule allows.";
    TemplateDown = "template-down", "Another instance of the template is down or being repaired.";
    HealthyMin = "healthy-min", "Too few other instances would stay healthy.";
    RuleBudget = "rule-budget", "The rule has used up its actions for this window.";
    UnitBudget = "unit-budget", "The unit's actions for this window are used up.";
    HostBudget = "host-budget", "The host's actions for this window are used up.";
    ObserveMode = "observe-mode", "The rule only observes; this is what it would have done.";
    Demoted = "demoted", "Repairs by this rule fail or repeat too often, so each needs an approval now.";
    ApprovalNeeded = "approval-needed", "The rule asks a person before each action.";
    ApprovalDenied = "approval-denied", "A person said no.";
    ApprovalExpired = "approval-expired", "Nobody answered in time.";
    FleetUnreachable = "fleet-unreachable", "The fleet's table of repairs does not answer, and the rule waits for it.";
    FleetBusy = "fleet-busy", "Another host of this one's group is under repair.";
    FleetBudget = "fleet-budget", "The fleet's actions for this window are used up.";
    Due = "due", "Nothing stands against the first repair of this incident.";
    NextRung = "next-rung", "The rung before did not help, and nothing stands against the next.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_what_serde_writes() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
