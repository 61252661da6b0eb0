//! The one thread of this process that writes: it turns whatever has queued up into one commit.
//!
//! While a group is being written to disk the next one gathers in the queue, so groups grow with
//! the load and nobody waits for a timer. A request is answered only after its group's commit.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::super::request::{CommitReport, StoreHooks};
use super::super::{OpenError, StoreError};
use super::connection::{empty_log, open_writer, pause, quick_check, store_error};
use super::work::Work;

/// Requests that may wait. At the measured rate this is a quarter of a second of work: who would
/// wait longer is told to come back instead.
const QUEUE_LIMIT: usize = 4096;

/// Requests in one commit. Beyond about a hundred the fsync is spread thin enough; a bound keeps
/// the write lock's hold time, and so the other processes' wait, short.
const BATCH_LIMIT: usize = 512;

/// The handle of the writer's thread.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
}

impl Writer {
    /// Opens the file on a new thread and leaves it writing there.
    pub(super) async fn start(path: PathBuf, hooks: StoreHooks) -> Result<Self, OpenError> {
        let (queue, requests) = mpsc::channel(QUEUE_LIMIT);
        let (opened, opening) = oneshot::channel();
        let place = path.display().to_string();
        let unavailable = |reason: String| OpenError::Store {
            place: place.clone(),
            source: StoreError::Unavailable(reason),
        };
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || match WriterThread::open(path, hooks) {
                Ok(thread) => {
                    if opened.send(Ok(())).is_ok() {
                        thread.run(requests);
                    }
                }
                Err(error) => drop(opened.send(Err(error))),
            })
            .map_err(|error| unavailable(format!("no thread: {error}")))?;
        opening
            .await
            .map_err(|_| unavailable("the writer thread died".to_owned()))??;
        Ok(Self { queue })
    }

    /// Queues `work` and waits until its effects are durable.
    pub(super) async fn submit<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Work<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let request = Request {
            work,
            value: None,
            reply,
        };
        self.queue
            .try_send(Message::Write(Box::new(request)))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
            })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Commits what is queued and ends the thread.
    pub(super) async fn close(&self) {
        let (closed, closing) = oneshot::channel();
        if self.queue.send(Message::Close(closed)).await.is_ok() {
            // An error means that the thread is gone, which is what was asked for.
            let _ = closing.await;
        }
    }
}

enum Message {
    Write(Box<dyn Batched>),
    Close(oneshot::Sender<()>),
}

/// One request of a batch, whatever its answer's type.
trait Batched: Send {
    fn run(&mut self, work: &mut Work<'_>) -> rusqlite::Result<()>;
    fn reply(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Request<F, T> {
    work: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Batched for Request<F, T>
where
    T: Send,
    F: FnMut(&mut Work<'_>) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, work: &mut Work<'_>) -> rusqlite::Result<()> {
        self.value = Some((self.work)(work)?);
        Ok(())
    }

    fn reply(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { value, reply, .. } = *self;
        let answer = committed.and_then(|()| value.ok_or(StoreError::Closed));
        // The client may have gone; the write stands.
        let _ = reply.send(answer);
    }
}

struct WriterThread {
    path: PathBuf,
    hooks: StoreHooks,
    /// `None` after a failure, until the next batch opens another one.
    connection: Option<Connection>,
    /// Whether a write or fsync failed, so that the log has to be emptied before it is trusted.
    log_suspect: bool,
}

impl WriterThread {
    fn open(path: PathBuf, hooks: StoreHooks) -> Result<Self, OpenError> {
        let mut connection = open_writer(&path)?;
        quick_check(&mut connection, &path)?;
        Ok(Self {
            path,
            hooks,
            connection: Some(connection),
            log_suspect: false,
        })
    }

    fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut closing = None;
        while closing.is_none() {
            let Some(first) = queue.blocking_recv() else {
                return;
            };
            let mut batch = Vec::new();
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Write(request) => batch.push(request),
                    Message::Close(closed) => {
                        closing = Some(closed);
                        break;
                    }
                }
                next = if batch.len() < BATCH_LIMIT {
                    queue.try_recv().ok()
                } else {
                    None
                };
            }
            if !batch.is_empty() {
                self.commit(batch);
            }
        }
        // Closed in this order, so that whoever waited finds the file closed.
        drop(self.connection.take());
        if let Some(closed) = closing {
            let _ = closed.send(());
        }
    }

    /// Commits a batch and answers all of it: every request gets the batch's fate.
    fn commit(&mut self, mut batch: Vec<Box<dyn Batched>>) {
        let committed = self.try_commit(&mut batch);
        if let Err(error) = &committed {
            tracing::warn!(%error, batch_size = batch.len(), "the store did not commit");
        }
        for request in batch {
            request.reply(committed.clone());
        }
    }

    fn try_commit(&mut self, batch: &mut [Box<dyn Batched>]) -> Result<(), StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => reopen(&self.path, self.log_suspect)?,
        };
        self.log_suspect = false;
        match write_group(&mut connection, batch, &self.hooks) {
            Ok(()) => {
                self.connection = Some(connection);
                Ok(())
            }
            Err(GroupError::NotStarted(error)) => {
                self.connection = Some(connection);
                Err(error)
            }
            // Whatever the connection believes about the file may be wrong now: never used again.
            Err(GroupError::Engine(error)) => {
                self.log_suspect = error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure);
                Err(store_error(&error))
            }
        }
    }
}

fn reopen(path: &Path, suspect: bool) -> Result<Connection, StoreError> {
    let connection = open_writer(path).map_err(|error| match error {
        OpenError::Store { source, .. } => source,
        other => StoreError::Damaged(other.to_string()),
    })?;
    if suspect {
        empty_log(&connection)?;
    }
    tracing::info!("store reopened after a failure");
    Ok(connection)
}

/// Why a group was not committed.
enum GroupError {
    /// The write lock was not had; the connection is sound.
    NotStarted(StoreError),
    /// A statement or the commit failed.
    Engine(rusqlite::Error),
}

impl From<rusqlite::Error> for GroupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

fn write_group(
    connection: &mut Connection,
    batch: &mut [Box<dyn Batched>],
    hooks: &StoreHooks,
) -> Result<(), GroupError> {
    let delay = (hooks.commit_delay)();
    if !delay.is_zero() {
        pause(delay);
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| match store_error(&error) {
            StoreError::Busy => GroupError::NotStarted(StoreError::Busy),
            _ => GroupError::Engine(error),
        })?;

    let start = Instant::now();
    let mut work = Work::new(&transaction);
    for request in batch.iter_mut() {
        request.run(&mut work)?;
    }
    work.finish()?;
    transaction.commit()?;
    (hooks.on_commit)(CommitReport {
        batch_size: batch.len(),
        duration: start.elapsed(),
    });
    Ok(())
}
