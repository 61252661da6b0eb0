//! One pass over the cgroup files, collector by collector.

use std::time::{Duration, Instant};

use crate::cgroup_text::{self as text, Malformed};
use crate::config::Collectors;
use crate::processes::Processes;
use crate::reading::Reading;
use crate::tree::{Outcome, Tree};
use crate::unit_group::CgroupFile;

/// What a collector is called in metrics and in the configuration.
pub type Name = &'static str;

/// How one collector did.
#[derive(Debug)]
pub struct Report {
    /// Which one.
    pub collector: Name,
    /// How long it took.
    pub duration: Duration,
    /// The first thing that went wrong; none is success.
    pub error: Option<String>,
}

/// A collector's name, whether it is switched on, and what it does.
type Pass = (Name, bool, fn(&mut Collector, Instant) -> Outcome);

/// Reads the cgroup files of all units.
#[derive(Debug)]
pub struct Collector {
    tree: Tree,
    processes: Processes,
    enabled: Collectors,
}

impl Collector {
    /// A collector of what is enabled.
    pub fn new(tree: Tree, processes: Processes, enabled: Collectors) -> Self {
        Self {
            tree,
            processes,
            enabled,
        }
    }

    /// The units and what was read of them.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Reads everything that is enabled, until `deadline` at the latest; what was not reached is
    /// left out and its collector reported as failed.
    pub fn collect(&mut self, deadline: Instant) -> Vec<Report> {
        let mut reports = Vec::new();
        let walked = timed("tree", &mut reports, || match self.tree.refresh() {
            Ok(()) => Outcome::default(),
            Err(error) => Outcome::failed(format!("{}: {error}", self.tree.root().display())),
        });
        if !walked {
            return reports;
        }
        for (collector, enabled, read) in self.passes() {
            if enabled {
                timed(collector, &mut reports, || read(self, deadline));
            }
        }
        reports
    }

    fn passes(&self) -> [Pass; 6] {
        let on = self.enabled;
        [
            ("memory", on.memory, Self::memory),
            ("cpu", on.cpu, Self::cpu),
            ("io", on.io, Self::io),
            ("pids", on.pids, Self::pids),
            ("pressure", on.pressure, Self::pressure),
            ("processes", on.processes, Self::processes),
        ]
    }

    fn cpu(&mut self, deadline: Instant) -> Outcome {
        self.tree
            .read_each(CgroupFile::CpuStat, deadline, |reading, found| {
                reading.cpu = Some(text::cpu(found)?);
                Ok(())
            })
    }

    fn memory(&mut self, deadline: Instant) -> Outcome {
        type Take = fn(&mut Reading, &str) -> Result<(), Malformed>;
        const FILES: [(CgroupFile, Take); 7] = [
            (CgroupFile::MemoryStat, |reading, found| {
                reading.memory_stat = Some(text::memory_stat(found)?);
                Ok(())
            }),
            (CgroupFile::MemoryCurrent, |reading, found| {
                reading.memory_current = Some(text::single(found)?);
                Ok(())
            }),
            (CgroupFile::MemoryEvents, |reading, found| {
                reading.memory_events = Some(text::memory_events(found)?);
                Ok(())
            }),
            (CgroupFile::MemorySwapCurrent, |reading, found| {
                reading.memory_swap_current = Some(text::single(found)?);
                Ok(())
            }),
            (CgroupFile::MemoryPeak, |reading, found| {
                reading.memory_peak = Some(text::single(found)?);
                Ok(())
            }),
            (CgroupFile::MemoryMax, |reading, found| {
                reading.limits.memory_max = text::limit(found)?;
                Ok(())
            }),
            (CgroupFile::MemoryHigh, |reading, found| {
                reading.limits.memory_high = text::limit(found)?;
                Ok(())
            }),
        ];
        let tree = &mut self.tree;
        joined(FILES.map(|(file, take)| tree.read_each(file, deadline, take)))
    }

    fn io(&mut self, deadline: Instant) -> Outcome {
        self.tree
            .read_each(CgroupFile::IoStat, deadline, |reading, found| {
                reading.io = text::io(found)?;
                Ok(())
            })
    }

    fn pids(&mut self, deadline: Instant) -> Outcome {
        let tree = &mut self.tree;
        joined([
            tree.read_each(CgroupFile::PidsCurrent, deadline, |reading, found| {
                reading.tasks_current = Some(text::single(found)?);
                Ok(())
            }),
            tree.read_each(CgroupFile::PidsMax, deadline, |reading, found| {
                reading.limits.tasks_max = text::limit(found)?;
                Ok(())
            }),
            tree.read_each(CgroupFile::PidsEvents, deadline, |reading, found| {
                reading.pids_max_events = Some(text::pids_events(found)?);
                Ok(())
            }),
        ])
    }

    fn pressure(&mut self, deadline: Instant) -> Outcome {
        let tree = &mut self.tree;
        joined([
            tree.read_each(CgroupFile::CpuPressure, deadline, |reading, found| {
                reading.cpu_stalls.note(text::pressure(found)?);
                Ok(())
            }),
            tree.read_each(CgroupFile::MemoryPressure, deadline, |reading, found| {
                reading.memory_stalls.note(text::pressure(found)?);
                Ok(())
            }),
            tree.read_each(CgroupFile::IoPressure, deadline, |reading, found| {
                reading.io_stalls.note(text::pressure(found)?);
                Ok(())
            }),
        ])
    }

    /// Where a controller is absent, what the processes themselves show.
    fn processes(&mut self, deadline: Instant) -> Outcome {
        if let Err(error) = self.processes.begin() {
            return Outcome::failed(format!("procfs: {error}"));
        }
        let processes = &self.processes;
        self.tree.read_processes(
            deadline,
            |unit| unit.lacks(CgroupFile::MemoryCurrent) || unit.lacks(CgroupFile::PidsCurrent),
            |reading, list| {
                let usage = processes.usage(list);
                let total = reading.processes.get_or_insert_default();
                total.resident_bytes += usage.resident_bytes;
                total.threads += usage.threads;
            },
        )
    }
}

fn timed(collector: Name, reports: &mut Vec<Report>, read: impl FnOnce() -> Outcome) -> bool {
    let started = Instant::now();
    let outcome = read();
    let error = match outcome {
        Outcome {
            out_of_time: true, ..
        } => Some("the scrape's time was over".to_owned()),
        Outcome { error, .. } => error,
    };
    let is_success = error.is_none();
    reports.push(Report {
        collector,
        duration: started.elapsed(),
        error,
    });
    is_success
}

fn joined<const N: usize>(outcomes: [Outcome; N]) -> Outcome {
    let mut all = Outcome::default();
    for outcome in outcomes {
        all.out_of_time |= outcome.out_of_time;
        all.error = all.error.or(outcome.error);
    }
    all
}
