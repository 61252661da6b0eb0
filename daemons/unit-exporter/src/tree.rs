//! The cgroup tree: which units have a cgroup now, and their files, read cheaply.
//!
//! The tree itself says what runs: units are the directories below the slices. Walking it costs one
//! directory listing per slice, needs no D-Bus, and is as fresh as the scrape. A unit keeps its
//! open files from scrape to scrape while its directory stays the same (kernfs never uses an inode
//! number twice).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirEntryExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cgroup_text::Malformed;
use crate::exposition::label;
use crate::kept_files::{Allowance, KeptFile, open_below};
use crate::reading::Reading;
use crate::select::Selection;

/// Slices are nested by their names, which have at most 255 bytes; nobody nests this deep.
const MAX_SLICE_DEPTH: u32 = 16;

/// How old a limit, or the news that a file does not exist, may get. Each unit has its own time
/// within it, so that no scrape has to read everything at once.
const SELDOM: Duration = Duration::from_secs(60);

/// The suffixes of units that have a cgroup and nothing but processes below it.
const LEAVES: [&str; 5] = ["service", "scope", "socket", "mount", "swap"];

/// Room for the largest file; `memory.stat` has under 3 KB.
const BUFFER_BYTES: usize = 16 * 1024;

/// The deadline is looked at once in so many units: a clock read each time would be a cost.
const UNITS_PER_CLOCK_READ: usize = 32;

/// A file that units have in their cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The kernel's own names.
pub enum CgroupFile {
    CpuStat,
    MemoryCurrent,
    MemoryStat,
    MemoryEvents,
    MemorySwapCurrent,
    MemoryPeak,
    MemoryMax,
    MemoryHigh,
    IoStat,
    PidsCurrent,
    PidsMax,
    PidsEvents,
    CpuPressure,
    MemoryPressure,
    IoPressure,
    Procs,
}

const KINDS: usize = CgroupFile::Procs as usize + 1;

impl CgroupFile {
    fn name(self) -> &'static str {
        match self {
            Self::CpuStat => "cpu.stat",
            Self::MemoryCurrent => "memory.current",
            Self::MemoryStat => "memory.stat",
            Self::MemoryEvents => "memory.events",
            Self::MemorySwapCurrent => "memory.swap.current",
            Self::MemoryPeak => "memory.peak",
            Self::MemoryMax => "memory.max",
            Self::MemoryHigh => "memory.high",
            Self::IoStat => "io.stat",
            Self::PidsCurrent => "pids.current",
            Self::PidsMax => "pids.max",
            Self::PidsEvents => "pids.events",
            Self::CpuPressure => "cpu.pressure",
            Self::MemoryPressure => "memory.pressure",
            Self::IoPressure => "io.pressure",
            Self::Procs => "cgroup.procs",
        }
    }

    /// Whether it says what an administrator has set.
    fn is_limit(self) -> bool {
        matches!(self, Self::MemoryMax | Self::MemoryHigh | Self::PidsMax)
    }

    fn is_list(self) -> bool {
        matches!(self, Self::Procs)
    }

    fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

/// One unit that has a cgroup.
#[derive(Debug)]
pub struct UnitGroup {
    /// `unit="…"`, escaped.
    pub label: String,
    /// `slice="…"`, escaped: the slice that it is in.
    pub slice_label: Arc<str>,
    /// What the scrape under way has read so far.
    pub reading: Reading,
    /// Its directory, from the root of the tree.
    pub(crate) directory: String,
    inode: u64,
    round: u64,
    files: [Option<KeptFile>; KINDS],
    /// A bit for each file that does not exist.
    missing: u32,
    seldom_due: bool,
    seldom_next: Option<Instant>,
}

