//! The real binary between a systemd that records what it is asked and an Alertmanager that
//! records what it is told.

#![allow(clippy::unwrap_used)] // A test may end where something is not as it should be.

mod bot;
mod scene;
mod told;

use std::time::{Duration, Instant};

use bot::{alert, until, webhook};
use scene::{API, POLICY, Scene, down, reload, stopped};
use systemd_bus::fake::{FakeUnit, JobScript};
use units::JobResult;

#[test]
fn a_stopped_unit_is_started_once_proven_and_told() {
    let scene = Scene::new(stopped());
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    until("it is started", || scene.actions() == ["StartUnit"]);
    for alertmanager in [&scene.told, &scene.also_told] {
        until("it is told", || alertmanager.has("RemediationInProgress"));
    }
    assert_eq!(
        scene.bot.metric("alert_bot_alert_to_action_seconds_count"),
        Some(1.0)
    );
    scene.change(FakeUnit::running(API));
    until("it is proven", || {
        scene.outcome().as_deref() == Some("effective")
    });
    for alertmanager in [&scene.told, &scene.also_told] {
        until("the notice is ended", || {
            alertmanager.is_over("RemediationInProgress")
        });
    }

    // Alertmanager says it again, with the token of yesterday.
    let answered = scene.systemd.answered();
    assert_eq!(scene.bot.post(Some("previous"), &down()).status, 200);
    until("the unit is looked at", || {
        scene.systemd.answered() > answered
    });
    assert_eq!(
        scene.bot.metric("alert_bot_alerts_deduplicated_total"),
        Some(1.0)
    );
    assert!(scene.bot.run(&["status"]).0, "the engine has had its turn");
    assert_eq!(scene.actions(), ["StartUnit"], "and nothing is done twice");
    assert_eq!(scene.bot.incidents().len(), 1);
}

/// Posts the alert, which Alertmanager says fires until it is told otherwise.
fn fire(scene: &Scene) {
    scene.told.fires(&alert("Down", API, 1));
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
}

#[test]
fn a_repair_that_does_not_end_its_alert_did_not_help() {
    let scene = Scene::new(stopped());
    let proof = "healthy_for = \"100ms\", alert_deadline = \"300ms\"";
    reload(&scene, &POLICY.replace("healthy_for = \"100ms\"", proof));
    fire(&scene);
    until("it is started", || scene.actions() == ["StartUnit"]);
    scene.change(FakeUnit::running(API));
    until("the next rung is tried", || {
        scene.actions() == ["StartUnit", "RestartUnit"]
    });
    until("people learn why", || {
        scene.told.has("RemediationExhausted")
    });
    let told = scene.told.last("RemediationExhausted").unwrap();
    let summary = told["annotations"]["summary"].as_str().unwrap();
    assert!(summary.contains("the alert goes on"), "{summary}");
    let id = scene.bot.incidents()[0]["id"].as_str().unwrap().to_owned();
    let (_, story) = scene.bot.run(&["incident", &id]);
    for part in ["ineffective: healthy for", "escalate: alert-lasts"] {
        assert!(story.contains(part), "{part} in {story}");
    }
}

#[test]
fn the_end_of_the_alert_ends_the_wait_for_it() {
    let scene = Scene::new(stopped());
    fire(&scene);
    until("it is started", || scene.actions() == ["StartUnit"]);
    scene.change(FakeUnit::running(API));
    until("the unit is proven", || {
        scene.bot.metric("alert_bot_alert_to_proof_seconds_count") == Some(1.0)
    });
    assert_eq!(scene.outcome(), None, "the alert still fires");
    assert!(!scene.told.is_over("RemediationInProgress"));
    let mut over = alert("Down", API, 1);
    over["status"] = "resolved".into();
    assert_eq!(scene.bot.post(Some("token"), &webhook(&[over])).status, 200);
    until("it is closed", || {
        scene.outcome().as_deref() == Some("effective")
    });
    assert_eq!(scene.actions(), ["StartUnit"]);
}

