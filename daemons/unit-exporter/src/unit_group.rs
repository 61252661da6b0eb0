//! One unit's cgroup: its files, read cheaply.
//!
//! A unit keeps its open files from scrape to scrape for as long as its directory stays the same
//! (kernfs never uses an inode number twice).

use std::fs;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::exposition::label;
use crate::kept_files::{Allowance, KeptFile, open_below};
use crate::reading::Reading;

/// How old a limit, or the news that a file does not exist, may get. Each unit has its own time
/// within it, so that no scrape has to read everything at once.
const SELDOM: Duration = Duration::from_secs(60);

/// Control groups below a unit are its own affair, and nobody nests them this deep.
const MAX_DEPTH_BELOW: u32 = 16;

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
    pub(crate) fn name(self) -> &'static str {
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
    pub(crate) fn is_limit(self) -> bool {
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

impl UnitGroup {
    /// Whether the kernel was found not to offer this file for the unit.
    pub fn lacks(&self, file: CgroupFile) -> bool {
        self.missing & file.bit() != 0
    }

    /// A unit that the walk found.
    pub(crate) fn new(name: &str, inode: u64, directory: &str, slice_label: Arc<str>) -> Self {
        Self {
            label: label("unit", name),
            slice_label,
            reading: Reading::default(),
            directory: directory.to_owned(),
            inode,
            round: 0,
            files: [const { None }; KINDS],
            missing: 0,
            seldom_due: false,
            seldom_next: None,
        }
    }

    /// Whether a directory found under the unit's name is the one that we know.
    pub(crate) fn is_in(&self, inode: u64) -> bool {
        self.inode == inode
    }

    /// Whether the walk of this round has found it.
    pub(crate) fn was_seen_in(&self, round: u64) -> bool {
        self.round == round
    }

    /// Whether the file is to be read in this scrape. A look at everything now and then covers what
    /// changes without the unit: its limits, and memory that the kernel takes back.
    pub(crate) fn is_due(&self, file: CgroupFile) -> bool {
        self.seldom_due || !(file.is_limit() || self.reading.stays(file))
    }

    /// Begins a scrape, in the round in which the walk has found it.
    pub(crate) fn begin(&mut self, round: u64, now: Instant) {
        self.round = round;
        self.reading.begin();
        self.seldom_due = self.seldom_next.is_none_or(|next| now >= next);
        if self.seldom_due {
            self.missing = 0;
            // Between half and the whole of the time, by inode.
            let share = u32::try_from(self.inode % 64).unwrap_or(0);
            self.seldom_next = Some(now + SELDOM / 2 + SELDOM / 128 * share);
        }
    }

    /// The directories below the unit's own, where it has delegated groups. Most have none, which
    /// the link count of the directory tells: two, and one more for each directory in it.
    pub(crate) fn groups_below(&self, root: &Path) -> Vec<String> {
        let own = root.join(&self.directory);
        let mut found = Vec::new();
        if fs::metadata(&own).is_ok_and(|directory| directory.nlink() != 2) {
            list_below(root, &self.directory, 0, &mut found);
        }
        found
    }

    /// The number of bytes read into `buffer`; `None` where the unit has no such file, or none any
    /// more.
    pub(crate) fn read(
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
/// a second read to see the end would double the cost. It hands out lists a page at a time, in lines
/// that are short: what is far from a whole page was the last.
pub(crate) fn read_whole(file: &File, is_list: bool, buffer: &mut Vec<u8>) -> io::Result<usize> {
    const HALF_A_PAGE: usize = 2048;
    let mut length = 0;
    loop {
        let read = file.read_at(&mut buffer[length..], length as u64)?;
        length += read;
        let is_full = length == buffer.len();
        let may_go_on = is_full || (is_list && read >= HALF_A_PAGE);
        if read == 0 || !may_go_on {
            return Ok(length);
        }
        if is_full {
            buffer.resize(length * 2, 0);
        }
    }
}

/// The cgroup was removed: what was open before answers ENODEV, what is opened now ENOENT.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(nix::libc::ENODEV | nix::libc::ENOENT)
    )
}

/// Directories that vanish meanwhile are passed over.
fn list_below(root: &Path, directory: &str, depth: u32, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(root.join(directory)) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && depth < MAX_DEPTH_BELOW {
            let below = format!("{directory}/{}", entry.file_name().to_string_lossy());
            list_below(root, &below, depth + 1, found);
            found.push(below);
        }
    }
}
