//! Arithmetic on moments that cannot overflow.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// `moment + duration`, or the last moment there is.
pub(crate) fn after(moment: Timestamp, duration: Duration) -> Timestamp {
    moment
        .saturating_add(signed(duration))
        .unwrap_or(Timestamp::MAX)
}

/// `moment - duration`, or the first moment there is.
pub(crate) fn before(moment: Timestamp, duration: Duration) -> Timestamp {
    moment
        .saturating_sub(signed(duration))
        .unwrap_or(Timestamp::MIN)
}

/// A moment as systemd's properties give it, in microseconds since the epoch.
pub(crate) fn from_systemd(usec: u64) -> Option<Timestamp> {
    Timestamp::from_microsecond(usec.try_into().ok()?).ok()
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
