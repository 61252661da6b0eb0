//! `/etc/unit-exporter/unit-exporter.toml`, read and checked before any port opens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use daemon_kit::config::{self, ConfigError};
use daemon_kit::http::Limits;
use daemon_kit::tls::TlsFiles;
use serde::Deserialize;

use crate::select::{Glob, Selection};

/// Where the package puts the configuration.
pub const DEFAULT_PATH: &str = "/etc/unit-exporter/unit-exporter.toml";

/// What is measured where nothing else is asked for: everything that runs or can fail. Slices are
/// left out because each repeats what its units use, and every sum would count it twice.
const INCLUDE: &[&str] = &[
    "*.service",
    "*.socket",
    "*.timer",
    "*.mount",
    "*.automount",
    "*.swap",
    "*.path",
    "init.scope",
];

/// What comes and goes by itself and would leave a trail of short series.
const EXCLUDE: &[&str] = &[
    "run-*",
    "session-*.scope",
    "systemd-fsck@*",
    "user-runtime-dir@*",
];

/// Each cached descriptor holds about 5 KB of kernel memory and makes its read three times faster
/// than opening the file anew.
const OPEN_FILES: usize = 8192;

/// The whole configuration. Every key has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Used only when started by hand; under systemd the port is in unit-exporter.socket
    /// (`systemctl edit unit-exporter.socket`).
    pub listen: SocketAddr,
    /// Globs of the units to measure. Slices are left out: each repeats what its units use, and a
    /// sum over all would count it twice.
    include: Vec<String>,
    /// Globs of the units not to measure, stronger than `include`: what comes and goes by itself and
    /// would leave a trail of short series.
    exclude: Vec<String>,
    /// Files of the kernel that are kept open between scrapes, at most; `LimitNOFILE=` of the unit is
    /// respected too. A kept file is read three times faster and holds about 5 KB of kernel memory.
    pub open_files: usize,
    /// What is measured.
    pub collectors: Collectors,
    /// Where the kernel shows itself.
    pub paths: Paths,
    /// HTTPS for clients, instead of plain HTTP.
    pub tls: Option<TlsFiles>,
    /// What clients may do.
    pub limits: Limits,
}

/// One switch per collector.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // They are switches, each of its own.
pub struct Collectors {
    /// CPU time and throttling.
    pub cpu: bool,
    /// Memory, its limits and events.
    pub memory: bool,
    /// Where the memory controller is absent: the memory of the unit's processes, summed.
    pub processes: bool,
    /// Bytes and operations by device.
    pub io: bool,
    /// Tasks.
    pub pids: bool,
    /// Pressure stall information.
    pub pressure: bool,
    /// Connections of sockets. systemd does not signal these: they are asked for over D-Bus, at most
    /// every 15 s.
    pub sockets: bool,
    /// IP accounting of services, likewise.
    pub ip: bool,
    /// Watchdogs of services, likewise.
    pub watchdog: bool,
}

/// The roots of the kernel's file systems, so that fixtures can stand in for them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// The cgroup v2 tree.
    pub cgroup: PathBuf,
    /// procfs.
    pub proc: PathBuf,
    /// sysfs, for the names of block devices.
    pub sys: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9558)),
            include: INCLUDE.iter().map(ToString::to_string).collect(),
            exclude: EXCLUDE.iter().map(ToString::to_string).collect(),
            open_files: OPEN_FILES,
            collectors: Collectors::default(),
            paths: Paths::default(),
            tls: None,
            limits: Limits::default(),
        }
    }
}

impl Default for Collectors {
    fn default() -> Self {
        Self {
            cpu: true,
            memory: true,
            processes: true,
            io: true,
            pids: true,
            pressure: true,
            sockets: false,
            ip: false,
            watchdog: false,
        }
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            cgroup: "/sys/fs/cgroup".into(),
            proc: "/proc".into(),
            sys: "/sys".into(),
        }
    }
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`ConfigError`], which names file, line and key.
    pub fn load(path: &Path) -> Result<(Self, Selection), ConfigError> {
        let config: Self = config::load(path)?;
        let selection = config.selection(path)?;
        Ok((config, selection))
    }

    fn selection(&self, path: &Path) -> Result<Selection, ConfigError> {
        if self.include.is_empty() {
            let advice = "nothing would be measured; leave the key out to measure the default";
            return Err(ConfigError::invalid(path, "include", advice));
        }
        let globs = |key: &str, texts: &[String]| {
            texts
                .iter()
                .map(|text| Glob::try_new(text))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| ConfigError::invalid(path, key, error.to_string()))
        };
        Ok(Selection::new(
            globs("include", &self.include)?,
            globs("exclude", &self.exclude)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Selection, String> {
        let path = Path::new("exporter.toml");
        let config: Config = config::parse(path, text).map_err(|error| error.to_string())?;
        config.selection(path).map_err(|error| error.to_string())
    }

    #[test]
    fn the_empty_file_measures_what_runs_and_leaves_noise_out() {
        let selection = check("").unwrap();
        for unit in ["nginx.service", "init.scope", "apt.timer", "a@1.service"] {
            assert!(selection.selects(unit), "{unit}");
        }
        for unit in [
            "system.slice",
            "session-3.scope",
            "run-u12.service",
            "a.device",
        ] {
            assert!(!selection.selects(unit), "{unit}");
        }
    }

    #[test]
    fn the_packaged_file_says_what_the_defaults_are() {
        let packaged = include_str!("../unit-exporter.toml");
        for text in [packaged, &config::switched_on(packaged, "#")] {
            let packaged: Config = config::parse(Path::new("unit-exporter.toml"), text).unwrap();
            assert_eq!(format!("{packaged:?}"), format!("{:?}", Config::default()));
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            (
                "include = []",
                "exporter.toml: include: nothing would be measured",
            ),
            ("include = [\"a b\"]", "exporter.toml: include: \"a b\" "),
            ("exclude = [\"\"]", "exporter.toml: exclude: "),
            (
                "[collectors]\ncpuu = true",
                "exporter.toml:2: collectors.cpuu: unknown field",
            ),
            ("listen = 9558", "exporter.toml:1: listen: "),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }
}
