//! A disk that is full, and one that fails: no false acknowledgement, and it recovers unaided.
//!
//! The full disk is a small tmpfs in a mount namespace of the daemon's own; the failing one is
//! strace, which lets the chosen system call return an error.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::support::{Api, Place, command, wait_for};

const GOOD: &str = r#"{"amount":"12.34","currency":"EUR"}"#;

/// How many first calls are made to fail, one a run, unless `TRANSACTIONS_IO_FAULTS` says
/// otherwise.
const IO_FAULTS: usize = 12;

/// What fails, and how. A disk that is full shows when pages are written, a broken one at any time.
const FAILURES: [(&str, &str); 3] = [
    ("fdatasync,fsync", "EIO"),
    ("pwrite64", "EIO"),
    ("pwrite64", "ENOSPC"),
];

/// Requests in each run beyond the number of the failing call: each request writes and syncs at
/// least once, so the call is among theirs.
const REQUESTS_MORE: usize = 5;

#[test]
fn a_full_disk_is_503_reads_go_on_and_space_mends_it() {
    let place = Place::new();
    let script = "mount -t tmpfs -o size=2m tmpfs \"$1\" && echo \"$2\" > \"$3\" && exec \"$0\" serve --config \"$3\"";
    let text = std::fs::read_to_string(place.config()).unwrap();
    let api = Api::spawn(
        command("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", script])
            .arg(env!("CARGO_BIN_EXE_transactions-api"))
            .arg(place.directory.path())
            .arg(text)
            .arg(place.config()),
    );
    let before = api.post(GOOD);
    assert_eq!(before.status, 201, "{before:?}");

    // The daemon's own view of its disk.
    let inside = PathBuf::from(format!("/proc/{}/root", api.pid()));
    let filler = inside
        .join(place.directory.path().strip_prefix("/").unwrap())
        .join("filler");
    fill(&filler);
    let refused = wait_for("a refusal", || {
        let answer = api.post(GOOD);
        (answer.status != 201).then_some(answer)
    });
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.text.contains("disk is full"), "{refused:?}");
    assert_eq!(api.get("/transactions").status, 200);
    assert_eq!(api.get(before.header("location").unwrap()).status, 200);
    let unhealthy = wait_for("/health to fail", || {
        let answer = api.get("/health");
        (answer.status == 503).then_some(answer)
    });
    assert!(unhealthy.text.contains("disk is full"), "{unhealthy:?}");

    std::fs::remove_file(filler).unwrap();
    wait_for("the store to recover", || {
        (api.post(GOOD).status == 201).then_some(())
    });
    wait_for("/health to recover", || {
        (api.get("/health").status == 200).then_some(())
    });
}

fn fill(filler: &Path) {
    let mut file = std::fs::File::create(filler).unwrap();
    for size in [4096, 512, 1] {
        let block = vec![0xaa; size];
        while file.write_all(&block).is_ok() {}
    }
}

#[test]
fn a_failing_disk_is_never_acknowledged() {
    let faults = std::env::var("TRANSACTIONS_IO_FAULTS").map_or(IO_FAULTS, |n| n.parse().unwrap());
    let mut refused = 0;
    for (call, error) in FAILURES {
        for nth in 1..=faults {
            refused += run_with_failing_call(call, error, nth);
        }
    }
    let kinds = FAILURES.len();
    eprintln!("campaign: {kinds} × {faults} calls failed, {refused} requests refused, none lost");
    assert!(refused > 0, "some failure struck a request");
}

/// Posts while the `nth` such call of the writer fails with `error`; returns how many requests were refused.
fn run_with_failing_call(call: &str, error: &str, nth: usize) -> usize {
    let place = Place::new();
    // A store that is there already: its creation is not what is tested.
    assert_eq!(place.start().post(GOOD).status, 201);
    let inject = format!("inject={call}:error={error}:when={nth}");
    let mut strace = command("strace");
    strace.args([
        "--seccomp-bpf",
        "-f",
        "-qqq",
        "-o",
        "/dev/null",
        "-e",
        &inject,
    ]);
    strace.arg(env!("CARGO_BIN_EXE_transactions-api"));
    strace.args(["serve", "--config"]).arg(place.config());
    // A failure while it opens the store ends it, and systemd would start it again.
    let Some(api) = Api::try_spawn(&mut strace) else {
        return 0;
    };

    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for _ in 0..nth + REQUESTS_MORE {
        let answer = api.post(GOOD);
        match answer.status {
            201 => acknowledged.push(answer.json()["id"].as_str().unwrap().replace('-', "")),
            503 => refused += 1,
            _ => panic!("{call} {error} {nth}: {answer:?}"),
        }
    }
    wait_for("the store to recover", || {
        (api.post(GOOD).status == 201).then_some(())
    });
    if refused > 0 {
        api.await_log("store reopened after a failure");
    }
    assert!(
        refused <= 2,
        "{call} {error} {nth}: one failure refuses one group, {refused} were refused"
    );
    api.murder_tracee();

    let database = place.database();
    for id in &acknowledged {
        let sql = "SELECT count(*) FROM transactions WHERE lower(hex(id)) = ?1";
        let found: i64 = database.query_row(sql, [id], |row| row.get(0)).unwrap();
        assert_eq!(found, 1, "{call} {error} {nth}: {id}");
    }
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok", "{call} {error} {nth}");
    refused
}
