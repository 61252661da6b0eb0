//! The store's test suite on SQLite, and what only SQLite has: a file that others open too.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

mod suite;

use std::sync::Arc;

use tempfile::TempDir;
use transactions::store::{OpenError, Store, StoreError, StoreHooks, StoreLocation};

struct Fixture {
    directory: TempDir,
}

impl suite::Engine for Fixture {
    async fn open(&self) -> Store {
        open(&self.directory).await.unwrap()
    }
}

fn location(directory: &TempDir) -> StoreLocation {
    StoreLocation::Sqlite(directory.path().join("transactions.db"))
}

async fn open(directory: &TempDir) -> Result<Store, OpenError> {
    Store::open(&location(directory), StoreHooks::default()).await
}

fn fixture() -> Arc<Fixture> {
    Arc::new(Fixture {
        directory: tempfile::tempdir().unwrap(),
    })
}

macro_rules! each_a_test {
    ($($case:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            suite::$case(fixture()).await;
        })+
    };
}
suite::cases!(each_a_test);

fn raw(directory: &TempDir) -> rusqlite::Connection {
    rusqlite::Connection::open(directory.path().join("transactions.db")).unwrap()
}

#[tokio::test]
async fn a_file_of_another_application_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    raw(&directory)
        .execute_batch("PRAGMA application_id = 7; CREATE TABLE t (x)")
        .unwrap();
    let error = open(&directory).await.err().unwrap();
    assert!(
        matches!(error, OpenError::NotOurs { found: 7, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_of_a_later_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    open(&directory).await.unwrap().close().await;
    raw(&directory)
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    let error = open(&directory).await.err().unwrap();
    assert!(
        matches!(error, OpenError::TooNew { found: 99, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await.unwrap();
    for _ in 0..200 {
        store.insert(suite::new("1.00", None)).await.unwrap();
    }
    store.close().await;
    let path = directory.path().join("transactions.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let page = 4096;
    for page_of_rows in bytes.chunks_mut(page).skip(2) {
        page_of_rows[..8].fill(0xee);
    }
    std::fs::write(&path, bytes).unwrap();
    let error = open(&directory).await.err().unwrap();
    assert!(
        matches!(error, OpenError::Failed { .. } | OpenError::Store { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_write_lock_held_by_another_process_is_busy_and_then_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await.unwrap();
    let other = raw(&directory);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = store.insert(suite::new("1.00", None)).await;
    assert_eq!(refused, Err(transactions::store::StoreError::Busy));
    assert!(
        store.counts().await.is_ok(),
        "reads do not wait for a writer"
    );
    other.execute_batch("ROLLBACK").unwrap();
    store.insert(suite::new("1.00", None)).await.unwrap();
    assert_eq!(store.counts().await.unwrap().pending, 1);
}

#[tokio::test]
async fn the_file_has_a_write_ahead_log() {
    let directory = tempfile::tempdir().unwrap();
    let _store = open(&directory).await.unwrap();
    let mode: String = raw(&directory)
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn a_closed_store_is_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await.unwrap();
    let new = suite::new("1.00", None);
    let id = new.id;
    store.insert(new).await.unwrap();
    assert!(store.get(id).await.unwrap().is_some());
    store.close().await;
    let files: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(files, ["transactions.db"]);
}

/// Each write waits for one group of the flood at most, never for its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_one_process_does_not_starve_another() {
    let directory = tempfile::tempdir().unwrap();
    let flooding = Arc::new(open(&directory).await.unwrap());
    let other = open(&directory).await.unwrap();
    let flood: Vec<_> = (0..1500)
        .map(|_| {
            let store = Arc::clone(&flooding);
            tokio::spawn(async move {
                loop {
                    store.insert(suite::new("1.00", None)).await.unwrap();
                }
            })
        })
        .collect();
    for _ in 0..200 {
        // Refused as busy where the lock is not had within its bound.
        other.beat().await.unwrap();
    }
    let flooded = flooding.counts().await.unwrap().pending;
    flood.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(flooded >= 200, "the flood goes on too: {flooded}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_can_be_opened_by_many_at_once() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let directory = Arc::clone(&directory);
            tokio::spawn(async move { open(&directory).await.map(|_| ()) })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_row_that_makes_no_sense_fails_only_its_own_lookup() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let new = suite::new("1.00", None);
        ids.push(new.id);
        store.insert(new).await.unwrap();
    }
    raw(&directory)
        .execute(
            "UPDATE transactions SET currency = '?' WHERE id = ?1",
            [ids[1].as_bytes()],
        )
        .unwrap();
    let (first, second, third) =
        tokio::join!(store.get(ids[0]), store.get(ids[1]), store.get(ids[2]));
    assert!(matches!(first, Ok(Some(_))), "{first:?}");
    assert!(matches!(second, Err(StoreError::Damaged(_))), "{second:?}");
    assert!(matches!(third, Ok(Some(_))), "{third:?}");
}
