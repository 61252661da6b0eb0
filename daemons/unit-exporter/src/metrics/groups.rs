//! What the kernel counts of a unit, from the files of its cgroup.

use super::{Emit, each};
use crate::devices::Devices;
use crate::exposition::Kind::{self, Counter, Gauge};
use crate::exposition::Value::{Micros, Whole};
use crate::reading::Reading;

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
        kind: Gauge,
        help: "Memory in use by the unit, file cache included.",
        samples: |reading, _, emit| each(reading.memory_current.map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_working_set_bytes",
        kind: Gauge,
        help: "Memory in use by the unit, without file cache that nobody has touched lately.",
        samples: |reading, _, emit| each(reading.memory_working_set().map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_anon_bytes",
        kind: Gauge,
        help: "Memory of the unit that no file stands behind.",
        samples: |reading, _, emit| each(reading.memory_stat.map(|s| Whole(s.anon)), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_file_bytes",
        kind: Gauge,
        help: "File cache of the unit.",
        samples: |reading, _, emit| each(reading.memory_stat.map(|s| Whole(s.file)), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_swap_bytes",
        kind: Gauge,
        help: "Swap in use by the unit.",
        samples: |reading, _, emit| each(reading.memory_swap_current.map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_peak_bytes",
        kind: Gauge,
        help: "The most memory that the unit has had in use.",
        samples: |reading, _, emit| each(reading.memory_peak.map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_max_bytes",
        kind: Gauge,
        help: "MemoryMax= of the unit; left out where there is none.",
        samples: |reading, _, emit| each(reading.limits.memory_max.map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_memory_high_bytes",
        kind: Gauge,
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
        kind: Gauge,
        help: "Resident memory of the unit's processes, summed, where the kernel has no memory \
               controller for it; shared pages count once per process.",
        samples: |reading, _, emit| each(reading.processes_resident().map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_tasks_current",
        kind: Gauge,
        help: "Tasks (threads) of the unit; counted by process where there is no pids controller.",
        samples: |reading, _, emit| each(reading.tasks().map(Whole), emit),
    },
    GroupMetric {
        name: "systemd_unit_tasks_max",
        kind: Gauge,
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
                (",resource=\"cpu\"", reading.cpu_stalls.shown()),
                (",resource=\"memory\"", reading.memory_stalls.shown()),
                (",resource=\"io\"", reading.io_stalls.shown()),
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
