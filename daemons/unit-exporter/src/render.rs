//! From what was collected to the text of an answer.

use crate::devices::Devices;
use crate::exposition::{Exposition, Kind, Value, label};
use crate::follow::Shared;
use crate::metrics::groups::GROUPS;
use crate::metrics::states::{STATES, SYSTEM_RUNNING, Shown, VERSION};
use crate::tree::Tree;

/// Writes the metrics of units that have a cgroup.
pub fn groups(text: &mut Exposition, tree: &Tree, devices: &Devices) {
    for metric in GROUPS {
        text.family(metric.name, metric.kind, metric.help);
        for unit in tree.units().values() {
            (metric.samples)(&unit.reading, devices, &mut |labels, value| {
                text.sample(metric.name, &unit.label, labels, value);
            });
        }
    }
}

/// Writes what systemd shows of its units and itself.
pub fn states(text: &mut Exposition, shared: &Shared, tree: &Tree, monotonic_offset_usec: u64) {
    for metric in STATES {
        text.family(metric.name, metric.kind, metric.help);
        for (name, entry) in shared.table.units() {
            let shown = Shown {
                name,
                entry,
                tree,
                monotonic_offset_usec,
            };
            (metric.samples)(&shown, &mut |labels, value| {
                text.sample(metric.name, &entry.label, labels, value);
            });
        }
    }
    if let Some(state) = &shared.system_state {
        let (name, help) = SYSTEM_RUNNING;
        text.family(name, Kind::Gauge, help);
        text.sample(name, "", &[], Value::Whole((state == "running").into()));
    }
    if let Some(version) = &shared.version {
        let (name, help) = VERSION;
        text.family(name, Kind::Gauge, help);
        let number = version.split(|c: char| !c.is_ascii_digit()).next();
        let number = number.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        text.sample(name, &label("version", version), &[], Value::Whole(number));
    }
}