#[test]
fn a_unit_that_breaks_again_before_its_alert_has_ended_is_repaired_again() {
    let scene = Scene::new(stopped());
    fire(&scene);
    until("it is started", || scene.actions() == ["StartUnit"]);
    scene.change(FakeUnit::running(API));
    until("the unit is proven", || {
        scene.bot.metric("alert_bot_alert_to_proof_seconds_count") == Some(1.0)
    });
    scene.change(FakeUnit::failed(API));
    let again = [
        "StartUnit",
        "ResetFailedUnit",
        "ResetFailedUnit",
        "StartUnit",
    ];
    until("it is started again", || scene.actions() == again);
    assert_eq!(scene.bot.incidents().len(), 2);
    assert_eq!(scene.bot.incidents()[1]["outcome"], "effective");
}

#[test]
fn the_units_last_lines_are_kept_from_before_the_repair() {
    let scene = Scene::new(FakeUnit::running(API));
    scene.bot.write_journal();
    scene.change(FakeUnit::failed(API));
    until("it is started", || {
        scene
            .actions()
            .last()
            .is_some_and(|last| last == "StartUnit")
    });
    let id = scene.bot.incidents()[0]["id"].as_str().unwrap().to_owned();
    let (_, story) = scene.bot.run(&["incident", &id]);
    for part in [
        "found before anything was touched:",
        "unit.active_state",
        "systemd: api.service: Failed with result 'signal'.",
        "api: line 40",
    ] {
        assert!(story.contains(part), "{part} in {story}");
    }
}

#[test]
fn own_alerts_say_whose_they_are_and_where_to_read_on() {
    let scene = Scene::new(stopped());
    let mut fires = alert("Down", API, 1);
    fires["labels"]["service"] = "transactions".into();
    let body = webhook(&[fires]);
    assert_eq!(scene.bot.post(Some("token"), &body).status, 200);
    until("people are asked", || {
        scene.told.has("RemediationExhausted")
    });
    let told = scene.told.last("RemediationExhausted").unwrap();
    let label = |name: &str| told["labels"][name].as_str().unwrap().to_owned();
    assert_eq!(label("host"), "here");
    assert_eq!(label("unit"), API);
    assert_eq!(label("service"), "transactions");
    assert_eq!(label("severity"), "critical");
    let runbook = told["annotations"]["runbook_url"].as_str().unwrap();
    assert!(
        runbook.ends_with("/docs/runbooks/RemediationExhausted.md"),
        "{runbook}"
    );
}

#[test]
fn systemds_own_signal_is_enough() {
    let scene = Scene::new(FakeUnit::running(API));
    scene.change(FakeUnit::failed(API));
    until("its failure is forgotten and it is started", || {
        scene.actions() == ["ResetFailedUnit", "ResetFailedUnit", "StartUnit"]
    });
    scene.change(FakeUnit::running(API));
    until("it is proven", || {
        scene.outcome().as_deref() == Some("effective")
    });
    assert_eq!(scene.bot.incidents()[0]["alertname"], "UnitFailed");
}

#[test]
fn a_silence_set_before_there_is_any_alert_holds_what_systemd_asks_for() {
    let scene = Scene::new(FakeUnit::running(API));
    scene.told.silences(API, "active");
    scene.change(FakeUnit::failed(API));
    until("it is held", || {
        let held = "alert_bot_decisions_total{decision=\"hold\",reason=\"silenced\"}";
        scene.bot.metric(held) == Some(1.0)
    });
    assert!(scene.actions().is_empty());
    scene.told.silences(API, "expired");
    scene.change(FakeUnit::failed(API));
    until("it is started", || {
        scene
            .actions()
            .last()
            .is_some_and(|last| last == "StartUnit")
    });
}

#[test]
fn a_repair_that_does_not_help_goes_up_the_ladder_to_people() {
    let scene = Scene::new(stopped());
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    until("it was tried", || scene.actions() == ["StartUnit"]);
    until("people are asked", || {
        scene.told.has("RemediationExhausted")
    });
    assert_eq!(scene.bot.incidents()[0]["state"], "escalated");
    // The later alert belongs to the same incident.
    let other = webhook(&[alert("Down", API, 2)]);
    assert_eq!(scene.bot.post(Some("token"), &other).status, 200);
    until("it joins", || {
        scene.bot.dispositions().contains(&("joined".into(), 1))
    });
    let mut over = alert("Down", API, 1);
    over["status"] = "resolved".into();
    assert_eq!(scene.bot.post(Some("token"), &webhook(&[over])).status, 200);
    until("it is closed when the alert is over", || {
        scene.outcome().as_deref() == Some("resolved")
    });
    until("people learn it", || {
        scene.told.is_over("RemediationExhausted")
    });
}

