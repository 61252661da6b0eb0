//! The store's test suite on PostgreSQL, and what only PostgreSQL has: a server that goes away.
//!
//! The tests start a real server of their own.

#![allow(
    clippy::print_stderr,
    reason = "one test runs the whole suite and says where it is"
)]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

mod suite;

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use scratch_postgresql::Server;
use transactions::store::{Insertion, Store, StoreError, StoreHooks, StoreLocation};

/// Longer than a store takes to recover on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn open(server: &Server, database: &str) -> Store {
    let location: StoreLocation = server.url(database).parse().unwrap();
    Store::open(&location, StoreHooks::default()).await.unwrap()
}

struct Database {
    server: Arc<Server>,
    name: &'static str,
}

impl suite::Engine for Database {
    async fn open(&self) -> Store {
        open(&self.server, self.name).await
    }
}

/// One test, because a server takes longer to make than the whole suite to run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_passes_on_a_real_server() {
    let server = Arc::new(Server::start());
    macro_rules! each_on_a_database {
        ($($case:ident),+ $(,)?) => {
            $(
                eprintln!(stringify!($case));
                let name = stringify!($case);
                server.create_database(name);
                suite::$case(Arc::new(Database { server: Arc::clone(&server), name })).await;
            )+
        };
    }
    suite::cases!(each_on_a_database);
}

async fn insert(store: &Store, key: &str) -> Result<Insertion, StoreError> {
    store.insert(suite::new("1.00", Some(key))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_answering_is_unavailable_and_then_over() {
    let server = Server::start();
    server.create_database("frozen");
    let store = open(&server, "frozen").await;
    insert(&store, "before").await.unwrap();

    server.signal(Signal::SIGSTOP);
    let refused = insert(&store, "during").await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    assert!(store.beat().await.is_err());

    server.signal(Signal::SIGCONT);
    // Whether the refused insert happened is unknown; its repeat makes it exactly one.
    await_insert(&store, "during").await;
    await_insert(&store, "after").await;
    assert_eq!(store.counts().await.unwrap().pending, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_loses_nothing_acknowledged() {
    let mut server = Server::start();
    server.create_database("killed");
    let store = open(&server, "killed").await;
    for number in 0..20 {
        insert(&store, &format!("before-{number}")).await.unwrap();
    }
    server.murder();
    assert!(insert(&store, "during").await.is_err());

    server.relaunch();
    await_insert(&store, "during").await;
    assert_eq!(store.counts().await.unwrap().pending, 21);
}

async fn await_insert(store: &Store, key: &str) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = insert(store, key).await {
        assert!(Instant::now() < deadline, "{error}");
    }
}
