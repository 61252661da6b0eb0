//! Reading files that journald's own code wrote.

#![allow(clippy::unwrap_used)] // In tests a panic is the message.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use jiff::Timestamp;
use journal::{Before, Journal, JournalError, Limits, Line};
use tempfile::TempDir;
use units::UnitName;

/// When PID 1 wrote that the unit had failed.
const FAILED_AT: i64 = 1_795_000_000_045_400;

const LIMITS: Limits = Limits {
    lines: 8,
    line_bytes: 64,
    total_bytes: 4096,
};

/// A directory that holds one of the files as `system.journal`.
fn directory_of(kind: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("system.journal"), plain(kind)).unwrap();
    directory
}

fn plain(kind: &str) -> Vec<u8> {
    let packed = Path::new("tests/files").join(format!("{kind}.journal.gz"));
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(packed).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

fn api() -> UnitName {
    "api.service".parse().unwrap()
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn the_newest_lines_of_the_unit_and_of_pid_1_about_it_come_oldest_first() {
    for kind in ["compact", "regular"] {
        let directory = directory_of(kind);
        let lines = Journal::at(directory.path())
            .last_lines(&api(), LIMITS, None)
            .unwrap();
        let long = format!("long: {}…", &"0123456789".repeat(6)[..58]);
        let expected = [
            "line 40",
            &long,
            "panicked at \u{fffd}[31mred\u{fffd}[0m second line",
            "api.service: Main process exited, code=killed, status=9/KILL",
            "api.service: Failed with result 'signal'.",
            "written before the end, received after the repair began",
            "Starting api.service...",
            "serving again",
        ];
        assert_eq!(texts(&lines), expected, "{kind}");
        let last = lines.last().unwrap();
        assert_eq!((last.by.as_str(), last.priority), ("api", Some(6)));
        assert_eq!(last.at.as_microsecond(), 1_795_000_000_052_400);
    }
}

#[test]
fn what_belongs_to_the_next_life_can_be_left_out() {
    let directory = directory_of("compact");
    let journal = Journal::at(directory.path());
    let before = |invocation: Option<&str>| Before {
        at: Timestamp::from_microsecond(FAILED_AT).unwrap(),
        invocation: invocation.map(str::to_owned),
    };
    let last = |before: &Before| {
        let lines = journal.last_lines(&api(), LIMITS, Some(before)).unwrap();
        lines.last().unwrap().text.clone()
    };
    let in_time = "api.service: Failed with result 'signal'.";
    assert_eq!(last(&before(None)), in_time);
    // journald was late; the line is of the life that ended all the same.
    let late = "written before the end, received after the repair began";
    assert_eq!(last(&before(Some(&"a".repeat(32)))), late);
}

#[test]
fn lines_and_bytes_are_bounded_and_the_oldest_go_first() {
    let directory = directory_of("compact");
    let journal = Journal::at(directory.path());
    let limits = Limits { lines: 3, ..LIMITS };
    assert_eq!(journal.last_lines(&api(), limits, None).unwrap().len(), 3);
    let limits = Limits {
        total_bytes: 40,
        ..LIMITS
    };
    let lines = journal.last_lines(&api(), limits, None).unwrap();
    assert_eq!(texts(&lines), ["Starting api.service...", "serving again"]);
    // More than there are: every line of this unit, and none of another.
    let limits = Limits {
        lines: 500,
        ..LIMITS
    };
    let lines = journal.last_lines(&api(), limits, None).unwrap();
    assert_eq!(lines.len(), 47);
    assert_eq!(lines[0].text, "line 1");
}

#[test]
fn right_after_a_rotation_the_rest_comes_from_the_file_before() {
    let directory = directory_of("compact");
    let active = directory.path().join("system.journal");
    let rotated = directory.path().join("system@1-2-3.journal");
    fs::rename(&active, rotated).unwrap();
    // Nobody wrote to the new file yet: it has a header and nothing else.
    fs::write(&active, &plain("compact")[..272]).unwrap();
    let lines = Journal::at(directory.path())
        .last_lines(&api(), LIMITS, None)
        .unwrap();
    assert_eq!(lines.last().unwrap().text, "serving again");
}

#[test]
fn a_unit_that_never_wrote_has_no_lines() {
    let directory = directory_of("compact");
    let silent: UnitName = "silent.service".parse().unwrap();
    let lines = Journal::at(directory.path()).last_lines(&silent, LIMITS, None);
    assert_eq!(lines.unwrap(), []);
}

#[test]
fn a_file_that_was_cut_off_or_garbled_ends_in_fewer_lines_and_never_in_a_panic() {
    let whole = plain("compact");
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("system.journal");
    let journal = Journal::at(directory.path());
    for kept in (0..used).step_by(used / 20) {
        fs::write(&file, &whole[..kept]).unwrap();
        let lines = journal.last_lines(&api(), LIMITS, None);
        assert!(lines.map_or(true, |lines| lines.len() <= LIMITS.lines));
    }
    // Garbled in places that a simple sequence settles, so that a failure can be looked at.
    let mut garbled = whole.clone();
    let mut place: usize = 1;
    for round in 0..60_u8 {
        place = place
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        garbled[208 + (place >> 16) % (used - 208)] = round.wrapping_mul(37);
        fs::write(&file, &garbled[..used]).unwrap();
        let lines = journal.last_lines(&api(), LIMITS, None);
        assert!(lines.map_or(true, |lines| lines.len() <= LIMITS.lines));
    }
}

#[test]
fn what_is_no_journal_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::at(directory.path());
    assert_eq!(journal.last_lines(&api(), LIMITS, None).unwrap(), []);
    fs::write(directory.path().join("system.journal"), [b'x'; 4096]).unwrap();
    let error = journal.last_lines(&api(), LIMITS, None).unwrap_err();
    assert!(matches!(error, JournalError::Format { .. }), "{error}");
    assert!(error.to_string().ends_with("is no journal file"));
}
