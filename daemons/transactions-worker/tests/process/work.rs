//! Claiming, settling, generating, draining.

use crate::support::{Place, wait_for};

#[test]
fn what_is_pending_is_settled_or_declined() {
    let place = Place::with("processing_time = \"0s\"\ndecline_ratio = 0.5\n");
    place.insert(200);
    let worker = place.start(1);
    place.await_settled(200);
    let counts = place.counts();
    assert_eq!((counts.pending, counts.settled + counts.declined), (0, 200));
    // 200 trials at 0.5: 100 ± 7.
    assert!((50..150).contains(&counts.declined), "{counts:?}");

    let settled = || worker.metric("transactions_worker_settled_total{outcome=\"settled\"}");
    wait_for("the metrics", || {
        (settled() >= counts.settled).then_some(())
    });
    assert_eq!(
        worker.metric("transactions_worker_settled_total{outcome=\"declined\"}"),
        counts.declined
    );
    assert_eq!(worker.metric("transactions_worker_claimed_total"), 200);
    assert_eq!(
        worker.metric("transactions_worker_settle_latency_seconds_count"),
        200
    );
    assert_eq!(worker.metric("transactions_worker_inserted_total"), 0);
    assert_eq!(worker.get("/health").0, "HTTP/1.1 200 OK");
}

#[test]
fn only_the_instance_named_generates() {
    let generator = "[generator]\ninstance = 2\nrate_per_second = 200.0\n";
    let place = Place::with(&format!("processing_time = \"0s\"\n{generator}"));
    let other = place.start(1);
    let generating = place.start(2);
    place.await_settled(20);
    assert!(generating.metric("transactions_worker_inserted_total") >= 20);
    assert_eq!(other.metric("transactions_worker_inserted_total"), 0);
}

#[test]
fn sigterm_gives_back_what_was_not_begun() {
    let place = Place::with("processing_time = \"100ms\"\nbatch_size = 100\n");
    place.insert(100);
    let mut worker = place.start(1);
    place.await_settled(1);
    assert!(worker.terminate().success());

    let counts = place.counts();
    assert!(counts.pending > 50, "{counts:?}");
    let held: i64 = place
        .database()
        .query_row(
            "SELECT count(*) FROM transactions
             WHERE status = 'pending' AND lease_expires_ms IS NOT NULL",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(held, 0, "every claim was settled or given back");
}

#[test]
fn health_is_the_store_s_and_comes_back_with_it() {
    let place = Place::with("processing_time = \"0s\"\n");
    let worker = place.start(1);
    let other = place.database();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (_, body) = wait_for("/health to fail", || {
        let (status, body) = worker.get("/health");
        status.contains("503").then_some((status, body))
    });
    assert!(body.contains("write lock"), "{body}");
    assert!(worker.metric("transactions_worker_errors_total{reason=\"busy\"}") >= 1);
    other.execute_batch("ROLLBACK").unwrap();
    wait_for("/health to recover", || {
        worker.get("/health").0.contains("200").then_some(())
    });
}
