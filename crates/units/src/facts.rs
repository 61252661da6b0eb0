//! What one fresh read of a unit tells.

use serde::{Deserialize, Serialize};

use crate::{ActiveState, LoadState, UnitName};

/// The state of one unit at one moment, as systemd itself reported it.
///
/// Timestamps are microseconds of the realtime clock since the epoch (`*Timestamp` properties);
/// `None` stands for systemd's 0, "never".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// Which unit.
    pub unit: UnitName,
    /// Whether its file could be read.
    pub load_state: LoadState,
    /// What it is doing.
    pub active_state: ActiveState,
    /// The finer state, in the words of its type (`running`, `auto-restart`, `dead`, …).
    pub sub_state: String,
    /// A service's `Result` (`success`, `exit-code`, `watchdog`, `oom-kill`, `start-limit-hit`, …).
    pub result: Option<String>,
    /// A service's main process; `None` where there is none.
    pub main_pid: Option<u32>,
    /// `ExecMainStatus` of the last run: exit status or signal.
    pub exec_main_status: Option<i32>,
    /// systemd's own automatic restarts. A manual restart sets it back to 0 (systemd #6495).
    pub n_restarts: Option<u32>,
    /// The type of the job queued for it (`start`, `stop`, `restart`, …), if any.
    pub queued_job: Option<String>,
    /// Which run of the unit this is: 32 hex digits; changes at each start.
    pub invocation_id: Option<String>,
    /// When it last left `inactive`: the beginning of its latest start attempt.
    pub inactive_exit_usec: Option<u64>,
    /// When it last became `active`.
    pub active_enter_usec: Option<u64>,
    /// Units that it cannot run without (`Requires=` and `BindsTo=`) and that are `failed` now.
    pub failed_requirements: Vec<UnitName>,
}

impl UnitFacts {
    /// Running, with nothing queued against it.
    pub fn is_settled_active(&self) -> bool {
        matches!(self.active_state, ActiveState::Active) && self.queued_job.is_none()
    }

    /// PID 1 is busy with it: a job is queued, it is on its way up or down, or systemd's own
    /// `Restart=` is about to start it.
    pub fn is_in_transition(&self) -> bool {
        self.queued_job.is_some()
            || self.sub_state.starts_with("auto-restart")
            || matches!(
                self.active_state,
                ActiveState::Activating | ActiveState::Deactivating
            )
    }
}
