//! SIGKILL at random instants: every transaction is settled in the end, and none twice.

use crate::support::{Place, wait_for};

/// How often a worker is killed, unless `TRANSACTIONS_KILLS` says otherwise.
const KILLS: usize = 10;

/// Workers at once, on one store.
const WORKERS: u16 = 3;

/// Transactions for each kill: enough that the workers are busy when it comes.
const TRANSACTIONS_PER_KILL: usize = 60;

#[test]
fn nothing_is_left_or_settled_twice_by_kills() {
    let kills = std::env::var("TRANSACTIONS_KILLS").map_or(KILLS, |n| n.parse().unwrap());
    let place = Place::with("processing_time = \"2ms\"\nbatch_size = 20\nlease = \"200ms\"\n");
    // The store itself keeps the book of who left pending, and how often.
    place
        .database()
        .execute_batch(
            "CREATE TABLE ended (id BLOB NOT NULL);
             CREATE TRIGGER book AFTER UPDATE OF status ON transactions
             BEGIN INSERT INTO ended VALUES (new.id); END;",
        )
        .unwrap();

    let mut workers: Vec<_> = (1..=WORKERS)
        .map(|instance| place.start(instance))
        .collect();
    for kill in 0..kills {
        let before = place.counts();
        place.insert(TRANSACTIONS_PER_KILL);
        // Some way into the work: how far differs from kill to kill.
        let progress = (kill * 7 % TRANSACTIONS_PER_KILL) as u64;
        place.await_settled(before.settled + before.declined + progress);
        workers.remove(0).murder();
        workers.push(place.start(u16::try_from(kill % 100).unwrap() + WORKERS + 1));
    }
    wait_for("the backlog to drain", || {
        (place.counts().pending == 0).then_some(())
    });
    for worker in workers {
        worker.murder();
    }

    let database = place.database();
    let one = |sql: &str| {
        database
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let expected = i64::try_from(kills * TRANSACTIONS_PER_KILL).unwrap();
    assert_eq!(
        one("SELECT count(*) FROM transactions WHERE status <> 'pending'"),
        expected
    );
    assert_eq!(
        one("SELECT count(*) FROM ended"),
        expected,
        "one end for each"
    );
    assert_eq!(one("SELECT count(DISTINCT id) FROM ended"), expected);
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    eprintln!("campaign: {kills} kills of workers, {expected} transactions settled once each");
}
