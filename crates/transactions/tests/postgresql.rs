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
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Writers that go on while the server stands still, or cuts them off again and again.
const WRITERS: usize = 32;

/// What writers saw.
struct Writing {
    keys: usize,
    longest: Duration,
}

/// Has writers insert, each its keys in order and each key until it is taken, while `trouble` lasts.
async fn write_through(store: &Arc<Store>, trouble: impl Future<Output = ()>) -> Writing {
    let is_over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, is_over) = (Arc::clone(store), Arc::clone(&is_over));
            tokio::spawn(async move {
                let (mut keys, mut longest) = (0, Duration::ZERO);
                while !is_over.load(Ordering::Relaxed) {
                    let deadline = Instant::now() + PATIENCE;
                    loop {
                        let began = Instant::now();
                        let done = insert(&store, &format!("{writer}-{keys}")).await;
                        longest = longest.max(began.elapsed());
                        match done {
                            Ok(_) => break,
                            Err(error) => assert!(Instant::now() < deadline, "{error}"),
                        }
                    }
                    keys += 1;
                }
                (keys, longest)
            })
        })
        .collect();
    trouble.await;
    is_over.store(true, Ordering::Relaxed);
    let mut all = Writing {
        keys: 0,
        longest: Duration::ZERO,
    };
    for writer in writers {
        let (keys, longest) = writer.await.unwrap();
        all.keys += keys;
        all.longest = all.longest.max(longest);
    }
    all
}

/// An answer comes after the statement's bound and the connection's, whatever the server does.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_for_30_seconds_keeps_nobody_and_doubles_nothing() {
    let server = Server::start();
    server.create_database("still");
    let store = Arc::new(open(&server, "still").await);
    let written = write_through(&store, async {
        server.signal(Signal::SIGSTOP);
        tokio::time::sleep(Duration::from_secs(30)).await;
        server.signal(Signal::SIGCONT);
    })
    .await;
    assert!(written.longest < LONGEST_ANSWER, "{:?}", written.longest);
    assert!(written.keys >= WRITERS);
    let stored = store.counts().await.unwrap().pending;
    assert_eq!(stored, u64::try_from(written.keys).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_again_and_again_double_nothing() {
    const CUTS: usize = 30;
    const CUT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                       WHERE datname = 'cut' AND pid <> pg_backend_pid()";
    let server = Arc::new(Server::start());
    server.create_database("cut");
    let store = Arc::new(open(&server, "cut").await);
    let killer = Arc::clone(&server);
    let cut = async move {
        let cutting = tokio::task::spawn_blocking(move || {
            let mut cut = 0;
            while cut < CUTS {
                cut += killer.sql("postgres", CUT).trim().parse::<usize>().unwrap();
            }
        });
        cutting.await.unwrap();
    };
    let written = write_through(&store, cut).await;
    assert!(written.longest < LONGEST_ANSWER, "{:?}", written.longest);
    let stored = store.counts().await.unwrap().pending;
    assert_eq!(stored, u64::try_from(written.keys).unwrap());
}

async fn await_insert(store: &Store, key: &str) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = insert(store, key).await {
        assert!(Instant::now() < deadline, "{error}");
    }
}
