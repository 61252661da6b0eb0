//! Alerts, metrics and messages: what one room names, another room must really have.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use regex::Regex;
use serde_json::Value;
use tidy::{files, read, root};

/// Alerts that the bot itself raises stand in its code, not in a rule file.
const BOT_ALERTS: &str = "daemons/alert-bot/src";

fn captured(pattern: &str, text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).expect("the pattern is written here");
    pattern
        .captures_iter(text)
        .map(|found| found[1].to_owned())
        .collect()
}

fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn text_of(folder: &str) -> String {
    let mut paths = files(folder);
    paths.retain(|path| path.extension().is_none_or(|kind| kind != "png"));
    paths.iter().map(read).collect()
}

fn rule_alerts() -> BTreeSet<String> {
    captured(r"- alert: (\w+)", &text_of("prometheus/rules"))
}

fn bot_alerts() -> BTreeSet<String> {
    captured(r#""(Remediation[A-Z]\w+)""#, &text_of(BOT_ALERTS))
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let alerts: BTreeSet<String> = rule_alerts().union(&bot_alerts()).cloned().collect();
    let runbooks: BTreeSet<String> = files("docs/runbooks")
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| name != "README")
        .collect();
    assert!(!alerts.is_empty());
    assert_eq!(alerts, runbooks);
}

/// The alerts that a promtool expectation sees firing, and those that it sees absent.
fn expected(test: &Value, alerts: &BTreeSet<String>) -> (BTreeSet<String>, BTreeSet<String>) {
    let entries = |key: &str| test[key].as_array().cloned().unwrap_or_default();
    let (mut firing, mut absent) = (BTreeSet::new(), BTreeSet::new());
    for expectation in entries("alert_rule_test") {
        let name = expectation["alertname"]
            .as_str()
            .expect("it names an alert");
        let fires = expectation["exp_alerts"].as_array();
        let seen = if fires.is_some_and(|some| !some.is_empty()) {
            &mut firing
        } else {
            &mut absent
        };
        seen.insert(name.to_owned());
    }
    for expectation in entries("promql_expr_test") {
        let samples = expectation["exp_samples"].as_array();
        let samples = samples.cloned().unwrap_or_default();
        for sample in &samples {
            let labels = sample["labels"].as_str().unwrap_or_default();
            if labels.contains(r#"alertstate="firing""#) {
                firing.extend(captured(r#"alertname="(\w+)""#, labels));
            }
        }
        let asked = expectation["expr"].as_str().expect("it asks something");
        if samples.is_empty() {
            for pattern in captured(r#"alertname=~?"([^"]+)""#, asked) {
                let pattern = Regex::new(&format!("^(?:{pattern})$")).expect("promtool reads it");
                absent.extend(alerts.iter().filter(|it| pattern.is_match(it)).cloned());
            }
        }
    }
    (firing, absent)
}

#[test]
fn every_alert_of_a_rule_is_tested_firing_and_not_firing() {
    let alerts = rule_alerts();
    let (mut firing, mut absent) = (BTreeSet::new(), BTreeSet::new());
    for path in files("prometheus/rules-tests") {
        let file = yaml(&path);
        for test in file["tests"].as_array().into_iter().flatten() {
            let (fires, ends) = expected(test, &alerts);
            firing.extend(fires);
            absent.extend(ends);
        }
    }
    assert_eq!(firing, alerts, "seen firing by a promtool test");
    assert_eq!(absent, alerts, "seen absent by a promtool test");
}

#[test]
fn every_alert_of_the_bot_has_its_receiver_in_the_table_of_routes() {
    let table = yaml(Path::new("prometheus/rules-tests/routes.yml"));
    let routed: BTreeSet<String> = table
        .as_array()
        .expect("the table is a list")
        .iter()
        .map(|row| row["labels"]["alertname"].as_str().unwrap_or_default())
        .filter(|name| name.starts_with("Remediation"))
        .map(str::to_owned)
        .collect();
    assert_eq!(routed, bot_alerts());
}

/// A word that has the form of one of our metrics.
const OURS: &str = r"\b((?:transactions|alert_bot|systemd|unit_exporter)_[a-z0-9_]+)\b";

/// The metrics that the daemons declare.
fn declared() -> BTreeSet<String> {
    let mut modules = files("daemons");
    modules.retain(|path| {
        path.components()
            .any(|part| is_metrics_module(part.as_os_str()))
    });
    modules
        .iter()
        .flat_map(|module| captured(&format!(r#""{OURS}""#), &read(module)))
        .collect()
}

/// Those of the named series that no declared metric has; a histogram has three.
fn undeclared(named: BTreeSet<String>) -> Vec<String> {
    let declared = declared();
    let is_declared = |series: &str| {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| series.strip_suffix(end));
        declared.contains(series) || base.is_some_and(|base| declared.contains(base))
    };
    named.into_iter().filter(|it| !is_declared(it)).collect()
}

#[test]
fn every_metric_of_ours_that_is_asked_for_is_exported() {
    let ours = format!(r"{OURS}(?:\{{|\[|$|\s|\)|,)");
    let mut asked: BTreeSet<String> = BTreeSet::new();
    for folder in ["prometheus/rules", "grafana/dashboards"] {
        for path in files(folder) {
            let queries = captured(r#"(?m)(?:expr"?: ?)(.*(?:\n {10,}.*)*)"#, &read(&path));
            asked.extend(queries.iter().flat_map(|query| captured(&ours, query)));
        }
    }
    assert!(!asked.is_empty());
    let missing = undeclared(asked);
    assert!(
        missing.is_empty(),
        "asked for, but exported by no daemon: {missing:?}"
    );
}

#[test]
fn every_metric_of_ours_in_a_runbook_is_exported() {
    // The roles' variables look the same.
    let variables: BTreeSet<String> = files("ansible/roles")
        .iter()
        .filter(|path| path.ends_with("defaults/main.yml"))
        .flat_map(|defaults| captured(r"(?m)^(\w+):", &read(defaults)))
        .collect();
    let named = captured(OURS, &text_of("docs/runbooks"));
    let metrics: BTreeSet<String> = named.difference(&variables).cloned().collect();
    assert!(!metrics.is_empty());
    let missing = undeclared(metrics);
    assert!(
        missing.is_empty(),
        "in a runbook, but exported by no daemon: {missing:?}"
    );
}

#[test]
fn the_page_of_metrics_lists_what_the_daemons_declare() {
    let declared = declared();
    let listed = captured(r"(?m)^\| `(\w+)`", &read("docs/metrics.md"));
    assert!(declared.len() > 50, "only {} are found", declared.len());
    assert_eq!(listed, declared);
}

fn is_metrics_module(part: &OsStr) -> bool {
    part == "metrics.rs" || part == "metrics"
}

#[test]
fn every_message_id_has_a_catalog_entry_and_is_sent() {
    let catalog = captured(
        r"(?m)^-- ([0-9a-f]{32})$",
        &text_of("systemd-units/catalog"),
    );
    let sent = captured(r#""([0-9a-f]{32})""#, &text_of(BOT_ALERTS));
    assert!(!catalog.is_empty());
    assert_eq!(catalog, sent);
}

#[test]
fn runbooks_are_linked_from_the_alerts() {
    for path in files("prometheus/rules") {
        let text = read(&path);
        for alert in captured(r"- alert: (\w+)", &text) {
            assert!(
                text.contains(&format!("/{alert}.md")),
                "{alert} does not link its runbook"
            );
            assert!(
                root().join(format!("docs/runbooks/{alert}.md")).exists(),
                "{alert}"
            );
        }
    }
}
