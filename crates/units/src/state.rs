//! States and results, in systemd's own words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A word that this version of the crate does not know, where systemd's list is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("systemd has no {what} called {word:?}")]
pub struct UnknownWord {
    what: &'static str,
    word: String,
}

/// Declares an enum whose variants are words of systemd, with both directions of the mapping.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident ($what:literal) { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every value, in systemd's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// systemd's word, which is also the label of metrics and the column of the ledger.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { what: $what, word: word.into() }),
                }
            }
        }
    };
}

words! {
    /// `ActiveState` of a unit (`org.freedesktop.systemd1(5)`).
    ActiveState("active state") {
        /// Started.
        Active = "active",
        /// Started, and reading its configuration again.
        Reloading = "reloading",
        /// Stopped.
        Inactive = "inactive",
        /// Stopped, because it crashed or could not start.
        Failed = "failed",
        /// On its way up.
        Activating = "activating",
        /// On its way down.
        Deactivating = "deactivating",
        /// Stopped, and undergoing maintenance.
        Maintenance = "maintenance",
        /// Active, and its mounts are being refreshed (systemd 256 and later).
        Refreshing = "refreshing",
    }
}

words! {
    /// `LoadState` of a unit.
    LoadState("load state") {
        /// Not read yet.
        Stub = "stub",
        /// Read.
        Loaded = "loaded",
        /// No such file.
        NotFound = "not-found",
        /// A setting that systemd refuses.
        BadSetting = "bad-setting",
        /// Unreadable.
        Error = "error",
        /// Joined to another unit.
        Merged = "merged",
        /// Masked by an administrator: it must not be started.
        Masked = "masked",
    }
}

words! {
    /// The result of a job, as `JobRemoved` tells it.
    JobResult("job result") {
        /// Did what it should.
        Done = "done",
        /// Replaced or cancelled.
        Canceled = "canceled",
        /// Took longer than `JobTimeoutSec=`.
        Timeout = "timeout",
        /// The unit could not be brought to the wanted state.
        Failed = "failed",
        /// A unit that it depends on failed.
        Dependency = "dependency",
        /// Did not apply to the unit's state.
        Skipped = "skipped",
        /// The unit cannot do this.
        Invalid = "invalid",
        /// An `Assert…=` did not hold.
        Assert = "assert",
        /// Not supported here.
        Unsupported = "unsupported",
        /// The unit was collected.
        Collected = "collected",
        /// Running it once is all it may.
        Once = "once",
        /// The unit is frozen (systemd 256 and later).
        Frozen = "frozen",
        /// Too many requests at once (systemd 257 and later).
        Concurrency = "concurrency",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_and_serialises_as_itself() {
        for state in ActiveState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for state in LoadState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for result in JobResult::ALL {
            assert_eq!(result.as_str().parse(), Ok(*result));
            assert_eq!(serde_json::to_value(result).unwrap(), result.as_str());
        }
    }

    #[test]
    fn an_unknown_word_is_named() {
        let error = "asleep".parse::<ActiveState>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "systemd has no active state called \"asleep\""
        );
    }
}
