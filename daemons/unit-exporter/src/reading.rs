//! What one scrape learns of one unit's cgroup. `None`: the kernel does not offer it, or the unit
//! went away before it was read.

use crate::cgroup_text::{Cpu, DeviceIo, MemoryEvents, MemoryStat, Pressure};

/// The figures of one unit. Bytes, microseconds and counts, as the kernel gives them.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // Named after the files that they come from.
pub struct Reading {
    pub cpu: Option<Cpu>,
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
    /// The resident memory of the unit's processes, summed.
    pub processes_resident: Option<u64>,
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
    /// Empties everything but the limits, which are not read at each scrape.
    pub fn begin(&mut self) {
        let mut io = std::mem::take(&mut self.io);
        io.clear();
        *self = Self {
            io,
            limits: self.limits,
            ..Self::default()
        };
    }

    /// Memory that cannot be had back without work: in use, minus the file cache that nobody has
    /// touched lately.
    pub fn memory_working_set(&self) -> Option<u64> {
        let reclaimable = self.memory_stat?.inactive_file;
        Some(self.memory_current?.saturating_sub(reclaimable))
    }
}
