//! The cgroup tree: which units have a cgroup now, and one kind of file of all of them at a time.
//!
//! The tree itself says what runs: units are the directories below the slices. Walking it costs one
//! directory listing per slice, needs no D-Bus, and is as fresh as the scrape.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::cgroup_text::Malformed;
use crate::exposition::label;
use crate::kept_files::{Allowance, open_below};
use crate::reading::Reading;
use crate::select::Selection;
use crate::unit_group::{CgroupFile, UnitGroup, read_whole};

/// Slices are nested by their names, which have at most 255 bytes; nobody nests this deep.
const MAX_SLICE_DEPTH: u32 = 16;

/// The suffixes of units that have a cgroup of their own and no units below it.
const LEAVES: [&str; 5] = ["service", "scope", "socket", "mount", "swap"];

/// Room for the largest file; `memory.stat` has under 3 KB.
const BUFFER_BYTES: usize = 16 * 1024;

/// All units that have a cgroup and are selected.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    root_directory: Option<OwnedFd>,
    selection: Arc<Selection>,
    /// Boxed: a tree's nodes are a good half full, and a group is large.
    units: BTreeMap<String, Box<UnitGroup>>,
    round: u64,
    allowance: Allowance,
    buffer: Vec<u8>,
}

/// How reading one kind of file went, over all units.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The first thing that went wrong, with the file that it concerns.
    pub error: Option<String>,
    /// The time was over before the last unit.
    pub out_of_time: bool,
}

impl Outcome {
    /// It could not even begin.
    pub fn failed(error: String) -> Self {
        Self {
            error: Some(error),
            out_of_time: false,
        }
    }

    fn note(&mut self, directory: &str, file: CgroupFile, error: &dyn std::error::Error) {
        self.error
            .get_or_insert_with(|| format!("{directory}/{}: {error}", file.name()));
    }
}

impl Tree {
    /// A tree that is read at the first [`Tree::refresh`].
    pub fn new(root: &Path, selection: Arc<Selection>, allowance: Allowance) -> Self {
        Self {
            root: unified_root(root),
            root_directory: None,
            selection,
            units: BTreeMap::new(),
            round: 0,
            allowance,
            buffer: vec![0; BUFFER_BYTES],
        }
    }

    /// The units by name.
    pub fn units(&self) -> &BTreeMap<String, Box<UnitGroup>> {
        &self.units
    }

    /// Where the tree is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Looks which units there are now, and begins their new readings.
    ///
    /// # Errors
    /// The root cannot be read. Units that come or go during the walk are no error.
    pub fn refresh(&mut self) -> io::Result<()> {
        if self.root_directory.is_none() {
            self.root_directory = Some(File::open(&self.root)?.into());
        }
        self.round += 1;
        let root_label = label("slice", "-.slice").into();
        self.walk(&mut String::new(), &root_label, 0, Instant::now())?;
        let round = self.round;
        self.units.retain(|_, unit| unit.was_seen_in(round));
        Ok(())
    }

