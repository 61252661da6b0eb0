//! Who started a unit anew: systemd's `Restart=`, the bot, or somebody else.
//!
//! systemd itself does not keep the difference: its `NRestarts` counts only its own restarts and a
//! manual one sets it back to 0 (systemd #6495, #29348). What it signals is enough to tell, though:
//! a new invocation preceded by a risen `NRestarts` is its own; one while the bot acts on the unit
//! is the bot's; any other is somebody's.

use std::collections::HashMap;

use units::UnitName;

/// What one signal told about a unit's runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunChange {
    /// The invocation, once there is one.
    pub(crate) invocation_id: Option<String>,
    /// systemd's own restarts so far.
    pub(crate) n_restarts: Option<u32>,
}

/// The metric label `cause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Auto,
    Bot,
    Manual,
}

impl Cause {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Bot => "bot",
            Self::Manual => "manual",
        }
    }
}

#[derive(Debug, Default)]
struct Run {
    invocation_id: Option<String>,
    n_restarts: u32,
    /// `NRestarts` rose, and the invocation that it counts has not been seen yet.
    auto_is_due: bool,
}

/// The latest run of each unit.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    runs: HashMap<UnitName, Run>,
}

impl Restarts {
    /// Takes in a signal; the cause, if it told of a new run. The first run that is seen of a unit
    /// tells nothing: it may be as old as the host.
    pub(crate) fn note(
        &mut self,
        unit: &UnitName,
        change: &RunChange,
        bot_acts: bool,
    ) -> Option<Cause> {
        let run = self.runs.entry(unit.clone()).or_default();
        if let Some(count) = change.n_restarts {
            run.auto_is_due |= count > run.n_restarts;
            run.n_restarts = count;
        }
        let new = change.invocation_id.as_ref().filter(|id| !id.is_empty())?;
        if run.invocation_id.as_ref() == Some(new) {
            return None;
        }
        let known = run.invocation_id.replace(new.clone());
        let auto = std::mem::take(&mut run.auto_is_due);
        known?;
        Some(match (auto, bot_acts) {
            (true, _) => Cause::Auto,
            (false, true) => Cause::Bot,
            (false, false) => Cause::Manual,
        })
    }

    /// systemd forgot the unit, and so its counters.
    pub(crate) fn forget(&mut self, unit: &UnitName) {
        self.runs.remove(unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_new_run_has_one_cause() {
        let unit: UnitName = "a.service".parse().unwrap();
        let mut restarts = Restarts::default();
        let mut note = |invocation: &str, n_restarts, bot_acts| {
            let change = RunChange {
                invocation_id: (!invocation.is_empty()).then(|| invocation.to_owned()),
                n_restarts,
            };
            restarts.note(&unit, &change, bot_acts)
        };
        assert_eq!(note("1", Some(0), false), None, "as found");
        assert_eq!(note("2", Some(1), false), Some(Cause::Auto));
        assert_eq!(note("2", None, false), None, "the same run");
        assert_eq!(note("", Some(2), false), None, "not started yet");
        assert_eq!(note("3", None, true), Some(Cause::Auto));
        assert_eq!(note("4", Some(0), true), Some(Cause::Bot));
        assert_eq!(note("5", Some(0), false), Some(Cause::Manual));
    }
}
