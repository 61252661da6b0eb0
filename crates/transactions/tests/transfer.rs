//! Moving a store to a real PostgreSQL server: everything, or nothing.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::sync::Arc;
use std::time::Duration;

use scratch_postgresql::Server;
use tempfile::TempDir;
use tokio::task::JoinSet;
use transactions::store::{
    Claim, ClaimRequest, Counts, Insertion, PageRequest, Settlement, Store, StoreError, StoreHooks,
    StoreLocation, TransferError, Transferred, transfer,
};
use transactions::{Amount, IdempotencyKey, NewTransaction, Outcome, Transaction};

/// More than two groups of the transfer.
const TRANSACTIONS: usize = 2_500;

fn file(directory: &TempDir) -> StoreLocation {
    StoreLocation::Sqlite(directory.path().join("transactions.db"))
}

async fn open(location: &StoreLocation) -> Store {
    Store::open(location, StoreHooks::default()).await.unwrap()
}

fn new(amount: &str, currency: &str, key: &str) -> NewTransaction {
    let amount = Amount::try_parse(amount, currency.parse().unwrap()).unwrap();
    NewTransaction::receive(amount, Some(IdempotencyKey::try_new(key).unwrap()))
}

async fn claim(store: &Store, limit: u32) -> Vec<Claim> {
    let request = ClaimRequest {
        holder: "test".to_owned(),
        limit,
        lease: Duration::from_secs(60),
    };
    store.claim(request).await.unwrap()
}

/// A store with transactions of every status; some are claimed.
async fn filled(location: &StoreLocation) -> Arc<Store> {
    let store = Arc::new(open(location).await);
    let mut inserts = JoinSet::new();
    for number in 0..TRANSACTIONS {
        let (store, key) = (Arc::clone(&store), format!("key-{number}"));
        let (amount, currency) = if number % 2 == 0 {
            ("12.34", "EUR")
        } else {
            ("5", "JPY")
        };
        inserts.spawn(async move { store.insert(new(amount, currency, &key)).await.unwrap() });
    }
    inserts.join_all().await;
    let settlements = claim(&store, 100).await.into_iter().zip(0..);
    let settlements = settlements.map(|(claim, number)| Settlement {
        ticket: claim.ticket,
        outcome: if number % 3 == 0 {
            Outcome::Declined
        } else {
            Outcome::Settled
        },
    });
    store.settle(settlements.collect()).await.unwrap();
    claim(&store, 10).await;
    store
}

