//! SIGKILL to the API and to the store's server, at random instants under load: whatever was
//! acknowledged is there, exactly once.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use scratch_postgresql::Server;

use crate::support::{Api, Client, Place, wait_for};

/// How often something is killed, unless `TRANSACTIONS_KILLS` says otherwise.
const KILLS: usize = 10;

/// One kill in so many is the server's, where the store has one.
const KILLS_PER_SERVER_KILL: u64 = 3;

/// Clients that post all the time.
const CLIENTS: usize = 16;

/// Acknowledgements between two kills, at most.
const ACKNOWLEDGED_BETWEEN_KILLS: u64 = 400;

/// What the clients share with the killer.
struct Load {
    address: Mutex<std::net::SocketAddr>,
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
    over: AtomicBool,
}

/// Posts under one key until it is acknowledged, then under the next; returns key → id.
fn client(number: usize, load: &Load) -> HashMap<String, String> {
    let mut acknowledged = HashMap::new();
    let mut connection: Option<Client> = None;
    let mut request = 0;
    while !load.over.load(Ordering::Relaxed) {
        let key = format!("client-{number}-request-{request}");
        let body = format!(r#"{{"amount":"1.00","currency":"EUR","idempotency_key":"{key}"}}"#);
        let address = *load.address.lock().unwrap();
        let Some(mut open) = connection.take().or_else(|| Client::connect(address).ok()) else {
            continue;
        };
        // Killed in between: the outcome is unknown, so the same key is posted again.
        let Ok(answer) = open.request("POST", "/transactions", &body) else {
            continue;
        };
        // The store was killed: nothing is acknowledged, and the same key is posted again.
        if answer.status == 503 {
            load.refused.fetch_add(1, Ordering::Relaxed);
            connection = Some(open);
            continue;
        }
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        acknowledged.insert(key, id);
        load.acknowledged.fetch_add(1, Ordering::Relaxed);
        connection = Some(open);
        request += 1;
    }
    acknowledged
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kills_on_sqlite() {
    let place = Place::new();
    let campaign = run_campaign(&place, |_, api| api.murder());
    assert_eq!(campaign.refused, 0, "only the API was killed");

    let database = place.database();
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    let mut statement = database
        .prepare("SELECT idempotency_key, lower(hex(id)) FROM transactions")
        .unwrap();
    let rows: Vec<(String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let counted: i64 = database
        .query_row("SELECT sum(rows) FROM transaction_counts", [], |row| {
            row.get(0)
        })
        .unwrap();
    campaign.assert_stored(&rows, usize::try_from(counted).unwrap());
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kills_on_postgresql() {
    let mut server = Server::start();
    let place = Place::new();
    place.configure_store(&server.create_database("kills"), "");
    let campaign = run_campaign(&place, |dice, api| {
        if dice.roll(KILLS_PER_SERVER_KILL) == 0 {
            server.murder();
            server.relaunch();
        }
        api.murder();
    });

    let sql = "SELECT idempotency_key, replace(id::text, '-', '') FROM transactions";
    let listed = server.sql("kills", sql);
    let rows: Vec<(String, String)> = listed
        .lines()
        .map(|line| line.split_once('|').unwrap())
        .map(|(key, id)| (key.to_owned(), id.to_owned()))
        .collect();
    let sql = "SELECT sum(pending + settled + declined) FROM transaction_counts";
    let counted = server.sql("kills", sql).trim().parse().unwrap();
    campaign.assert_stored(&rows, counted);
}

/// What clients learnt in a campaign: key → id.
struct Campaign {
    acknowledged: HashMap<String, String>,
    refused: usize,
}

/// Kills at random instants while clients post. `strike` ends the API, and whatever else it likes.
fn run_campaign(place: &Place, mut strike: impl FnMut(&mut Dice, Api)) -> Campaign {
    let kills = std::env::var("TRANSACTIONS_KILLS").map_or(KILLS, |n| n.parse().unwrap());
    let mut dice = Dice::new();
    let seed = dice.0;
    eprintln!("seed {seed}");
    let mut api = place.start();
    let load = Arc::new(Load {
        address: Mutex::new(api.address),
        acknowledged: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    });
    let clients: Vec<JoinHandle<_>> = (0..CLIENTS)
        .map(|number| {
            let load = Arc::clone(&load);
            std::thread::spawn(move || client(number, &load))
        })
        .collect();

    for _ in 0..kills {
        let more = usize::try_from(dice.roll(ACKNOWLEDGED_BETWEEN_KILLS)).unwrap();
        let target = load.acknowledged.load(Ordering::Relaxed) + more;
        wait_for("acknowledgements", || {
            (load.acknowledged.load(Ordering::Relaxed) >= target).then_some(())
        });
        strike(&mut dice, api);
        api = place.start();
        *load.address.lock().unwrap() = api.address;
    }
    api.murder();
    load.over.store(true, Ordering::Relaxed);
    let acknowledged: HashMap<String, String> = clients
        .into_iter()
        .flat_map(|client| client.join().unwrap())
        .collect();
    let (count, refused) = (acknowledged.len(), load.refused.load(Ordering::Relaxed));
    eprintln!("campaign: {kills} kills (seed {seed}), {count} acknowledged, {refused} refused");
    Campaign {
        acknowledged,
        refused,
    }
}

impl Campaign {
    /// Asserts that each acknowledged key is there once, under the id that its client was given.
    fn assert_stored(&self, rows: &[(String, String)], counted: usize) {
        let stored: HashMap<&str, &str> = rows
            .iter()
            .map(|(key, id)| (key.as_str(), id.as_str()))
            .collect();
        assert_eq!(stored.len(), rows.len(), "each key has one row");
        assert_eq!(stored.values().collect::<HashSet<_>>().len(), rows.len());
        for (key, id) in &self.acknowledged {
            let id = id.replace('-', "");
            assert_eq!(stored.get(key.as_str()), Some(&id.as_str()), "{key}");
        }
        // Each client has at most one request whose outcome it never learnt.
        assert!(rows.len() <= self.acknowledged.len() + CLIENTS);
        assert_eq!(counted, rows.len());
    }
}

/// Random enough for instants; the seed is printed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let clock = std::time::UNIX_EPOCH.elapsed().unwrap();
        Self(u64::from(clock.subsec_nanos()) | 1)
    }

    fn roll(&mut self, below: u64) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}
