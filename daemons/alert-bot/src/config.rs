//! The daemon's configuration and the policy's files: read and checked before a port opens.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon_kit::config::{self, ConfigError};
use daemon_kit::http::Limits;
use daemon_kit::tls::{HttpsFiles, TlsFiles};
use jiff::fmt::serde::unsigned_duration::friendly::compact;
use journal::{Journal, JournalError};
use remediation::{Policy, PolicyErrors, Probe};
use serde::{Deserialize, Deserializer, de};

use crate::listing::Addressee;
use crate::outbound::HttpUrl;
use crate::turns::FleetConfig;

/// Where the configuration is unless `--config` says otherwise.
pub(crate) const DEFAULT_PATH: &str = "/etc/alert-bot/alert-bot.toml";

/// `alert-bot.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Used only when started by hand; under systemd the port is in alert-bot.socket
    /// (`systemctl edit alert-bot.socket`).
    pub(crate) listen: SocketAddr,
    /// This host's `host` label. Alerts of other hosts are recorded and refused.
    #[serde(deserialize_with = "not_empty")]
    pub(crate) host: String,
    /// The policy file.
    pub(crate) policy: PathBuf,
    /// Directory of policy drop-ins, read after the file in the order of their names.
    pub(crate) policy_dir: PathBuf,
    /// The ledger, as `sqlite:/PATH`.
    #[serde(deserialize_with = "sqlite_path")]
    pub(crate) ledger: PathBuf,
    /// Where the bot's own alerts go: everyone who is told what it does.
    #[serde(default, deserialize_with = "urls")]
    pub(crate) alertmanagers: Vec<HttpUrl>,
    /// This bot's receiver in Alertmanager's configuration: after a start the bot takes in those of
    /// its alerts that it missed. Without the key that is `alert-bot`, or `alert-bot-HOST`.
    #[serde(default)]
    pub(crate) receiver: Option<String>,
    /// Where `alert-bot pause`, `approve`, `reload` and the like find the bot. Listened on only when
    /// systemd passes no socket.
    #[serde(default = "default_control_socket")]
    pub(crate) control_socket: PathBuf,
    /// Users beside root who may pause, approve and reload. The control socket lets only root in
    /// unless a drop-in of alert-bot-control.socket widens its `SocketMode=`.
    #[serde(default)]
    pub(crate) operators: Vec<String>,
    /// Where the journal's files are, if not where journald of this host puts them.
    #[serde(default)]
    pub(crate) journal_dir: Option<PathBuf>,
    /// Runbooks of the bot's own alerts: `URL/ALERTNAME.md`.
    #[serde(default = "default_runbooks")]
    pub(crate) runbook_base_url: String,
    /// How long the ledger keeps what has ended: 90 days.
    #[serde(default = "default_keep", with = "compact::required")]
    pub(crate) keep: Duration,
    /// The alert that always fires. When it stops arriving, the chain from Prometheus to here is
    /// broken, and the bot says so.
    #[serde(default)]
    pub(crate) watchdog: WatchdogConfig,
    /// Certificate and key of the webhook, where it comes from other hosts; plain HTTP without.
    pub(crate) tls: Option<TlsFiles>,
    /// Whom the bot believes behind `https://`: Alertmanager, a probe's Prometheus, the ping.
    #[serde(default)]
    pub(crate) https: HttpsFiles,
    /// What the webhook's clients are allowed.
    #[serde(default)]
    pub(crate) limits: WebhookLimits,
    /// The hosts that take turns at repairs with this one; none by default.
    #[serde(default)]
    pub(crate) fleet: Option<FleetConfig>,
}

/// `[watchdog]`: a chain that is broken anywhere delivers no alerts, not even this one.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WatchdogConfig {
    /// The alert's name.
    pub(crate) alertname: String,
    /// Without one for this long, the chain counts as broken. Alertmanager repeats it each minute.
    #[serde(with = "compact::required")]
    pub(crate) timeout: Duration,
    /// Asked (`GET`) each time the alert arrives, such as a dead-man's switch elsewhere.
    #[serde(deserialize_with = "optional_url")]
    pub(crate) ping_url: Option<HttpUrl>,
}

impl Default for WatchdogConfig {
    fn default() -> Self {
        Self {
            alertname: "Watchdog".into(),
            timeout: Duration::from_secs(180),
            ping_url: None,
        }
    }
}

/// `[limits]`: sized for Alertmanager, which in a storm opens a connection for each of its groups.
/// One takes 20 KB, which the allocator keeps; what waits for a place waits in systemd's socket.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WebhookLimits {
    /// Connections at once; for a further one the client that has been silent for longest goes.
    pub(crate) max_connections: u32,
    /// The largest webhook, in bytes.
    pub(crate) max_body_bytes: u32,
    /// Head and body must each arrive within this many seconds.
    pub(crate) read_timeout_seconds: u16,
}

impl Default for WebhookLimits {
    fn default() -> Self {
        Self {
            max_connections: 32,
            max_body_bytes: 1024 * 1024,
            read_timeout_seconds: 10,
        }
    }
}

