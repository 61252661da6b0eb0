//! What can go wrong between us and systemd, sorted by what the caller can do about it.

use std::time::Duration;

use zbus::fdo;

/// Why a call to systemd did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No bus, or systemd is not on it at this moment.
    #[error("{call}: the bus or systemd is away: {reason}")]
    Disconnected {
        /// The D-Bus method.
        call: &'static str,
        /// In the words of the transport.
        reason: String,
    },
    /// No answer in time.
    #[error("{call}: no answer within {after:?}")]
    Timeout {
        /// The D-Bus method, or `JobRemoved` for a job that did not end.
        call: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// polkit, or the bus's own policy, said no.
    #[error("{call}: permission denied: {reason}")]
    Denied {
        /// The D-Bus method.
        call: &'static str,
        /// In systemd's words.
        reason: String,
    },
    /// systemd finds no such unit.
    #[error("{call}: no such unit: {reason}")]
    NoSuchUnit {
        /// The D-Bus method.
        call: &'static str,
        /// In systemd's words.
        reason: String,
    },
    /// A job that is already queued would have had to give way: PID 1 goes first.
    #[error("{call}: a queued job is in the way: {reason}")]
    JobInTheWay {
        /// The D-Bus method.
        call: &'static str,
        /// In systemd's words.
        reason: String,
    },
    /// systemd will not do this at all (masked unit, verb that does not apply, …).
    #[error("{call}: refused with {name}: {reason}")]
    Refused {
        /// The D-Bus method.
        call: &'static str,
        /// The D-Bus error name.
        name: String,
        /// In systemd's words.
        reason: String,
    },
    /// An answer that this crate cannot read.
    #[error("{call}: an answer that cannot be read: {reason}")]
    Unreadable {
        /// The D-Bus method or signal.
        call: &'static str,
        /// What was wrong with it.
        reason: String,
    },
}

impl BusError {
    /// Whether the same call can succeed later with nothing changed but time.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Disconnected { .. } | Self::Timeout { .. } | Self::JobInTheWay { .. }
        )
    }

    /// Whether systemd may have carried out the call although it failed for us. The answer to that
    /// is a fresh look at the unit, never a second call.
    pub fn may_have_acted(&self) -> bool {
        matches!(
            self,
            Self::Disconnected { .. } | Self::Timeout { .. } | Self::Unreadable { .. }
        )
    }

    pub(crate) fn from_zbus(call: &'static str, error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, reason, _) => {
                Self::from_name(call, name.as_str(), reason.unwrap_or_default())
            }
            zbus::Error::FDO(error) => Self::from_fdo(call, *error),
            zbus::Error::InputOutput(_)
            | zbus::Error::Connection(..)
            | zbus::Error::Handshake(_)
            | zbus::Error::Address(_) => Self::Disconnected {
                call,
                reason: error.to_string(),
            },
            other => Self::Unreadable {
                call,
                reason: other.to_string(),
            },
        }
    }

    fn from_fdo(call: &'static str, error: fdo::Error) -> Self {
        use fdo::Error as E;
        match error {
            E::AccessDenied(reason)
            | E::AuthFailed(reason)
            | E::InteractiveAuthorizationRequired(reason) => Self::Denied { call, reason },
            E::ServiceUnknown(reason)
            | E::NameHasNoOwner(reason)
            | E::NoReply(reason)
            | E::NoServer(reason)
            | E::Disconnected(reason)
            | E::Timeout(reason)
            | E::TimedOut(reason) => Self::Disconnected { call, reason },
            E::ZBus(error) => Self::from_zbus(call, error),
            other => Self::Refused {
                call,
                name: zbus::DBusError::name(&other).to_string(),
                reason: zbus::DBusError::description(&other)
                    .unwrap_or_default()
                    .to_owned(),
            },
        }
    }

    /// systemd's own error names (`bus-common-errors.h`).
    fn from_name(call: &'static str, name: &str, reason: String) -> Self {
        match name.strip_prefix("org.freedesktop.systemd1.") {
            Some("NoSuchUnit") => Self::NoSuchUnit { call, reason },
            Some("TransactionIsDestructive" | "TransactionJobsConflicting") => {
                Self::JobInTheWay { call, reason }
            }
            _ => Self::Refused {
                call,
                name: name.to_owned(),
                reason,
            },
        }
    }
}
