//! Files that stay open between scrapes, within a limit.
//!
//! Reading an open file of kernfs costs a third of opening, reading and closing it, but each open
//! one holds about 5 KB of kernel memory. Beyond the limit files are opened anew each time.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

/// How many files may be kept, shared by all who keep some.
#[derive(Clone, Debug)]
pub struct Allowance {
    kept: Arc<AtomicUsize>,
    limit: usize,
}

/// A file that counts against the allowance until it is dropped.
#[derive(Debug)]
pub struct KeptFile {
    file: File,
    kept: Arc<AtomicUsize>,
}

impl Allowance {
    /// At most `limit` files.
    pub fn new(limit: usize) -> Self {
        Self {
            kept: Arc::default(),
            limit,
        }
    }

    /// How many are kept now.
    pub fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }

    /// Keeps the file, or closes it where the limit is reached. One thread at a time keeps files,
    /// the one that scrapes, so looking before counting is enough.
    pub fn keep(&self, file: File) -> Option<KeptFile> {
        if self.kept() >= self.limit {
            return None;
        }
        self.kept.fetch_add(1, Ordering::Relaxed);
        Some(KeptFile {
            file,
            kept: Arc::clone(&self.kept),
        })
    }
}

impl Deref for KeptFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for KeptFile {
    fn drop(&mut self) {
        self.kept.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Opens a file for reading, by its path from an open directory.
///
/// # Errors
/// As `openat(2)`.
pub fn open_below(directory: &OwnedFd, path: &str) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let opened = openat(directory.as_fd(), path, flags, Mode::empty())?;
    Ok(File::from(opened))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_dropped_makes_room() {
        let allowance = Allowance::new(1);
        let open = || File::open("/proc/self/stat").unwrap();
        let first = allowance.keep(open());
        assert!(first.is_some());
        assert!(allowance.keep(open()).is_none());
        drop(first);
        assert_eq!(allowance.kept(), 0);
        assert!(allowance.keep(open()).is_some());
    }
}
