//! Fairness between processes that write to one file.
//!
//! SQLite's write lock goes to whoever asks at the right moment, and a process that commits group
//! after group asks again at once, while the others only look now and then. So each writer takes
//! the turnstile (a lock on a file beside the database) first, holds it while it waits for the
//! write lock, and lets go of it as soon as it has that. Whoever has just written meets the next
//! one in the turnstile and has to queue behind it.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::StoreError;

/// Between two looks at a lock that another process holds. About one commit on a fast disk.
pub(super) const LOCK_POLL: Duration = Duration::from_micros(250);

/// The lock file of one database.
pub(super) struct Turnstile {
    file: File,
}

impl Turnstile {
    /// Opens or creates `DATABASE-turnstile`.
    pub(super) fn open(database: &Path) -> Result<Self, StoreError> {
        let mut path = OsString::from(database);
        path.push("-turnstile");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
        Ok(Self { file })
    }

    /// Waits for its turn, at most `patience`; the turn ends when the guard is dropped.
    pub(super) fn enter(&self, patience: Duration) -> Result<Turn<'_>, StoreError> {
        let start = Instant::now();
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(Turn { file: &self.file }),
                Err(TryLockError::WouldBlock) if start.elapsed() < patience => pause(LOCK_POLL),
                Err(TryLockError::WouldBlock) => return Err(StoreError::Busy),
                Err(TryLockError::Error(error)) => {
                    return Err(StoreError::Unavailable(format!("turnstile: {error}")));
                }
            }
        }
    }
}

/// The turn of this process.
pub(super) struct Turn<'a> {
    file: &'a File,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // The kernel frees the lock with the file in any case.
        let _ = self.file.unlock();
    }
}

/// Waits on the writer's own thread.
#[expect(
    clippy::disallowed_methods,
    reason = "a lock of another process has no event to wait for; every caller has a deadline"
)]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_exclusive_and_waiting_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("t.db");
        let first = Turnstile::open(&database).unwrap();
        let second = Turnstile::open(&database).unwrap();

        let turn = first.enter(Duration::ZERO).unwrap();
        assert!(matches!(
            second.enter(Duration::from_millis(5)),
            Err(StoreError::Busy)
        ));
        drop(turn);
        assert!(second.enter(Duration::ZERO).is_ok());
    }
}
