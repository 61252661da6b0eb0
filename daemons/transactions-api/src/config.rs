//! The configuration file, read once and checked before any socket is touched.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use daemon_kit::config::{self, ConfigError};
use daemon_kit::http::Limits;
use daemon_kit::tls::TlsFiles;
use serde::Deserialize;
use transactions::store::StoreLocation;

use crate::backup::BackupConfig;

/// `/etc/transactions/api.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where to listen. The port stays open while the service restarts, and closes when it is
    /// stopped.
    pub(crate) listen: SocketAddr,
    /// Where transactions are kept: `sqlite:` followed by an absolute path, or
    /// `postgresql://user@host/database` (its password: credential `postgresql-password`; over a network
    /// with `?sslmode=verify-full&sslrootcert=/path/of/authorities.pem`).
    pub(crate) store: StoreLocation,
    /// Where `transactions-api faults` breaks this daemon on purpose, for a while: for root and the
    /// daemon's own user only. Without the key nothing can.
    pub(crate) admin_socket: Option<PathBuf>,
    /// HTTPS for clients, instead of plain HTTP.
    pub(crate) tls: Option<TlsFiles>,
    /// What one client may use up.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// What all clients together may use up.
    #[serde(default)]
    pub(crate) overload: Overload,
    /// Where `transactions-api backup` puts its copies.
    #[serde(default)]
    pub(crate) backup: BackupConfig,
}

/// `[overload]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Overload {
    /// Requests to `/transactions` being worked on at once. Further ones are shed with 503:
    /// queueing them would only make everybody wait longer.
    pub(crate) max_in_flight: u32,
}

impl Default for Overload {
    fn default() -> Self {
        Self { max_in_flight: 256 }
    }
}

impl Config {
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let config: Self = config::load(path)?;
        if config
            .admin_socket
            .as_ref()
            .is_some_and(|socket| !socket.is_absolute())
        {
            let message = "must be an absolute path, such as /run/transactions-api/admin.sock";
            return Err(ConfigError::invalid(path, "admin_socket", message));
        }
        if !config.backup.directory.is_absolute() {
            let message = "must be an absolute path, such as /var/lib/transactions/backups";
            return Err(ConfigError::invalid(path, "backup.directory", message));
        }
        if config.overload.max_in_flight == 0 {
            let key = "overload.max_in_flight";
            return Err(ConfigError::invalid(
                path,
                key,
                "must be at least 1: 0 sheds everything",
            ));
        }
        if config.limits.max_connections == 0 {
            let key = "limits.max_connections";
            return Err(ConfigError::invalid(
                path,
                key,
                "must be at least 1: 0 serves nobody",
            ));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_comments_are_the_defaults() {
        let shipped = include_str!("../api.toml");
        let parse = |text: &str| config::parse::<Config>(Path::new("api.toml"), text).unwrap();
        let shown = parse(&config::switched_on(shipped, "#"));
        assert_eq!(format!("{shown:?}"), format!("{:?}", parse(shipped)));
        let examples = parse(&config::switched_on(shipped, "# "));
        assert!(examples.admin_socket.is_some());
    }
}
