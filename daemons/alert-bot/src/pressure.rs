//! How hard a unit and its host are pressed, and whether the unit was killed for want of memory:
//! the kernel's own files below `/sys/fs/cgroup`, which need no privilege to read.
//!
//! Formats: <https://docs.kernel.org/admin-guide/cgroup-v2.html>,
//! <https://docs.kernel.org/accounting/psi.html>

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use remediation::{Percent, Pressure};
use units::UnitName;

/// Slices within slices that are searched for a unit; real trees have one or two levels.
const MAX_DEPTH: usize = 6;

/// What the control group of a unit tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    pub(crate) pressure: Pressure,
    /// `memory.events` of the unit: how often it was reclaimed, limited, killed.
    pub(crate) memory_events: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Periods {
    all: u64,
    throttled: u64,
}

/// The tree of control groups.
#[derive(Debug)]
pub(crate) struct Cgroups {
    root: PathBuf,
    /// What `cpu.stat` said of a unit at the last look.
    last: Mutex<HashMap<UnitName, Periods>>,
}

impl Cgroups {
    pub(crate) fn at(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            last: Mutex::default(),
        }
    }

    /// Reads what is there. What the kernel does not offer, or what vanishes meanwhile, is `None`.
    pub(crate) fn read(&self, unit: Option<&UnitName>) -> Reading {
        let own = unit.and_then(|unit| Some((unit, find(&self.root, unit, MAX_DEPTH)?)));
        let mut reading = Reading::default();
        reading.pressure.memory = average(&self.root.join("memory.pressure"), "full");
        if let Some((unit, group)) = own {
            reading.pressure.cpu = average(&group.join("cpu.pressure"), "some");
            reading.pressure.throttled = self.throttled(unit, &group);
            reading.memory_events = counters(&group.join("memory.events"));
        }
        reading
    }

    /// Since the last look; at the first one, since the unit was started.
    fn throttled(&self, unit: &UnitName, group: &Path) -> Option<Percent> {
        let stat = counters(&group.join("cpu.stat"));
        let now = Periods {
            all: *stat.get("nr_periods")?,
            throttled: *stat.get("nr_throttled")?,
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.insert(unit.clone(), now).unwrap_or_default();
        // A unit that was started anew counts from 0 again.
        let before = if before.all > now.all {
            Periods::default()
        } else {
            before
        };
        let part = now.throttled.saturating_sub(before.throttled);
        let whole = now.all - before.all;
        Some(Percent::of(
            usize::try_from(part).ok()?,
            usize::try_from(whole).ok()?,
        ))
    }
}

/// The unit's group: right here, or below one of the slices.
fn find(directory: &Path, unit: &UnitName, depth: usize) -> Option<PathBuf> {
    let here = directory.join(unit.as_str());
    if here.is_dir() {
        return Some(here);
    }
    if depth == 0 {
        return None;
    }
    let entries = fs::read_dir(directory).ok()?.flatten();
    let slices = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "slice"));
    slices
        .into_iter()
        .find_map(|slice| find(&slice, unit, depth - 1))
}

/// `avg10` of the line that begins with `kind`, as in `some avg10=1.53 avg60=0.87 … total=…`.
fn average(file: &Path, kind: &str) -> Option<Percent> {
    let text = fs::read_to_string(file).ok()?;
    let mut fields = text
        .lines()
        .map(str::split_whitespace)
        .find_map(|mut fields| (fields.next() == Some(kind)).then_some(fields))?;
    let average = fields.find_map(|field| field.strip_prefix("avg10="))?;
    average.parse().ok().map(Percent::from_f64)
}

/// Lines of `name number`.
fn counters(file: &Path) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs
        .filter_map(|(name, number)| Some((name.to_owned(), number.trim().parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_unit_is_found_below_its_slice_and_read() {
        let root = tempfile::tempdir().unwrap();
        let group = "stack.slice/stack-workload.slice/api.service";
        write(
            root.path(),
            "memory.pressure",
            "some avg10=9.00 avg60=1.00 avg300=0.00 total=1\nfull avg10=2.50 avg60=1.00 avg300=0.00 total=1\n",
        );
        write(
            root.path(),
            &format!("{group}/cpu.pressure"),
            "some avg10=81.25 avg60=1.00 avg300=0.00 total=1\n",
        );
        write(
            root.path(),
            &format!("{group}/cpu.stat"),
            "usage_usec 1\nnr_periods 100\nnr_throttled 40\n",
        );
        write(
            root.path(),
            &format!("{group}/memory.events"),
            "low 0\noom_kill 2\n",
        );
        let unit: UnitName = "api.service".parse().unwrap();
        let cgroups = Cgroups::at(root.path());

        let first = cgroups.read(Some(&unit));
        assert_eq!(first.pressure.memory, Some(Percent::from_f64(2.5)));
        assert_eq!(first.pressure.cpu, Some(Percent::from_f64(81.25)));
        assert_eq!(first.pressure.throttled, Some(Percent::of(40, 100)));
        assert_eq!(first.memory_events["oom_kill"], 2);

        write(
            root.path(),
            &format!("{group}/cpu.stat"),
            "nr_periods 200\nnr_throttled 50\n",
        );
        assert_eq!(
            cgroups.read(Some(&unit)).pressure.throttled,
            Some(Percent::of(10, 100))
        );
        write(
            root.path(),
            &format!("{group}/cpu.stat"),
            "nr_periods 10\nnr_throttled 5\n",
        );
        assert_eq!(
            cgroups.read(Some(&unit)).pressure.throttled,
            Some(Percent::of(5, 10))
        );
    }

    #[test]
    fn what_is_not_there_or_not_readable_is_unknown() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "memory.pressure", "full avg10=high\n");
        write(root.path(), "system.slice/api.service/cpu.pressure", "");
        let unit: UnitName = "api.service".parse().unwrap();
        assert_eq!(
            Cgroups::at(root.path()).read(Some(&unit)),
            Reading::default()
        );
        assert_eq!(
            Cgroups::at("/nonexistent").read(Some(&unit)),
            Reading::default()
        );
    }
}
