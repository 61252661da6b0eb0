//! A real PostgreSQL server of a test's own: in a temporary directory, on a Unix socket, gone with
//! the test. For tests only.
//!
//! The programs are Debian's (`/usr/lib/postgresql/*/bin`) or those in `POSTGRESQL_BIN`.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid};
use tempfile::TempDir;

const DEFAULT_PORT: u16 = 5432;

/// The server refuses to run as root; `nobody` will do.
const NOBODY: u32 = 65_534;

/// Longer than a server takes to start on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server, ended with its directory.
#[derive(Debug)]
pub struct Server {
    directory: TempDir,
    process: Child,
    /// On the socket, too, the port is part of the name.
    port: u16,
    options: Vec<String>,
}

impl Server {
    /// Makes a server and waits until it answers. Everybody on its socket is trusted.
    pub fn start() -> Self {
        Self::start_with(DEFAULT_PORT, |_| Vec::new())
    }

    /// The same, with a port on loopback that speaks TLS with this certificate and key (PEM).
    /// Everybody who connects to it is trusted.
    pub fn start_with_tls(certificate: &str, key: &str) -> Self {
        // Free a moment ago; who takes it in between makes the start fail, not a test lie.
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        Self::start_with(port, |directory| {
            let files = [("cert", certificate), ("key", key)].map(|(kind, text)| {
                let path = directory.join(format!("server.{kind}"));
                std::fs::write(&path, text).unwrap();
                std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
                hand_over(&path);
                format!("ssl_{kind}_file={}", path.display())
            });
            let listen = ["listen_addresses=127.0.0.1".into(), "ssl=on".into()];
            listen.into_iter().chain(files).collect()
        })
    }

    /// `options` makes the server's options, and what they need in its directory.
    fn start_with(port: u16, options: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        hand_over(directory.path());
        let options = options(directory.path());
        let data = directory.path().join("data");
        run(program("initdb")
            .args([
                "--username=postgres",
                "--auth=trust",
                "--no-sync",
                "--pgdata",
            ])
            .arg(&data));
        let process = launch(&directory, port, &options);
        let server = Self {
            directory,
            process,
            port,
            options,
        };
        server.await_answer();
        server
    }

    /// The directory of its socket.
    pub fn socket(&self) -> &Path {
        self.directory.path()
    }

    /// Its port on loopback, where it has one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        let socket = self.socket().to_str().unwrap().replace('/', "%2F");
        format!("postgresql://postgres@{socket}/{database}")
    }

    /// Makes an empty database and returns its URL.
    pub fn create_database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// Runs statements in a database and returns what they print: one line a row, `|` between
    /// columns.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        run(self.psql(database).args(["--command", statements]))
    }

    /// SIGSTOP, SIGCONT or any other signal to the server and each of its processes.
    pub fn signal(&self, signal: Signal) {
        let own = self.process.id();
        for pid in children(own).into_iter().chain([own]) {
            // One that has just ended needs no signal.
            let _ = kill(Pid::from_raw(pid.try_into().unwrap()), signal);
        }
    }

    /// SIGKILL to the server and each of its processes, as a power cut would end them.
    pub fn murder(&mut self) {
        let own = self.process.id();
        // Frozen first: a server that sees one of its processes die starts others in its place.
        kill(Pid::from_raw(own.try_into().unwrap()), Signal::SIGSTOP).unwrap();
        wait_until(|| state(own) == Some('T'));
        let others = children(own);
        self.signal(Signal::SIGKILL);
        self.process.wait().unwrap();
        // The next server waits for nobody who still holds their shared memory.
        wait_until(|| {
            others
                .iter()
                .all(|pid| matches!(state(*pid), None | Some('Z')))
        });
    }

    /// Starts the server again on what it left, and waits until it answers.
    pub fn relaunch(&mut self) {
        // The postmaster's id may have been taken by somebody else since; its lock names it still.
        let _ = std::fs::remove_file(self.directory.path().join("data/postmaster.pid"));
        self.process = launch(&self.directory, self.port, &self.options);
        self.await_answer();
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = program("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--username=postgres", "--host"])
            .arg(self.socket())
            .args(["--port", &self.port.to_string(), "--dbname", database]);
        psql
    }

    fn await_answer(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut ask = self.psql("postgres");
        ask.args(["--command", "SELECT 1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        while !ask.status().unwrap().success() {
            assert!(Instant::now() < deadline, "no answer: {}", self.log());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::SIGCONT);
        self.signal(Signal::SIGQUIT);
        let _ = self.process.wait();
    }
}

/// Gives a path to who the server runs as.
fn hand_over(path: &Path) {
    if Uid::effective().is_root() {
        let nobody = (Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY)));
        nix::unistd::chown(path, nobody.0, nobody.1).unwrap();
    }
}

fn launch(directory: &TempDir, port: u16, options: &[String]) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(directory.path().join("log"))
        .unwrap();
    program("postgres")
        .args(["-c", "listen_addresses=", "-c", "max_connections=100", "-D"])
        .arg(directory.path().join("data"))
        .arg("-k")
        .arg(directory.path())
        .args(["-p", &port.to_string()])
        .args(options.iter().flat_map(|option| ["-c", option]))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
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
        .arg(program)
        // The caller's own may be closed to it.
        .current_dir("/");
    command
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

/// The letter of `ps`: T is stopped, Z has ended; `None` where there is no such process.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it does not happen");
        std::thread::yield_now();
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    text.unwrap_or_default()
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}
