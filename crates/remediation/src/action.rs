//! What can be done to a unit: the words of a ladder, and the complete actions they become.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use units::UnitName;

/// One complete action. Nothing is left to choose when it is carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Ask the unit to read its configuration again.
    Reload,
    /// Stop it, if it runs, and start it.
    Restart,
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Send a signal to its processes; systemd's `Restart=` is expected to do the rest.
    Kill {
        /// Which signal.
        signal: Signal,
    },
    /// Forget that it failed (start limit included), here and on the units listed, then start it.
    ResetFailedStart {
        /// Units whose failure is forgotten with it, such as its socket.
        also_reset: Vec<UnitName>,
    },
    /// Start further instances of a template: the plan's units.
    ScaleUp,
    /// Stop instances of a template: the plan's units.
    ScaleDown,
    /// Start the oneshot unit that holds the repair of the plan's unit.
    Runbook {
        /// The oneshot unit that policy names.
        runbook: UnitName,
    },
}

impl Action {
    /// The word of the log field, the metric label and the ledger.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Restart => "restart",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Kill { .. } => "kill",
            Self::ResetFailedStart { .. } => "reset-failed-start",
            Self::ScaleUp => "scale-up",
            Self::ScaleDown => "scale-down",
            Self::Runbook { .. } => "runbook",
        }
    }

    /// The state that the plan's unit should be in once the action has worked.
    pub fn expects(&self) -> Expected {
        match self {
            Self::Stop | Self::ScaleDown => Expected::Inactive,
            Self::Reload
            | Self::Restart
            | Self::Start
            | Self::Kill { .. }
            | Self::ResetFailedStart { .. }
            | Self::ScaleUp
            | Self::Runbook { .. } => Expected::Active,
        }
    }

    /// Whether it interrupts a unit that runs.
    pub fn is_disruptive(&self) -> bool {
        match self {
            Self::Restart | Self::Stop | Self::Kill { .. } | Self::ScaleDown => true,
            Self::Reload
            | Self::Start
            | Self::ResetFailedStart { .. }
            | Self::ScaleUp
            | Self::Runbook { .. } => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { signal } => write!(f, "kill {signal}"),
            Self::Runbook { runbook } => write!(f, "runbook {runbook}"),
            _ => f.write_str(self.as_str()),
        }
    }
}

/// What the proof looks for in the unit's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// `active`, with no job queued.
    Active,
    /// `inactive`; no probe is asked of a unit that should be down.
    Inactive,
}

/// Declares the signals with their names and numbers.
macro_rules! signals {
    ($($variant:ident = $name:literal $number:literal,)+) => {
        /// The signals that a policy may send.
        ///
        /// Linux numbers (`signal(7)`), equal on every architecture that Debian's systemd runs on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[allow(missing_docs)] // The kernel's own words.
        pub enum Signal { $(#[serde(rename = $name)] $variant,)+ }

        impl Signal {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name, such as `SIGTERM`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Its number, as `KillUnit` of systemd wants it.
            pub fn number(self) -> i32 {
                match self { $(Self::$variant => $number,)+ }
            }
        }
    };
}

signals! {
    Hup = "SIGHUP" 1,
    Int = "SIGINT" 2,
    Quit = "SIGQUIT" 3,
    Abrt = "SIGABRT" 6,
    Kill = "SIGKILL" 9,
    Usr1 = "SIGUSR1" 10,
    Usr2 = "SIGUSR2" 12,
    Term = "SIGTERM" 15,
    Cont = "SIGCONT" 18,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.iter().copied();
        all.find(|signal| signal.as_str() == text)
            .ok_or_else(|| UnknownSignal(text.into()))
    }
}

/// A text that is no signal a policy may send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of: {names}", names = Signal::ALL.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", "))]
pub struct UnknownSignal(String);
