//! Alerts, metrics and messages: what one room names, another room must really have.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use regex::Regex;
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

#[test]
fn every_alert_of_a_rule_has_a_rule_test() {
    let tested = captured(
        r#"alertname(?:: |=")(\w+)"#,
        &text_of("prometheus/rules-tests"),
    );
    let untested: Vec<_> = rule_alerts().difference(&tested).cloned().collect();
    assert!(untested.is_empty(), "no promtool test names {untested:?}");
}

#[test]
fn every_metric_of_ours_that_is_asked_for_is_exported() {
    let ours =
        r"\b((?:transactions|alert_bot|systemd|unit_exporter)_[a-z0-9_]+)\b(?:\{|\[|$|\s|\)|,)";
    let exported = text_of("daemons");
    let mut asked: BTreeSet<String> = BTreeSet::new();
    for folder in ["prometheus/rules", "grafana/dashboards"] {
        for path in files(folder) {
            let queries = captured(r#"(?m)(?:expr"?: ?)(.*(?:\n {10,}.*)*)"#, &read(&path));
            asked.extend(queries.iter().flat_map(|query| captured(ours, query)));
        }
    }
    assert!(!asked.is_empty());
    let missing: Vec<_> = asked
        .iter()
        .filter(|metric| {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| metric.strip_suffix(end));
            !exported.contains(metric.as_str()) && !base.is_some_and(|base| exported.contains(base))
        })
        .collect();
    assert!(
        missing.is_empty(),
        "asked for, but exported by no daemon: {missing:?}"
    );
}

#[test]
fn the_page_of_metrics_lists_what_the_daemons_declare() {
    let ours = r#""((?:transactions|alert_bot|systemd|unit_exporter)_[a-z0-9_]+)""#;
    let mut modules = files("daemons");
    modules.retain(|path| {
        path.components()
            .any(|part| is_metrics_module(part.as_os_str()))
    });
    let declared: BTreeSet<String> = modules
        .iter()
        .flat_map(|module| captured(ours, &read(module)))
        .collect();
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
