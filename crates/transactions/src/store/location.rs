//! Where a store is: the `store` key of the configuration.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

/// Where a store is, as the configuration names it: `sqlite:/absolute/path.db`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StoreLocation {
    /// An SQLite file.
    Sqlite(PathBuf),
}

impl FromStr for StoreLocation {
    type Err = StoreLocationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text
            .strip_prefix("sqlite:")
            .map(PathBuf::from)
            .ok_or(StoreLocationError)?;
        // A relative path would depend on the working directory of whoever started the daemon.
        if path.is_absolute() && path.file_name().is_some() {
            Ok(Self::Sqlite(path))
        } else {
            Err(StoreLocationError)
        }
    }
}

impl TryFrom<String> for StoreLocation {
    type Error = StoreLocationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

/// The text names no store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("store must be \"sqlite:\" followed by an absolute path")]
pub struct StoreLocationError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_path_after_the_scheme_is_a_location() {
        let text = "sqlite:/var/lib/transactions/transactions.db";
        let location: StoreLocation = text.parse().unwrap();
        assert_eq!(location.to_string(), text);
        for bad in [
            "",
            "sqlite:",
            "sqlite:x.db",
            "sqlite:/",
            "/x.db",
            "mysql://h/d",
        ] {
            assert_eq!(
                bad.parse::<StoreLocation>(),
                Err(StoreLocationError),
                "{bad:?}"
            );
        }
    }
}
