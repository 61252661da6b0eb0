//! What can go wrong on purpose, and how people write it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

/// The longest latency, jitter or commit delay: above every timeout that is worth watching.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// The fastest memory growth, in MiB a second.
const GROWTH_MAX_MIB: u32 = 1024;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Latency,
    Jitter,
    Errors,
    Hang,
    Memory,
    SlowStore,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Latency,
        Self::Jitter,
        Self::Errors,
        Self::Hang,
        Self::Memory,
        Self::SlowStore,
    ];

    /// The word on the command line, in the journal and in the metric's label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Jitter => "jitter",
            Self::Errors => "errors",
            Self::Hang => "hang",
            Self::Memory => "memory",
            Self::SlowStore => "slow-store",
        }
    }
}

/// A fault and its strength: `latency=200ms`, `errors=0.3`, `hang`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Setting {
    /// Requests to `/transactions` wait this long.
    Latency(Duration),
    /// Requests to `/transactions` wait up to this much longer, evenly spread.
    Jitter(Duration),
    /// This share of the requests to `/transactions`, from 0 to 1, is answered 500.
    Errors(f64),
    /// Requests are not answered while it lasts; `/metrics` still is.
    Hang,
    /// Memory grows by this many bytes a second, and is freed at the end.
    Memory(u64),
    /// Each commit is held back this long.
    SlowStore(Duration),
}

impl Setting {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Latency(_) => Kind::Latency,
            Self::Jitter(_) => Kind::Jitter,
            Self::Errors(_) => Kind::Errors,
            Self::Hang => Kind::Hang,
            Self::Memory(_) => Kind::Memory,
            Self::SlowStore(_) => Kind::SlowStore,
        }
    }
}

impl FromStr for Setting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let delay = || {
            let delay: SignedDuration = value.parse().map_err(|_| SettingError::Delay)?;
            let delay = Duration::try_from(delay).map_err(|_| SettingError::Delay)?;
            if delay.is_zero() || delay > DELAY_MAX {
                Err(SettingError::Delay)
            } else {
                Ok(delay)
            }
        };
        match name {
            "latency" => delay().map(Self::Latency),
            "jitter" => delay().map(Self::Jitter),
            "slow-store" => delay().map(Self::SlowStore),
            "errors" => {
                let ratio = value
                    .parse()
                    .ok()
                    .filter(|ratio| *ratio > 0.0 && *ratio <= 1.0);
                ratio.map(Self::Errors).ok_or(SettingError::Ratio)
            }
            "hang" if value.is_empty() => Ok(Self::Hang),
            "hang" => Err(SettingError::Hang),
            "memory" => {
                let mib = value.strip_suffix("MiB").and_then(|mib| mib.parse().ok());
                let mib = mib.filter(|mib| (1..=GROWTH_MAX_MIB).contains(mib));
                mib.map(|mib| Self::Memory(u64::from(mib) << 20))
                    .ok_or(SettingError::Growth)
            }
            _ => Err(SettingError::Unknown),
        }
    }
}

/// The strength alone: what follows the `=`.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(delay) | Self::Jitter(delay) | Self::SlowStore(delay) => {
                write!(f, "{delay:?}")
            }
            Self::Errors(ratio) => write!(f, "{ratio}"),
            Self::Hang => f.write_str("on"),
            Self::Memory(bytes) => write!(f, "{}MiB", bytes >> 20),
        }
    }
}

/// Why a text is no fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingError {
    #[error(
        "the faults are latency=, jitter=, slow-store= (a time), errors= (a ratio), memory= (MiB a second) and hang"
    )]
    Unknown,
    #[error("a delay must be a time above zero and at most {DELAY_MAX:?}, such as 200ms")]
    Delay,
    #[error("errors must be a ratio above 0 and at most 1, such as 0.3")]
    Ratio,
    #[error("memory must be 1MiB to {GROWTH_MAX_MIB}MiB, the growth each second")]
    Growth,
    #[error("hang takes no value")]
    Hang,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_read_and_each_mistake_named() {
        let ms = Duration::from_millis;
        for (text, setting) in [
            ("latency=200ms", Setting::Latency(ms(200))),
            ("jitter=1s", Setting::Jitter(ms(1000))),
            ("slow-store=50ms", Setting::SlowStore(ms(50))),
            ("errors=0.3", Setting::Errors(0.3)),
            ("errors=1", Setting::Errors(1.0)),
            ("hang", Setting::Hang),
            ("memory=16MiB", Setting::Memory(16 << 20)),
        ] {
            assert_eq!(text.parse(), Ok(setting));
        }
        for (text, error) in [
            ("", SettingError::Unknown),
            ("lag=1s", SettingError::Unknown),
            ("latency", SettingError::Delay),
            ("latency=0s", SettingError::Delay),
            ("latency=-1s", SettingError::Delay),
            ("latency=2m", SettingError::Delay),
            ("errors=0", SettingError::Ratio),
            ("errors=1.1", SettingError::Ratio),
            ("errors=NaN", SettingError::Ratio),
            ("memory=16", SettingError::Growth),
            ("memory=0MiB", SettingError::Growth),
            ("hang=1s", SettingError::Hang),
        ] {
            assert_eq!(text.parse::<Setting>(), Err(error), "{text:?}");
        }
    }
}
