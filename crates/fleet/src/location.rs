//! Where the table is: the `fleet.store` key of the configuration.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use tokio_postgres::Config;

/// A PostgreSQL database: a libpq URL without a password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FleetLocation {
    url: String,
    config: Box<Config>,
}

impl FleetLocation {
    pub(crate) fn config(&self) -> Config {
        Config::clone(&self.config)
    }
}

impl FromStr for FleetLocation {
    type Err = FleetLocationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with("postgresql://") {
            return Err(FleetLocationError::BadUrl);
        }
        let config: Config = text.parse().map_err(|_| FleetLocationError::BadUrl)?;
        if config.get_password().is_some() {
            return Err(FleetLocationError::PasswordInUrl);
        }
        if config.get_hosts().is_empty() || config.get_dbname().is_none() {
            return Err(FleetLocationError::BadUrl);
        }
        Ok(Self {
            url: text.to_owned(),
            config: Box::new(config),
        })
    }
}

impl TryFrom<String> for FleetLocation {
    type Error = FleetLocationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for FleetLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// The text names no database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetLocationError {
    /// Not a URL that can be connected to.
    #[error("store must name host and database: postgresql://fleet@host/fleet")]
    BadUrl,
    /// A secret where everybody reads it.
    #[error("store must not hold the password: pass it as the credential postgresql-password")]
    PasswordInUrl,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_each_mistake_named() {
        let good = "postgresql://fleet@db.example/fleet";
        assert_eq!(good.parse::<FleetLocation>().unwrap().to_string(), good);
        for (bad, error) in [
            ("sqlite:/fleet.db", FleetLocationError::BadUrl),
            ("postgresql://", FleetLocationError::BadUrl),
            ("postgresql://fleet@db", FleetLocationError::BadUrl),
            (
                "postgresql://fleet@db:port/fleet",
                FleetLocationError::BadUrl,
            ),
            (
                "postgresql://fleet:secret@db/fleet",
                FleetLocationError::PasswordInUrl,
            ),
        ] {
            assert_eq!(bad.parse::<FleetLocation>(), Err(error), "{bad:?}");
        }
    }
}
