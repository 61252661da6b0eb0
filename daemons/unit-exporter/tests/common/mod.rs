//! A host to measure: a cgroup tree, processes and devices unpacked from a fixture, and a systemd
//! behind a socket.

#![allow(dead_code, unreachable_pub)] // Each test binary uses its own part.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon_kit::notify::Heartbeat;
use systemd_bus::Systemd;
use systemd_bus::fake::{FakeSystemd, FakeUnit};
use tempfile::TempDir;
use unit_exporter::collect::Collector;
use unit_exporter::config::Config;
use unit_exporter::devices::Devices;
use unit_exporter::follow::{self, SystemdView};
use unit_exporter::kept_files::Allowance;
use unit_exporter::metrics::own::OwnMetrics;
use unit_exporter::processes::Processes;
use unit_exporter::scrape::Scraper;
use unit_exporter::tree::Tree;
use unit_exporter::unsignalled::Unsignalled;
use units::ActiveState;

/// Long enough for a loaded machine, short enough to fail a test run.
pub const PATIENCE: Duration = Duration::from_secs(20);

const FIXTURE: &str = include_str!("../fixtures/host.txt");

/// The kernel's side of a host.
pub struct Kernel {
    pub folder: TempDir,
}

impl Kernel {
    pub fn unpack() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sections = FIXTURE.split("=== ").skip(1);
        for (head, text) in sections.map(|section| section.split_once('\n').unwrap()) {
            if let Some((link, target)) = head.split_once(" -> ") {
                let link = folder.path().join(link);
                fs::create_dir_all(link.parent().unwrap()).unwrap();
                std::os::unix::fs::symlink(target, link).unwrap();
            } else {
                write(&folder.path().join(head), text);
            }
        }
        Self { folder }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub fn write(&self, below: &str, text: &str) {
        write(&self.path(below), text);
    }

    pub fn remove(&self, below: &str) {
        fs::remove_dir_all(self.path(below)).unwrap();
    }

    /// A configuration file for this host.
    pub fn config(&self, more: &str) -> PathBuf {
        let path = self.path("unit-exporter.toml");
        let root = self.folder.path().display();
        let text = format!(
            "listen = \"127.0.0.1:0\"\n{more}\n[paths]\ncgroup = \"{root}/cgroup\"\n\
             proc = \"{root}/proc\"\nsys = \"{root}/sys\"\n"
        );
        fs::write(&path, text).unwrap();
        path
    }

    pub fn bus_path(&self) -> PathBuf {
        self.path("bus")
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A scraper over a host, in this process.
pub struct Host {
    pub kernel: Kernel,
    pub scraper: Arc<Scraper>,
    pub view: SystemdView,
}

impl Host {
    /// Must be called within a Tokio runtime.
    pub fn new(kernel: Kernel) -> Self {
        Self::with(kernel, "")
    }

    pub fn with(kernel: Kernel, more: &str) -> Self {
        let (config, selection) = Config::load(&kernel.config(more)).unwrap();
        let selection = Arc::new(selection);
        let systemd = Systemd::at(format!("unix:path={}", kernel.bus_path().display()));
        let unsignalled = Unsignalled::new(systemd.clone(), config.collectors);
        let view = follow::start(systemd, Arc::clone(&selection), Heartbeat::start());
        let allowance = Allowance::new(config.open_files);
        let tree = Tree::new(&config.paths.cgroup, selection, allowance.clone());
        let processes = Processes::new(&config.paths.proc);
        let collector = Collector::new(tree, processes, config.collectors);
        let devices = Devices::new(config.paths.sys.clone());
        let own = OwnMetrics::default();
        let scraper = Scraper::new(
            collector,
            devices,
            view.clone(),
            unsignalled,
            own,
            allowance,
        );
        Self {
            kernel,
            scraper,
            view,
        }
    }

    pub fn scrape(&self) -> String {
        self.scrape_until(Instant::now() + PATIENCE)
    }

    pub fn scrape_until(&self, deadline: Instant) -> String {
        String::from_utf8(self.scraper.exposition(deadline, false).unwrap()).unwrap()
    }

    /// Scrapes again and again until a line appears.
    pub async fn scrape_with(&self, line: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.scrape();
            if text.lines().any(|found| found == line) {
                return text;
            }
            assert!(Instant::now() < deadline, "no {line:?} in\n{text}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn synced(&self) {
        let mut view = self.view.clone();
        tokio::time::timeout(PATIENCE, view.first_sync())
            .await
            .unwrap();
    }
}

/// The value of a sample, by its whole name with labels.
pub fn value(text: &str, sample: &str) -> Option<f64> {
    let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    lines.find(|(name, _)| *name == sample)?.1.parse().ok()
}

/// systemd's side of the fixture.
pub fn systemd(kernel: &Kernel) -> FakeSystemd {
    let fake = FakeSystemd::listen(&kernel.bus_path()).unwrap();
    fake.put(FakeUnit::running("nginx.service").with("NRestarts", 2_u32));
    fake.put(FakeUnit::failed("backup.service"));
    fake.put(FakeUnit::running("a\\x2db.service"));
    fake.put(FakeUnit::new("init.scope", ActiveState::Active, "running"));
    fake.put(
        FakeUnit::new("backup.timer", ActiveState::Active, "waiting")
            .with("LastTriggerUSec", 1_700_000_100_000_000_u64)
            .with("NextElapseUSecRealtime", 1_700_086_500_000_000_u64),
    );
    fake.put(FakeUnit::new("never.timer", ActiveState::Inactive, "dead"));
    fake.put(
        FakeUnit::new("missing.service", ActiveState::Inactive, "dead")
            .common("LoadState", "not-found"),
    );
    fake.put(FakeUnit::new(
        "session-3.scope",
        ActiveState::Active,
        "running",
    ));
    fake
}
