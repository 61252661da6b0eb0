//! One running bot, with everything of its own in a directory that goes away with it.

#![allow(dead_code)] // Each file of tests uses its part.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Anything that should happen happens within this, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(20);

const POLICY: &str = r#"
[[rule]]
name = "api-down"
match = ['alertname="Down"']
units = ["api.service"]
mode = "auto"
ladder = [{ action = "restart" }, { action = "escalate" }]
"#;

/// Waits for a condition.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::park_timeout(POLL);
    }
}

pub(crate) fn alert(name: &str, unit: &str, number: i64) -> Value {
    let starts_at = jiff::Timestamp::from_second(1_790_000_000 + number).unwrap();
    json!({
        "status": "firing", "fingerprint": format!("{number:016x}"),
        "labels": {"alertname": name, "unit": unit, "host": "here"},
        "startsAt": starts_at.to_string(),
    })
}

pub(crate) fn webhook(alerts: &[Value]) -> String {
    json!({"version": "4", "truncatedAlerts": 0, "alerts": alerts}).to_string()
}

/// Files, before anything runs.
pub(crate) struct Setup {
    directory: TempDir,
    bus: String,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let setup = Self {
            directory: tempfile::tempdir().unwrap(),
            bus: "unix:path=/nonexistent/bus".into(),
        };
        let path = |name: &str| setup.path(name).display().to_string();
        let lines = [
            "listen = \"127.0.0.1:0\"".to_owned(),
            "host = \"here\"".to_owned(),
            format!("policy = {:?}", path("policy.toml")),
            format!("policy_dir = {:?}", path("policy.d")),
            format!("ledger = \"sqlite:{}\"", path("ledger.db")),
            format!("control_socket = {:?}", path("control.sock")),
            format!("journal_dir = {:?}", path("journal")),
            "[limits]".to_owned(),
            "read_timeout_seconds = 2".to_owned(),
        ];
        fs::write(setup.path("alert-bot.toml"), lines.join("\n")).unwrap();
        fs::create_dir(setup.path("credentials")).unwrap();
        fs::create_dir(setup.path("journal")).unwrap();
        fs::write(setup.path("credentials/webhook-token"), "token\n").unwrap();
        fs::write(setup.path("credentials/webhook-token-previous"), "previous").unwrap();
        setup.write_policy(POLICY);
        setup
    }

    /// The system bus is there, and not away.
    pub(crate) fn bus(&mut self, address: &str) {
        self.bus = address.into();
    }

    pub(crate) fn write_policy(&self, text: &str) {
        fs::write(self.path("policy.toml"), text).unwrap();
    }

    /// Puts `value` in place of the line (from 1); 0 puts it before all of them.
    pub(crate) fn replace_line(&self, line: usize, value: &str) {
        let file = self.path("alert-bot.toml");
        let text = fs::read_to_string(&file).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        match line {
            0 => lines.insert(0, value),
            line => lines[line - 1] = value,
        }
        fs::write(file, lines.join("\n")).unwrap();
    }

    /// Lines after all others, such as a table.
    pub(crate) fn append(&self, lines: &str) {
        let file = self.path("alert-bot.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, format!("{text}\n{lines}\n")).unwrap();
    }

    pub(crate) fn remove_token(&self) {
        fs::remove_file(self.path("credentials/webhook-token")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    #[allow(clippy::disallowed_methods)] // This is no daemon.
    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_alert-bot"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("alert-bot.toml"))
            .env("CREDENTIALS_DIRECTORY", self.path("credentials"))
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus)
            .env_remove("JOURNAL_STREAM")
            .env_remove("NOTIFY_SOCKET");
        command
    }

    /// For a configuration that must not start: its exit status and what it said.
    pub(crate) fn serve_to_its_end(&self) -> (Option<i32>, String) {
        let output = self.command(&["serve"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    }

    pub(crate) fn start(self) -> Bot {
        let mut command = self.command(&["serve"]);
        let mut process = command
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended early");
            if let Some((_, address)) = line.split_once("accepting alerts address=") {
                break address.trim().parse().unwrap();
            }
        };
        let said = Arc::new(Mutex::new(String::new()));
        let written = said.clone();
        // Somebody has to read on, or the bot would wait for its log.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let mut written = written.lock().unwrap();
                written.push_str(&line);
                written.push('\n');
            }
        });
        Bot {
            setup: self,
            process,
            address,
            said,
        }
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

pub(crate) struct Bot {
    setup: Setup,
    process: Child,
    pub(crate) address: SocketAddr,
    /// Its log since it accepts alerts.
    said: Arc<Mutex<String>>,
}

