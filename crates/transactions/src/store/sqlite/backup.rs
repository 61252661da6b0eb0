//! Backups of a file that is in use: whole, checked and on the disk before they have their name.
//!
//! ```text
//! VACUUM INTO a hidden file ─▶ integrity_check ─▶ fsync ─▶ rename ─▶ remove the oldest
//! ```
//! It reads one snapshot beside the daemons and holds none of them up.

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::connection;

/// The name while it is being written; what a killed run left of it is overwritten.
const UNFINISHED: &str = ".transactions.unfinished";

/// Names sort by the time they tell.
const NAME: &str = "transactions-%Y%m%dT%H%M%SZ.db";

/// The length of such a name, by which others in the directory are told apart.
const NAME_BYTES: usize = "transactions-20261122T174900Z.db".len();

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Older ones that were removed for it.
    pub removed: usize,
}

/// Why there is no new backup. Earlier ones are untouched.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store is kept by a server.
    #[error("{0} is backed up with PostgreSQL's own programs, such as pg_dump")]
    NotAFile(String),
    /// The directory, or a file in it.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The store could not be read, or not copied.
    #[error("cannot copy {}", path.display())]
    Copy {
        /// The store.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
    /// The copy is no sound database, so the store may not be one.
    #[error("the copy of {} fails its integrity check ({finding}); keep the earlier backups", path.display())]
    Damaged {
        /// The store.
        path: PathBuf,
        /// The first finding.
        finding: String,
    },
}

/// Copies the store at `path` into `directory` and keeps the latest `keep` copies there.
pub(crate) fn back_up(
    path: &Path,
    directory: &Path,
    keep: NonZeroUsize,
) -> Result<Backup, BackupError> {
    fs::create_dir_all(directory).map_err(file("create", directory))?;
    let unfinished = directory.join(UNFINISHED);
    remove(&unfinished)?;
    copy(path, &unfinished)?;
    let bytes = File::open(&unfinished)
        .and_then(|copy| copy.sync_all().and_then(|()| copy.metadata()))
        .map_err(file("write", &unfinished))?
        .len();

    let name = Timestamp::now().strftime(NAME).to_string();
    let finished = directory.join(name);
    fs::rename(&unfinished, &finished).map_err(file("rename", &unfinished))?;
    sync_directory(directory)?;
    let removed = remove_oldest(directory, keep)?;
    Ok(Backup {
        path: finished,
        bytes,
        removed,
    })
}

fn copy(path: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Copy {
        path: path.to_owned(),
        source,
    };
    let source = connection::open_existing(path).map_err(failed)?;
    source
        .execute("VACUUM INTO ?1", [to.to_string_lossy()])
        .map_err(failed)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let finding: String = Connection::open_with_flags(to, flags)
        .and_then(|copy| copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)))
        .map_err(failed)?;
    if finding == "ok" {
        return Ok(());
    }
    Err(BackupError::Damaged {
        path: path.to_owned(),
        finding,
    })
}

fn remove_oldest(directory: &Path, keep: NonZeroUsize) -> Result<usize, BackupError> {
    let list = file("list", directory);
    let mut backups: Vec<PathBuf> = fs::read_dir(directory)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect()
        })
        .map_err(list)?;
    backups.retain(|path| is_backup(path));
    backups.sort_unstable();
    let superfluous = backups.len().saturating_sub(keep.get());
    for path in &backups[..superfluous] {
        remove(path)?;
    }
    Ok(superfluous)
}

/// Whether the name is one that [`NAME`] gives. Anything else in the directory is somebody's own.
fn is_backup(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let time = name
        .strip_prefix("transactions-")
        .and_then(|rest| rest.strip_suffix("Z.db"));
    name.len() == NAME_BYTES
        && time.is_some_and(|time| {
            time.bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'T')
        })
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", path)(error)),
        _ => Ok(()),
    }
}

fn sync_directory(directory: &Path) -> Result<(), BackupError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(file("write", directory))
}

fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { what, path, source }
}
