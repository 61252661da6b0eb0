//! What systemd shows of a unit and of itself.

use units::{ActiveState, UnitKind, UnitName};

use super::{Emit, each};
use crate::exposition::Kind::{self, Counter, Gauge};
use crate::exposition::Value::{Micros, Signed, Whole};
use crate::table::UnitEntry;
use crate::tree::Tree;

/// A metric of units as systemd shows them.
pub struct StateMetric {
    /// Its name.
    pub name: &'static str,
    /// How it counts.
    pub kind: Kind,
    /// What it means.
    pub help: &'static str,
    /// Its samples for one unit.
    pub samples: fn(&Shown<'_>, &mut Emit<'_>),
}

/// One unit as its metrics see it.
pub struct Shown<'t> {
    /// Which unit.
    pub name: &'t UnitName,
    /// What systemd shows of it.
    pub entry: &'t UnitEntry,
    /// Where its control group is, if it has one.
    pub tree: &'t Tree,
    /// How far the clock of the world is ahead of the monotonic one.
    pub monotonic_offset_usec: u64,
}

impl Shown<'_> {
    /// `slice="…"`, with an empty value where the unit has no cgroup.
    fn slice_label(&self) -> &str {
        let group = self.tree.units().get(self.name.as_str());
        group.map_or("slice=\"\"", |group| &group.slice_label)
    }
}