impl Bot {
    pub(crate) fn start() -> Self {
        Setup::new().start()
    }

    pub(crate) fn kill_and_start_again(mut self) -> Self {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        // The files outlive this bot.
        let setup = std::mem::replace(&mut self.setup, Setup::new());
        setup.start()
    }

    pub(crate) fn terminate(mut self) -> ExitStatus {
        let pid = i32::try_from(self.process.id()).unwrap();
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.process.wait().unwrap()
    }

    pub(crate) fn post(&self, token: Option<&str>, body: &str) -> Answer {
        let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n"));
        let head = format!(
            "POST /alert HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{}content-length: {}\r\n\r\n",
            authorization.unwrap_or_default(),
            body.len()
        );
        self.exchange(&head, body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        self.exchange(&head, "")
    }

    fn exchange(&self, head: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        // A body that is refused early may not be taken to its end.
        let _ = stream.write_all(body.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        Answer {
            status: head[9..12].parse().unwrap(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let metrics = self.get("/metrics").body;
        let line = metrics
            .lines()
            .find(|line| line.split(' ').next() == Some(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Whether its log has a line with this text.
    pub(crate) fn has_said(&self, text: &str) -> bool {
        self.said.lock().unwrap().contains(text)
    }

    /// A subcommand of the same binary: whether it succeeded, and what it said.
    pub(crate) fn run(&self, arguments: &[&str]) -> (bool, String) {
        finish(&mut self.setup.command(arguments))
    }

    /// The same, run by somebody who is let in to the control socket and is not root.
    #[allow(clippy::disallowed_methods)] // This is no daemon.
    pub(crate) fn run_as_stranger(&self, uid: u32, arguments: &[&str]) -> (bool, String) {
        let open_to_all = |name: &str, mode| {
            fs::set_permissions(self.setup.path(name), Permissions::from_mode(mode)).unwrap();
        };
        open_to_all("", 0o755);
        open_to_all("control.sock", 0o666);
        // The build's own directory need not be open to all.
        let binary = self.setup.path("alert-bot");
        fs::copy(env!("CARGO_BIN_EXE_alert-bot"), &binary).unwrap();
        let config = self.setup.path("alert-bot.toml");
        let mut command = std::process::Command::new(binary);
        finish(command.args(arguments).arg("--config").arg(config).uid(uid))
    }

    pub(crate) fn write_policy(&self, text: &str) {
        self.setup.write_policy(text);
    }

    /// Puts a journal in place in which `api.service` wrote its last lines and failed.
    pub(crate) fn write_journal(&self) {
        let packed = "../../crates/journal/tests/files/compact.journal.gz";
        let mut unpacked = flate2::read::GzDecoder::new(fs::File::open(packed).unwrap());
        let path = self.setup.path("journal/system.journal");
        std::io::copy(&mut unpacked, &mut fs::File::create(path).unwrap()).unwrap();
    }

    /// A file beside the bot's own, and its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let file = self.setup.path(name);
        fs::write(&file, text).unwrap();
        file.display().to_string()
    }

    pub(crate) fn explain(&self, webhook: &str) -> (bool, String) {
        let file = self.write("webhook.json", webhook);
        self.run(&["explain", "--alert", &file])
    }

    pub(crate) fn incidents(&self) -> Vec<Value> {
        self.incidents_where(&[])
    }

    pub(crate) fn incidents_where(&self, filter: &[&str]) -> Vec<Value> {
        let (ok, json) = self.run(&[&["incidents", "--json"], filter].concat());
        assert!(ok, "{json}");
        serde_json::from_str(&json).unwrap()
    }

    /// Final decisions by kind; the empty kind counts alerts that have none.
    pub(crate) fn dispositions(&self) -> Vec<(String, u64)> {
        let store = ledger::Store::open_to_read(&self.setup.path("ledger.db")).unwrap();
        let counted = store.dispositions().unwrap().into_iter();
        counted
            .map(|(word, count)| (word.unwrap_or_default(), count))
            .collect()
    }

    /// Holds the ledger's write lock until dropped: the disk that takes nothing.
    pub(crate) fn lock_ledger(&self) -> impl Drop + use<> {
        Lock::take(&self.setup.path("ledger.db"))
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

fn finish(command: &mut std::process::Command) -> (bool, String) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

impl Drop for Bot {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Lock(rusqlite::Connection);

impl Lock {
    fn take(path: &std::path::Path) -> Self {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.busy_timeout(PATIENCE).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}
