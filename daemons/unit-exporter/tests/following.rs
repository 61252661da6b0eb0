//! The table in step with systemd: by signals alone, through storms and through a lost bus.

#![allow(clippy::unwrap_used)] // In tests a panic is the message.

mod common;

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Host, Kernel, PATIENCE, systemd, value};
use systemd_bus::fake::FakeUnit;
use unit_exporter::follow::RESYNC_EVERY;
use units::ActiveState;

const NGINX_FAILED: &str = "systemd_unit_state{unit=\"nginx.service\",state=\"failed\"} 1";

#[tokio::test]
async fn a_failure_shows_without_a_call() {
    let kernel = Kernel::unpack();
    let fake = systemd(&kernel);
    let host = Host::new(kernel);
    host.synced().await;
    host.scrape_with("systemd_system_running 1").await;
    let calls = fake.answered();
    fake.change(FakeUnit::failed("nginx.service").with("NRestarts", 5_u32))
        .await;
    let text = host.scrape_with(NGINX_FAILED).await;
    let restarts = "systemd_service_restart_total{unit=\"nginx.service\"}";
    assert_eq!(value(&text, restarts), Some(5.0));
    for _ in 0..10 {
        host.scrape();
    }
    assert_eq!(fake.answered(), calls, "scrapes and signals cost no calls");
}

#[tokio::test]
async fn runs_that_begin_are_counted_and_old_ones_are_not() {
    let kernel = Kernel::unpack();
    let fake = systemd(&kernel);
    let host = Host::new(kernel);
    host.synced().await;
    let counted = "systemd_unit_invocations_total{unit=\"nginx.service\"}";
    assert_eq!(value(&host.scrape(), counted), Some(0.0));
    for run in 1..=2_u8 {
        let next = FakeUnit::running("nginx.service").common("InvocationID", vec![run; 16]);
        fake.change(next).await;
        host.scrape_with(&format!("{counted} {run}")).await;
    }
    fake.load(FakeUnit::running("new.service")).await;
    host.scrape_with("systemd_unit_invocations_total{unit=\"new.service\"} 1")
        .await;
}

#[tokio::test]
async fn a_unit_that_is_unloaded_leaves_nothing_behind() {
    let kernel = Kernel::unpack();
    let fake = systemd(&kernel);
    let host = Host::new(kernel);
    host.synced().await;
    fake.unload("backup.service").await;
    fake.load(FakeUnit::running("after.service")).await;
    let text = host
        .scrape_with("systemd_unit_state{unit=\"after.service\",state=\"active\"} 1")
        .await;
    assert!(!text.contains("backup.service"));
}

#[tokio::test]
async fn what_changed_while_the_bus_was_away_is_seen_when_it_is_back() {
    let kernel = Kernel::unpack();
    let fake = systemd(&kernel);
    let host = Host::new(kernel);
    host.synced().await;
    fake.cut().await;
    // Same state, other run: only a new look at everything shows it.
    fake.put(FakeUnit::running("nginx.service").with("NRestarts", 9_u32));
    host.scrape_with("systemd_service_restart_total{unit=\"nginx.service\"} 9")
        .await;
}

/// Lets so much time pass at once for everything but the bus.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn what_no_signal_told_of_is_seen_at_the_next_look_at_everything() {
    let kernel = Kernel::unpack();
    let fake = systemd(&kernel);
    let host = Host::new(kernel);
    host.synced().await;
    host.scrape_with("systemd_system_running 1").await;
    fake.put(FakeUnit::running("untold.service"));
    pass(RESYNC_EVERY / 2).await;
    fake.change(FakeUnit::failed("nginx.service")).await;
    let early = host.scrape_with(NGINX_FAILED).await;
    assert!(!early.contains("untold.service"));
    pass(RESYNC_EVERY / 2).await;
    host.scrape_with("systemd_unit_state{unit=\"untold.service\",state=\"active\"} 1")
        .await;
}

#[tokio::test]
async fn a_bus_that_restarts_is_no_gap() {
    let kernel = Kernel::unpack();
    let fake = systemd(&kernel);
    let host = Host::new(kernel);
    host.synced().await;
    fake.cut().await;
    host.scrape_with("unit_exporter_collector_success{collector=\"systemd\"} 0")
        .await
        .contains("systemd_unit_state{unit=\"nginx.service\",state=\"active\"} 1")
        .then_some(())
        .unwrap();
    host.scrape_with("unit_exporter_collector_success{collector=\"systemd\"} 1")
        .await;
}