/// What systemd shows.
pub const STATES: &[StateMetric] = &[
    StateMetric {
        name: "systemd_unit_state",
        kind: Gauge,
        help: "Whether the unit is in this state; reloading and refreshing count as active.",
        samples: |shown, emit| {
            for (label, states) in STATE_LABELS {
                let is_in = states.contains(&shown.entry.active_state);
                emit(&[label], Whole(is_in.into()));
            }
        },
    },
    StateMetric {
        name: "systemd_unit_info",
        kind: Gauge,
        help: "What the unit is: its type, slice, load state and finer state.",
        samples: |shown, emit| {
            let entry = shown.entry;
            let labels = [
                ",type=\"",
                shown.name.kind().suffix(),
                "\",",
                shown.slice_label(),
                ",load_state=\"",
                entry.load_state.as_str(),
                "\",sub_state=\"",
                &entry.sub_state,
                "\"",
            ];
            emit(&labels, Whole(1));
        },
    },
    StateMetric {
        name: "systemd_unit_start_time_seconds",
        kind: Gauge,
        help: "When the unit last became active, in seconds since the epoch.",
        samples: |shown, emit| each(shown.entry.start_usec().map(Micros), emit),
    },
    StateMetric {
        name: "systemd_unit_invocations_total",
        kind: Counter,
        help: "Runs of the unit that began while the exporter watched, whoever asked for them.",
        samples: |shown, emit| emit(&[], Whole(shown.entry.invocations)),
    },
    StateMetric {
        name: "systemd_service_restart_total",
        kind: Counter,
        help: "Automatic restarts by systemd since the service was last started by hand.",
        samples: |shown, emit| each(shown.entry.shown.n_restarts.map(|n| Whole(n.into())), emit),
    },
    StateMetric {
        name: "systemd_service_result",
        kind: Gauge,
        help: "The result of the service's last run, in systemd's words.",
        samples: |shown, emit| {
            if shown.name.kind() == UnitKind::Service
                && let Some(result) = &shown.entry.shown.result
            {
                emit(&[",result=\"", result, "\""], Whole(1));
            }
        },
    },
    StateMetric {
        name: "systemd_service_exec_main_status",
        kind: Gauge,
        help: "Exit status or signal of the service's main process when it last ended.",
        samples: |shown, emit| {
            let status = shown.entry.shown.exec_main_status;
            each(status.map(|status| Signed(status.into())), emit);
        },
    },
    StateMetric {
        name: "systemd_timer_last_trigger_seconds",
        kind: Gauge,
        help: "When the timer last elapsed, in seconds since the epoch.",
        samples: |shown, emit| each(shown.entry.last_trigger_usec().map(Micros), emit),
    },
    StateMetric {
        name: "systemd_timer_next_elapse_seconds",
        kind: Gauge,
        help: "When the timer elapses next, in seconds since the epoch.",
        samples: |shown, emit| {
            let next = shown.entry.next_elapse_usec(shown.monotonic_offset_usec);
            each(next.map(Micros), emit);
        },
    },
    StateMetric {
        name: "systemd_socket_accepted_connections_total",
        kind: Counter,
        help: "Connections that the socket has accepted.",
        samples: |shown, emit| count(shown, shown.entry.shown.accepted.map(u64::from), emit),
    },
    StateMetric {
        name: "systemd_socket_current_connections",
        kind: Gauge,
        help: "Connections of the socket that are open now.",
        samples: |shown, emit| count(shown, shown.entry.shown.connections.map(u64::from), emit),
    },
    StateMetric {
        name: "systemd_socket_refused_connections_total",
        kind: Counter,
        help: "Connections that the socket has refused.",
        samples: |shown, emit| count(shown, shown.entry.shown.refused.map(u64::from), emit),
    },
    StateMetric {
        name: "systemd_unit_ip_ingress_bytes_total",
        kind: Counter,
        help: "Bytes that the unit has received over IP.",
        samples: |shown, emit| count(shown, shown.entry.shown.ip_ingress_bytes, emit),
    },
    StateMetric {
        name: "systemd_unit_ip_ingress_packets_total",
        kind: Counter,
        help: "Packets that the unit has received over IP.",
        samples: |shown, emit| count(shown, shown.entry.shown.ip_ingress_packets, emit),
    },
    StateMetric {
        name: "systemd_unit_ip_egress_bytes_total",
        kind: Counter,
        help: "Bytes that the unit has sent over IP.",
        samples: |shown, emit| count(shown, shown.entry.shown.ip_egress_bytes, emit),
    },
    StateMetric {
        name: "systemd_unit_ip_egress_packets_total",
        kind: Counter,
        help: "Packets that the unit has sent over IP.",
        samples: |shown, emit| count(shown, shown.entry.shown.ip_egress_packets, emit),
    },
    StateMetric {
        name: "systemd_service_watchdog_seconds",
        kind: Gauge,
        help: "How often the service must ping systemd's watchdog.",
        samples: |shown, emit| each(shown.entry.watchdog_usec().map(Micros), emit),
    },
    StateMetric {
        name: "systemd_service_watchdog_last_ping_seconds",
        kind: Gauge,
        help: "When the service last pinged the watchdog, in seconds since the epoch.",
        samples: |shown, emit| each(shown.entry.watchdog_last_ping_usec().map(Micros), emit),
    },
];

const STATE_LABELS: [(&str, &[ActiveState]); 5] = [
    (
        ",state=\"active\"",
        &[
            ActiveState::Active,
            ActiveState::Reloading,
            ActiveState::Refreshing,
        ],
    ),
    (",state=\"activating\"", &[ActiveState::Activating]),
    (",state=\"deactivating\"", &[ActiveState::Deactivating]),
    (
        ",state=\"inactive\"",
        &[ActiveState::Inactive, ActiveState::Maintenance],
    ),
    (",state=\"failed\"", &[ActiveState::Failed]),
];

/// Whether the whole system is up and nothing has failed.
pub const SYSTEM_RUNNING: (&str, &str) = (
    "systemd_system_running",
    "Whether systemd says that the system is running: up, and no unit failed.",
);

/// systemd's version as a number, and whole in a label.
pub const VERSION: (&str, &str) = ("systemd_version", "The version of systemd.");

fn count(shown: &Shown<'_>, count: Option<u64>, emit: &mut Emit<'_>) {
    each(shown.entry.count_while_up(count).map(Whole), emit);
}
