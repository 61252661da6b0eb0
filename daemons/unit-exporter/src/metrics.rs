//! Every metric: its name, its meaning, and where its value comes from.
//!
//! Units' metrics are declared as data and rendered by [`crate::render`]; the exporter's own are in
//! a registry. `docs/metrics.md` lists them all, which a test holds it to.

use prometheus::{Encoder, GaugeVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use units::{ActiveState, UnitKind, UnitName};

use crate::collect::Report;
use crate::devices::Devices;
use crate::exposition::Kind::{self, Counter, Gauge as GaugeKind};
use crate::exposition::Value::{self, Micros, Signed, Whole};
use crate::reading::Reading;
use crate::table::UnitEntry;

/// Takes one sample: labels after `unit`, each part as it is to be written, and the value.
pub type Emit<'e> = dyn FnMut(&[&str], Value) + 'e;

/// A metric of units that have a cgroup.
pub struct GroupMetric {
    /// Its name.
    pub name: &'static str,
    /// How it counts.
    pub kind: Kind,
    /// What it means.
    pub help: &'static str,
    /// Its samples for one unit.
    pub samples: fn(&Reading, &Devices, &mut Emit<'_>),
}

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
    /// `slice="…"`, with an empty value where the unit has no cgroup.
    pub slice_label: &'t str,
    /// How far the clock of the world is ahead of the monotonic one.
    pub monotonic_offset_usec: u64,
}

/// What systemd shows.
pub const STATES: &[StateMetric] = &[
    StateMetric {
        name: "systemd_unit_state",
        kind: GaugeKind,
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
        kind: GaugeKind,
        help: "What the unit is: its type, slice, load state and finer state.",
        samples: |shown, emit| {
            let entry = shown.entry;
            let labels = [
                ",type=\"",
                shown.name.kind().suffix(),
                "\",",
                shown.slice_label,
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
        kind: GaugeKind,
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
        kind: GaugeKind,
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
        kind: GaugeKind,
        help: "Exit status or signal of the service's main process when it last ended.",
        samples: |shown, emit| {
            let status = shown.entry.shown.exec_main_status;
            each(status.map(|status| Signed(status.into())), emit);
        },
    },
    StateMetric {
        name: "systemd_timer_last_trigger_seconds",
        kind: GaugeKind,
        help: "When the timer last elapsed, in seconds since the epoch.",
        samples: |shown, emit| each(shown.entry.last_trigger_usec().map(Micros), emit),
    },
    StateMetric {
        name: "systemd_timer_next_elapse_seconds",
        kind: GaugeKind,
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
        kind: GaugeKind,
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
        kind: GaugeKind,
        help: "How often the service must ping systemd's watchdog.",
        samples: |shown, emit| each(shown.entry.watchdog_usec().map(Micros), emit),
    },
    StateMetric {
        name: "systemd_service_watchdog_last_ping_seconds",
        kind: GaugeKind,
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

/// What the kernel counts.
pub const GROUPS: &[GroupMetric] = &[
    GroupMetric {
        name: "systemd_unit_cpu_seconds_total",
        kind: Counter,
        help: "CPU time that the unit's processes have used.",
        samples: |reading, _, emit| {
            if let Some(cpu) = reading.cpu {
                emit(&[",mode=\"user\""], Micros(cpu.user_usec));
                emit(&[",mode=\"system\""], Micros(cpu.system_usec));
            }
        },
    },
    GroupMetric {
        name: "systemd_unit_cpu_periods_total",
        kind: Counter,
        help: "Periods in which the unit's CPU quota was enforced.",
        samples: |reading, _, emit| each(reading.cpu.and_then(|c| c.periods).map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_cpu_throttled_periods_total",
        kind: Counter,
        help: "Periods in which the unit used up its CPU quota and was held back.",
        samples: |reading, _, emit| {
            each(
                reading.cpu.and_then(|c| c.throttled_periods).map(Whole),
                emit,
            );
        },
    },
    GroupMetric {
        name: "systemd_unit_cpu_throttled_seconds_total",
        kind: Counter,
        help: "Time for which the unit was held back by its CPU quota.",
        samples: |reading, _, emit| {
            each(reading.cpu.and_then(|c| c.throttled_usec).map(Micros), emit);
        },
    },
    GroupMetric {
        name: "systemd_unit_memory_current_bytes",
        kind: GaugeKind,
        help: "Memory in use by the unit, file cache included.",
        samples: |reading, _, emit| each(reading.memory_current.map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_working_set_bytes",
        kind: GaugeKind,
        help: "Memory in use by the unit, without file cache that nobody has touched lately.",
        samples: |reading, _, emit| each(reading.memory_working_set().map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_anon_bytes",
        kind: GaugeKind,
        help: "Memory of the unit that no file stands behind.",
        samples: |reading, _, emit| each(reading.memory_stat.map(|s| Whole(s.anon)), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_file_bytes",
        kind: GaugeKind,
        help: "File cache of the unit.",
        samples: |reading, _, emit| each(reading.memory_stat.map(|s| Whole(s.file)), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_swap_bytes",
        kind: GaugeKind,
        help: "Swap in use by the unit.",
        samples: |reading, _, emit| each(reading.memory_swap_current.map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_peak_bytes",
        kind: GaugeKind,
        help: "The most memory that the unit has had in use.",
        samples: |reading, _, emit| each(reading.memory_peak.map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_max_bytes",
        kind: GaugeKind,
        help: "MemoryMax= of the unit; left out where there is none.",
        samples: |reading, _, emit| each(reading.limits.memory_max.map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_high_bytes",
        kind: GaugeKind,
        help: "MemoryHigh= of the unit; left out where there is none.",
        samples: |reading, _, emit| each(reading.limits.memory_high.map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_events_total",
        kind: Counter,
        help: "How often the unit ran into a memory limit or was killed for it.",
        samples: |reading, _, emit| {
            if let Some(events) = reading.memory_events {
                emit(&[",event=\"high\""], Whole(events.high));
                emit(&[",event=\"max\""], Whole(events.max));
                emit(&[",event=\"oom\""], Whole(events.oom));
                emit(&[",event=\"oom_kill\""], Whole(events.oom_kill));
            }
        },
    },
    GroupMetric {
        name: "systemd_unit_processes_resident_memory_bytes",
        kind: GaugeKind,
        help: "Resident memory of the unit's processes, summed, where the kernel has no memory \
               controller for it; shared pages count once per process.",
        samples: |reading, _, emit| each(reading.processes_resident().map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_tasks_current",
        kind: GaugeKind,
        help: "Tasks (threads) of the unit; counted by process where there is no pids controller.",
        samples: |reading, _, emit| each(reading.tasks().map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_tasks_max",
        kind: GaugeKind,
        help: "TasksMax= of the unit; left out where there is none.",
        samples: |reading, _, emit| each(reading.limits.tasks_max.map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_pids_max_events_total",
        kind: Counter,
        help: "How often a fork failed at the unit's TasksMax=.",
        samples: |reading, _, emit| each(reading.pids_max_events.map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_io_read_bytes_total",
        kind: Counter,
        help: "Bytes that the unit has read from this device.",
        samples: |reading, devices, emit| {
            for io in &reading.io {
                emit(&[devices.label(io.device)], Whole(io.read_bytes));
            }
        },
    },
    GroupMetric {
        name: "systemd_unit_io_written_bytes_total",
        kind: Counter,
        help: "Bytes that the unit has written to this device.",
        samples: |reading, devices, emit| {
            for io in &reading.io {
                emit(&[devices.label(io.device)], Whole(io.written_bytes));
            }
        },
    },
    GroupMetric {
        name: "systemd_unit_io_reads_total",
        kind: Counter,
        help: "Read operations of the unit on this device.",
        samples: |reading, devices, emit| {
            for io in &reading.io {
                emit(&[devices.label(io.device)], Whole(io.reads));
            }
        },
    },
    GroupMetric {
        name: "systemd_unit_io_writes_total",
        kind: Counter,
        help: "Write operations of the unit on this device.",
        samples: |reading, devices, emit| {
            for io in &reading.io {
                emit(&[devices.label(io.device)], Whole(io.writes));
            }
        },
    },
    GroupMetric {
        name: "systemd_unit_pressure_seconds_total",
        kind: Counter,
        help: "Time for which some or all of the unit's tasks waited for this resource.",
        samples: |reading, _, emit| {
            let resources = [
                (",resource=\"cpu\"", reading.cpu_pressure),
                (",resource=\"memory\"", reading.memory_pressure),
                (",resource=\"io\"", reading.io_pressure),
            ];
            for (resource, pressure) in resources {
                if let Some(pressure) = pressure {
                    emit(&[resource, ",kind=\"some\""], Micros(pressure.some_usec));
                    if let Some(full) = pressure.full_usec {
                        emit(&[resource, ",kind=\"full\""], Micros(full));
                    }
                }
            }
        },
    },
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

fn each(value: Option<Value>, emit: &mut Emit<'_>) {
    if let Some(value) = value {
        emit(&[], value);
    }
}

/// The exporter's own metrics.
#[derive(Debug)]
pub struct OwnMetrics {
    registry: Registry,
    duration: GaugeVec,
    success: IntGaugeVec,
    units: IntGauge,
    kept_files: IntGauge,
}

impl OwnMetrics {
    /// All of them, registered.
    ///
    /// # Errors
    /// Never in practice: names and labels are constants, and a test registers them.
    pub fn try_new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let duration = GaugeVec::new(
            Opts::new(
                "unit_exporter_collector_duration_seconds",
                "How long the collector took: in the last scrape, for systemd in its last sync.",
            ),
            &["collector"],
        )?;
        let success = IntGaugeVec::new(
            Opts::new(
                "unit_exporter_collector_success",
                "Whether the collector read everything that it should.",
            ),
            &["collector"],
        )?;
        let units = IntGauge::new("unit_exporter_units", "Units that are measured.")?;
        let kept_files = IntGauge::new(
            "unit_exporter_kept_files",
            "Files that are kept open between scrapes.",
        )?;
        let build = IntGaugeVec::new(
            Opts::new("unit_exporter_build_info", "The version of the exporter."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(success.clone()))?;
        registry.register(Box::new(units.clone()))?;
        registry.register(Box::new(kept_files.clone()))?;
        registry.register(Box::new(build))?;
        Ok(Self {
            registry,
            duration,
            success,
            units,
            kept_files,
        })
    }

    /// Notes how a collector did.
    pub fn report(&self, report: &Report) {
        let labels = &[report.collector];
        self.duration
            .with_label_values(labels)
            .set(report.duration.as_secs_f64());
        self.success
            .with_label_values(labels)
            .set(report.error.is_none().into());
    }

    /// Notes how many units there are.
    pub fn units(&self, count: usize) {
        self.units.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Notes how many files are kept open.
    pub fn kept_files(&self, count: usize) {
        self.kept_files
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Appends them to an exposition.
    ///
    /// # Errors
    /// Never in practice: a buffer takes every write.
    pub fn write(&self, text: &mut Vec<u8>) -> prometheus::Result<()> {
        TextEncoder::new().encode(&self.registry.gather(), text)
    }
}
