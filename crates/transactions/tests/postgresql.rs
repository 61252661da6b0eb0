//! The store's test suite on PostgreSQL, and what only PostgreSQL has: a server that goes away.
//!
//! The tests start a real server of their own, in a temporary directory and on a Unix socket. The
//! programs are Debian's (`/usr/lib/postgresql/*/bin`) or those in `POSTGRESQL_BIN`.

#![allow(
    clippy::print_stderr,
    reason = "one test runs the whole suite and says where it is"
)]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

mod suite;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid};
use tempfile::TempDir;
use transactions::store::{Insertion, Store, StoreError, StoreHooks, StoreLocation};

/// The server refuses to run as root; `nobody` will do.
const NOBODY: u32 = 65_534;

/// Longer than a server takes to start on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server, ended with its directory.
struct Server {
    directory: TempDir,
    process: Child,
}

fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("POSTGRESQL_BIN") {
        return folder.into();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").map(|versions| {
        let mut versions: Vec<_> = versions.map(|entry| entry.unwrap().path()).collect();
        versions.sort();
        versions
    });
    let newest = versions.ok().and_then(|mut versions| versions.pop());
    newest
        .expect("PostgreSQL's programs are installed, or POSTGRESQL_BIN names them")
        .join("bin")
}

/// One of PostgreSQL's programs, run by somebody who is not root.
#[expect(clippy::disallowed_methods, reason = "the tests run a real server")]
fn program(name: &str) -> Command {
    let program = programs().join(name);
    if !Uid::effective().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program);
    command
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        if Uid::effective().is_root() {
            let nobody = (Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY)));
            nix::unistd::chown(directory.path(), nobody.0, nobody.1).unwrap();
        }
        let data = directory.path().join("data");
        let made = program("initdb")
            .args([
                "--username=postgres",
                "--auth=trust",
                "--no-sync",
                "--pgdata",
            ])
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let process = Self::launch(&directory);
        Self { directory, process }
    }

    fn launch(directory: &TempDir) -> Child {
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        program("postgres")
            .args(["-c", "listen_addresses=", "-c", "max_connections=100"])
            .arg("-D")
            .arg(directory.path().join("data"))
            .arg("-k")
            .arg(directory.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn location(&self, database: &str) -> StoreLocation {
        let socket = self.directory.path().to_str().unwrap().replace('/', "%2F");
        format!("postgresql://postgres@{socket}/{database}")
            .parse()
            .unwrap()
    }

    async fn open(&self, database: &str) -> Store {
        Store::open(&self.location(database), StoreHooks::default())
            .await
            .unwrap()
    }

    /// A fresh, empty database.
    async fn database(&self, name: &str) {
        let config = format!(
            "host={} user=postgres dbname=postgres",
            self.directory.path().display()
        );
        let deadline = Instant::now() + PATIENCE;
        let client = loop {
            match tokio_postgres::connect(&config, tokio_postgres::NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    break client;
                }
                Err(error) => assert!(Instant::now() < deadline, "{error}: {}", self.log()),
            }
            tokio::task::yield_now().await;
        };
        client
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The processes that serve connections stop too: the signal goes to every child.
    fn signal(&self, signal: Signal) {
        for pid in children(self.process.id())
            .into_iter()
            .chain([self.process.id()])
        {
            let _ = kill(Pid::from_raw(pid.try_into().unwrap()), signal);
        }
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text =
        std::fs::read_to_string(Path::new("/proc").join(format!("{pid}/task/{pid}/children")));
    text.unwrap_or_default()
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::SIGCONT);
        self.signal(Signal::SIGQUIT);
        let _ = self.process.wait();
    }
}

struct Database {
    server: Arc<Server>,
    name: &'static str,
}

impl suite::Engine for Database {
    async fn open(&self) -> Store {
        self.server.open(self.name).await
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
                server.database(name).await;
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
    server.database("frozen").await;
    let store = server.open("frozen").await;
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
    server.database("killed").await;
    let store = server.open("killed").await;
    for number in 0..20 {
        insert(&store, &format!("before-{number}")).await.unwrap();
    }
    server.signal(Signal::SIGKILL);
    server.process.wait().unwrap();
    assert!(insert(&store, "during").await.is_err());

    server.process = Server::launch(&server.directory);
    await_insert(&store, "during").await;
    assert_eq!(store.counts().await.unwrap().pending, 21);
}

async fn await_insert(store: &Store, key: &str) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = insert(store, key).await {
        assert!(Instant::now() < deadline, "{error}");
    }
}
