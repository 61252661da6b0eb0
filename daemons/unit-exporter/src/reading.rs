//! What one scrape learns of one unit's cgroup. `None`: the kernel does not offer it, or the unit
//! went away before it was read.

use crate::cgroup_text::{Cpu, DeviceIo, MemoryEvents, MemoryStat, Pressure};
use crate::processes::Usage;
use crate::unit_group::CgroupFile;

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
    /// This and what follows stays from scrape to scrape while the unit is idle.
    pub tasks_current: Option<u64>,
    pub pids_max_events: Option<u64>,
    pub cpu_stalls: Stalls,
    pub memory_stalls: Stalls,
    pub io_stalls: Stalls,
    /// What the unit's processes show themselves, where a controller is absent.
    pub processes: Option<Usage>,
    pub limits: Limits,
}

/// A pressure file, and whether it still moves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stalls {
    shown: Option<Pressure>,
    last_read: Option<Pressure>,
    is_settled: bool,
}

impl Stalls {
    /// What the file said.
    pub fn shown(self) -> Option<Pressure> {
        self.shown
    }

    /// Takes over what the file says now.
    pub fn note(&mut self, found: Pressure) {
        self.is_settled = self.last_read == Some(found);
        self.last_read = Some(found);
        self.shown = Some(found);
    }
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
            tasks_current: self.tasks_current,
            pids_max_events: self.pids_max_events,
            cpu_stalls: self.cpu_stalls,
            memory_stalls: self.memory_stalls,
            io_stalls: self.io_stalls,
            processes: self.processes,
            limits: self.limits,
            ..Self::default()
        };
    }

    /// Whether the file still says what it said at the last scrape.
    ///
    /// Only running processes begin and end others, meet a limit, allocate, or begin to wait for
    /// memory or a device. While none has run, all that can move is a wait that had begun before,
    /// and then the file moved between the last two readings. A process that was woken and has got
    /// no processor ever since is seen late: as soon as it runs.
    pub fn stays(&self, file: CgroupFile) -> bool {
        self.is_idle()
            && match file {
                CgroupFile::PidsCurrent | CgroupFile::PidsEvents | CgroupFile::Procs => true,
                CgroupFile::CpuPressure => self.cpu_stalls.is_settled,
                CgroupFile::MemoryPressure => self.memory_stalls.is_settled,
                CgroupFile::IoPressure => self.io_stalls.is_settled,
                _ => false,
            }
    }

    /// Empties what stays from scrape to scrape, before it is read again: the unit may be gone.
    pub fn forget(&mut self, file: CgroupFile) {
        match file {
            CgroupFile::PidsCurrent => self.tasks_current = None,
            CgroupFile::PidsEvents => self.pids_max_events = None,
            CgroupFile::Procs => self.processes = None,
            CgroupFile::CpuPressure => self.cpu_stalls.shown = None,
            CgroupFile::MemoryPressure => self.memory_stalls.shown = None,
            CgroupFile::IoPressure => self.io_stalls.shown = None,
            _ => {}
        }
    }

    /// Whether the unit's processes have not run since the last scrape.
    fn is_idle(&self) -> bool {
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
