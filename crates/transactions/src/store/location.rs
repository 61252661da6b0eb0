//! Where a store is: the `store` key of the configuration.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use tokio_postgres::Config;

/// Where a store is, as the configuration names it: `sqlite:/absolute/path.db` or
/// `postgresql://user@host/database`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StoreLocation {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgresql(PostgresqlLocation),
}

/// A PostgreSQL database: a libpq URL without a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresqlLocation {
    url: String,
    config: Box<Config>,
}

impl PostgresqlLocation {
    /// How to connect.
    pub(super) fn config(&self) -> Config {
        Config::clone(&self.config)
    }
}

impl FromStr for StoreLocation {
    type Err = StoreLocationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("postgresql://") {
            if asks_for_tls(text) {
                return Err(StoreLocationError::Tls);
            }
            let config: Config = text.parse().map_err(|_| StoreLocationError::BadUrl)?;
            if config.get_password().is_some() {
                return Err(StoreLocationError::PasswordInUrl);
            }
            if config.get_hosts().is_empty() || config.get_dbname().is_none() {
                return Err(StoreLocationError::BadUrl);
            }
            return Ok(Self::Postgresql(PostgresqlLocation {
                url: text.to_owned(),
                config: Box::new(config),
            }));
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

/// Whether the URL insists on an encrypted connection. To go on without would betray it.
fn asks_for_tls(url: &str) -> bool {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    parameters
        .split('&')
        .filter_map(|parameter| parameter.split_once('='))
        .any(|(key, value)| match key {
            "sslmode" => !matches!(value, "disable" | "allow" | "prefer"),
            "sslrootcert" | "sslcert" | "sslkey" => true,
            "channel_binding" => value == "require",
            _ => false,
        })
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
            Self::Postgresql(location) => f.write_str(&location.url),
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
    /// Not a URL that can be connected to.
    #[error("store must name host and database: postgresql://user@host/database")]
    BadUrl,
    /// A promise that would not be kept.
    #[error(
        "store must not ask for TLS (sslmode, sslrootcert): the connection is not encrypted; use a Unix socket, a private network or a tunnel, and no sslmode"
    )]
    Tls,
    /// A secret where everybody reads it.
    #[error("store must not hold the password: pass it as the credential postgresql-password")]
    PasswordInUrl,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_are_read_and_each_mistake_named() {
        for good in [
            "sqlite:/var/lib/transactions/transactions.db",
            "postgresql://transactions@db.example/transactions",
            "postgresql://transactions@%2Frun%2Fpostgresql/transactions",
            "postgresql://transactions@db.example/transactions?sslmode=disable",
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
            ("postgresql://", StoreLocationError::BadUrl),
            ("postgresql://u@h", StoreLocationError::BadUrl),
            ("postgresql://u@h:port/d", StoreLocationError::BadUrl),
            (
                "postgresql://u@h/d?sslmode=require",
                StoreLocationError::Tls,
            ),
            (
                "postgresql://u@h/d?application_name=x&sslmode=verify-full&sslrootcert=/ca.pem",
                StoreLocationError::Tls,
            ),
            (
                "postgresql://u:secret@h/d",
                StoreLocationError::PasswordInUrl,
            ),
        ] {
            assert_eq!(bad.parse::<StoreLocation>(), Err(error), "{bad:?}");
        }
    }
}
