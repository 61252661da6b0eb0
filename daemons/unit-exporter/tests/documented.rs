//! `docs/metrics.md` lists every metric, and none that is not there.

#![allow(clippy::unwrap_used)] // In tests a panic is the message.

use std::collections::BTreeSet;

use unit_exporter::metrics::groups::GROUPS;
use unit_exporter::metrics::own::OwnMetrics;
use unit_exporter::metrics::states::{STATES, SYSTEM_RUNNING, VERSION};

const PAGE: &str = include_str!("../../../docs/metrics.md");

/// The names at the beginning of the page's table rows.
fn documented() -> BTreeSet<&'static str> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap()).collect()
}

fn exported() -> BTreeSet<String> {
    let units = GROUPS.iter().map(|metric| metric.name);
    let states = STATES.iter().map(|metric| metric.name);
    let system = [SYSTEM_RUNNING.0, VERSION.0];
    let mut own = Vec::new();
    let metrics = OwnMetrics::try_new().unwrap();
    metrics.report(&unit_exporter::collect::Report {
        collector: "tree",
        duration: std::time::Duration::ZERO,
        error: None,
    });
    metrics.write(&mut own).unwrap();
    let own = String::from_utf8(own).unwrap();
    let own = own.lines().filter_map(|line| {
        let name = line.strip_prefix("# TYPE ")?.split(' ').next()?;
        Some(name.to_owned())
    });
    let declared = units.chain(states).chain(system).map(str::to_owned);
    declared.chain(own).collect()
}

#[test]
fn the_page_and_the_exporter_name_the_same_metrics() {
    let exported = exported();
    let exported: BTreeSet<&str> = exported.iter().map(String::as_str).collect();
    assert_eq!(documented(), exported);
}

#[test]
fn names_follow_the_conventions() {
    use unit_exporter::exposition::Kind;
    let units = GROUPS
        .iter()
        .map(|metric| (metric.name, metric.kind, metric.help));
    let states = STATES
        .iter()
        .map(|metric| (metric.name, metric.kind, metric.help));
    for (name, kind, help) in units.chain(states) {
        assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
        assert!(help.ends_with('.') && !help.contains('\n'), "{name}");
    }
}
