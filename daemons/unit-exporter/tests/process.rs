//! The real binary: from its configuration to its last answer.

#![allow(clippy::unwrap_used)] // In tests a panic is the message.
#![allow(clippy::disallowed_methods)] // A test of a process has to start one.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use common::{Kernel, systemd, value};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

struct Exporter {
    child: Child,
    address: String,
    /// Kept open: a daemon whose log has no reader must not be killed by it.
    _log: BufReader<ChildStderr>,
}

impl Exporter {
    fn start(kernel: &Kernel, more: &str) -> Self {
        let mut child = command()
            .arg("serve")
            .arg("--config")
            .arg(kernel.config(more))
            .env(
                "DBUS_SYSTEM_BUS_ADDRESS",
                format!("unix:path={}", kernel.bus_path().display()),
            )
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended early");
            let plain: String = without_colours(&line);
            if let Some((_, rest)) = plain.split_once("address=") {
                break rest.split_whitespace().next().unwrap().to_owned();
            }
        };
        Self {
            child,
            address,
            _log: log,
        }
    }

    fn get(&self, path: &str, headers: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        (head, answer[end + 4..].to_vec())
    }

    fn terminate(mut self) -> Option<i32> {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // Ended already, where the test went well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_unit-exporter"))
}

fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut parts = line.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, text)| text));
    }
    plain
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_states_and_figures_and_ends_when_asked() {
    let kernel = Kernel::unpack();
    let _fake = systemd(&kernel);
    tokio::task::spawn_blocking(move || {
        let exporter = Exporter::start(&kernel, "");
        let (head, body) = exporter.get("/metrics", "");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        let text = String::from_utf8(body).unwrap();
        let state = "systemd_unit_state{unit=\"nginx.service\",state=\"active\"}";
        assert_eq!(value(&text, state), Some(1.0));
        let cpu = "systemd_unit_cpu_seconds_total{unit=\"nginx.service\",mode=\"user\"}";
        assert_eq!(value(&text, cpu), Some(4.0));

        let (head, packed) = exporter.get("/metrics", "accept-encoding: gzip\r\n");
        assert!(head.contains("content-encoding: gzip"), "{head}");
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(packed.as_slice())
            .read_to_string(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked.lines().count(), text.lines().count());

        assert!(exporter.get("/health", "").0.starts_with("HTTP/1.1 200"));
        assert!(exporter.get("/other", "").0.starts_with("HTTP/1.1 404"));
        assert_eq!(exporter.terminate(), Some(0));
    })
    .await
    .unwrap();
}

#[test]
fn serves_figures_where_there_is_no_bus() {
    let kernel = Kernel::unpack();
    let exporter = Exporter::start(&kernel, "");
    let (_, body) = exporter.get("/metrics", "x-prometheus-scrape-timeout-seconds: 5\r\n");
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains("systemd_unit_cpu_seconds_total{"));
    let success = "unit_exporter_collector_success{collector=\"systemd\"}";
    assert_eq!(value(&text, success), Some(0.0));
    assert_eq!(exporter.terminate(), Some(0));
}

#[test]
fn a_bus_that_never_answers_keeps_nobody_waiting() {
    let kernel = Kernel::unpack();
    let _silent = UnixListener::bind(kernel.bus_path()).unwrap();
    let exporter = Exporter::start(&kernel, "");
    assert!(exporter.get("/metrics", "").0.starts_with("HTTP/1.1 200"));
}

fn refused(path: &Path) -> String {
    let output = command()
        .args(["serve", "--config"])
        .arg(path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_bad_configuration_ends_with_64_and_says_where() {
    let kernel = Kernel::unpack();
    let path = kernel.path("bad.toml");
    let place = path.display();
    for (text, message) in [
        ("\nlisten = 9558\n", format!("{place}:2: listen: ")),
        ("colour = 1\n", format!("{place}:1: colour: unknown field")),
        ("include = []\n", format!("{place}: include: ")),
        ("exclude = [\"a b\"]\n", format!("{place}: exclude: ")),
        (
            "[collectors]\ncpu = 1\n",
            format!("{place}:2: collectors.cpu: "),
        ),
        ("[limits\n", format!("{place}:1: ")),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = refused(&path);
        assert!(error.contains(&message), "{text:?}: {error}");
        assert!(!error.contains("address="), "a port was opened: {error}");
    }
    let missing = refused(&kernel.path("none.toml"));
    assert!(missing.contains("cannot be read"), "{missing}");
}

#[test]
fn validate_checks_without_serving() {
    let kernel = Kernel::unpack();
    let status = command()
        .args(["validate", "--config"])
        .arg(kernel.config(""))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}
