//! Connections that read, each on one thread at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::super::StoreError;
use super::connection::{open_reader, store_error};

/// Connections, and so threads, that read at once. Reads are short and mostly in memory; more
/// than a few only take processor time from each other.
const READERS: usize = 4;

/// The longest that a read may take, and wait for its connection before.
const PATIENCE: Duration = Duration::from_secs(2);

/// The readers of one store.
pub(super) struct Readers {
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        let shared = Arc::new(Shared {
            path,
            idle: Mutex::new(Vec::new()),
        });
        Self {
            shared,
            permits: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// Runs `query` on a connection, off the async threads.
    ///
    /// # Errors
    /// Among others where there is no answer in time. The query may hang on the disk then: it keeps
    /// its place among the readers, so that hung ones stay few.
    pub(super) async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let deadline = Instant::now() + PATIENCE;
        let permit = timeout_at(deadline, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit
            .map_err(|_| StoreError::Overloaded)?
            .map_err(|_| StoreError::Closed)?;
        let shared = Arc::clone(&self.shared);
        let reading = tokio::task::spawn_blocking(move || {
            let answer = shared.read(query);
            drop(permit);
            answer
        });
        match timeout_at(deadline, reading).await {
            Ok(answer) => {
                answer.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
            }
            Err(_) => Err(StoreError::Unavailable(
                "the disk does not answer".to_owned(),
            )),
        }
    }

    /// Closes the connections once what is being read is answered, or takes too long.
    pub(super) async fn close(&self) {
        let all = u32::try_from(READERS).unwrap_or(u32::MAX);
        let _all_idle = timeout(PATIENCE, self.permits.acquire_many(all)).await;
        self.permits.close();
        self.shared.idle().clear();
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path).map_err(|error| store_error(&error))?,
        };
        let answer = query(&connection).map_err(|error| store_error(&error))?;
        // Only a connection that works goes back; after an error the next read opens another.
        self.idle().push(connection);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A query that waits like one whose disk hangs, until its sender is dropped.
    fn hung() -> (
        mpsc::Sender<()>,
        impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) {
        let (disk, waits) = mpsc::channel::<()>();
        let query = move |_: &Connection| {
            let _ = waits.recv();
            Ok(())
        };
        (disk, query)
    }

    #[tokio::test]
    async fn reads_of_a_disk_that_hangs_end_and_their_threads_stay_few() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("transactions.db");
        Connection::open(&path).unwrap();
        let readers = Arc::new(Readers::new(path));
        let mut disks = Vec::new();
        let mut reads = tokio::task::JoinSet::new();
        for _ in 0..=READERS {
            let (disk, query) = hung();
            disks.push(disk);
            let readers = Arc::clone(&readers);
            reads.spawn(async move { readers.read(query).await });
        }
        let answers = reads.join_all().await;
        let hung = StoreError::Unavailable("the disk does not answer".to_owned());
        let count = |error: &StoreError| {
            let is_error = |answer: &&Result<_, _>| answer.as_ref() == Err(error);
            answers.iter().filter(is_error).count()
        };
        assert_eq!(
            (count(&hung), count(&StoreError::Overloaded)),
            (READERS, 1),
            "{answers:?}"
        );
        disks.clear();
        assert_eq!(readers.read(|_| Ok(1)).await, Ok(1));
    }
}