/// All units that have a cgroup and are selected.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    root_directory: Option<OwnedFd>,
    selection: Arc<Selection>,
    units: BTreeMap<String, UnitGroup>,
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
    pub fn units(&self) -> &BTreeMap<String, UnitGroup> {
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
        self.walk(&mut String::new(), &label("slice", "-.slice").into(), 0)?;
        let round = self.round;
        self.units.retain(|_, unit| unit.round == round);
        Ok(())
    }

    fn walk(
        &mut self,
        directory: &mut String,
        slice_label: &Arc<str>,
        depth: u32,
    ) -> io::Result<()> {
        let now = Instant::now();
        for entry in fs::read_dir(self.root.join(&*directory))? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().map(unescape) else {
                continue;
            };
            let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
            let is_slice = suffix == "slice";
            if !(is_slice || LEAVES.contains(&suffix))
                || !entry.file_type().is_ok_and(|kind| kind.is_dir())
            {
                continue;
            }
            let before = directory.len();
            if !directory.is_empty() {
                directory.push('/');
            }
            directory.push_str(&entry.file_name().to_string_lossy());
            if self.selection.selects(name) {
                self.see(name, entry.ino(), directory, slice_label, now);
            }
            if is_slice && depth < MAX_SLICE_DEPTH {
                // A slice that vanished meanwhile has no units to show.
                drop(self.walk(directory, &label("slice", name).into(), depth + 1));
            }
            directory.truncate(before);
        }
        Ok(())
    }

    fn see(
        &mut self,
        name: &str,
        inode: u64,
        directory: &str,
        slice_label: &Arc<str>,
        now: Instant,
    ) {
        let round = self.round;
        if let Some(unit) = self.units.get_mut(name)
            && unit.inode == inode
        {
            unit.round = round;
            unit.begin(now);
            return;
        }
        let mut unit = UnitGroup {
            label: label("unit", name),
            slice_label: Arc::clone(slice_label),
            reading: Reading::default(),
            directory: directory.to_owned(),
            inode,
            round,
            files: [const { None }; KINDS],
            missing: 0,
            seldom_due: false,
            seldom_next: None,
        };
        unit.begin(now);
        self.units.insert(name.to_owned(), unit);
    }

    /// Reads one file of every unit that has it and gives its text to `take`.
    ///
    /// One file at a time through all units: the kernel sums `memory.stat` and its like lazily, and
    /// reading kinds in turns makes it do that again for each unit.
    pub fn read_each(
        &mut self,
        file: CgroupFile,
        deadline: Instant,
        take: impl FnMut(&mut Reading, &str) -> Result<(), Malformed>,
    ) -> Outcome {
        self.read_each_if(file, deadline, |_| true, take)
    }

    /// As [`Tree::read_each`], for the units that `wanted` picks.
    pub fn read_each_if(
        &mut self,
        file: CgroupFile,
        deadline: Instant,
        wanted: impl Fn(&UnitGroup) -> bool,
        mut take: impl FnMut(&mut Reading, &str) -> Result<(), Malformed>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(root) = &self.root_directory else {
            return outcome;
        };
        for (count, unit) in self.units.values_mut().enumerate() {
            if count % UNITS_PER_CLOCK_READ == 0 && Instant::now() >= deadline {
                outcome.out_of_time = true;
                return outcome;
            }
            if (file.is_limit() && !unit.seldom_due) || !wanted(unit) {
                continue;
            }
            let read = unit.read(root, file, &self.allowance, &mut self.buffer);
            let parsed = match read {
                Ok(None) => continue,
                Ok(Some(length)) => {
                    let text = String::from_utf8_lossy(&self.buffer[..length]);
                    take(&mut unit.reading, &text).map_err(|error| error.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = parsed {
                let place = format!("{}/{}", unit.directory, file.name());
                outcome.error.get_or_insert(format!("{place}: {error}"));
            }
        }
        outcome
    }
}

impl UnitGroup {
    /// Whether the kernel was found not to offer this file for the unit.
    pub fn lacks(&self, file: CgroupFile) -> bool {
        self.missing & file.bit() != 0
    }

    fn begin(&mut self, now: Instant) {
        self.reading.begin();
        self.seldom_due = self.seldom_next.is_none_or(|next| now >= next);
        if self.seldom_due {
            self.missing = 0;
            // Between half and the whole of the time, by inode.
            let share = u32::try_from(self.inode % 64).unwrap_or(0);
            self.seldom_next = Some(now + SELDOM / 2 + SELDOM / 128 * share);
        }
    }

    /// The number of bytes read into `buffer`; `None` where the unit has no such file, or none any
    /// more.
    fn read(
        &mut self,
        root: &OwnedFd,
        file: CgroupFile,
        allowance: &Allowance,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Option<usize>> {
        if self.lacks(file) {
            return Ok(None);
        }
        if let Some(open) = &self.files[file as usize] {
            match read_whole(open, file.is_list(), buffer) {
                Err(error) if is_gone(&error) => self.files[file as usize] = None,
                read => return read.map(Some),
            }
        }
        let path = format!("{}/{}", self.directory, file.name());
        let opened = match open_below(root, &path) {
            Ok(opened) => opened,
            Err(error) if is_gone(&error) => {
                self.missing |= file.bit();
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match read_whole(&opened, file.is_list(), buffer) {
            Ok(length) => {
                self.files[file as usize] = allowance.keep(opened);
                Ok(Some(length))
            }
            Err(error) if is_gone(&error) => Ok(None),
            // PSI can be compiled in and switched off.
            Err(error) if error.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => {
                self.missing |= file.bit();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Reads from the beginning to the end. The kernel hands out most of these files in one piece, and
/// a second read to see the end would double the cost; it hands out lists a page at a time.
fn read_whole(file: &File, is_list: bool, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut length = 0;
    loop {
        let read = file.read_at(&mut buffer[length..], length as u64)?;
        length += read;
        let is_full = length == buffer.len();
        if read == 0 || (!is_list && !is_full) {
            return Ok(length);
        }
        if is_full {
            buffer.resize(length * 2, 0);
        }
    }
}

/// The cgroup was removed: what was open before answers ENODEV, what is opened now ENOENT.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(nix::libc::ENODEV | nix::libc::ENOENT)
    )
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
