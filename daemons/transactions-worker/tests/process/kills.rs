//! SIGKILL to workers and to the store's server, at random instants: every transaction is settled
//! in the end, and none twice.

use scratch_postgresql::Server;

use crate::support::{Place, wait_for};

/// How often a worker is killed, unless `TRANSACTIONS_KILLS` says otherwise.
const KILLS: usize = 10;

/// Workers at once, on one store.
const WORKERS: u16 = 3;

/// Transactions for each kill: enough that the workers are busy when it comes.
const TRANSACTIONS_PER_KILL: usize = 60;

/// One kill in so many is the server's too, where the store has one.
const KILLS_PER_SERVER_KILL: usize = 3;

const CONFIGURATION: &str = "processing_time = \"2ms\"\nbatch_size = 20\nlease = \"200ms\"\n";

#[test]
fn nothing_is_left_or_settled_twice_by_kills_on_sqlite() {
    let place = Place::with(CONFIGURATION);
    // The store itself keeps the book of who left pending, and how often.
    place
        .database()
        .execute_batch(
            "CREATE TABLE ended (id BLOB NOT NULL);
             CREATE TRIGGER book AFTER UPDATE OF status ON transactions
             BEGIN INSERT INTO ended VALUES (new.id); END;",
        )
        .unwrap();
    let expected = run_campaign(&place, |_| ());

    let database = place.database();
    let one = |sql: &str| {
        database
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_book(expected, one);
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn nothing_is_left_or_settled_twice_by_kills_on_postgresql() {
    let mut server = Server::start();
    let place = Place::on_server(&server.create_database("kills"), CONFIGURATION);
    server.sql(
        "kills",
        "CREATE TABLE ended (id uuid NOT NULL);
         CREATE FUNCTION keep_book() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN INSERT INTO ended VALUES (NEW.id); RETURN NULL; END $$;
         CREATE TRIGGER book AFTER UPDATE OF status ON transactions
         FOR EACH ROW EXECUTE FUNCTION keep_book()",
    );
    let expected = run_campaign(&place, |kill| {
        if kill % KILLS_PER_SERVER_KILL == 0 {
            server.murder();
            server.relaunch();
        }
    });
    assert_book(expected, |sql| {
        server.sql("kills", sql).trim().parse().unwrap()
    });
}

/// Kills one worker after another at some point of its work, and whatever `strike` likes with it;
/// returns how many transactions there were.
fn run_campaign(place: &Place, mut strike: impl FnMut(usize)) -> i64 {
    let kills = std::env::var("TRANSACTIONS_KILLS").map_or(KILLS, |n| n.parse().unwrap());
    let mut workers: Vec<_> = (1..=WORKERS)
        .map(|instance| place.start(instance))
        .collect();
    for kill in 0..kills {
        let before = place.counts();
        place.insert(TRANSACTIONS_PER_KILL);
        // Some way into the work: how far differs from kill to kill.
        let progress = (kill * 7 % TRANSACTIONS_PER_KILL) as u64;
        place.await_settled(before.settled + before.declined + progress);
        strike(kill);
        workers.remove(0).murder();
        workers.push(place.start(u16::try_from(kill % 100).unwrap() + WORKERS + 1));
    }
    wait_for("the backlog to drain", || {
        (place.counts().pending == 0).then_some(())
    });
    for worker in workers {
        worker.murder();
    }
    let transactions = kills * TRANSACTIONS_PER_KILL;
    eprintln!("campaign: {kills} kills of workers, {transactions} transactions settled once each");
    i64::try_from(transactions).unwrap()
}

fn assert_book(expected: i64, one: impl Fn(&str) -> i64) {
    let ended = one("SELECT count(*) FROM transactions WHERE status <> 'pending'");
    assert_eq!(ended, expected, "none is left");
    assert_eq!(
        one("SELECT count(*) FROM ended"),
        expected,
        "one end for each"
    );
    assert_eq!(one("SELECT count(DISTINCT id) FROM ended"), expected);
}
