//! The one thread that writes, and group commit.
//!
//! Callers on any task hand an operation to the thread and wait. The thread takes whatever has
//! gathered, runs each operation in a savepoint of one transaction, commits once (one fsync for
//! all), and only then answers. An answer therefore means: on the disk.

use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};

use crate::error::LedgerError;
use crate::store::Store;

/// Operations that may wait for the thread. Beyond it callers wait before they are queued, which
/// the HTTP side turns into backpressure.
const QUEUE_OPERATIONS: usize = 1_024;

/// Operations in one commit: from about 100 on, a larger group no longer lowers the cost of each
/// (measured), and a failed commit should not fail too many.
const GROUP_OPERATIONS: usize = 256;

type Answer = Box<dyn FnOnce(Result<(), LedgerError>) + Send>;
/// Runs on the open transaction, or learns why there is none.
type Operation = Box<dyn FnOnce(Result<&Store, LedgerError>) -> Answer + Send>;

/// A handle to the ledger; clones share the one writer.
#[derive(Clone)]
pub struct Ledger {
    operations: mpsc::Sender<Operation>,
}

impl Ledger {
    /// Opens or creates the file and starts the writer.
    ///
    /// # Errors
    /// [`LedgerError::Open`] or [`LedgerError::NewerSchema`].
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let store = Store::open(path)?;
        let (operations, queue) = mpsc::channel(QUEUE_OPERATIONS);
        let writer = Writer {
            path: path.into(),
            store: Some(store),
        };
        std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || writer.run(queue))
            .map_err(|error| LedgerError::convert("the writer thread", error))?;
        Ok(Self { operations })
    }

    /// Runs `operation` atomically; the answer comes after its commit is on the disk.
    ///
    /// # Errors
    /// The operation's own, or that of the commit that it was part of.
    pub async fn call<T, F>(&self, operation: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> Result<T, LedgerError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let operation: Operation = Box::new(move |store| {
            let result = store.and_then(|store| store.atomically(operation));
            Box::new(move |committed| {
                // Nobody waits any more where the caller's connection broke; the row stays.
                let _ = sender.send(committed.and(result));
            })
        });
        self.operations
            .send(operation)
            .await
            .map_err(|_| LedgerError::Stopped)?;
        receiver.await.map_err(|_| LedgerError::Stopped)?
    }
}

struct Writer {
    path: PathBuf,
    /// `None` after a failed commit: SQLite's view of the file can no longer be trusted once an
    /// fsync has failed, so the next group begins with a fresh connection.
    store: Option<Store>,
}

impl Writer {
    fn run(mut self, mut queue: mpsc::Receiver<Operation>) {
        let mut group = Vec::with_capacity(GROUP_OPERATIONS);
        while queue.blocking_recv_many(&mut group, GROUP_OPERATIONS) > 0 {
            let mut answers = Vec::with_capacity(group.len());
            let outcome = match self.begin() {
                Ok(store) => {
                    answers.extend(group.drain(..).map(|operation| operation(Ok(&store))));
                    store.commit().map(|()| self.store = Some(store))
                }
                Err(error) => {
                    answers.extend(
                        group
                            .drain(..)
                            .map(|operation| operation(Err(error.clone()))),
                    );
                    Err(error)
                }
            };
            if let Err(error) = &outcome {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(%error, cause, "nothing can be recorded: webhooks are answered 503");
            }
            for answer in answers {
                answer(outcome.clone());
            }
        }
    }

    /// A store inside a fresh transaction. It is put back only by a successful commit.
    fn begin(&mut self) -> Result<Store, LedgerError> {
        let store = match self.store.take() {
            Some(store) => store,
            None => Store::open(&self.path)?,
        };
        store.begin()?;
        Ok(store)
    }
}
