//! What a policy may say about which units it means.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{UnitKind, UnitName, UnitNameError};

/// One exact unit, or the instances of one template: `nginx.service`, `worker@*.service`.
///
/// There is deliberately no wider form. A bare `*`, a partial wildcard or an empty text is refused,
/// so that no mistake can widen "these" to "all".
///
/// ```
/// use units::{UnitName, UnitPattern};
///
/// let workers: UnitPattern = "worker@*.service".parse()?;
/// assert!(workers.matches(&"worker@2.service".parse()?));
/// assert!(!workers.matches(&"worker.service".parse()?));
/// assert!("*".parse::<UnitPattern>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum UnitPattern {
    /// Exactly this unit.
    Exact(UnitName),
    /// Any instance of this template.
    Instances {
        /// What stands before the `@`.
        stem: String,
        /// The unit type, without its dot.
        suffix: String,
    },
}

impl UnitPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Says why the text is neither a unit name nor `STEM@*.TYPE`.
    pub fn try_new(text: &str) -> Result<Self, UnitPatternError> {
        if !text.contains('*') {
            return Ok(Self::Exact(UnitName::try_new(text)?));
        }
        let instances = text.rsplit_once('.').and_then(|(prefix, suffix)| {
            let stem = prefix.strip_suffix("@*")?;
            let known = UnitKind::from_suffix(suffix)?.suffix();
            // An instance of the pattern must itself be a valid name.
            UnitName::try_new(format!("{stem}@0.{known}")).ok()?;
            (!stem.contains('@')).then(|| Self::Instances {
                stem: stem.into(),
                suffix: known.into(),
            })
        });
        instances.ok_or_else(|| UnitPatternError::TooWide(text.into()))
    }

    /// Whether the pattern means this unit.
    pub fn matches(&self, unit: &UnitName) -> bool {
        match self {
            Self::Exact(exact) => exact == unit,
            Self::Instances { stem, suffix } => unit
                .template()
                .is_some_and(|template| template == format!("{stem}@.{suffix}")),
        }
    }

    /// The one unit that an exact pattern means.
    pub fn exact(&self) -> Option<&UnitName> {
        match self {
            Self::Exact(unit) => Some(unit),
            Self::Instances { .. } => None,
        }
    }
}

impl fmt::Display for UnitPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(unit) => unit.fmt(f),
            Self::Instances { stem, suffix } => write!(f, "{stem}@*.{suffix}"),
        }
    }
}

impl FromStr for UnitPattern {
    type Err = UnitPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_new(text)
    }
}

impl TryFrom<String> for UnitPattern {
    type Error = UnitPatternError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::try_new(&text)
    }
}

impl From<UnitPattern> for String {
    fn from(pattern: UnitPattern) -> Self {
        pattern.to_string()
    }
}

/// Why a text is no unit pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitPatternError {
    /// No wildcard, and no unit name either.
    #[error(transparent)]
    Name(#[from] UnitNameError),
    /// A wildcard that is not the whole instance.
    #[error(
        "{0:?} is too wide: `*` may only stand for a whole instance, as in \"worker@*.service\""
    )]
    TooWide(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_instance_may_be_wild() {
        for text in [
            "",
            "*",
            "*.service",
            "@*.service",
            "a*.service",
            "w@1*.service",
            "w@*",
            "w@*.*",
            "a@b@*.service",
        ] {
            assert!(UnitPattern::try_new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn prints_as_it_was_written() {
        for text in ["nginx.service", "worker@*.service"] {
            assert_eq!(UnitPattern::try_new(text).unwrap().to_string(), text);
        }
    }
}
