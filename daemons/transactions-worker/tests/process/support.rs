//! The real binary, its metrics, and the store beside it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use transactions::store::{Counts, Store, StoreHooks, StoreLocation};
use transactions::{Amount, NewTransaction};

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory with a configuration, and the store that test and worker share.
pub(crate) struct Place {
    directory: TempDir,
    runtime: Runtime,
    store: Store,
}

impl Place {
    /// With more lines in the configuration.
    pub(crate) fn with(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("transactions.db");
        Self::on(directory, &format!("sqlite:{}", database.display()), more)
    }

    /// The same on a database of a server.
    pub(crate) fn on_server(url: &str, more: &str) -> Self {
        Self::on(tempfile::tempdir().unwrap(), url, more)
    }

    fn on(directory: TempDir, store: &str, more: &str) -> Self {
        let text = format!(
            "store = \"{store}\"\nmetrics_address = \"127.0.0.1\"\nmetrics_base_port = 0\n{more}"
        );
        std::fs::write(directory.path().join("worker.toml"), text).unwrap();
        let runtime = Runtime::new().unwrap();
        let location: StoreLocation = store.parse().unwrap();
        let store = runtime
            .block_on(Store::open(&location, StoreHooks::default()))
            .unwrap();
        Self {
            directory,
            runtime,
            store,
        }
    }

    pub(crate) fn start(&self, instance: u16) -> Worker {
        let config = self.directory.path().join("worker.toml");
        let instance = instance.to_string();
        Worker::spawn(
            worker()
                .args(["serve", "--instance", &instance, "--config"])
                .arg(config),
        )
    }

    pub(crate) fn insert(&self, number: usize) {
        let amount = Amount::try_parse("1.00", "EUR".parse().unwrap()).unwrap();
        self.runtime.block_on(async {
            for _ in 0..number {
                self.store
                    .insert(NewTransaction::receive(amount, None))
                    .await
                    .unwrap();
            }
        });
    }

    pub(crate) fn counts(&self) -> Counts {
        // A server that was killed is back soon.
        wait_for("the counts", || {
            self.runtime.block_on(self.store.counts()).ok()
        })
    }

    pub(crate) fn await_settled(&self, number: u64) {
        wait_for("transactions to be settled", || {
            let counts = self.counts();
            (counts.settled + counts.declined >= number).then_some(())
        });
    }

    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.directory.path().join("transactions.db")).unwrap()
    }
}

/// The binary under test.
pub(crate) fn worker() -> Command {
    command(Path::new(env!("CARGO_BIN_EXE_transactions-worker")))
}

#[expect(
    clippy::disallowed_methods,
    reason = "process tests run the real binary"
)]
fn command(program: &Path) -> Command {
    Command::new(program)
}

/// Every file of the folder of bad configurations.
pub(crate) fn bad_configurations() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad-configurations");
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// A running worker, killed when dropped.
pub(crate) struct Worker {
    child: Child,
    address: SocketAddr,
    /// Kept open, so that the worker never writes into a closed pipe.
    _log: Receiver<String>,
}

impl Worker {
    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (line, log) = mpsc::channel();
        std::thread::spawn(move || {
            for text in stderr.lines().map_while(Result::ok) {
                let _ = line.send(text);
            }
        });
        let address = loop {
            let line = log
                .recv_timeout(PATIENCE)
                .expect("the worker says where it serves");
            let said = line
                .split_once("address=")
                .and_then(|(_, rest)| rest.split(' ').next());
            if let Some(address) = said {
                break address.parse().unwrap();
            }
        };
        Self {
            child,
            address,
            _log: log,
        }
    }

    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        wait_for("the worker to exit", || self.child.try_wait().unwrap())
    }

    /// SIGKILL, and gone.
    pub(crate) fn murder(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Status line and body of a GET.
    pub(crate) fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// A counter's value.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let (_, text) = self.get("/metrics");
        let line = text.lines().find(|line| line.starts_with(series));
        let line = line.unwrap_or_else(|| panic!("{series} is missing in:\n{text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks until `condition` holds.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}
