//! The URL: what is understood, and what is refused rather than half kept.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// The authorities that Debian trusts: libpq's `sslrootcert=system`.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A PostgreSQL database: a libpq URL without a password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DatabaseUrl {
    text: String,
    config: Box<Config>,
    /// Who may vouch for the server, in PEM; `None` is a connection without TLS.
    authorities: Option<PathBuf>,
}

impl DatabaseUrl {
    /// Whether a text means a database of PostgreSQL at all.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with("postgresql://")
    }

    /// How errors name the database.
    pub fn place(&self) -> String {
        format!(
            "database {} of {:?}",
            self.config.get_dbname().unwrap_or_default(),
            self.config.get_hosts()
        )
    }

    pub(crate) fn config(&self) -> Config {
        Config::clone(&self.config)
    }

    pub(crate) fn authorities(&self) -> Option<&PathBuf> {
        self.authorities.as_ref()
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !Self::is_meant_by(text) {
            return Err(DatabaseUrlError::BadUrl);
        }
        let (for_driver, tls) = split_tls(text)?;
        let authorities = tls.authorities()?;
        let mut config: Config = for_driver.parse().map_err(|_| DatabaseUrlError::BadUrl)?;
        if config.get_password().is_some() {
            return Err(DatabaseUrlError::PasswordInUrl);
        }
        if config.get_hosts().is_empty() || config.get_dbname().is_none() {
            return Err(DatabaseUrlError::BadUrl);
        }
        let is_local = |host: &Host| matches!(host, Host::Unix(_));
        if authorities.is_some() && config.get_hosts().iter().any(is_local) {
            return Err(DatabaseUrlError::TlsOnSocket);
        }
        config.ssl_mode(match authorities {
            Some(_) => SslMode::Require,
            None => SslMode::Disable,
        });
        Ok(Self {
            text: text.to_owned(),
            config: Box::new(config),
            authorities,
        })
    }
}

/// What a URL says of TLS. The driver knows none of it.
#[derive(Default)]
struct TlsParameters {
    is_verified: bool,
    root: Option<PathBuf>,
}

impl TlsParameters {
    fn authorities(self) -> Result<Option<PathBuf>, DatabaseUrlError> {
        match (self.is_verified, self.root) {
            (true, Some(root)) => Ok(Some(root)),
            (true, None) => Err(DatabaseUrlError::NoAuthorities),
            // To go on without would betray whoever named a certificate.
            (false, Some(_)) => Err(DatabaseUrlError::UnverifiedTls),
            (false, None) => Ok(None),
        }
    }
}

/// Takes the parameters of TLS out of a URL.
fn split_tls(text: &str) -> Result<(String, TlsParameters), DatabaseUrlError> {
    let mut tls = TlsParameters::default();
    let Some((place, parameters)) = text.split_once('?') else {
        return Ok((text.to_owned(), tls));
    };
    let mut others = Vec::new();
    for parameter in parameters.split('&') {
        match parameter.split_once('=') {
            Some(("sslmode", "verify-full")) => tls.is_verified = true,
            Some(("sslmode", "disable")) => {}
            Some(("sslmode", _)) => return Err(DatabaseUrlError::UnverifiedTls),
            Some(("sslrootcert", "system")) => tls.root = Some(SYSTEM_AUTHORITIES.into()),
            Some(("sslrootcert", path)) => {
                let path = PathBuf::from(path.replace("%2F", "/"));
                if !path.is_absolute() {
                    return Err(DatabaseUrlError::NoAuthorities);
                }
                tls.root = Some(path);
            }
            Some(("sslcert" | "sslkey", _)) => return Err(DatabaseUrlError::ClientCertificate),
            _ => others.push(parameter),
        }
    }
    if others.is_empty() {
        return Ok((place.to_owned(), tls));
    }
    Ok((format!("{place}?{}", others.join("&")), tls))
}

impl TryFrom<String> for DatabaseUrl {
    type Error = DatabaseUrlError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The text names no database, or promises what is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Not a URL that can be connected to.
    #[error("store must name host and database: postgresql://user@host/database")]
    BadUrl,
    /// A secret where everybody reads it.
    #[error("store must not hold the password: pass it as the credential postgresql-password")]
    PasswordInUrl,
    /// TLS to whoever answers protects from nobody who can answer.
    #[error(
        "store must ask for TLS as sslmode=verify-full&sslrootcert=/path/of/authorities.pem, or not at all (sslmode=disable): any other mode trusts whoever answers"
    )]
    UnverifiedTls,
    /// Nobody to trust.
    #[error(
        "store asks for sslmode=verify-full and must say who vouches for the server: sslrootcert=/path/of/authorities.pem, or sslrootcert=system"
    )]
    NoAuthorities,
    /// Not offered.
    #[error(
        "store must not name a client's certificate (sslcert, sslkey): clients show a password, the credential postgresql-password"
    )]
    ClientCertificate,
    /// A socket has no name to be certified.
    #[error("store must not ask for TLS on a Unix socket, which has no network to protect from")]
    TlsOnSocket,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_written_as_it_came() {
        for good in [
            "postgresql://fleet@db.example/fleet",
            "postgresql://transactions@%2Frun%2Fpostgresql/transactions",
            "postgresql://t@db.example:5433/t?sslmode=disable",
            "postgresql://t@db.example/t?application_name=x&sslmode=verify-full&sslrootcert=/ca.pem",
        ] {
            assert_eq!(good.parse::<DatabaseUrl>().unwrap().to_string(), good);
        }
    }

    #[test]
    fn tls_is_verified_or_none() {
        let read = |parameters: &str| {
            let url = format!("postgresql://t@db.example/t{parameters}");
            url.parse::<DatabaseUrl>()
                .map(|url| (url.config.get_ssl_mode(), url.authorities))
        };
        let verified = |path: &str| Ok((SslMode::Require, Some(path.into())));
        assert_eq!(read(""), Ok((SslMode::Disable, None)));
        assert_eq!(read("?sslmode=disable"), Ok((SslMode::Disable, None)));
        assert_eq!(
            read("?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem"),
            verified("/etc/ca.pem")
        );
        assert_eq!(
            read("?sslrootcert=system&sslmode=verify-full"),
            verified(SYSTEM_AUTHORITIES)
        );
    }

    #[test]
    fn each_mistake_is_named() {
        use DatabaseUrlError::*;
        for (bad, error) in [
            ("sqlite:/fleet.db", BadUrl),
            ("postgresql://", BadUrl),
            ("postgresql://u@h", BadUrl),
            ("postgresql://u@h:port/d", BadUrl),
            ("postgresql://u@h/d?no_such_key=1", BadUrl),
            ("postgresql://u:secret@h/d", PasswordInUrl),
            ("postgresql://u@h/d?password=secret", PasswordInUrl),
            ("postgresql://u@h/d?sslmode=require", UnverifiedTls),
            ("postgresql://u@h/d?sslmode=prefer", UnverifiedTls),
            ("postgresql://u@h/d?sslrootcert=/ca.pem", UnverifiedTls),
            ("postgresql://u@h/d?sslmode=verify-full", NoAuthorities),
            (
                "postgresql://u@h/d?sslmode=verify-full&sslrootcert=ca.pem",
                NoAuthorities,
            ),
            (
                "postgresql://u@h/d?sslcert=/c.pem&sslkey=/k.pem",
                ClientCertificate,
            ),
            (
                "postgresql://u@%2Frun/d?sslmode=verify-full&sslrootcert=system",
                TlsOnSocket,
            ),
        ] {
            assert_eq!(bad.parse::<DatabaseUrl>(), Err(error), "{bad:?}");
        }
    }
}
