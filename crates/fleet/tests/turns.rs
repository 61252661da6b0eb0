//! The table of repairs in a real PostgreSQL: hosts that compete for turns, a server that goes
//! away, a bot that dies with a turn in its hand.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleet::{Fleet, Member, Turn};
use nix::sys::signal::Signal;
use postgresql::DatabaseUrl;
use remediation::{FleetLimits, Others, Policy, Reason};
use scratch_postgresql::Server;
use uuid::Uuid;

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn limits(text: &str) -> FleetLimits {
    let policy = format!("[host]\nfleet = {text}\n");
    let policy = Policy::parse(&[("policy.toml".into(), policy)]).unwrap();
    policy.host().fleet
}

fn one_host() -> FleetLimits {
    limits("{}")
}

fn fleet(url: &str, host: &str, groups: &[&str]) -> Fleet {
    let database: DatabaseUrl = url.parse().unwrap();
    let member = Member {
        host: host.into(),
        groups: groups.iter().map(|&group| group.into()).collect(),
    };
    Fleet::new(database.connector().unwrap(), member)
}

fn turn(incident: u128, lease: Duration) -> Turn {
    Turn {
        incident: Uuid::from_u128(incident),
        rule: "api-down".into(),
        unit: "api.service".into(),
        lease,
    }
}

const LONG: Duration = Duration::from_secs(3600);

/// Asks until the fleet answers; a first connection may take long on a loaded machine.
async fn claim(fleet: &Fleet, turn: &Turn, limits: &FleetLimits) -> Others {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match fleet.claim(turn, limits).await {
            Ok(others) => return others,
            Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
        }
    }
}

async fn release(fleet: &Fleet, incident: u128) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = fleet.release(Uuid::from_u128(incident), "effective").await {
        assert!(Instant::now() < deadline, "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_host_of_a_group_at_a_time() {
    let server = Server::start();
    let url = server.create_database("fleet");
    let limits = one_host();
    let a = fleet(&url, "a", &["app", "monitoring"]);
    let b = fleet(&url, "b", &["app"]);
    let other = fleet(&url, "c", &["database"]);

    assert_eq!(
        limits.objection(&claim(&a, &turn(1, LONG), &limits).await),
        None
    );
    let seen = claim(&b, &turn(2, LONG), &limits).await;
    assert_eq!(seen.under_repair.iter().collect::<Vec<_>>(), ["a"]);
    assert_eq!(limits.objection(&seen), Some(Reason::FleetBusy));
    // Whoever shares no group does not wait, and neither does a second repair on the same host.
    assert_eq!(
        limits.objection(&claim(&other, &turn(3, LONG), &limits).await),
        None
    );
    assert_eq!(
        limits.objection(&claim(&a, &turn(4, LONG), &limits).await),
        None
    );

    release(&a, 1).await;
    let seen = claim(&b, &turn(2, LONG), &limits).await;
    assert_eq!(
        limits.objection(&seen),
        Some(Reason::FleetBusy),
        "one is left"
    );
    release(&a, 4).await;
    assert_eq!(
        limits.objection(&claim(&b, &turn(2, LONG), &limits).await),
        None
    );
    let ended = "SELECT incident, outcome FROM fleet_repairs WHERE ended_at IS NOT NULL";
    assert_eq!(server.sql("fleet", ended).lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_ask_at_once_exactly_one_gets_the_turn() {
    let server = Server::start();
    let url = server.create_database("fleet");
    let asks = (0..8_u128).map(|number| {
        let url = url.clone();
        tokio::spawn(async move {
            let fleet = fleet(&url, &format!("host-{number}"), &["app"]);
            let seen = claim(&fleet, &turn(number, LONG), &one_host()).await;
            one_host().objection(&seen).is_none()
        })
    });
    let mut granted = 0;
    for ask in asks.collect::<Vec<_>>() {
        granted += usize::from(ask.await.unwrap());
    }
    assert_eq!(granted, 1);
    assert_eq!(
        server
            .sql("fleet", "SELECT count(*) FROM fleet_repairs")
            .trim(),
        "1"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_bots_turn_ends_by_itself() {
    let server = Server::start();
    let url = server.create_database("fleet");
    let limits = one_host();
    let dead = fleet(&url, "a", &["app"]);
    claim(&dead, &turn(1, Duration::from_secs(5)), &limits).await;
    drop(dead);

    let next = fleet(&url, "b", &["app"]);
    let deadline = Instant::now() + PATIENCE;
    while let Some(reason) = limits.objection(&claim(&next, &turn(2, LONG), &limits).await) {
        assert_eq!(reason, Reason::FleetBusy);
        assert!(
            Instant::now() < deadline,
            "the lease of a dead bot never ends"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let age = "SELECT extract(epoch FROM max(begun_at) - min(begun_at)) >= 5 FROM fleet_repairs";
    assert_eq!(server.sql("fleet", age).trim(), "t");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_that_asks_again_keeps_its_turn_and_is_counted_once() {
    let server = Server::start();
    let url = server.create_database("fleet");
    let limits = limits(r#"{ budget = { max_actions = 2, window = "1h" } }"#);
    let a = fleet(&url, "a", &["app"]);
    for _ in 0..3 {
        let seen = claim(&a, &turn(1, LONG), &limits).await;
        assert_eq!(seen, Others::default());
    }
    release(&a, 1).await;
    claim(&a, &turn(2, LONG), &limits).await;
    release(&a, 2).await;
    // Budgets count over hosts of all groups.
    let b = fleet(&url, "b", &["database"]);
    let seen = claim(&b, &turn(3, LONG), &limits).await;
    assert_eq!(seen.recent_repairs, 2);
    assert_eq!(limits.objection(&seen), Some(Reason::FleetBudget));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_or_dies_is_unreachable_soon_and_reached_again() {
    let mut server = Server::start();
    let url = server.create_database("fleet");
    let limits = one_host();
    let a = Arc::new(fleet(&url, "a", &["app"]));
    claim(&a, &turn(1, LONG), &limits).await;

    server.signal(Signal::SIGSTOP);
    let asked = Instant::now();
    assert!(a.claim(&turn(2, LONG), &limits).await.is_err());
    assert!(asked.elapsed() < PATIENCE / 4, "{:?}", asked.elapsed());
    server.signal(Signal::SIGCONT);
    release(&a, 1).await;

    server.murder();
    assert!(a.claim(&turn(2, LONG), &limits).await.is_err());
    // Given back for sure: it tries again until the server is there.
    let giving_back = tokio::spawn({
        let a = a.clone();
        async move {
            a.release_for_sure(Uuid::from_u128(2), "effective", LONG)
                .await;
        }
    });
    server.relaunch();
    giving_back.await.unwrap();
    assert_eq!(
        limits.objection(&claim(&a, &turn(2, LONG), &limits).await),
        None
    );
}
