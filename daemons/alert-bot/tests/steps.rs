//! Scaling by steps of several instances: the real binary and a systemd that records what it is asked.

#![allow(clippy::unwrap_used)] // A test may end where something is not as it should be.

mod bot;
mod scene;
mod told;

use bot::{alert, until, webhook};
use scene::Scene;
use systemd_bus::fake::{FakeUnit, JobScript};
use units::{ActiveState, JobResult};

const POLICY: &str = r#"
[[rule]]
name = "backlog"
match = ['alertname="Backlog"']
units = ["worker@*.service"]
mode = "auto"
cooldown = "0s"
backoff = { initial = "1ms" }
ladder = [{ action = "scale-up", max = 3, step = 2, times = 2 }]
proof = { healthy_for = "100ms", deadline = "2s" }
"#;

const FIRST: &str = "worker@1.service";
const SECOND: &str = "worker@2.service";
const THIRD: &str = "worker@3.service";

/// One worker runs; there is an alert about the backlog, and systemd was asked for two more.
fn growing(script: JobScript) -> Scene {
    let stopped = |name| FakeUnit::new(name, ActiveState::Inactive, "dead");
    let units = [FakeUnit::running(FIRST), stopped(SECOND), stopped(THIRD)];
    let scene = Scene::of(units.into(), POLICY);
    scene.systemd.script(script);
    let backlog = webhook(&[alert("Backlog", "", 1)]);
    assert_eq!(scene.bot.post(Some("token"), &backlog).status, 200);
    until("both are started", || started(&scene) == [SECOND, THIRD]);
    scene
}

fn started(scene: &Scene) -> Vec<String> {
    let calls = scene.systemd.calls().into_iter();
    let mut units: Vec<String> = calls
        .filter(|(method, _)| method == "StartUnit")
        .map(|(_, unit)| unit)
        .collect();
    // Those of one step are asked for at the same time.
    units.sort();
    units
}

#[test]
fn a_step_starts_its_instances_together_and_all_of_them_prove_it() {
    let scene = growing(JobScript::Ends(JobResult::Done));
    scene.change(FakeUnit::running(SECOND));
    let id = scene.bot.incidents()[0]["id"].as_str().unwrap().to_owned();
    until("it is judged", || {
        let (_, story) = scene.bot.run(&["incident", &id]);
        story.contains("ineffective: worker@3.service: inactive (dead)")
    });
    // What one of them lacked is the next step, and no more.
    until("the third is tried again", || {
        started(&scene) == [SECOND, THIRD, THIRD]
    });
    scene.change(FakeUnit::running(THIRD));
    until("it is proven", || {
        scene.outcome().as_deref() == Some("effective")
    });
    let (_, story) = scene.bot.run(&["incident", &id]);
    let step = format!("scale-up {SECOND} {THIRD}");
    assert!(story.contains(&step), "{story}");
}

#[test]
fn a_kill_in_the_midst_of_a_step_starts_none_twice_and_none_too_many() {
    let mut scene = growing(JobScript::NeverEnds);
    scene.bot = scene.bot.kill_and_start_again();
    scene.change(FakeUnit::running(SECOND));
    scene.change(FakeUnit::running(THIRD));
    until("it is proven", || {
        scene.outcome().as_deref() == Some("effective")
    });
    // The backlog stands: at the bound nothing is added.
    let again = webhook(&[alert("Backlog", "", 2)]);
    assert_eq!(scene.bot.post(Some("token"), &again).status, 200);
    until("it is held", || {
        let held = "alert_bot_decisions_total{decision=\"hold\",reason=\"at-max-instances\"}";
        scene.bot.metric(held) == Some(1.0)
    });
    assert_eq!(started(&scene), [SECOND, THIRD]);
}
