//! The real binary on a free port, and the least of an HTTP client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A directory with a configuration and, once something runs, a store.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// With more lines in the configuration.
    pub(crate) fn with(more: &str) -> Self {
        let place = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        place.configure(more);
        place
    }

    /// Writes the configuration, with `more` after what every test needs.
    pub(crate) fn configure(&self, more: &str) {
        self.configure_store(&format!("sqlite:{}", self.store().display()), more);
    }

    /// The same with another store.
    pub(crate) fn configure_store(&self, store: &str, more: &str) {
        let text = format!("listen = \"127.0.0.1:0\"\nstore = \"{store}\"\n{more}");
        std::fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn config(&self) -> std::path::PathBuf {
        self.directory.path().join("api.toml")
    }

    pub(crate) fn store(&self) -> std::path::PathBuf {
        self.directory.path().join("transactions.db")
    }

    pub(crate) fn start(&self) -> Api {
        Api::spawn(api().args(["serve", "--config"]).arg(self.config()))
    }

    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.store()).unwrap()
    }
}

/// The binary under test.
pub(crate) fn api() -> Command {
    command(env!("CARGO_BIN_EXE_transactions-api"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "process tests run the real binary"
)]
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    Command::new(program.as_ref())
}

/// A running API, killed when dropped.
pub(crate) struct Api {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Receiver<String>,
}

impl Api {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::try_spawn(command).expect("the daemon serves")
    }

    /// `None` where the daemon ends before it serves.
    pub(crate) fn try_spawn(command: &mut Command) -> Option<Self> {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (line, log) = mpsc::channel();
        std::thread::spawn(move || {
            // Read to the end, so that the daemon never writes into a full pipe.
            for text in stderr.lines().map_while(Result::ok) {
                let _ = line.send(text);
            }
        });
        let address = find_line(&log, |line| {
            let (_, rest) = line.split_once("address=")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        match address {
            Ok(address) => Some(Self {
                child,
                address,
                log,
            }),
            Err(said) => {
                let status = child.wait().unwrap();
                assert_eq!(status.code(), Some(1), "{}", said.join("\n"));
                None
            }
        }
    }

    /// The process that this one runs, where it is strace.
    fn tracee(&self) -> Option<Pid> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.trim().parse().ok().map(Pid::from_raw)
    }

    /// SIGKILL to the process that strace runs; strace ends with it.
    pub(crate) fn murder_tracee(mut self) {
        kill(self.tracee().unwrap(), Signal::SIGKILL).unwrap();
        self.exit_status();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, signal).unwrap();
    }

    /// Waits for a log line that holds `words`.
    pub(crate) fn await_log(&self, words: &str) {
        if let Err(said) = find_line(&self.log, |line| line.contains(words).then_some(())) {
            panic!(
                "{words:?} was not logged; all that was:\n{}",
                said.join("\n")
            );
        }
    }

    pub(crate) fn exit_status(&mut self) -> ExitStatus {
        wait_for("the daemon to exit", || self.child.try_wait().unwrap())
    }

    /// SIGKILL, and gone.
    pub(crate) fn murder(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "")
    }

    pub(crate) fn post(&self, body: &str) -> Answer {
        self.request("POST", "/transactions", body)
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> Answer {
        Client::connect(self.address)
            .unwrap()
            .request(method, path, body)
            .unwrap()
    }

    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics").text;
        let line = text.lines().find(|line| line.starts_with(series))?;
        line.rsplit_once(' ')?.1.parse().ok()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // What strace ran would live on without it.
        if let Some(tracee) = self.tracee() {
            let _ = kill(tracee, Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line that `find` finds something in; all lines where there is none.
fn find_line<T>(
    log: &Receiver<String>,
    find: impl Fn(&str) -> Option<T>,
) -> Result<T, Vec<String>> {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while let Ok(line) = log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if let Some(found) = find(&line) {
            return Ok(found);
        }
        seen.push(line);
    }
    Err(seen)
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

/// One keep-alive connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> std::io::Result<Answer> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.send(request.as_bytes())?;
        self.receive(method == "HEAD")
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Waits for the server's next byte or its end; says whether it was the end.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.stream.fill_buf().is_ok_and(<[u8]>::is_empty)
    }

    pub(crate) fn receive(&mut self, headers_only: bool) -> std::io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .unwrap();
        let mut answer = Answer {
            status,
            head,
            text: String::new(),
        };
        let length: usize = answer
            .header("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; if headers_only { 0 } else { length }];
        self.stream.read_exact(&mut body)?;
        answer.text = String::from_utf8(body).unwrap();
        Ok(answer)
    }
}
