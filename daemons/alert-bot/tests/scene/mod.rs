//! A bot between a systemd that records what it is asked and two Alertmanagers that record what they
//! are told.

#![allow(dead_code)] // Each file of tests uses its part.

use systemd_bus::fake::{FakeSystemd, FakeUnit};
use units::ActiveState;

use crate::bot::{Bot, Setup, alert, until, webhook};
use crate::told::Told;

pub(crate) const API: &str = "api.service";

pub(crate) struct Scene {
    pub(crate) systemd: FakeSystemd,
    pub(crate) told: Told,
    /// The other Alertmanager.
    pub(crate) also_told: Told,
    pub(crate) bot: Bot,
    /// What the fake systemd lives on.
    pub(crate) runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new(api: FakeUnit) -> Self {
        Self::of(vec![api], POLICY)
    }

    pub(crate) fn of(units: Vec<FakeUnit>, policy: &str) -> Self {
        Self::told_to(units, policy, [Told::listen(), Told::listen()], "")
    }

    /// Between these Alertmanagers, with a table more in the bot's configuration.
    pub(crate) fn told_to(
        units: Vec<FakeUnit>,
        policy: &str,
        [told, also_told]: [Told; 2],
        table: &str,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let systemd =
            runtime.block_on(async { FakeSystemd::listen(&directory.path().join("bus")).unwrap() });
        for unit in units {
            systemd.put(unit);
        }
        let mut setup = Setup::new();
        setup.bus(systemd.address());
        setup.replace_line(
            0,
            &format!("alertmanagers = [{:?}, {:?}]", told.url, also_told.url),
        );
        setup.append(table);
        setup.write_policy(policy);
        let scene = Self {
            bot: setup.start(),
            systemd,
            told,
            also_told,
            runtime,
            _directory: directory,
        };
        until("systemd is heard", || {
            scene.bot.metric("alert_bot_bus_connected") == Some(1.0)
        });
        scene
    }

    pub(crate) fn actions(&self) -> Vec<String> {
        self.systemd
            .calls()
            .into_iter()
            .map(|(method, _)| method)
            .collect()
    }

    pub(crate) fn outcome(&self) -> Option<String> {
        let incidents = self.bot.incidents();
        Some(incidents.first()?["outcome"].as_str()?.to_owned())
    }

    pub(crate) fn change(&self, unit: FakeUnit) {
        self.runtime.block_on(self.systemd.change(unit));
    }
}

pub(crate) const POLICY: &str = r#"
[[rule]]
name = "api-down"
match = ['alertname="Down"']
units = ["api.service"]
also_reset = ["api.socket"]
on_unit_failed = true
mode = "auto"
cooldown = "0s"
backoff = { initial = "1ms" }
ladder = [
    { action = "restart", when = "active" },
    { action = "start", when = "inactive" },
    { action = "reset-failed-start", when = "failed" },
    { action = "escalate" },
]
proof = { healthy_for = "100ms", deadline = "2s" }
"#;

pub(crate) fn stopped() -> FakeUnit {
    FakeUnit::new(API, ActiveState::Inactive, "dead")
}

pub(crate) fn down() -> String {
    webhook(&[alert("Down", API, 1)])
}

pub(crate) fn reload(scene: &Scene, policy: &str) {
    scene.bot.write_policy(policy);
    let (ok, said) = scene.bot.run(&["reload"]);
    assert!(ok, "{said}");
}
