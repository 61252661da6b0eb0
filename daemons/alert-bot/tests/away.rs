//! What the real binary makes of what happened while it was away.

#![allow(clippy::unwrap_used)] // A test may end where something is not as it should be.

mod bot;
mod scene;
mod told;

use bot::{alert, until};
use scene::{API, POLICY, Scene, down, reload, stopped};

/// Both of its Alertmanagers know of everything that fires.
fn both_know_all(scene: &Scene) {
    scene.told.has_run_for_long();
    scene.also_told.has_run_for_long();
}

#[test]
fn what_fired_while_the_bot_was_away_is_acted_on_at_once() {
    let mut scene = Scene::new(stopped());
    both_know_all(&scene);
    // Each of them lists it, and neither tells it.
    for alertmanager in [&scene.told, &scene.also_told] {
        alertmanager.fires(&alert("Down", API, 1));
        alertmanager.fires(&alert("Watchdog", "", 2));
    }
    scene.bot = scene.bot.kill_and_start_again();
    until("it is started", || scene.actions() == ["StartUnit"]);
    let told = |status: &str| {
        let name = format!("alert_bot_alerts_received_total{{status=\"{status}\"}}");
        scene.bot.metric(&name)
    };
    assert_eq!(told("firing"), Some(1.0), "once, and no Watchdog");
    // Told of it after all, it knows it already.
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    assert_eq!(
        scene.bot.metric("alert_bot_alerts_deduplicated_total"),
        Some(1.0)
    );
    assert_eq!(scene.bot.incidents().len(), 1);
}

#[test]
fn a_whole_storm_that_began_while_the_bot_was_away_is_taken_in() {
    const ALERTS: i32 = 3000;
    let mut scene = Scene::new(stopped());
    both_know_all(&scene);
    for number in 0..ALERTS {
        let mut alert = alert("Storm", API, number.into());
        alert["annotations"]["description"] = "x".repeat(1000).into();
        scene.told.fires(&alert);
    }
    scene.bot = scene.bot.kill_and_start_again();
    let received = "alert_bot_alerts_received_total{status=\"firing\"}";
    until("all are taken in", || {
        scene.bot.metric(received) == Some(ALERTS.into())
    });
}

/// A bot that waits for an answer dies, and comes back with a policy that would not wait.
fn come_back_bolder(mut scene: Scene) -> Scene {
    reload(
        &scene,
        &POLICY.replace("mode = \"auto\"", "mode = \"approve\""),
    );
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    until("it is asked", || {
        scene.told.has("RemediationAwaitingApproval")
    });
    scene.bot.write_policy(POLICY);
    scene.bot = scene.bot.kill_and_start_again();
    scene
}

#[test]
fn an_alert_that_ended_while_the_bot_was_away_is_not_acted_on() {
    let scene = Scene::new(stopped());
    both_know_all(&scene);
    let scene = come_back_bolder(scene);
    until("its incident is closed", || {
        scene.outcome().as_deref() == Some("resolved")
    });
    assert!(scene.actions().is_empty());
    until("it is not asked any more", || {
        scene.told.is_over("RemediationAwaitingApproval")
    });
}

#[test]
fn an_alertmanager_that_has_just_started_ends_no_alert() {
    let scene = come_back_bolder(Scene::new(stopped()));
    until("it is started", || scene.actions() == ["StartUnit"]);
}