impl From<WebhookLimits> for Limits {
    fn from(limits: WebhookLimits) -> Self {
        Self {
            max_connections: limits.max_connections,
            max_body_bytes: limits.max_body_bytes,
            read_timeout_seconds: limits.read_timeout_seconds,
        }
    }
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Names file, line and key.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        config::load(path)
    }

    /// Reads the policy that this configuration names.
    ///
    /// # Errors
    /// Every mistake, each with file, line and key.
    pub(crate) fn load_policy(&self) -> Result<Policy, ConfigError> {
        Policy::parse(&self.policy_files()?).map_err(|errors| policy_error(&errors))
    }

    /// Whether any address here or in the policy is of a server that proves who it is.
    pub(crate) fn speaks_https(&self, policy: &Policy) -> bool {
        let told = self.alertmanagers.iter().chain(&self.watchdog.ping_url);
        let asked = policy
            .rules()
            .iter()
            .filter_map(|rule| match &rule.proof.probe {
                Some(Probe::Http { url, .. } | Probe::PromQl { url, .. }) => Some(url),
                Some(Probe::Tcp { .. }) | None => None,
            });
        told.into_iter().any(HttpUrl::is_https)
            || asked.into_iter().any(|url| url.starts_with("https:"))
    }

    /// The journal that evidence comes from.
    ///
    /// # Errors
    /// Where this host has no machine id, and so no journal of its own.
    pub(crate) fn journal(&self) -> Result<Journal, JournalError> {
        match &self.journal_dir {
            Some(directory) => Ok(Journal::at(directory)),
            None => Journal::of_this_host(),
        }
    }

    /// Who this bot is to Alertmanager.
    pub(crate) fn addressee(&self) -> Addressee {
        let by_host = || vec!["alert-bot".into(), format!("alert-bot-{}", self.host)];
        Addressee {
            receivers: self
                .receiver
                .clone()
                .map_or_else(by_host, |name| vec![name]),
            host: self.host.clone(),
            heartbeat: self.watchdog.alertname.clone(),
        }
    }

    /// The policy's files with their texts, in the order in which their rules are tried.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub(crate) fn policy_files(&self) -> Result<Vec<(PathBuf, String)>, ConfigError> {
        let mut drop_ins = drop_ins(&self.policy_dir)?;
        drop_ins.sort();
        std::iter::once(self.policy.clone())
            .chain(drop_ins)
            .map(|path| {
                let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
                Ok((path, text))
            })
            .collect()
    }
}

/// The `*.toml` of the directory; none where there is no directory.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable(directory))?,
    };
    let paths = entries.map(|entry| Ok(entry.map_err(unreadable(directory))?.path()));
    let is_toml = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "toml");
    paths
        .filter(|path| path.as_ref().map_or(true, is_toml))
        .collect()
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> ConfigError {
    move |source| ConfigError::Read {
        path: path.into(),
        source,
    }
}

/// The first mistake, and every further one on a line of its own.
pub(crate) fn policy_error(errors: &PolicyErrors) -> ConfigError {
    let mut mistakes = errors.iter();
    let Some(first) = mistakes.next() else {
        return ConfigError::invalid(Path::new("policy"), "", "is not valid");
    };
    let mut message = first.problem.clone();
    for mistake in mistakes {
        message.push('\n');
        message.push_str(&mistake.to_string());
    }
    ConfigError::Parse {
        path: first.place.file.clone(),
        line: first.place.line,
        key: first.key.clone(),
        message,
    }
}

fn default_control_socket() -> PathBuf {
    "/run/alert-bot/control.sock".into()
}

/// The same as the rules' in `ansible/roles/prometheus/defaults/main.yml`.
fn default_runbooks() -> String {
    "https://github.com/example/observability-stack/blob/main/docs/runbooks".into()
}

fn default_keep() -> Duration {
    const DAYS: u64 = 90;
    Duration::from_secs(DAYS * 24 * 60 * 60)
}

fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Err(de::Error::custom("may not be empty: name this host"));
    }
    Ok(text)
}

fn sqlite_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.strip_prefix("sqlite:") {
        Some(path) if Path::new(path).is_absolute() => Ok(path.into()),
        _ => Err(de::Error::custom(format!(
            "{text:?} is not of the form \"sqlite:/var/lib/alert-bot/ledger.db\""
        ))),
    }
}

fn urls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HttpUrl>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| HttpUrl::try_new(text).map_err(de::Error::custom))
        .collect()
}

fn optional_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<HttpUrl>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(|text| HttpUrl::try_new(&text).map_err(de::Error::custom))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
listen = "127.0.0.1:5001"
host = "a"
policy = "/etc/alert-bot/policy.toml"
policy_dir = "/etc/alert-bot/policy.d"
ledger = "sqlite:/var/lib/alert-bot/ledger.db"
"#;

    fn parse(text: &str) -> Result<Config, String> {
        config::parse(Path::new("a.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_file_is_valid() {
        let config = parse(include_str!("../alert-bot.toml")).unwrap();
        assert_eq!(config.alertmanagers.len(), 1);
    }

    #[test]
    fn the_shipped_comments_are_the_defaults() {
        let shipped = include_str!("../alert-bot.toml");
        let shown = parse(&config::switched_on(shipped, "#")).unwrap();
        assert_eq!(
            format!("{shown:?}"),
            format!("{:?}", parse(shipped).unwrap())
        );
        let examples = parse(&config::switched_on(shipped, "# ")).unwrap();
        assert!(examples.watchdog.ping_url.is_some());
    }

    #[test]
    fn each_mistake_names_line_and_key() {
        assert!(parse(GOOD).is_ok());
        for (text, start) in [
            (
                GOOD.replace("\"a\"", "\"\""),
                "a.toml:3: host: may not be empty",
            ),
            (
                GOOD.replace("sqlite:", "postgres:"),
                "a.toml:6: ledger: \"postgres:/var",
            ),
            (
                format!("{GOOD}alertmanagers = [\"ftp://a\"]"),
                "a.toml:7: alertmanagers: \"ftp://a\" is not",
            ),
            (
                format!("{GOOD}[watchdog]\ntimeout = \"soon\""),
                "a.toml:8: watchdog.timeout: ",
            ),
            (
                format!("{GOOD}[limits]\nmax_body = 1"),
                "a.toml:8: limits.max_body: unknown field",
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.starts_with(start), "{error}");
        }
    }
}
