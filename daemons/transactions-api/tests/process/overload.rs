//! Far more clients than the store can serve: most are told at once to come back, and those that
//! are let in are answered about as soon as without the others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Client, Place, api};

const GOOD: &str = r#"{"amount":"12.34","currency":"EUR"}"#;

/// Requests worked on at once, and clients that want to be.
const MAX_IN_FLIGHT: usize = 8;
const CLIENTS: usize = 64;

/// Each commit takes this long. One that is let in waits for the commit under way and for its own.
const COMMIT: Duration = Duration::from_millis(100);

/// Beyond the two commits: what a loaded machine adds. Without shedding, each request would wait
/// for all others, and the bound would not hold.
const BOUND: Duration = Duration::from_millis(600);

const ANSWERS_PER_CLIENT: usize = 50;

#[derive(Default)]
struct Seen {
    stored: Vec<Duration>,
    shed: Vec<Duration>,
}

#[test]
fn overload_is_shed_before_latency_collapses() {
    let place = Place::new();
    let socket = place.directory.path().join("admin.sock");
    place.configure(&format!(
        "admin_socket = \"{}\"\n[overload]\nmax_in_flight = {MAX_IN_FLIGHT}\n",
        socket.display()
    ));
    let daemon = place.start();
    let slow = format!("slow-store={}ms", COMMIT.as_millis());
    let set = api()
        .args(["faults", "--socket"])
        .arg(&socket)
        .args(["set", &slow, "--for", "10m"])
        .output()
        .unwrap();
    assert!(set.status.success());

    let address = daemon.address;
    let over = AtomicBool::new(false);
    let (seen, probed) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| post_often(address)))
            .collect();
        let probing = scope.spawn(|| {
            let mut probe = Client::connect(address).unwrap();
            let mut probed = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let start = Instant::now();
                assert_eq!(probe.request("GET", "/health", "").unwrap().status, 200);
                probed.push(start.elapsed());
            }
            probed
        });
        let seen: Vec<Seen> = clients.into_iter().map(|one| one.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        (seen, probing.join().unwrap())
    });

    let stored: Vec<Duration> = seen.iter().flat_map(|one| one.stored.clone()).collect();
    let shed: Vec<Duration> = seen.iter().flat_map(|one| one.shed.clone()).collect();
    assert!(
        !stored.is_empty() && shed.len() > stored.len(),
        "{} shed",
        shed.len()
    );
    for (what, times) in [("stored", &stored), ("shed", &shed), ("probed", &probed)] {
        let p99 = percentile_99(times);
        eprintln!("{what}: {} answers, 99 % within {p99:?}", times.len());
        assert!(p99 < 2 * COMMIT + BOUND, "{what}: {p99:?}");
    }
    assert_eq!(daemon.get("/transactions").json()["count"], stored.len());
    let counted = daemon.metric("transactions_api_http_requests_shed_total");
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let expected = shed.len() as f64;
    assert_eq!(counted, Some(expected));
}

fn post_often(address: std::net::SocketAddr) -> Seen {
    let mut client = Client::connect(address).unwrap();
    let mut seen = Seen::default();
    for _ in 0..ANSWERS_PER_CLIENT {
        let start = Instant::now();
        let answer = client.request("POST", "/transactions", GOOD).unwrap();
        let took = start.elapsed();
        match answer.status {
            201 => seen.stored.push(took),
            503 => {
                assert_eq!(answer.header("retry-after"), Some("1"));
                seen.shed.push(took);
            }
            _ => panic!("{answer:?}"),
        }
    }
    seen
}

fn percentile_99(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() - 1) * 99 / 100]
}