#[test]
fn an_alert_that_fires_again_after_its_end_ends_again() {
    let scene = Scene::new(stopped());
    let asking = "mode = \"approve\"";
    reload(&scene, &POLICY.replace("mode = \"auto\"", asking));
    let mut over = alert("Down", API, 1);
    over["status"] = "resolved".into();
    for closed in 1..=2 {
        assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
        until("people are asked", || {
            scene.bot.metric("alert_bot_incidents_open") == Some(1.0)
        });
        let over = webhook(std::slice::from_ref(&over));
        assert_eq!(scene.bot.post(Some("token"), &over).status, 200);
        until("it is closed", || {
            let incidents = scene.bot.incidents();
            let is_closed = |i: &&serde_json::Value| i["outcome"] == "resolved";
            incidents.iter().filter(is_closed).count() == closed
        });
    }
    assert_eq!(scene.bot.metric("alert_bot_incidents_open"), Some(0.0));
}

#[test]
fn a_circuit_that_opens_is_told_and_shown() {
    let scene = Scene::new(stopped());
    let breaker = "mode = \"auto\"\nbreaker = { failures = 1 }";
    reload(&scene, &POLICY.replace("mode = \"auto\"", breaker));
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    until("people are told", || {
        scene.told.has("RemediationCircuitOpen")
    });
    let told = scene.told.last("RemediationCircuitOpen").unwrap();
    assert_eq!(told["labels"]["severity"], "warning");
    assert_eq!(scene.actions(), ["StartUnit"], "no other rung is tried");
    until("the metric shows it", || {
        scene
            .bot
            .metric("alert_bot_circuit_open{rule=\"api-down\"}")
            == Some(1.0)
    });
    let left = "alert_bot_budget_remaining{name=\"api-down\",scope=\"rule\"}";
    assert_eq!(scene.bot.metric(left), Some(2.0));
    let (ok, said) = scene.bot.run(&["resume", "--rule", "api-down"]);
    assert!(ok, "{said}");
    until("the metric shows that, too", || {
        scene
            .bot
            .metric("alert_bot_circuit_open{rule=\"api-down\"}")
            == Some(0.0)
    });
    assert!(!scene.bot.run(&["resume", "--rule", "another"]).0);
}

#[test]
fn a_rule_that_masks_a_fault_asks_and_says_so_until_a_person_trusts_it_again() {
    let mut scene = Scene::new(stopped());
    let once = "mode = \"auto\"\nefficacy = { max_repairs = 1 }";
    reload(&scene, &POLICY.replace("mode = \"auto\"", once));
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    until("it is started", || scene.actions() == ["StartUnit"]);
    scene.change(FakeUnit::running(API));
    until("it is proven", || {
        scene.outcome().as_deref() == Some("effective")
    });
    scene.change(stopped());
    let again = webhook(&[alert("Down", API, 2)]);
    assert_eq!(scene.bot.post(Some("token"), &again).status, 200);
    until("it is asked", || {
        scene.told.has("RemediationAwaitingApproval")
    });
    until("people learn why", || {
        scene.told.has("RemediationIneffective")
    });
    let told = scene.told.last("RemediationIneffective").unwrap();
    let summary = told["annotations"]["summary"].as_str().unwrap();
    assert!(summary.contains("masking a fault"), "{summary}");
    assert_eq!(told["labels"]["rule"], "api-down");
    assert_eq!(scene.actions(), ["StartUnit"], "it does nothing by itself");
    let (_, status) = scene.bot.run(&["status"]);
    assert!(status.contains("demoted to approval: api-down"), "{status}");

    scene.told.forget();
    scene.bot = scene.bot.kill_and_start_again();
    until("a bot that comes back says it again", || {
        scene.told.has("RemediationAwaitingApproval") && scene.told.has("RemediationIneffective")
    });

    let (ok, said) = scene.bot.run(&["resume", "--rule", "api-down"]);
    assert!(ok, "{said}");
    until("it is started again", || {
        scene.actions() == ["StartUnit", "StartUnit"]
    });
    scene.change(FakeUnit::running(API));
    until("people learn that it is over", || {
        scene.told.is_over("RemediationIneffective")
    });
}

