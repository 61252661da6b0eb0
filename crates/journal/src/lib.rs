//! The last lines of a unit, straight from systemd's journal files.
//!
//! A repair waits for its evidence, so reading it must cost next to nothing. `journalctl` takes
//! tens of milliseconds to start and to open every file; here a hash lookup in the newest file
//! leads to a unit's newest entries in well under one.
//!
//! ```text
//! Journal (directories, which files) → file.rs (one file: header, hash table, objects)
//!                                    → entry.rs (one entry: its fields, a line)
//! ```
//!
//! journald writes the same files meanwhile, and the host may have been cut off in the middle of a
//! write. Every offset is therefore checked, every walk is bounded, and whatever makes no sense
//! ends the reading of that file rather than the bot.
//!
//! Format: <https://systemd.io/JOURNAL_FILE_FORMAT/>

mod entry;
mod file;

use std::cmp::Reverse;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use units::UnitName;

use crate::entry::Entry;
use crate::file::JournalFile;

/// Files of one directory that are read: the one being written, and the one that was rotated away
/// last, which holds the rest right after a rotation.
const FILES_PER_DIRECTORY: usize = 2;

/// How much is read and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lines, the newest of them.
    pub lines: usize,
    /// Bytes of text in one line; what is longer is cut, and says so.
    pub line_bytes: usize,
    /// Bytes of text in all lines together.
    pub total_bytes: usize,
}

/// Which lines count: those of one life of a unit, and those that are old enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// Lines that journald received up to this moment…
    pub at: Timestamp,
    /// …or that belong to this invocation, however late journald received them.
    pub invocation: Option<String>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When journald received it.
    pub at: Timestamp,
    /// Who wrote it: `SYSLOG_IDENTIFIER`, such as the program's name, or `systemd` about the unit.
    pub by: String,
    /// syslog's priority, from 0 (emergency) to 7 (debug), where it is given.
    pub priority: Option<u8>,
    /// The message, without control characters.
    pub text: String,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file or directory itself.
    #[error("{path}: cannot be read", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No journal file, or one of a kind that this reader does not know.
    #[error("{path}: {problem}", path = path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What is the matter with it.
        problem: &'static str,
    },
}

/// The system's journal: the directories that hold its files.
#[derive(Clone, Debug)]
pub struct Journal {
    directories: Vec<PathBuf>,
}

impl Journal {
    /// This host's journal, on the disk and in memory.
    ///
    /// # Errors
    /// Where `/etc/machine-id` cannot be read.
    pub fn of_this_host() -> Result<Self, JournalError> {
        let path = Path::new("/etc/machine-id");
        let id = fs::read_to_string(path).map_err(failed(path))?;
        let directory = |root: &str| Path::new(root).join(id.trim());
        Ok(Self {
            directories: ["/var/log/journal", "/run/log/journal"]
                .map(directory)
                .into(),
        })
    }

    /// The journal whose files lie right in this directory.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directories: vec![directory.into()],
        }
    }

    /// The newest lines of a unit and of PID 1 about it, oldest first.
    ///
    /// # Errors
    /// Where no file can be read; one that can is enough.
    pub fn last_lines(
        &self,
        unit: &UnitName,
        limits: Limits,
        before: Option<&Before>,
    ) -> Result<Vec<Line>, JournalError> {
        let mut entries: Vec<Entry> = Vec::new();
        let (mut opened, mut failure) = (false, None);
        for path in self.files() {
            if entries.len() >= limits.lines {
                break;
            }
            match JournalFile::open(&path) {
                Ok(file) => {
                    opened = true;
                    let wanted = limits.lines - entries.len();
                    entries.extend(newest_of(&file, unit, wanted, limits.line_bytes, before));
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) if !opened => Err(error),
            _ => Ok(within(entries, limits)),
        }
    }

    /// The files worth reading, newest first.
    fn files(&self) -> Vec<PathBuf> {
        self.directories
            .iter()
            .flat_map(|directory| {
                let rotated = rotated(directory).unwrap_or_default();
                let active = directory.join("system.journal");
                let found = active.exists().then_some(active).into_iter();
                found.chain(rotated).take(FILES_PER_DIRECTORY)
            })
            .collect()
    }
}

/// Files that are no longer written, `system@….journal`, the latest first.
fn rotated(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<(Reverse<SystemTime>, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("system@") && name.ends_with(".journal") {
            let changed = entry.metadata()?.modified()?;
            found.push((Reverse(changed), entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The unit's own lines and PID 1's about it, up to `wanted` together.
fn newest_of(
    file: &JournalFile,
    unit: &UnitName,
    wanted: usize,
    line_bytes: usize,
    before: Option<&Before>,
) -> Vec<Entry> {
    let own = format!("_SYSTEMD_UNIT={unit}");
    let about = format!("UNIT={unit}");
    let counts = |entry: &Entry| before.is_none_or(|before| entry.is_before(before));
    // A walk may pass over lines that do not count; twice as many bound it.
    let newest = |field: &str, trusted: fn(&Entry) -> bool| {
        let entries = file.newest(field.as_bytes()).take(wanted.saturating_mul(2));
        let read = entries.filter_map(|offset| Entry::read(file, offset, line_bytes));
        let counting = read.filter(move |entry| trusted(entry) && counts(entry));
        counting.take(wanted).collect::<Vec<_>>()
    };
    let mut entries = newest(&own, |_| true);
    // Anyone may write a field without a leading underscore; only PID 1 is believed.
    entries.extend(newest(&about, |entry| entry.pid == Some(1)));
    entries.sort_unstable_by_key(|entry| Reverse(entry.sequence));
    entries.truncate(wanted);
    entries
}

/// Oldest first, and no more text than allowed: what is left out is the oldest.
fn within(newest_first: Vec<Entry>, limits: Limits) -> Vec<Line> {
    let mut left = limits.total_bytes;
    let mut lines: Vec<Line> = newest_first
        .into_iter()
        .map(|entry| entry.line)
        .take_while(|line| {
            let fits = line.text.len() <= left;
            left = left.saturating_sub(line.text.len());
            fits
        })
        .collect();
    lines.reverse();
    lines
}

fn failed(path: &Path) -> impl Fn(io::Error) -> JournalError {
    move |source| JournalError::Io {
        path: path.into(),
        source,
    }
}
