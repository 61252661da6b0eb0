//! Faults on purpose: set over the admin socket, felt by clients, seen by metrics, over by themselves.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::{Api, Place, api, wait_for};

const GOOD: &str = r#"{"amount":"12.34","currency":"EUR"}"#;

struct Broken {
    api: Api,
    socket: PathBuf,
    _place: Place,
}

fn start() -> Broken {
    let place = Place::new();
    let socket = place.directory.path().join("admin.sock");
    place.configure(&format!("admin_socket = \"{}\"\n", socket.display()));
    Broken {
        api: place.start(),
        socket,
        _place: place,
    }
}

impl Broken {
    fn faults(&self, arguments: &[&str]) -> (bool, String) {
        let output = api()
            .args(["faults", "--socket"])
            .arg(&self.socket)
            .args(arguments)
            .output()
            .unwrap();
        let said = if output.status.success() {
            output.stdout
        } else {
            output.stderr
        };
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn is_active(&self, fault: &str) -> bool {
        let series = format!("transactions_api_fault_active{{fault=\"{fault}\"}}");
        self.api.metric(&series) == Some(1.0)
    }
}

#[test]
fn latency_is_felt_seen_and_over_by_itself() {
    let broken = start();
    let (done, said) = broken.faults(&["set", "latency=300ms", "--for", "2s"]);
    assert!(done && said.starts_with("latency 300ms for"), "{said}");
    assert!(broken.is_active("latency"));
    broken.api.await_log("fault injected");

    let start = Instant::now();
    assert_eq!(broken.api.post(GOOD).status, 201);
    assert!(start.elapsed() >= Duration::from_millis(300));
    let start = Instant::now();
    assert_eq!(broken.api.get("/health").status, 200);
    assert!(
        start.elapsed() < Duration::from_millis(300),
        "probes are spared"
    );

    broken.api.await_log("fault expired");
    assert!(!broken.is_active("latency"));
    assert_eq!(
        broken.faults(&["list"]),
        (true, "no fault is active\n".to_owned())
    );
}

#[test]
fn errors_and_a_slow_store_strike_until_cleared() {
    let broken = start();
    broken.faults(&["set", "errors=1", "slow-store=200ms", "--for", "10m"]);
    let struck = broken.api.post(GOOD);
    assert_eq!(struck.status, 500, "{struck:?}");
    let (_, said) = broken.faults(&["list"]);
    assert!(
        said.contains("errors 1 for") && said.contains("slow-store 200ms for"),
        "{said}"
    );

    broken.faults(&["clear"]);
    broken.faults(&["set", "slow-store=400ms", "--for", "10m"]);
    let start = Instant::now();
    assert_eq!(broken.api.post(GOOD).status, 201);
    assert!(start.elapsed() >= Duration::from_millis(400));
}

#[test]
fn memory_grows_while_it_lasts() {
    let broken = start();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", broken.api.pid())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            / 1024
    };
    let before = resident();
    broken.faults(&["set", "memory=64MiB", "--for", "60s"]);
    wait_for("memory to grow", || {
        (resident() > before + 30).then_some(())
    });
    broken.faults(&["clear"]);
    wait_for("memory to be freed", || {
        (resident() < before + 30).then_some(())
    });
}

#[test]
fn what_makes_no_sense_changes_nothing() {
    let broken = start();
    for (arguments, reason) in [
        (&["set", "lag=1s", "--for", "60s"][..], "the faults are"),
        (
            &["set", "latency=1s", "--for", "2h"][..],
            "1 to 3600 seconds",
        ),
        (
            &["set", "latency=1s", "errors=2", "--for", "60s"][..],
            "a ratio",
        ),
    ] {
        let (done, said) = broken.faults(arguments);
        assert!(!done && said.contains(reason), "{said}");
    }
    assert_eq!(
        broken.faults(&["list"]),
        (true, "no fault is active\n".to_owned())
    );
}

#[test]
fn the_public_port_knows_nothing_of_faults() {
    let broken = start();
    for path in ["/faults", "/admin", "/transactions/faults/set"] {
        assert_eq!(broken.api.request("POST", path, "{}").status, 404);
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&broken.socket).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn without_an_admin_socket_there_are_no_faults() {
    let place = Place::new();
    let running = place.start();
    let socket = place.directory.path().join("admin.sock");
    let output = api()
        .args(["faults", "--socket"])
        .arg(&socket)
        .arg("list")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("admin_socket")
    );
    assert_eq!(running.get("/health").status, 200);
}
