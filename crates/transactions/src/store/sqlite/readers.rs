//! Connections that read, each on one thread at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::super::StoreError;
use super::connection::{open_reader, store_error};

/// Connections, and so threads, that read at once. Reads are short and mostly in memory; more
/// than a few only take processor time from each other.
const READERS: usize = 4;

/// The longest a read waits for a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// The readers of one store.
pub(super) struct Readers {
    shared: Arc<Shared>,
    permits: Semaphore,
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
            permits: Semaphore::new(READERS),
        }
    }

    /// Runs `query` on a connection, off the async threads.
    pub(super) async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = tokio::time::timeout(PATIENCE, self.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return Err(StoreError::Overloaded);
        };
        let shared = Arc::clone(&self.shared);
        let answer = tokio::task::spawn_blocking(move || shared.read(query)).await;
        answer.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }
}

impl Shared {
    fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path).map_err(|error| store_error(&error))?,
        };
        let answer = query(&connection).map_err(|error| store_error(&error))?;
        // Only a connection that works goes back; after an error the next read opens another.
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
        Ok(answer)
    }
}
