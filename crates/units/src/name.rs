//! Unit names: what may be named at all.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest unit name that systemd accepts, in bytes (`UNIT_NAME_MAX` in `unit-name.h`).
pub(crate) const NAME_MAX_BYTES: usize = 255;

/// The name of one loadable unit, such as `nginx.service` or `transactions-worker@2.service`.
///
/// Holds the same rules as `unit_name_is_valid()` of systemd: at most 255 bytes of
/// `[A-Za-z0-9:_.\-@\]`, a non-empty prefix, a known suffix. A bare template (`worker@.service`)
/// is not a unit and is refused; [`UnitPattern`](crate::UnitPattern) speaks of those.
///
/// ```
/// use units::{UnitKind, UnitName};
///
/// let worker: UnitName = "transactions-worker@2.service".parse()?;
/// assert_eq!(worker.kind(), UnitKind::Service);
/// assert_eq!(worker.instance(), Some("2"));
/// assert!("../../etc/passwd".parse::<UnitName>().is_err());
/// # Ok::<(), units::UnitNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName {
    text: String,
    kind: UnitKind,
}

impl UnitName {
    /// Parses a name.
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn try_new(text: impl Into<String>) -> Result<Self, UnitNameError> {
        let text = text.into();
        if text.is_empty() {
            return Err(UnitNameError::Empty);
        }
        if text.len() > NAME_MAX_BYTES {
            return Err(UnitNameError::TooLong(text.len()));
        }
        if let Some(bad) = text.chars().find(|c| !is_name_char(*c)) {
            return Err(UnitNameError::BadCharacter(bad, text));
        }
        let Some((prefix, suffix)) = text.rsplit_once('.') else {
            return Err(UnitNameError::NoSuffix(text));
        };
        let Some(kind) = UnitKind::from_suffix(suffix) else {
            return Err(UnitNameError::NoSuffix(text));
        };
        match prefix.split_once('@') {
            _ if prefix.is_empty() || prefix.starts_with('@') => Err(UnitNameError::Empty),
            Some((_, "")) => Err(UnitNameError::Template(text)),
            _ => Ok(Self { text, kind }),
        }
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The kind that the suffix names.
    pub fn kind(&self) -> UnitKind {
        self.kind
    }

    /// `2` of `worker@2.service`; `None` where the unit is no instance of a template.
    pub fn instance(&self) -> Option<&str> {
        self.split_instance().map(|(_, instance)| instance)
    }

    /// `worker@.service` of `worker@2.service`.
    pub fn template(&self) -> Option<String> {
        let (stem, _) = self.split_instance()?;
        Some(format!("{stem}@.{}", self.kind.suffix()))
    }

    /// Another instance of the same template; `None` where the unit is no instance.
    pub fn sibling(&self, instance: u32) -> Option<Self> {
        let (stem, _) = self.split_instance()?;
        Self::try_new(format!("{stem}@{instance}.{}", self.kind.suffix())).ok()
    }

    fn split_instance(&self) -> Option<(&str, &str)> {
        let prefix = self
            .text
            .strip_suffix(self.kind.suffix())?
            .strip_suffix('.')?;
        prefix.split_once('@')
    }
}

/// Characters of `VALID_CHARS_WITH_AT` in systemd's `unit-name.c`.
pub(crate) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '-' | '\\' | '@')
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for UnitName {
    type Err = UnitNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_new(text)
    }
}

impl TryFrom<String> for UnitName {
    type Error = UnitNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::try_new(text)
    }
}

impl From<UnitName> for String {
    fn from(name: UnitName) -> Self {
        name.text
    }
}

/// Why a text is no unit name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitNameError {
    /// Nothing before the suffix.
    #[error("a unit name may not be empty")]
    Empty,
    /// Longer than systemd accepts.
    #[error("a unit name has at most {NAME_MAX_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// A character that systemd does not allow in names.
    #[error("a unit name may not contain {0:?} (in {1:?})")]
    BadCharacter(char, String),
    /// No suffix, or one that is no unit type.
    #[error("{0:?} does not end in a unit type such as \".service\"")]
    NoSuffix(String),
    /// A template without its instance.
    #[error("{0:?} is a template: name one instance of it")]
    Template(String),
}

/// The unit types of systemd (`systemd.unit(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // The variants are systemd's own words.
pub enum UnitKind {
    Automount,
    Device,
    Mount,
    Path,
    Scope,
    Service,
    Slice,
    Socket,
    Swap,
    Target,
    Timer,
}

impl UnitKind {
    const ALL: [Self; 11] = [
        Self::Automount,
        Self::Device,
        Self::Mount,
        Self::Path,
        Self::Scope,
        Self::Service,
        Self::Slice,
        Self::Socket,
        Self::Swap,
        Self::Target,
        Self::Timer,
    ];

    /// The suffix without its dot, which is also the `type` label of metrics.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Automount => "automount",
            Self::Device => "device",
            Self::Mount => "mount",
            Self::Path => "path",
            Self::Scope => "scope",
            Self::Service => "service",
            Self::Slice => "slice",
            Self::Socket => "socket",
            Self::Swap => "swap",
            Self::Target => "target",
            Self::Timer => "timer",
        }
    }

    pub(crate) fn from_suffix(suffix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.suffix() == suffix)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepts_what_systemd_accepts() {
        for text in [
            "a.service",
            "dev-sda1.device",
            "x@y.timer",
            "-.mount",
            "a\\x2db.service",
            "x@a@b.service",
        ] {
            assert!(UnitName::try_new(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn refuses_what_could_reach_a_path_a_specifier_or_another_unit() {
        for text in [
            "",
            ".service",
            "@x.service",
            "worker@.service",
            "a",
            "a.exe",
            "a b.service",
            "../x.service",
            "a\n.service",
            "a%i.service",
            "a*.service",
            "a.service\0",
        ] {
            assert!(UnitName::try_new(text).is_err(), "{text:?}");
        }
        assert_eq!(
            UnitName::try_new(format!("{}.service", "a".repeat(250))),
            Err(UnitNameError::TooLong(258))
        );
    }

    #[test]
    fn siblings_share_their_template() {
        let two = UnitName::try_new("worker@2.service").unwrap();
        assert_eq!(two.template().as_deref(), Some("worker@.service"));
        assert_eq!(two.sibling(3).unwrap().as_str(), "worker@3.service");
        assert_eq!(UnitName::try_new("a.service").unwrap().sibling(1), None);
    }

    proptest! {
        #[test]
        fn a_parsed_name_is_its_own_text(text in ".{0,40}") {
            if let Ok(name) = UnitName::try_new(text.clone()) {
                prop_assert_eq!(name.as_str(), &text);
                prop_assert!(!text.contains(['/', ' ', '\n', '\0', '%', '*']));
            }
        }
    }
}
