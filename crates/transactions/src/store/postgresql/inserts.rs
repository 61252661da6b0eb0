//! One task that turns the inserts that have queued up into one statement.
//!
//! While one group is on its way, the next gathers; an insert is answered after its group's
//! commit. Where the server is away the queue fills up and further inserts are refused.

use std::collections::HashMap;
use std::time::Instant;

use deadpool_postgres::Pool;
use tokio::sync::{mpsc, oneshot};

use super::super::StoreError;
use super::super::request::{CommitReport, Insertion, StoreHooks};
use super::{on_connection, rows, sql};
use crate::{IdempotencyKey, NewTransaction, Status, Transaction};

/// Inserts that may wait; as in the SQLite store, a fraction of a second of work.
const QUEUE_LIMIT: usize = 4096;

/// Inserts in one statement: measured, larger groups gain little.
const BATCH_LIMIT: usize = 1000;

/// The handle of the task.
pub(super) struct Inserts {
    queue: mpsc::Sender<Message>,
}

enum Message {
    Insert(Request),
    Close(oneshot::Sender<()>),
}

struct Request {
    new: NewTransaction,
    reply: oneshot::Sender<Result<Insertion, StoreError>>,
}

impl Inserts {
    pub(super) fn start(pool: Pool, shard: i16, hooks: StoreHooks) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE_LIMIT);
        tokio::spawn(run(pool, shard, hooks, requests));
        Self { queue }
    }

    /// Queues an insert and waits until it is durable.
    pub(super) async fn submit(&self, new: NewTransaction) -> Result<Insertion, StoreError> {
        let (reply, answer) = oneshot::channel();
        let request = Request { new, reply };
        self.queue
            .try_send(Message::Insert(request))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
            })?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Stores what is queued and ends the task.
    pub(super) async fn close(&self) {
        let (closed, closing) = oneshot::channel();
        if self.queue.send(Message::Close(closed)).await.is_ok() {
            // An error means that the task is gone, which is what was asked for.
            let _ = closing.await;
        }
    }
}

async fn run(pool: Pool, shard: i16, hooks: StoreHooks, mut queue: mpsc::Receiver<Message>) {
    let mut closing = None;
    let mut messages = Vec::new();
    while closing.is_none() {
        if queue.recv_many(&mut messages, BATCH_LIMIT).await == 0 {
            return;
        }
        let mut batch = Vec::new();
        for message in messages.drain(..) {
            match message {
                Message::Insert(request) => batch.push(request),
                Message::Close(closed) => closing = Some(closed),
            }
        }
        if batch.is_empty() {
            continue;
        }
        let delay = (hooks.commit_delay)();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let start = Instant::now();
        // Groups of one process and of others lock keys in one order, so that none waits for one
        // that waits for it.
        batch.sort_by(|a, b| key(&a.new).cmp(&key(&b.new)));
        match store(&pool, shard, &batch).await {
            Ok(insertions) => {
                let (batch_size, duration) = (batch.len(), start.elapsed());
                (hooks.on_commit)(CommitReport {
                    batch_size,
                    duration,
                });
                for (request, insertion) in batch.into_iter().zip(insertions) {
                    // The client may have gone; the write stands.
                    let _ = request.reply.send(Ok(insertion));
                }
            }
            Err(error) => {
                tracing::warn!(%error, batch_size = batch.len(), "the store did not commit");
                for request in batch {
                    let _ = request.reply.send(Err(error.clone()));
                }
            }
        }
    }
    drop(queue);
    if let Some(closed) = closing {
        let _ = closed.send(());
    }
}

fn key(new: &NewTransaction) -> Option<&str> {
    new.idempotency_key.as_ref().map(IdempotencyKey::as_str)
}

/// Stores a group; one insertion for each request, in their order.
async fn store(pool: &Pool, shard: i16, batch: &[Request]) -> Result<Vec<Insertion>, StoreError> {
    let news = || batch.iter().map(|request| &request.new);
    let ids: Vec<_> = news().map(|new| new.id.as_uuid()).collect();
    let minor: Vec<_> = news().map(|new| new.amount.minor_units()).collect();
    let currencies: Vec<_> = news().map(|new| new.amount.currency().code()).collect();
    let created: Vec<_> = news().map(|new| new.created_at.as_millisecond()).collect();
    let keys: Vec<_> = news().map(key).collect();
    let row = on_connection(pool, async |client| {
        let statement = client.prepare_cached(sql::INSERT).await?;
        client
            .query_one(
                &statement,
                &[&ids, &minor, &currencies, &created, &keys, &shard],
            )
            .await
    })
    .await?;
    let stored: i64 = rows::column(&row, "stored")?;
    if usize::try_from(stored) == Ok(batch.len()) {
        return Ok(news().map(created_from).collect());
    }

    // Some keys were taken; a row that has both the key and the id was stored just now.
    let keyed: Vec<_> = news().filter_map(key).collect();
    let holders = by_keys(pool, &keyed).await?;
    news()
        .map(|new| {
            let Some(key) = key(new) else {
                return Ok(created_from(new));
            };
            let holder = holders.get(key).ok_or_else(|| {
                StoreError::Unavailable("an earlier transaction vanished".to_owned())
            })?;
            Ok(if holder.id == new.id {
                created_from(new)
            } else if holder.amount == new.amount {
                // The amount carries its currency.
                Insertion::Replayed(holder.clone())
            } else {
                Insertion::KeyReused
            })
        })
        .collect()
}

async fn by_keys(pool: &Pool, keys: &[&str]) -> Result<HashMap<String, Transaction>, StoreError> {
    let found = on_connection(pool, async |client| {
        let statement = client.prepare_cached(sql::BY_KEYS).await?;
        client.query(&statement, &[&keys]).await
    })
    .await?;
    found
        .iter()
        .map(|row| {
            Ok((
                rows::column(row, "idempotency_key")?,
                rows::transaction(row)?,
            ))
        })
        .collect()
}

fn created_from(new: &NewTransaction) -> Insertion {
    Insertion::Created(Transaction {
        id: new.id,
        amount: new.amount,
        status: Status::Pending,
        created_at: new.created_at,
        settled_at: None,
    })
}
