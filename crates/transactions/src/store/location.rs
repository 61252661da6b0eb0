//! Where a store is: the `store` key of the configuration.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use postgresql::{DatabaseUrl, DatabaseUrlError};
use serde::Deserialize;

/// Where a store is, as the configuration names it: `sqlite:/absolute/path.db` or
/// `postgresql://user@host/database`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StoreLocation {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgresql(DatabaseUrl),
}

impl FromStr for StoreLocation {
    type Err = StoreLocationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if DatabaseUrl::is_meant_by(text) {
            return Ok(Self::Postgresql(text.parse()?));
        }
        let path = text.strip_prefix("sqlite:").map(PathBuf::from);
        let path = path.ok_or(StoreLocationError::UnknownScheme)?;
        // A relative path would depend on the working directory of whoever started the daemon.
        if path.is_absolute() && path.file_name().is_some() {
            Ok(Self::Sqlite(path))
        } else {
            Err(StoreLocationError::RelativePath)
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
            Self::Postgresql(database) => database.fmt(f),
        }
    }
}

/// The text names no store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreLocationError {
    /// Neither engine.
    #[error("store must be \"sqlite:\" followed by an absolute path, or a postgresql:// URL")]
    UnknownScheme,
    /// `sqlite:x.db`
    #[error("store must be \"sqlite:\" followed by an absolute path of a file")]
    RelativePath,
    /// A URL of PostgreSQL that cannot be kept.
    #[error(transparent)]
    Postgresql(#[from] DatabaseUrlError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_are_read_and_each_mistake_named() {
        for good in [
            "sqlite:/var/lib/transactions/transactions.db",
            "postgresql://transactions@db.example/transactions",
        ] {
            assert_eq!(good.parse::<StoreLocation>().unwrap().to_string(), good);
        }
        for (bad, error) in [
            ("", StoreLocationError::UnknownScheme),
            ("/x.db", StoreLocationError::UnknownScheme),
            ("mysql://h/d", StoreLocationError::UnknownScheme),
            ("sqlite:", StoreLocationError::RelativePath),
            ("sqlite:x.db", StoreLocationError::RelativePath),
            ("sqlite:/", StoreLocationError::RelativePath),
            ("postgresql://", DatabaseUrlError::BadUrl.into()),
        ] {
            assert_eq!(bad.parse::<StoreLocation>(), Err(error), "{bad:?}");
        }
    }
}
