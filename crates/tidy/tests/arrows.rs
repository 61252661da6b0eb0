//! Which room may know which: daemons → adapters → drivers and pure, and nothing back or across.

use std::collections::BTreeSet;

use tidy::{Crate, crates, files_with_extension, read};

const PURE: [&str; 2] = ["remediation", "units"];
const ADAPTERS: [&str; 6] = [
    "daemon-kit",
    "fleet",
    "journal",
    "ledger",
    "systemd-bus",
    "transactions",
];

/// What several adapters stand on.
const DRIVERS: [&str; 1] = ["postgresql"];
const DAEMONS: [&str; 4] = [
    "alert-bot",
    "transactions-api",
    "transactions-worker",
    "unit-exporter",
];

/// Never part of a daemon.
const TOOLS: [&str; 3] = ["manual", "scratch-postgresql", "tidy"];

/// What does I/O, keeps time or runs tasks: none of it belongs in a pure crate.
const IMPURE: [&str; 10] = [
    "daemon-kit",
    "hyper",
    "hyper-util",
    "nix",
    "rusqlite",
    "tokio",
    "tokio-postgres",
    "tokio-util",
    "tracing",
    "zbus",
];

fn among<'a>(found: &'a Crate, names: &[&str]) -> BTreeSet<&'a str> {
    found
        .dependencies
        .iter()
        .map(String::as_str)
        .filter(|name| names.contains(name))
        .collect()
}

#[test]
fn every_crate_stands_in_one_room() {
    let known: BTreeSet<&str> = PURE
        .iter()
        .chain(&ADAPTERS)
        .chain(&DRIVERS)
        .chain(&DAEMONS)
        .chain(&TOOLS)
        .copied()
        .collect();
    let found: BTreeSet<String> = crates().into_keys().collect();
    assert_eq!(
        found.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        known
    );
}

#[test]
fn pure_crates_know_no_world() {
    for name in PURE {
        let found = &crates()[name];
        assert_eq!(among(found, &IMPURE), BTreeSet::new(), "{name}");
        assert_eq!(among(found, &ADAPTERS), BTreeSet::new(), "{name}");
        assert_eq!(among(found, &DRIVERS), BTreeSet::new(), "{name}");
    }
}

#[test]
fn drivers_know_no_room() {
    for name in DRIVERS {
        let found = &crates()[name];
        for rooms in [&PURE[..], &ADAPTERS, &DAEMONS] {
            assert_eq!(among(found, rooms), BTreeSet::new(), "{name}");
        }
    }
}

#[test]
fn pure_crates_read_no_clock() {
    for name in PURE {
        for path in files_with_extension(&format!("crates/{name}/src"), "rs") {
            for word in [
                "Timestamp::now(",
                "SystemTime::now(",
                "Instant::now(",
                "std::fs",
                "std::net",
                "std::env",
            ] {
                assert!(
                    !read(&path).contains(word),
                    "{} uses {word}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn adapters_do_not_know_each_other_or_the_daemons() {
    for name in ADAPTERS {
        let found = &crates()[name];
        assert_eq!(among(found, &ADAPTERS), BTreeSet::new(), "{name}");
        assert_eq!(among(found, &DAEMONS), BTreeSet::new(), "{name}");
    }
}

#[test]
fn daemons_do_not_know_each_other() {
    for name in DAEMONS {
        assert_eq!(among(&crates()[name], &DAEMONS), BTreeSet::new(), "{name}");
    }
}

#[test]
fn one_crate_knows_the_bus() {
    let knowing: Vec<String> = crates()
        .into_values()
        .filter(|found| found.dependencies.contains("zbus"))
        .map(|found| found.name)
        .collect();
    assert_eq!(knowing, ["systemd-bus"]);
}
