//! The names of the exporter's metrics follow Prometheus's conventions.

use unit_exporter::exposition::Kind;
use unit_exporter::metrics::groups::GROUPS;
use unit_exporter::metrics::states::STATES;

#[test]
fn names_follow_the_conventions() {
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
