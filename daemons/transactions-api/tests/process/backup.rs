//! A backup of a store that is being written, and a store that is put back from it.

use std::path::PathBuf;

use crate::support::{Api, Client, Place, api};

const GOOD: &str = r#"{"amount":"12.34","currency":"EUR"}"#;

struct Kept {
    place: Place,
    directory: PathBuf,
}

fn kept(number: usize) -> Kept {
    let place = Place::new();
    let directory = place.directory.path().join("backups");
    place.configure(&format!(
        "[backup]\ndirectory = \"{}\"\nkeep = {number}\n",
        directory.display()
    ));
    Kept { place, directory }
}

impl Kept {
    fn back_up(&self) -> (bool, String) {
        let output = api()
            .args(["backup", "--config"])
            .arg(self.place.config())
            .output()
            .unwrap();
        let said = if output.status.success() {
            output.stdout
        } else {
            output.stderr
        };
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_backup_beside_a_busy_daemon_can_be_put_back() {
    let kept = kept(7);
    let daemon = kept.place.start();
    let before: Vec<String> = (0..50).map(|_| location(&daemon)).collect();
    let address = daemon.address;
    let posting = std::thread::spawn(move || {
        let mut client = Client::connect(address).unwrap();
        (0..200)
            .map(|_| client.request("POST", "/transactions", GOOD).unwrap())
            .all(|answer| answer.status == 201)
    });
    let (done, said) = kept.back_up();
    assert!(done, "{said}");
    assert!(posting.join().unwrap(), "no write was refused meanwhile");
    let after = location(&daemon);
    daemon.murder();

    // As docs/operate.md tells it: the old file and its log go, the copy takes their place.
    let store = kept.place.store();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", store.display()));
    }
    let names = kept.names();
    assert_eq!(names.len(), 1, "nothing unfinished is left: {names:?}");
    std::fs::copy(kept.directory.join(&names[0]), &store).unwrap();
    let restored = kept.place.start();
    for path in &before {
        assert_eq!(restored.get(path).status, 200, "{path}");
    }
    assert_eq!(restored.get(&after).status, 404, "it came after the backup");
    assert_eq!(restored.post(GOOD).status, 201);
}

fn location(daemon: &Api) -> String {
    daemon.post(GOOD).header("location").unwrap().to_owned()
}

#[test]
fn the_latest_are_kept_and_other_files_are_not_touched() {
    let kept = kept(2);
    kept.place.start().post(GOOD);
    std::fs::create_dir(&kept.directory).unwrap();
    let others = [
        "notes.txt",
        "transactions-by-hand.db",
        "transactions-20260101T000000Z.db.gz",
    ];
    let old = [
        "transactions-20250101T000000Z.db",
        "transactions-20260101T000000Z.db",
    ];
    for name in others
        .iter()
        .chain(&old)
        .chain(&[".transactions.unfinished"])
    {
        std::fs::write(kept.directory.join(name), "x").unwrap();
    }
    let (done, said) = kept.back_up();
    assert!(done && said.contains("1 older removed"), "{said}");
    let names = kept.names();
    for name in others.iter().chain(&old[1..]) {
        assert!(names.iter().any(|there| there == name), "{name}: {names:?}");
    }
    assert_eq!(names.len(), others.len() + 2, "{names:?}");
}

#[test]
fn what_cannot_be_copied_whole_costs_no_earlier_backup() {
    let kept = kept(1);
    let daemon = kept.place.start();
    for _ in 0..200 {
        daemon.post(GOOD);
    }
    daemon.murder();
    assert!(kept.back_up().0);
    let earlier = kept.names();

    // Pages in the middle of the file are overwritten, as a failing disk would.
    let database = kept.place.database();
    database
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    drop(database);
    let mut bytes = std::fs::read(kept.place.store()).unwrap();
    bytes
        .chunks_mut(4096)
        .skip(2)
        .for_each(|page| page[..8].fill(0xee));
    std::fs::write(kept.place.store(), bytes).unwrap();
    let (done, said) = kept.back_up();
    assert!(!done, "{said}");
    assert_eq!(
        kept.names()
            .into_iter()
            .filter(|name| !name.starts_with('.'))
            .collect::<Vec<_>>(),
        earlier
    );
}

#[test]
fn a_store_that_is_no_file_or_not_there_is_named() {
    let kept = kept(1);
    let (done, said) = kept.back_up();
    assert!(!done && said.contains("transactions.db"), "{said}");
    let text = "listen = \"127.0.0.1:0\"\nstore = \"postgresql://u@h/d\"\n";
    std::fs::write(kept.place.config(), text).unwrap();
    let (done, said) = kept.back_up();
    assert!(!done && said.contains("pg_dump"), "{said}");
}
