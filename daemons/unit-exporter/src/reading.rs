//! What one scrape learns of one unit's cgroup. `None`: the kernel does not offer it, or the unit
//! went away before it was read.

use crate::cgroup_text::{Cpu, DeviceIo, MemoryEvents, MemoryStat, Pressure};
use crate::processes::Usage;

/// The figures of one unit. Bytes, microseconds and counts, as the kernel gives them.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // Named after the files that they come from.
pub struct Reading {
    pub cpu: Option<Cpu>,
    /// What the last scrape read there.
    cpu_before: Option<Cpu>,
    pub memory_current: Option<u64>,
    pub memory_stat: Option<MemoryStat>,
    pub memory_events: Option<MemoryEvents>,
    pub memory_swap_current: Option<u64>,
    pub memory_peak: Option<u64>,
    pub io: Vec<DeviceIo>,
    pub tasks_current: Option<u64>,
    pub pids_max_events: Option<u64>,
    pub cpu_pressure: Option<Pressure>,
    pub memory_pressure: Option<Pressure>,
    pub io_pressure: Option<Pressure>,
    /// What the unit's processes show themselves, where a controller is absent. Stays from scrape
    /// to scrape while the unit is idle.
    pub processes: Option<Usage>,
    pub limits: Limits,
}

/// What an administrator sets, and therefore seldom changes. `None`: no limit, or none known.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // Named after the files that they come from.
pub struct Limits {
    pub memory_max: Option<u64>,
    pub memory_high: Option<u64>,
    pub tasks_max: Option<u64>,
}

impl Reading {
    /// Empties everything but what is not read at each scrape.
    pub fn begin(&mut self) {
        let mut io = std::mem::take(&mut self.io);
        io.clear();
        *self = Self {
            io,
            cpu_before: self.cpu,
            processes: self.processes,
            limits: self.limits,
            ..Self::default()
        };
    }

    /// Whether the unit's processes have not run since the last scrape. Then they are the same, and
    /// have no more memory than before.
    pub fn is_idle(&self) -> bool {
        self.cpu.is_some() && self.cpu == self.cpu_before
    }

    /// Memory that cannot be had back without work: in use, minus the file cache that nobody has
    /// touched lately.
    pub fn memory_working_set(&self) -> Option<u64> {
        let reclaimable = self.memory_stat?.inactive_file;
        Some(self.memory_current?.saturating_sub(reclaimable))
    }

    /// The resident memory of the unit's processes, where the kernel keeps no figure by unit.
    pub fn processes_resident(&self) -> Option<u64> {
        let is_fallback = self.memory_current.is_none();
        let usage = self.processes.filter(|_| is_fallback)?;
        Some(usage.resident_bytes)
    }

    /// The unit's tasks, by the kernel's count or else by the processes' own.
    pub fn tasks(&self) -> Option<u64> {
        self.tasks_current.or_else(|| Some(self.processes?.threads))
    }
}
