//! Names of rules: metric labels and ledger columns, so their alphabet is small.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name, in bytes: it stands in every metric and log line of the rule.
const NAME_MAX_BYTES: usize = 64;

/// A rule's name: 1 to 64 of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleName(String);

impl RuleName {
    /// Parses a name.
    ///
    /// # Errors
    /// Says what a name may look like.
    pub fn try_new(text: impl Into<String>) -> Result<Self, RuleNameError> {
        let text = text.into();
        let fits = (1..=NAME_MAX_BYTES).contains(&text.len());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if fits && text.chars().all(plain) {
            Ok(Self(text))
        } else {
            Err(RuleNameError(text))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no rule name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no rule name: use 1 to {NAME_MAX_BYTES} of a-z, 0-9 and -")]
pub struct RuleNameError(String);

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RuleName {
    type Err = RuleNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_new(text)
    }
}

impl TryFrom<String> for RuleName {
    type Error = RuleNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::try_new(text)
    }
}

impl From<RuleName> for String {
    fn from(name: RuleName) -> Self {
        name.0
    }
}