    fn walk(
        &mut self,
        directory: &mut String,
        slice_label: &Arc<str>,
        depth: u32,
        now: Instant,
    ) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join(&*directory))? {
            let entry = entry?;
            let file_name = entry.file_name();
            let Some(file_name) = file_name.to_str() else {
                continue;
            };
            let name = unescape(file_name);
            let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
            let is_slice = suffix == "slice";
            if !(is_slice || LEAVES.contains(&suffix)) || !is_directory(&entry) {
                continue;
            }
            let parent_length = directory.len();
            if parent_length > 0 {
                directory.push('/');
            }
            directory.push_str(file_name);
            self.see(name, entry.ino(), directory, slice_label, now);
            if is_slice && depth < MAX_SLICE_DEPTH {
                let label = label("slice", name).into();
                // A slice that vanished meanwhile has no units to show.
                drop(self.walk(directory, &label, depth + 1, now));
            }
            directory.truncate(parent_length);
        }
        Ok(())
    }

    fn see(&mut self, name: &str, inode: u64, place: &str, slice_label: &Arc<str>, now: Instant) {
        if let Some(unit) = self.units.get_mut(name)
            && unit.is_in(inode)
        {
            unit.begin(self.round, now);
            return;
        }
        if !self.selection.selects(name) {
            return;
        }
        let mut unit = UnitGroup::new(name, inode, place, Arc::clone(slice_label));
        unit.begin(self.round, now);
        self.units.insert(name.to_owned(), Box::new(unit));
    }

    /// Reads one file of every unit that has it and gives its text to `take`.
    ///
    /// One file at a time through all units: the kernel sums `memory.stat` and its like lazily, and
    /// reading kinds in turns makes it do that again for each unit.
    pub fn read_each(
        &mut self,
        file: CgroupFile,
        deadline: Instant,
        mut take: impl FnMut(&mut Reading, &str) -> Result<(), Malformed>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(root) = &self.root_directory else {
            return outcome;
        };
        for (count, unit) in self.units.values_mut().enumerate() {
            if !unit.is_due(file) {
                continue;
            }
            unit.reading.forget(file);
            outcome.out_of_time |= is_time_to_look(count) && Instant::now() >= deadline;
            if outcome.out_of_time {
                continue;
            }
            match unit.read(root, file, &self.allowance, &mut self.buffer) {
                Ok(None) => {}
                Ok(Some(length)) => {
                    let text = String::from_utf8_lossy(&self.buffer[..length]);
                    if let Err(error) = take(&mut unit.reading, &text) {
                        outcome.note(&unit.directory, file, &error);
                    }
                }
                Err(error) => outcome.note(&unit.directory, file, &error),
            }
        }
        outcome
    }

    /// Gives `take` the process lists of the units that `wanted` picks, with those of the groups
    /// below them: a list does not include them, unlike every other file. A unit that was idle since
    /// the last scrape keeps what was read of it then.
    pub fn read_processes(
        &mut self,
        deadline: Instant,
        wanted: impl Fn(&UnitGroup) -> bool,
        mut take: impl FnMut(&mut Reading, &str),
    ) -> Outcome {
        const FILE: CgroupFile = CgroupFile::Procs;
        let mut outcome = Outcome::default();
        let Some(root) = &self.root_directory else {
            return outcome;
        };
        let wanted = self
            .units
            .values_mut()
            .filter(|unit| unit.is_due(FILE) && wanted(unit));
        for (count, unit) in wanted.enumerate() {
            unit.reading.forget(FILE);
            outcome.out_of_time |= is_time_to_look(count) && Instant::now() >= deadline;
            if outcome.out_of_time {
                continue;
            }
            match unit.read(root, FILE, &self.allowance, &mut self.buffer) {
                Ok(None) => {}
                Ok(Some(length)) => {
                    let text = String::from_utf8_lossy(&self.buffer[..length]);
                    take(&mut unit.reading, &text);
                }
                Err(error) => outcome.note(&unit.directory, FILE, &error),
            }
            for below in unit.groups_below(&self.root) {
                let path = format!("{below}/{}", FILE.name());
                let list = open_below(root, &path)
                    .and_then(|list| read_whole(&list, true, &mut self.buffer));
                // A group that vanished meanwhile has no processes.
                if let Ok(length) = list {
                    let text = String::from_utf8_lossy(&self.buffer[..length]);
                    take(&mut unit.reading, &text);
                }
            }
        }
        outcome
    }
}

/// The deadline is looked at once in so many units: a clock read each time would be a cost.
fn is_time_to_look(count: usize) -> bool {
    const UNITS_PER_CLOCK_READ: usize = 32;
    count.is_multiple_of(UNITS_PER_CLOCK_READ)
}

fn is_directory(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}

/// systemd puts `_` before names that could be mistaken for files of the kernel (`cg_escape()`).
fn unescape(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}

/// On a hybrid host the v2 tree is not at the root of the mount but in a directory of it.
fn unified_root(root: &Path) -> PathBuf {
    let unified = root.join("unified");
    let is_v2 = |path: &Path| path.join("cgroup.controllers").exists();
    if !is_v2(root) && is_v2(&unified) {
        unified
    } else {
        root.to_path_buf()
    }
}