#[test]
fn what_polkit_denies_is_not_tried_again_and_people_learn_it() {
    let scene = Scene::new(stopped());
    scene
        .systemd
        .script(JobScript::Fails("org.freedesktop.DBus.Error.AccessDenied"));
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    until("people are asked", || {
        scene.told.has("RemediationExhausted")
    });
    assert_eq!(scene.actions(), ["StartUnit"]);
}

#[test]
fn a_kill_between_action_and_proof_leads_to_a_proof_and_no_second_action() {
    let mut scene = Scene::new(stopped());
    scene.systemd.script(JobScript::NeverEnds);
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    until("the job runs", || scene.actions() == ["StartUnit"]);
    scene.bot = scene.bot.kill_and_start_again();
    scene.change(FakeUnit::running(API));
    until("it is proven", || {
        scene.outcome().as_deref() == Some("effective")
    });
    assert_eq!(scene.actions(), ["StartUnit"]);
}

#[test]
fn a_bus_that_was_away_is_made_up_for() {
    let scene = Scene::new(FakeUnit::running(API));
    scene.runtime.block_on(scene.systemd.cut());
    scene.systemd.put(stopped());
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    until("it is started", || scene.actions() == ["StartUnit"]);
    scene.systemd.script(JobScript::Ends(JobResult::Done));
    scene.change(FakeUnit::running(API));
    until("it is proven", || {
        scene.outcome().as_deref() == Some("effective")
    });
}

#[test]
fn a_bus_that_stalls_and_recovers_duplicates_no_action() {
    let scene = Scene::new(stopped());
    scene.systemd.stall();
    scene.runtime.block_on(scene.systemd.cut());
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    until("the link is lost", || {
        scene.bot.metric("alert_bot_bus_connected") == Some(0.0)
    });
    scene.systemd.resume();
    until("it is started", || scene.actions() == ["StartUnit"]);
    scene.change(FakeUnit::running(API));
    until("it is proven", || {
        scene.outcome().as_deref() == Some("effective")
    });
    assert_eq!(scene.actions(), ["StartUnit"]);
}

#[test]
fn approval_is_waited_for_and_recorded() {
    let scene = Scene::new(stopped());
    let approve = POLICY.replace("mode = \"auto\"", "mode = \"approve\"");
    scene.bot.write_policy(&approve);
    assert!(scene.bot.run(&["reload"]).0);
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    until("it is asked", || {
        scene.told.has("RemediationAwaitingApproval")
    });
    assert!(scene.actions().is_empty());
    let id = scene.bot.incidents()[0]["id"].as_str().unwrap().to_owned();
    let (ok, said) = scene.bot.run(&["approve", &id]);
    assert!(ok, "{said}");
    until("it is started", || scene.actions() == ["StartUnit"]);
    scene.change(FakeUnit::running(API));
    until("it is proven", || {
        scene.outcome().as_deref() == Some("effective")
    });
    let (_, story) = scene.bot.run(&["incident", &id]);
    for part in [
        "approval-needed",
        "approved by ",
        "start api.service",
        "effective",
    ] {
        assert!(story.contains(part), "{part} in {story}");
    }
}

#[test]
fn a_pause_holds_and_its_end_lets_go() {
    let scene = Scene::new(stopped());
    assert!(
        scene
            .bot
            .run(&["pause", "--unit", API, "--for", "1h", "--why", "upgrade"])
            .0
    );
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    until("it is held", || {
        scene
            .bot
            .incidents()
            .first()
            .is_some_and(|i| i["state"] == "open")
    });
    assert!(scene.actions().is_empty());
    assert!(scene.bot.run(&["resume", "--unit", API]).0);
    until("it is started", || scene.actions() == ["StartUnit"]);
}