async fn everything(store: &Store) -> (Vec<Transaction>, Counts) {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let request = PageRequest {
            limit: 500,
            cursor,
            status: None,
        };
        let page = store.page(request).await.unwrap();
        all.extend(page.items);
        let Some(next) = page.next else { break };
        cursor = Some(next);
    }
    (all, store.counts().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_moves_once_and_work_goes_on_there() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start());
    let from = file(&directory);
    let to: StoreLocation = server.create_database("moved").parse().unwrap();
    let source = filled(&from).await;
    let before = everything(&source).await;
    source.close().await;

    let moved = transfer(&from, &to).await.unwrap();
    let Transferred::Now(tally) = moved else {
        panic!("{moved:?}")
    };
    assert_eq!(tally.rows(), TRANSACTIONS as i128);
    let target = open(&to).await;
    assert_eq!(everything(&target).await, before);

    // A second time changes nothing.
    assert_eq!(
        transfer(&from, &to).await.unwrap(),
        Transferred::Before(tally)
    );
    assert_eq!(everything(&target).await, before);

    // Keys are known there, and what a worker of the old store held is free.
    let repeat = target.insert(new("12.34", "EUR", "key-0")).await.unwrap();
    assert!(matches!(repeat, Insertion::Replayed(_)), "{repeat:?}");
    let pending = u32::try_from(before.1.pending).unwrap();
    assert_eq!(claim(&target, pending + 1).await.len(), pending as usize);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_in_use_is_left_alone() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start());
    let from = file(&directory);
    let to: StoreLocation = server.create_database("used").parse().unwrap();
    filled(&from).await.close().await;
    let target = open(&to).await;
    target.insert(new("1.00", "EUR", "its-own")).await.unwrap();

    let refused = transfer(&from, &to).await.unwrap_err();
    assert!(
        matches!(refused, TransferError::NotEmpty { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("1 transactions"), "{refused}");
    assert_eq!(target.counts().await.unwrap().pending, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_cut_off_leaves_nothing_and_can_be_begun_again() {
    let (directory, mut server) = (tempfile::tempdir().unwrap(), Server::start());
    let from = file(&directory);
    let to: StoreLocation = server.create_database("cut_off").parse().unwrap();
    filled(&from).await.close().await;
    // The server fails in the middle: the second group does not get past this.
    open(&to).await.close().await;
    server.sql(
        "cut_off",
        "CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF (SELECT count(*) FROM transactions) > 1000 THEN RAISE 'disk full'; END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER give_up AFTER INSERT ON transactions
         FOR EACH STATEMENT EXECUTE FUNCTION give_up()",
    );
    let failed = transfer(&from, &to).await.unwrap_err();
    assert!(matches!(failed, TransferError::Target { .. }), "{failed}");
    assert_eq!(
        server
            .sql("cut_off", "SELECT count(*) FROM transactions")
            .trim(),
        "0"
    );

    server.sql("cut_off", "DROP TRIGGER give_up ON transactions");
    server.murder();
    let gone = transfer(&from, &to).await.unwrap_err();
    assert!(matches!(gone, TransferError::Open(_)), "{gone}");
    server.relaunch();
    assert!(matches!(
        transfer(&from, &to).await.unwrap(),
        Transferred::Now(_)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_not_be_the_same_is_not_kept() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start());
    let from = file(&directory);
    let to: StoreLocation = server.create_database("differs").parse().unwrap();
    filled(&from).await.close().await;
    open(&to).await.close().await;
    server.sql(
        "differs",
        "CREATE FUNCTION round_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             NEW.amount_minor = NEW.amount_minor + 1; RETURN NEW;
         END $$;
         CREATE TRIGGER round_up BEFORE INSERT ON transactions
         FOR EACH ROW WHEN (NEW.status = 'declined') EXECUTE FUNCTION round_up()",
    );
    let refused = transfer(&from, &to).await.unwrap_err();
    assert!(
        matches!(refused, TransferError::Differs { .. }),
        "{refused}"
    );
    assert_eq!(
        server
            .sql("differs", "SELECT count(*) FROM transactions")
            .trim(),
        "0"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_use_or_missing_moves_nothing() {
    let (directory, server) = (tempfile::tempdir().unwrap(), Server::start());
    let from = file(&directory);
    let to: StoreLocation = server.create_database("waits").parse().unwrap();
    assert!(matches!(
        transfer(&from, &to).await,
        Err(TransferError::Open(_))
    ));
    assert!(
        !directory.path().join("transactions.db").exists(),
        "no file is made"
    );
    assert!(matches!(
        transfer(&to, &from).await,
        Err(TransferError::Direction)
    ));

    filled(&from).await.close().await;
    let daemon = rusqlite::Connection::open(directory.path().join("transactions.db")).unwrap();
    daemon.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = transfer(&from, &to).await.unwrap_err();
    let busy = matches!(
        refused,
        TransferError::Source {
            source: StoreError::Busy,
            ..
        } | TransferError::Open(transactions::store::OpenError::Store {
            source: StoreError::Busy,
            ..
        })
    );
    assert!(busy, "{refused}");
    daemon.execute_batch("ROLLBACK").unwrap();
    assert!(matches!(
        transfer(&from, &to).await,
        Ok(Transferred::Now(_))
    ));
}
