//! One task that looks up together whatever ids are asked for at the same time.
//!
//! A lookup takes a few microseconds: less than waking a thread for it, or taking SQLite's locks
//! once. So the ids of all requests that are ready to run become one read of one snapshot. While it
//! is under way the next ids gather. A snapshot is taken after the last of its ids was asked for:
//! each lookup sees every commit that was acknowledged before it.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::super::StoreError;
use super::connection::store_error;
use super::readers::Readers;
use super::rows;
use crate::{Transaction, TransactionId};

/// Lookups that may wait; who would wait longer is told to come back instead.
const QUEUE_LIMIT: usize = 4096;

/// Lookups of one snapshot: enough that locks and threads cost each next to nothing, few enough that
/// nobody waits long where each has to fetch its page from the disk.
const BATCH_LIMIT: usize = 64;

/// The handle of the task.
pub(super) struct Lookups {
    queue: mpsc::Sender<Message>,
}

enum Message {
    Get(Lookup),
    Close(oneshot::Sender<()>),
}

struct Lookup {
    id: TransactionId,
    reply: oneshot::Sender<Answer>,
}

type Answer = Result<Option<Transaction>, StoreError>;

impl Lookups {
    pub(super) fn start(readers: Arc<Readers>) -> Self {
        let (queue, messages) = mpsc::channel(QUEUE_LIMIT);
        tokio::spawn(run(readers, messages));
        Self { queue }
    }

    /// Looks one transaction up. Waits for two reads at most, the one under way and its own, and so
    /// for twice their patience.
    pub(super) async fn get(&self, id: TransactionId) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.queue
            .try_send(Message::Get(Lookup { id, reply }))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
            })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Answers what is queued and ends the task.
    pub(super) async fn close(&self) {
        let (closed, closing) = oneshot::channel();
        if self.queue.send(Message::Close(closed)).await.is_ok() {
            // An error means that the task is gone, which is what was asked for.
            let _ = closing.await;
        }
    }
}

async fn run(readers: Arc<Readers>, mut queue: mpsc::Receiver<Message>) {
    let mut closing = None;
    while closing.is_none() {
        let Some(first) = queue.recv().await else {
            return;
        };
        // Every request that can run asks before this task runs again.
        tokio::task::yield_now().await;
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Get(lookup) => batch.push(lookup),
                Message::Close(closed) => {
                    closing = Some(closed);
                    break;
                }
            }
            let has_room = batch.len() < BATCH_LIMIT;
            next = has_room.then(|| queue.try_recv().ok()).flatten();
        }
        if !batch.is_empty() {
            answer(&readers, batch).await;
        }
    }
    // Closed in this order, so that whoever waited finds the queue closed.
    drop(queue);
    if let Some(closed) = closing {
        let _ = closed.send(());
    }
}

/// Answers a batch from one snapshot.
async fn answer(readers: &Readers, batch: Vec<Lookup>) {
    let ids: Vec<_> = batch.iter().map(|lookup| lookup.id).collect();
    let found = readers.read(move |connection| look_up(connection, &ids));
    match found.await {
        Ok(found) => {
            for (lookup, answer) in batch.into_iter().zip(found) {
                // Who asked may have gone.
                let _ = lookup.reply.send(answer);
            }
        }
        Err(error) => {
            for lookup in batch {
                let _ = lookup.reply.send(Err(error.clone()));
            }
        }
    }
}

/// One answer for each id, in their order. An engine that fails fails for all of them; a row that
/// makes no sense, only for who asked for it.
fn look_up(connection: &Connection, ids: &[TransactionId]) -> rusqlite::Result<Vec<Answer>> {
    let snapshot = connection.unchecked_transaction()?;
    let mut statement = rows::prepare_get(&snapshot)?;
    ids.iter()
        .map(|id| match rows::get(&mut statement, *id) {
            Err(error) if error.sqlite_error_code().is_none() => Ok(Err(store_error(&error))),
            found => found.map(Ok),
        })
        .collect()
}