#[tokio::test]
async fn what_is_not_signalled_is_asked_for_once_in_a_while() {
    let kernel = Kernel::unpack();
    let fake = systemd(&kernel);
    fake.put(
        FakeUnit::new("nginx.socket", ActiveState::Active, "listening")
            .with("NAccepted", 7_u32)
            .with("NConnections", 2_u32)
            .with("NRefused", 0_u32),
    );
    for name in ["nginx.service", "a\\x2db.service"] {
        let ingress = if name == "nginx.service" {
            512
        } else {
            u64::MAX
        };
        fake.put(
            FakeUnit::running(name)
                .with("IPIngressBytes", ingress)
                .with("IPIngressPackets", u64::MAX)
                .with("IPEgressBytes", u64::MAX)
                .with("IPEgressPackets", u64::MAX)
                .with("WatchdogUSec", 30_000_000_u64)
                .with("WatchdogTimestamp", 1_700_000_000_000_000_u64),
        );
    }
    let on = "[collectors]\nsockets = true\nip = true\nwatchdog = true\n";
    let host = Host::with(kernel, on);
    host.synced().await;
    let deadline = Instant::now() + PATIENCE;
    host.scraper.refresh_unsignalled(deadline).await;
    let text = host.scrape_with("systemd_system_running 1").await;
    for line in [
        "systemd_socket_accepted_connections_total{unit=\"nginx.socket\"} 7",
        "systemd_socket_current_connections{unit=\"nginx.socket\"} 2",
        "systemd_unit_ip_ingress_bytes_total{unit=\"nginx.service\"} 512",
        "systemd_service_watchdog_seconds{unit=\"nginx.service\"} 30",
        "unit_exporter_collector_success{collector=\"unsignalled\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("18446744073709551615"));
    assert!(!text.contains("systemd_unit_ip_egress_bytes_total{"));

    let calls = fake.answered();
    host.scraper.refresh_unsignalled(deadline).await;
    assert_eq!(fake.answered(), calls, "the answers are still fresh");
}

fn is_failed_collector(line: &str) -> bool {
    line.starts_with("unit_exporter_collector_success{") && line.ends_with("} 0")
}

#[allow(clippy::print_stderr)] // How fast it was belongs into the transcript.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_units_that_come_and_go_spoil_no_scrape() {
    const UNITS: u32 = 1_000;
    let kernel = Kernel::unpack();
    let fake = systemd(&kernel);
    let host = Host::new(kernel);
    host.synced().await;
    let over = Arc::new(AtomicBool::new(false));
    let storm = {
        let (over, root) = (Arc::clone(&over), host.kernel.path("cgroup/system.slice"));
        tokio::spawn(async move {
            let began = Instant::now();
            for number in 0..UNITS {
                let name = format!("burst-{number}.service");
                // Whole at once, as the kernel's directories come and go.
                let (away, group) = (root.join("away"), root.join(&name));
                std::fs::create_dir(&away).unwrap();
                std::fs::write(away.join("cpu.stat"), "user_usec 1\nsystem_usec 1\n").unwrap();
                std::fs::rename(&away, &group).unwrap();
                fake.load(FakeUnit::running(&name)).await;
                fake.change(FakeUnit::failed(&name)).await;
                std::fs::rename(&group, &away).unwrap();
                std::fs::remove_dir_all(&away).unwrap();
                fake.unload(&name).await;
            }
            over.store(true, Ordering::Release);
            (fake, f64::from(UNITS) / began.elapsed().as_secs_f64())
        })
    };
    let counter = "systemd_unit_cpu_seconds_total{unit=\"nginx.service\",mode=\"user\"}";
    let stat = host
        .kernel
        .path("cgroup/system.slice/nginx.service/cpu.stat");
    let stat = std::fs::File::create(stat).unwrap();
    let mut last = 0.0;
    let mut scrapes = 0;
    while !over.load(Ordering::Acquire) {
        scrapes += 1;
        let usec = 4_000_000 + scrapes * 1_000;
        stat.write_all_at(
            format!("user_usec {usec:010}\nsystem_usec 0\n").as_bytes(),
            0,
        )
        .unwrap();
        let text = tokio::task::block_in_place(|| host.scrape());
        let failed = text.lines().find(|line| is_failed_collector(line));
        assert_eq!(failed, None);
        let now = value(&text, counter).unwrap();
        assert!(now >= last, "{now} after {last}");
        last = now;
    }
    assert!(scrapes > 3, "only {scrapes} scrapes during the storm");
    let (fake, rate) = storm.await.unwrap();
    eprintln!(
        "campaign: {UNITS} units came and went, {rate:.0} a second, during {scrapes} scrapes"
    );
    // When it is over nothing is left of it, in a table that still follows.
    fake.load(FakeUnit::new(
        "calm.service",
        ActiveState::Active,
        "running",
    ))
    .await;
    let calm = "systemd_unit_state{unit=\"calm.service\",state=\"active\"} 1";
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = host.scrape_with(calm).await;
        if !text.contains("burst-") {
            break;
        }
        assert!(Instant::now() < deadline, "units of the storm are left");
        tokio::task::yield_now().await;
    }
}