#[test]
fn patience_runs_only_once_people_have_let_go() {
    const PATIENCE: Duration = Duration::from_secs(2);
    let patient = "mode = \"auto\"\npatience = \"2s\"";
    let needy = stopped().common("Requires", vec!["db.service"]);
    let scene = Scene::of(
        vec![needy, FakeUnit::failed("db.service")],
        &POLICY.replace("mode = \"auto\"", patient),
    );
    let pause = ["pause", "--unit", API, "--for", "1h", "--why", "upgrade"];
    assert!(scene.bot.run(&pause).0);
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    let held = Instant::now();
    until("patience would be over", || held.elapsed() > PATIENCE);
    let resumed = Instant::now();
    assert!(scene.bot.run(&["resume", "--unit", API]).0);
    until("people are asked", || {
        scene.told.has("RemediationEscalated")
    });
    assert!(resumed.elapsed() >= PATIENCE, "{:?}", resumed.elapsed());
}

#[test]
fn what_would_be_decided_is_explained_and_not_done() {
    let scene = Scene::new(stopped());
    let (ok, said) = scene.bot.explain(&down());
    assert!(ok, "{said}");
    for part in ["yes  ", "=> act: due (", "start of api.service, rung 2"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let (ok, said) = scene.bot.explain(&webhook(&[alert("Other", API, 1)]));
    assert!(ok && said.contains("=> ignore: no-rule ("), "{said}");
    let (ok, said) = scene.bot.explain("{}");
    assert!(!ok && said.contains("is no webhook"), "{said}");
    assert!(scene.actions().is_empty());
    assert!(scene.bot.incidents().is_empty());
}

#[test]
fn incidents_are_picked_by_unit_outcome_and_age() {
    let scene = Scene::new(stopped());
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    until("it is started", || scene.actions() == ["StartUnit"]);
    scene.change(FakeUnit::running(API));
    until("it is proven", || {
        scene.outcome().as_deref() == Some("effective")
    });
    for (filter, found) in [
        (["--unit", API], 1),
        (["--unit", "other.service"], 0),
        (["--outcome", "effective"], 1),
        (["--outcome", "resolved"], 0),
        (["--since", "1h"], 1),
        (["--since", "0s"], 0),
    ] {
        let incidents = scene.bot.incidents_where(&filter);
        assert_eq!(incidents.len(), found, "{filter:?}");
    }
    let (ok, listed) = scene.bot.run(&["incidents", "--outcome", "effective"]);
    assert!(ok && listed.contains("Down (1 attempt)"), "{listed}");
}

#[test]
fn somebody_elses_restart_is_counted_as_such() {
    let scene = Scene::new(FakeUnit::running(API));
    scene.change(FakeUnit::running(API));
    scene.change(FakeUnit::running(API).common("InvocationID", vec![0xcd_u8; 16]));
    until("it is counted", || {
        let counted = "alert_bot_unit_restarts_total{cause=\"manual\",unit=\"api.service\"}";
        scene.bot.metric(counted) == Some(1.0)
    });
    assert!(scene.actions().is_empty());
}

#[test]
fn replaying_what_was_decided_decides_the_same() {
    let scene = Scene::new(stopped());
    assert_eq!(scene.bot.post(Some("token"), &down()).status, 200);
    until("people are asked", || {
        scene.told.has("RemediationExhausted")
    });
    let (ok, same) = scene.bot.run(&["simulate", "--since", "1d"]);
    assert!(ok && same.contains(", 0 would differ"), "{same}");
    let (ok, exported) = scene.bot.run(&["simulate", "--since", "1d", "--export"]);
    assert!(ok, "{exported}");
    let history = scene.bot.write("history", &exported);
    let from_file = || scene.bot.run(&["simulate", "--history", &history]).1;
    assert_eq!(from_file(), same);
    scene
        .bot
        .write_policy(&POLICY.replace("mode = \"auto\"", "mode = \"observe\""));
    let (_, other) = scene.bot.run(&["simulate", "--since", "1d"]);
    assert!(other.contains("was act (due), would be observe"), "{other}");
    assert_eq!(from_file(), other);
    scene.bot.write("history", "{}\n");
    let (ok, said) = scene.bot.run(&["simulate", "--history", &history]);
    assert!(!ok && said.contains("history:1: is no decision"), "{said}");
}
